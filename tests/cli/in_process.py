"""Call our command line as a function, without the half second that its imports take."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any
from unittest.mock import patch

from xpm_remote.cli.main import main
from xpm_remote.cli.output import WARNING_SOURCES
from xpm_remote.link.prompts import TerminalPrompter

NO_TERMINAL = "/dev/no-terminal"
CHANGED_LOGGERS = (*WARNING_SOURCES, "asyncssh")
"""Loggers that our commands set up."""
_STREAMS = ("stdin", "stdout", "stderr")


def call_main(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    limit: float,
    *,
    program: str = "xpm-remote",
    folder: Path | None = None,
) -> tuple[int, str, str]:
    """Run a command to its end, with nothing on stdin and no terminal; return its status, stdout and stderr.

    Args:
        arguments: Those of the command line.
        environment: All variables.
        limit: Seconds after which it raises ``TimeoutError``.
        program: The name of the program.
        folder: The current directory, if it is to be another.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(patch.dict(os.environ, environment, clear=True))
        # The terminal of the developer is not the command's.
        prompter: Any = TerminalPrompter.__init__
        stack.enter_context(patch.object(prompter, "__defaults__", (NO_TERMINAL,)))
        stack.enter_context(_in_folder(folder))
        stack.enter_context(_restored_logs())
        stack.enter_context(_limited(limit))
        stdout = stack.enter_context(tempfile.TemporaryFile())
        stderr = stack.enter_context(tempfile.TemporaryFile())
        with _redirected(stdout, stderr):
            status = main(list(arguments), program)
        return status, _read(stdout), _read(stderr)


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "surrogateescape")


@contextlib.contextmanager
def _in_folder(folder: Path | None) -> Iterator[None]:
    before = Path.cwd()
    if folder is not None:
        os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def _redirected(stdout: IO[bytes], stderr: IO[bytes]) -> Iterator[None]:
    """Redirect the standard streams, for this process and its children."""
    ours = [getattr(sys, name) for name in _STREAMS]
    saved = [os.dup(number) for number in range(len(_STREAMS))]
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - of three that are alike
        for number, file in enumerate((nothing, stdout, stderr)):
            os.dup2(file.fileno(), number)
    for number, name in enumerate(_STREAMS):
        mode = "w" if number else "r"
        setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
    try:
        yield
    finally:
        for number, name in enumerate(_STREAMS):
            with contextlib.suppress(BrokenPipeError):
                getattr(sys, name).close()
            setattr(sys, name, ours[number])
            os.dup2(saved[number], number)
            os.close(saved[number])


@contextlib.contextmanager
def _restored_logs() -> Iterator[None]:
    """Run the command with unconfigured logging, and restore the logging afterwards."""
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    level = root.level
    loggers = [logging.getLogger(name) for name in CHANGED_LOGGERS]
    before = [(each.level, each.propagate, each.handlers) for each in loggers]
    try:
        yield
    finally:
        root.handlers = handlers
        root.setLevel(level)
        for each, (own_level, propagate, own_handlers) in zip(loggers, before, strict=True):
            each.setLevel(own_level)
            each.propagate = propagate
            each.handlers = own_handlers


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise ``TimeoutError`` after the limit."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"the command takes more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
