"""What runs on the host before the server or the agent does: one command line for any shell, and what that says.

Text and bytes only: however they get there is the engines' affair.
"""
