"""The remote process: the connection to its host, its command, and the bytes to and from it.

The only folder that imports asyncssh. It does not interpret the bytes.
"""
