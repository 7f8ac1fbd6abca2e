"""A link to a workspace: connecting, handshake, snapshot, stream, and reconnecting after a loss.

Nothing here draws or parses bytes.
"""
