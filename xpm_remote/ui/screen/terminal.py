"""The terminal as Textual draws on it: stdout, whatever becomes of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TextIO, cast

from textual import events
from textual._xterm_parser import XTermParser
from textual.drivers import linux_driver
from textual.drivers.linux_driver import LinuxDriver

from xpm_remote.ui.screen.first_frame import ENTER, Output

if TYPE_CHECKING:
    from xpm_remote.ui.screen.app import Dashboard


_SIZE = (80, 24)
"""Of a terminal that does not tell its size."""


_ESC = "\x1b"
_INTRODUCERS = "[O]P_^X"
"""Characters that begin a longer sequence behind Esc."""


class KeyParser(XTermParser):
    """Takes Esc and a character that come at once for two keys, as one types ahead, and not for Alt and a key."""

    def _sequence_to_key_events(self, sequence: str, alt: bool = False) -> Iterable[events.Key]:
        is_pair = len(sequence) == 2 and sequence[0] == _ESC and sequence[1].isprintable()
        if alt or (is_pair and sequence[1] not in _INTRODUCERS):
            yield events.Key("escape", _ESC)
            sequence = sequence[-1]
        yield from super()._sequence_to_key_events(sequence)


# The driver makes its parser itself.
linux_driver.XTermParser = KeyParser  # type: ignore[attr-defined]


class TerminalDriver(LinuxDriver):
    """Draws on stdout: stderr may be a file."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Textual's
        super().__init__(*args, **kwargs)
        self._output = Output(cast("TextIO", sys.__stdout__))
        self._file = cast("Any", self._output)
        self._is_first = False

    def start_application_mode(self) -> None:
        """Take the terminal over, from the first frame where there is one."""
        first = cast("Dashboard", self._app).first
        taken = None if first is None else first.take_over()
        self._is_first = taken is not None
        super().start_application_mode()  # type: ignore[no-untyped-call]
        self.attrs_before = taken or self.attrs_before

    def _sigcont_application(self, *arguments: object) -> None:
        """Take the terminal over again, unless it is lent; one that is gone sends this signal, too."""
        is_ours = self._auto_restart and self._writer_thread is not None
        if not is_ours or not os.isatty(self.fileno):
            return
        if not self._must_signal_resume:  # stopped by SIGSTOP, with all that reads and writes
            self.suspend_application_mode()
        super()._sigcont_application(*arguments)

    def write(self, data: str) -> None:
        """Write, but do not clear the first frame before there is another."""
        if self._is_first and data == ENTER:
            self._is_first = False
        else:
            super().write(data)

    def _get_terminal_size(self) -> tuple[int, int]:
        """Return the size of the terminal itself: ``COLUMNS`` and ``LINES`` may be of another time."""
        try:
            size = os.get_terminal_size(self._output.fileno())
        except OSError:  # it is gone
            return self._size or _SIZE
        return (size.columns, size.lines) if size.columns and size.lines else _SIZE
