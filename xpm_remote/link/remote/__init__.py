"""The start of the server or the agent on the host: one command line for any shell, and the marks that it prints.

Text and bytes only; the engines transport them.
"""
