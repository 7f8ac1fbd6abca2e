"""The command line: parse, call one thing below, turn an error into a message and an exit code.

One module per command group. No decision lives here, and nothing here is imported by anybody.
"""
