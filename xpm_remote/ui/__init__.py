"""What a person sees: pictures as pure functions of state, and the shells that put them on a terminal.

Nothing here asks a remote for anything; it is given values of ``model`` and draws or prints them.
"""
