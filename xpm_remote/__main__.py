"""The program, as a command and as ``python -m xpm_remote``."""

from __future__ import annotations

import os
import signal
import sys

_INTERRUPTED = 130
"""As in ``ExitCode``, which is not imported yet."""


def run() -> None:
    """Import the command line and run it; Ctrl-C ends the import at once, without a traceback."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # and not ignored, as in the background of a script
        signal.signal(signal.SIGINT, lambda *_: os._exit(_INTERRUPTED))
    from xpm_remote.cli.main import run as run_command_line

    try:
        if before is signal.default_int_handler:
            signal.signal(signal.SIGINT, before)
        run_command_line()
    except KeyboardInterrupt:  # before the command line has begun
        sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    run()
