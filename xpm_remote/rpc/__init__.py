"""JSON-RPC with the remote side: the protocol without I/O, its asyncio client, a server's methods as typed calls.

``model`` interprets the answers.
"""
