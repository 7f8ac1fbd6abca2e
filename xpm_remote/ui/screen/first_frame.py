"""The terminal before Textual has it: output that bears all, and a first frame while the rest is imported."""

from __future__ import annotations

import contextlib
import os
import select
import termios
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from types import TracebackType

TITLE = "xpm-remote"

CONNECTING = "connecting …"
"""The second line until the workspaces are known."""

ENTER = "\x1b[?1049h"
"""Goes to the alternate screen, and clears it."""

_LEAVE = "\x1b[?1049l\x1b[?25h"

_DRAW = "\x1b[?25l\x1b[H\x1b[2J\x1b[1m{title}\x1b[0m\r\n{line}\r"


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


class FirstFrame:
    """Draws the first two lines of the dashboard, and keeps what is typed for it, until it takes the terminal over.

    Args:
        keyboard: The terminal that is read.
        screen: The terminal that is drawn on.
        line: The second line.
    """

    def __init__(self, keyboard: TextIO, screen: TextIO, line: str) -> None:
        self._keyboard = keyboard
        self._output = Output(screen)
        self._line = line
        self._before: list[Any] | None = None
        self._is_drawn = False

    def __enter__(self) -> FirstFrame:
        """Go to the alternate screen, and draw."""
        try:
            self._before = termios.tcgetattr(self._keyboard)
            ours = termios.tcgetattr(self._keyboard)
        except termios.error:
            return self
        # A key is to reach the dashboard as it was pressed: Enter, too.
        ours[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN)
        ours[0] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR | termios.IXON | termios.IXOFF)
        termios.tcsetattr(self._keyboard, termios.TCSANOW, ours)
        self._is_drawn = True
        self._output.write(ENTER + _DRAW.format(title=TITLE, line=self._line))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the terminal as it was, unless it was taken over."""
        if self._is_drawn:
            self._output.write(_LEAVE)
        if self._before is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._keyboard, termios.TCSANOW, self._before)

    def take_over(self) -> list[Any] | None:
        """Leave what is drawn to be drawn over; return the attributes that the terminal had before."""
        self._is_drawn = False
        before, self._before = self._before, None
        return before
