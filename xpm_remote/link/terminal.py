"""The arguments with which ``ssh`` opens a shell in a directory of a host, on the person's terminal. Pure."""

from __future__ import annotations

from xpm_remote.link.options.connect_options import ConnectOptions, given_arguments
from xpm_remote.link.options.keywords import BY_NAME, FORWARDS
from xpm_remote.link.remote.command import quote_word

NO_DIRECTORY = 93
"""The exit status where the directory cannot be entered: none of a shell's own, nor of ssh."""

# POSIX sh, without exclamation marks, which csh would read. The shell is one of a login, as any on a terminal.
_ENTER = f'cd -- "$1" || exit {NO_DIRECTORY}; exec "${{SHELL:-/bin/sh}}" -l'

# Of what the options say of a session, the terminal decides here.
_GIVEN = frozenset(BY_NAME) - {
    *(name.lower() for name in FORWARDS),
    "forkafterauthentication",
    "loglevel",
    "remotecommand",
    "requesttty",
    "sessiontype",
    "stdinnull",
}


def shell_arguments(options: ConnectOptions, directory: str) -> list[str]:
    """Return the arguments of ``ssh``.

    Args:
        options: The given options, with an absolute ``config_file``.
        directory: The directory.

    Raises:
        OptionError: It holds a character that cannot be in an argument.
    """
    # The monitor has the ports that are forwarded, and a config file may name another command.
    first = ["-t", "-o", "RemoteCommand=none", "-o", "ClearAllForwardings=yes"]
    command = f"exec /bin/sh -c {quote_word(_ENTER)} sh {quote_word(directory)}"
    return [*first, *given_arguments(options, _GIVEN), "--", options.host, command]
