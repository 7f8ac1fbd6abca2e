"""OpenSSH's command line and keywords, converted into a frozen value from which a connection is made, and back. Pure.

The meaning of each option, and whether it can be honoured. Nothing here reads a file or runs a program.
"""
