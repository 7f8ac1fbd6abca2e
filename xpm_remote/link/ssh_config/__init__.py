"""Config files and options evaluated for a host, by the program ``ssh``; used by both engines.

The evaluation of the answer is pure. Nothing here connects.
"""
