"""A link kept alive: connect, handshake, snapshot, stream, and what a loss means.

Nothing here draws or parses bytes.
"""
