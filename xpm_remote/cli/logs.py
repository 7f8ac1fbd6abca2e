"""What the layers below log, as far as a person should read it."""

from __future__ import annotations

import logging
import sys

from xpm_remote.cli.terminal import say
from xpm_remote.escaping import safe

WARNING_SOURCES = ("xpm_remote.link",)
"""Packages whose warnings are about the person's own files, and which say what they have chosen for the person: that is
shown whatever the command."""


def set_up_logs(*, debug: bool, quiet: bool) -> None:
    """Write a log to stderr, or only its errors and what a person can mend."""
    level = logging.DEBUG if debug else logging.ERROR
    logging.basicConfig(
        level=level, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s"
    )
    if debug or quiet:
        return
    for name in WARNING_SOURCES:
        source = logging.getLogger(name)
        source.setLevel(logging.INFO)
        source.propagate = False
        source.handlers = [_Lines()]


class _Lines(logging.Handler):
    """Prints each record as the other warnings are."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record; it may hold what the remote sent."""
        say(f"{record.levelname.lower()}: {safe(record.getMessage())}", err=True)
