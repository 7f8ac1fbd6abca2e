"""settings.yaml: text and environment in, frozen values out, or an error with file and line.

Nothing here reads the process environment by itself, connects, or changes a value after it was made.
"""
