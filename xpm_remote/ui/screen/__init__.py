"""The full-screen dashboard: one module a screen; ``keys`` is the one table of its keys.

Textual is imported here and nowhere else.
"""
