"""The terminal as Textual draws on it: stdout, whatever becomes of it."""

from __future__ import annotations

import os
import select
import sys
from typing import Any, TextIO, cast

from textual.drivers.linux_driver import LinuxDriver


class Output:
    """Writes to stdout what its encoding has; where the terminal is gone, nothing.

    Args:
        stream: The stream; nothing else is written to it meanwhile.
    """

    def __init__(self, stream: TextIO) -> None:
        self._number = stream.fileno()
        self._encoding = stream.encoding or "ascii"

    def write(self, text: str) -> None:
        """Write, with a ``?`` for each character that the encoding lacks, so that all stays in its place."""
        rest = memoryview(text.encode(self._encoding, "replace"))
        while rest:
            try:
                rest = rest[os.write(self._number, rest) :]
            except BlockingIOError:  # the terminal has a flag that other programs set, and is slow
                select.select((), (self._number,), ())
            except OSError:
                return

    def flush(self) -> None:
        """Do nothing: nothing is kept."""

    def fileno(self) -> int:
        """Return the number of the file."""
        return self._number


def is_unicode(stream: TextIO) -> bool:
    """Return whether a stream takes every character."""
    return (stream.encoding or "").lower().replace("-", "") in ("utf8", "utf8sig")


_SIZE = (80, 24)
"""Of a terminal that does not tell its size."""


class TerminalDriver(LinuxDriver):
    """Draws on stdout: stderr may be a file."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Textual's
        super().__init__(*args, **kwargs)
        self._output = Output(cast("TextIO", sys.__stdout__))
        self._file = cast("Any", self._output)

    def _get_terminal_size(self) -> tuple[int, int]:
        """Return the size of the terminal itself: ``COLUMNS`` and ``LINES`` may be of another time."""
        try:
            size = os.get_terminal_size(self._output.fileno())
        except OSError:  # it is gone
            return self._size or _SIZE
        return (size.columns, size.lines) if size.columns and size.lines else _SIZE
