"""Run our command in a process that is forked from the tests: its imports are done, all else is its own."""

from __future__ import annotations

import contextlib
import faulthandler
import fcntl
import gc
import logging
import os
import signal
import struct
import subprocess
import sys
import termios
import threading
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn
from unittest.mock import patch

import pexpect

# Imported here, so that no command has to.
import xpm_remote.session.monitor
import xpm_remote.ui.inline  # noqa: F401
from xpm_remote.cli.main import main

PROGRAM = "xpm-remote"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP, signal.SIGCHLD)
_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def start(
    arguments: Sequence[str], environment: Mapping[str, str], *, stderr: int = subprocess.PIPE
) -> subprocess.Popen[str]:
    """Start a command with pipes for what it prints, nothing on its stdin, and no terminal."""
    return subprocess.Popen(
        [sys.executable, "-m", "xpm_remote", *arguments],
        preexec_fn=lambda: _become(arguments, environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        start_new_session=True,
    )


def spawn(
    arguments: Sequence[str], environment: Mapping[str, str], *, size: tuple[int, int], limit: float
) -> Any:
    """Start a command in a terminal of so many lines and columns; what is waited for comes within ``limit`` seconds."""

    def execute(_: str, __: Sequence[str], variables: Mapping[str, str]) -> NoReturn:
        # pexpect does so too, but in the parent: on a busy machine after the command has asked for the size.
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        _become(arguments, variables)

    with patch.object(os, "execvpe", execute):
        return pexpect.spawn(
            sys.executable,
            [],
            env=dict(environment),
            dimensions=size,
            encoding="utf-8",
            timeout=limit,
        )


def _become(arguments: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Run the command, in a process that has its standard streams."""
    status = 1
    try:
        # Nothing of the tests' is collected here: it would close file descriptors that are the command's now.
        gc.freeze()
        faulthandler.disable()
        os.closerange(len(_STREAMS), os.sysconf("SC_OPEN_MAX"))
        os.environ.clear()
        os.environ.update(environment)
        _reset()
        status = main(list(arguments), PROGRAM)
    except BaseException:  # noqa: BLE001 - the end of a program
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(status)


def _reset() -> None:
    """Reset what the tests changed to what it is when python starts."""
    signal.set_wakeup_fd(-1)
    for each in SIGNALS:
        signal.signal(each, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    sys.excepthook = sys.__excepthook__
    sys.unraisablehook = sys.__unraisablehook__
    threading.excepthook = threading.__excepthook__
    for number, (name, mode) in enumerate(_STREAMS):
        errors = "backslashreplace" if name == "stderr" else "strict"
        buffering = 1 if name == "stderr" or os.isatty(number) else -1
        stream = os.fdopen(number, mode, buffering, encoding="utf-8", errors=errors, closefd=False)
        setattr(sys, name, stream)
    root = logging.getLogger()
    root.handlers = []
    root.setLevel(logging.WARNING)
