"""The engine asyncssh: connections, logins, host keys and keys by the library.

All that only the library needs. Whom to ask is given; what is run on the host is for others.
"""
