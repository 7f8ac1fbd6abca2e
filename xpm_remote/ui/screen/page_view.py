"""The widget of a page of lines with a cursor."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from xpm_remote.ui.screen.line import styled, under_cursor
from xpm_remote.ui.tables.columns import Cell

WHEEL = 3


class PageView(Widget, can_focus=True):
    """Shows lines; the cursor goes from one to the next."""

    DEFAULT_CSS = "PageView { height: 1fr; width: 1fr; }"

    class Open(Message):
        """The line with the cursor was clicked once more."""

    def __init__(self) -> None:
        super().__init__(id="page")
        self._lines: list[Sequence[Cell]] = []
        self.at = 0
        self._top = 0

    @property
    def room(self) -> int:
        """The number of lines that are on the screen."""
        return max(1, self.size.height)

    @property
    def number(self) -> int:
        """The number of lines."""
        return len(self._lines)

    def show(self, lines: Sequence[Sequence[Cell]]) -> None:
        """Show other lines; nothing is drawn where they are the same."""
        if list(lines) != self._lines:
            self._lines = list(lines)
            self.move(0)

    def move(self, step: int) -> None:
        """Move the cursor by some lines."""
        self.at = max(0, min(self.at + step, len(self._lines) - 1))
        if self.at < self._top:
            self._top = self.at
        elif self.at >= self._top + self.room:
            self._top = self.at - self.room + 1
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Draw a line."""
        width, index = self.size.width, self._top + y
        if index >= len(self._lines):
            return Strip.blank(width)
        strip = Strip(styled(self._lines[index], width, " ")).adjust_cell_length(width)
        if index != self.at:
            return strip
        return Strip([Segment(each.text, under_cursor(each.style)) for each in strip])

    def on_resize(self) -> None:
        """Keep the cursor on the screen."""
        self.move(0)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll by the wheel."""
        event.stop()
        self.move(WHEEL)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll back by the wheel."""
        event.stop()
        self.move(-WHEEL)

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to a line, or open the one that has it."""
        index = self._top + event.y
        if index < len(self._lines):
            if index == self.at:
                self.post_message(self.Open())
            self.move(index - self.at)
