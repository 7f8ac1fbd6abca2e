"""The engine openssh: the program ``ssh`` of this machine, its command lines, and the meaning of its output.

It provides the same process as the other engine; its failures become the same errors.
"""
