"""The widget of a table: its heads and the lines that are on the screen, of which only those that differ are drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from xpm_remote.ui.screen.line import STYLES, styled, under_cursor
from xpm_remote.ui.tables.columns import GAP, Cell, Column, Look, Widths, fitted
from xpm_remote.ui.tables.table import Line, Table

WHEEL = 3
"""Lines by which the wheel of a mouse scrolls."""

_MARK = "* "

_Drawn = list[tuple[str, Style]]


class TableView(Widget, can_focus=True):
    """Draws a table.

    Args:
        model: What is drawn.
        columns: Its columns.
        look: Returns what cells are drawn by, at the time of drawing.
        title: Returns the cells of a line that has no columns; None for one that has.
    """

    DEFAULT_CSS = "TableView { height: 1fr; width: 1fr; }"

    class Sort(Message):
        """The head of a column was clicked."""

        def __init__(self, column: str) -> None:
            super().__init__()
            self.column = column

    class Open(Message):
        """The line with the cursor was clicked once more."""

    def __init__(
        self,
        model: Table[Any, Any],
        columns: Sequence[Column[Any]],
        look: Callable[[], Look],
        title: Callable[[Line[Any], Look], Sequence[Cell] | None],
    ) -> None:
        super().__init__(id="table")
        self.model = model
        self.columns = columns
        self.heads: dict[str, str] = {}
        self._look = look
        self._title = title
        self._widths = Widths()
        self._fitted: dict[str, int] = {}
        self._drawn: list[_Drawn] = []
        self._top = 0
        self._cursor_seen = 0

    @property
    def room(self) -> int:
        """The number of lines of the table that are on the screen."""
        return max(1, self.size.height - 1)

    def begin(self) -> None:
        """Begin with other widths, since something else is shown."""
        self._widths.reset()
        self.paint()

    def paint(self) -> None:
        """Draw the lines that differ from what is on the screen."""
        if not self.is_mounted or not self.size.height:
            return
        self._scroll()
        drawn = self._draw()
        before, self._drawn = self._drawn, drawn
        width = self.size.width
        if len(before) != len(drawn):
            self.refresh()
            return
        differ = [y for y, line in enumerate(drawn) if line != before[y]]
        if differ:
            self.refresh(*[Region(0, y, width, 1) for y in differ])

    def render_line(self, y: int) -> Strip:
        """Return a line as it was drawn last."""
        width = self.size.width
        if y >= len(self._drawn):
            return Strip.blank(width)
        segments = [Segment(text, style) for text, style in self._drawn[y]]
        return Strip(segments).adjust_cell_length(width)

    def move(self, step: int) -> None:
        """Move the cursor by some lines."""
        self.model.go(self.model.cursor + step)
        self.paint()

    def on_resize(self) -> None:
        """Draw for another size."""
        self._drawn = []
        self.paint()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll by the wheel: the cursor comes along."""
        event.stop()
        self.move(WHEEL)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll back by the wheel."""
        event.stop()
        self.move(-WHEEL)

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to a line, open the one that has it, or sort by a head."""
        if event.y == 0:
            name = self._column_at(event.x)
            if name:
                self.post_message(self.Sort(name))
            return
        index = self._top + event.y - 1
        if index >= len(self.model):
            return
        if index == self.model.cursor:
            self.post_message(self.Open())
        self.model.go(index)
        self.paint()

    def _column_at(self, x: int) -> str:
        at = len(_MARK)
        for column in self.columns:
            width = self._fitted.get(column.name, 0)
            if width and at <= x < at + width + GAP:
                return column.name
            at += width + GAP if width else 0
        return ""

    def _scroll(self) -> None:
        """Keep the cursor on the screen; where its row has moved, the row stays where it is seen."""
        cursor, room, length = self.model.cursor, self.room, len(self.model)
        if not self._top <= cursor < self._top + room:
            if abs(cursor - self._cursor_seen) > room:
                self._top = cursor - (self._cursor_seen - self._top)
            elif cursor < self._top:
                self._top = cursor
            else:
                self._top = cursor - room + 1
        self._top = max(0, min(self._top, length - room))
        if not self._top <= cursor < self._top + room:
            self._top = max(0, cursor - room + 1)
        self._cursor_seen = cursor

    def _draw(self) -> list[_Drawn]:
        look, model = self._look(), self.model
        numbers = range(self._top, min(len(model), self._top + self.room))
        lines = [model.line(number) for number in numbers]
        titles = [self._title(line, look) for line in lines]
        rows = [
            [column.cell(model.rows[line.key], look) for column in self.columns]
            if title is None and line.key is not None
            else []
            for line, title in zip(lines, titles, strict=True)
        ]
        for index, column in enumerate(self.columns):
            self._widths.note(column, (row[index].text for row in rows if row))
        self._fitted = self._widths.fit(self.columns, self.size.width - len(_MARK))
        drawn = [self._heads()]
        for number, line, title, row in zip(numbers, lines, titles, rows, strict=True):
            is_marked = line.key is not None and line.key in model.marks
            cells = self._cells(row, look) if title is None else _spread(title, self.size.width)
            mark = (_MARK if is_marked else " " * len(_MARK), STYLES["mark"])
            whole = [mark, *cells] if title is None else cells
            if number == model.cursor:
                whole = self._with_cursor(whole)
            drawn.append(whole)
        return drawn

    def _heads(self) -> _Drawn:
        style = STYLES["head"]
        texts = [
            fitted(
                self.heads.get(c.name, c.head), self._fitted[c.name], is_right=c.is_right, mark=""
            )
            for c in self.columns
            if self._fitted.get(c.name)
        ]
        line = " " * len(_MARK) + (" " * GAP).join(texts)
        return [(fitted(line, self.size.width, mark=""), style)]

    def _cells(self, row: Sequence[Cell], look: Look) -> _Drawn:
        drawn: _Drawn = []
        mark = "~" if look.is_ascii else "…"
        for column, cell in zip(self.columns, row, strict=True):
            width = self._fitted.get(column.name)
            if not width:
                continue
            text = fitted(cell.text, width, is_right=column.is_right, mark=mark)
            drawn.append((text + " " * GAP, STYLES[cell.style]))
        return drawn

    def _with_cursor(self, line: _Drawn) -> _Drawn:
        """Return a line in reverse over its whole width."""
        used = Strip([Segment(text) for text, _ in line]).cell_length
        filling = (" " * max(0, self.size.width - used), STYLES[""])
        return [(text, under_cursor(style)) for text, style in [*line, filling]]


def _spread(cells: Sequence[Cell], width: int) -> _Drawn:
    return [(segment.text, segment.style or STYLES[""]) for segment in styled(cells, width)]
