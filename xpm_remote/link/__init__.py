"""Reaching the remote process: which host, which command, and the bytes to and from it.

The only folder that knows asyncssh. It does not know what the bytes mean.
"""
