"""Config files: what they and the options come to for a host, as the program ``ssh`` says it.

Both engines read them here. What is made of the answer is pure; who connects, and how, does not belong here.
"""
