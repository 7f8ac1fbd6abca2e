"""OpenSSH's command line and keywords as the frozen value that a connection is made of, and back. Pure.

What each option means, and whether it can be honoured. Nothing here reads a file or runs a program.
"""
