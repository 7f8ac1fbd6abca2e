"""A workspace on disk: reading it and, when asked, acting on its job folders.

Standard library only, Python >= 3.8: this folder is also sent to remote hosts and runs there. It knows nothing of ssh
or of the rest of the package.
"""
