"""What the remote knows: experiments, runs, jobs, services, events, and the store that holds them.

Pure: values and functions, no clock, no I/O.
"""
