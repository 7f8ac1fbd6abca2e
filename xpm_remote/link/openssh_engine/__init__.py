"""The engine openssh: the program ``ssh`` of this machine, its command lines, and what its words mean.

It becomes the same process to those above as with the library; its failures become the same errors.
"""
