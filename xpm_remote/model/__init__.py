"""What is known of a workspace: entities, the records they come from, and the store that holds them.

Pure: values and functions, no clock, no I/O.
"""
