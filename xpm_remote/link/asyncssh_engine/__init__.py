"""The engine asyncssh: connections, logins, host keys and keys by the library.

It has only what the library needs; the caller passes the prompter and the remote command.
"""
