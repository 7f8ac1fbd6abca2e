"""Operations on the jobs of a workspace: one interface, with a local and a remote side.

``opening`` finds the workspace and chooses the side; a screen that must not block takes ``remote`` itself.
"""
