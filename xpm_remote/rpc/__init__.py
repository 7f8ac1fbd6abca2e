"""Talking to the remote side: JSON-RPC without I/O, the asyncio shell around it, the methods as typed calls.

What the answers mean for a picture of the workspace is the business of ``model``.
"""
