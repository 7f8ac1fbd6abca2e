"""Lines, warnings and progress on the terminal."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import textwrap
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

import click

from xpm_remote.escaping import json_ascii, safe, safe_lines
from xpm_remote.ui.text import Line

if TYPE_CHECKING:
    from xpm_remote.workspace.layout import JobId
    from xpm_remote.workspace.outcomes import CopyProgress


_STDOUT, _STDERR = 1, 2


def examples(*commands: str) -> str:
    """Return an epilog for a help: one example a line, whatever the width of the terminal."""
    head = "Example: " if len(commands) == 1 else "Examples: "
    return "\b\n" + head + f"\n{' ' * len(head)}".join(commands)


def say(line: Line | str, *, err: bool = False) -> None:
    """Print a line: on a terminal broken between words where it is too long, else as it is."""
    text, indent = line if isinstance(line, Line) else Line(line)
    width = shutil.get_terminal_size().columns
    if os.isatty(_STDERR if err else _STDOUT) and len(text) > width:
        # Room enough for a path is left.
        indentation = " " * min(indent, width // 3)
        text = textwrap.fill(
            text,
            width,
            subsequent_indent=indentation,
            break_long_words=False,
            break_on_hyphens=False,
        )
    click.echo(text, err=err)


def print_lines(lines: Iterable[str]) -> None:
    """Print lines as they are."""
    for line in lines:
        click.echo(line)


def print_json(lines: Iterable[str]) -> None:
    """Print JSON texts: in ASCII where the output has another encoding than UTF-8."""
    is_unicode = getattr(sys.stdout, "charset", "utf-8") == "utf-8"
    for line in lines:
        click.echo(line if is_unicode else json_ascii(line))


def is_terminal(stream: TextIO) -> bool:
    """Return whether a stream is a terminal on which one can draw."""
    return stream.isatty() and os.environ.get("TERM", "").lower() not in DUMB


def is_simple_terminal() -> bool:
    """Return whether the terminal is one without colours or a second screen, as its name says."""
    return os.environ.get("TERM", "").lower() in {
        "",
        *DUMB,
        "vt52",
        "vt100",
        "vt102",
        "ansi",
        "cygwin",
    }


DUMB = frozenset({"dumb", "unknown"})
"""Names of terminals that only print lines: for TERM."""


WARNING_SOURCES = ("xpm_remote.link", "xpm_remote.session.backends")
"""Modules whose warnings are about files of the user, or about a choice that was made for the user: these are shown
with every command."""


def set_up_logs(*, debug: bool, quiet: bool) -> None:
    """Write a log to stderr: all of it, or only errors and warnings about files of the user."""
    level = logging.DEBUG if debug else logging.ERROR
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_SafeFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
    if debug or quiet:
        return
    for name in WARNING_SOURCES:
        source = logging.getLogger(name)
        source.setLevel(logging.INFO)
        source.propagate = False
        source.handlers = [_Lines()]


class _SafeFormatter(logging.Formatter):
    """Escapes what a record and its traceback hold of the remote."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as lines."""
        return safe_lines(super().format(record))


class _Lines(logging.Handler):
    """Prints each record as the other warnings are."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record; it may hold what the remote sent."""
        say(f"{record.levelname.lower()}: {safe(record.getMessage())}", err=True)


REDRAW_INTERVAL = 0.1
"""Seconds between two drawings of the progress bar."""


@contextmanager
def copy_progress(what: str, size: int, files: int) -> Iterator[CopyProgress]:
    """Show a progress bar on a terminal; yield a function to call, from any thread, for each step.

    Args:
        what: What is done, such as ``recovering``.
        size: Bytes in all.
        files: Files in all.
    """
    if not (is_terminal(sys.stderr) and files):
        from xpm_remote.workspace.folders.archiving import no_progress

        yield no_progress
        return
    # Rich alone takes as long as copying a small job.
    from rich import progress as rich_progress
    from rich.console import Console

    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.DownloadColumn(),
        rich_progress.TransferSpeedColumn(),
        rich_progress.TimeRemainingColumn(),
        rich_progress.TextColumn("{task.fields[done]}/{task.fields[files]} files"),
    )
    lock = threading.Lock()
    done, due = 0, 0.0
    # Drawn only when it moves: while the link is lost, a question may stand below it.
    bar = rich_progress.Progress(
        *columns, console=Console(stderr=True), transient=True, auto_refresh=False
    )
    with bar:
        task = bar.add_task(what, total=size, done=0, files=files)

        def advance(_: JobId, more_bytes: int, more_files: int) -> None:
            nonlocal done, due
            with lock:
                done += more_files
                now = time.monotonic()
                is_due = now >= due
                due = now + REDRAW_INTERVAL if is_due else due
                bar.update(task, advance=more_bytes, done=done, refresh=is_due)

        yield advance
