"""What screens with a table have: moving, finding, folding, and arranging in slices."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from typing import Any, cast

from textual.dom import DOMNode
from textual.widget import Widget
from textual.worker import Worker, WorkerError

from xpm_remote.ui.screen.frame import Frame
from xpm_remote.ui.screen.match_limit import LIMIT
from xpm_remote.ui.screen.table_view import TableView
from xpm_remote.ui.tables.arrangement import Order
from xpm_remote.ui.tables.columns import Cell, Column, Look
from xpm_remote.ui.tables.finding import Finder
from xpm_remote.ui.tables.table import Line, Table

BLOCK = 0.008
"""Seconds of work without a break: half a frame of a quick terminal."""

BREAK = 0.001
"""Seconds of a break: all that waits comes before the work goes on, a key that was pressed too."""


async def in_slices(steps: Iterator[Any]) -> None:
    """Take steps, with breaks between them."""
    due = time.monotonic() + BLOCK
    for _ in steps:
        if time.monotonic() >= due:
            await asyncio.sleep(BREAK)
            due = time.monotonic() + BLOCK


def begin(
    node: DOMNode, work: Callable[[], Awaitable[None]], *, group: str, is_exclusive: bool = False
) -> Worker[None]:
    """Start what a key, timer or change calls for; where the screen goes before it begins, nothing is left of it."""
    started = cast("Callable[[], Coroutine[None, None, None]]", work)
    return node.run_worker(started, group=group, exclusive=is_exclusive)


class Tabular(Frame):
    """A screen with a table; a subclass has ``model`` and says what its rows show."""

    def __init__(self, order: Order[Any], columns: Sequence[Column[Any]]) -> None:
        super().__init__()
        self.model: Table[Any, Any] = Table(order)
        self.finder = Finder(LIMIT.limited)
        self._arranging: Worker[None] | None = None
        self.view = TableView(self.model, columns, self.look, self.title_of)

    def body(self) -> Sequence[Widget]:
        """Return the table."""
        return (self.view,)

    def look(self) -> Look:
        """Return what cells are drawn by."""
        return self.dashboard.look()

    def title_of(self, line: Line[Any], look: Look) -> Sequence[Cell] | None:
        """Return the cells of a line without columns; None for one that has them."""
        raise NotImplementedError

    def order(self) -> Order[Any]:
        """Return how the rows are to be arranged: the same value for the same order."""
        return self.model.order

    def test(self) -> Any:  # noqa: ANN401 - of any row
        """Return whether a row is to be shown; None where every row is."""
        return self.finder.test

    def paint(self) -> None:
        """Draw what differs from what is on the screen."""
        self.view.paint()
        self.paint_frame()

    def rearrange(self) -> None:
        """Sort, group and filter as it is wanted now; what was begun before ends."""
        self._arranging = begin(self, self._arrange, group="arrange", is_exclusive=True)

    async def settled(self) -> None:
        """Wait until the rows are arranged as it is wanted now."""
        while (arranging := self._arranging) is not None:
            with contextlib.suppress(WorkerError):  # it was begun anew
                await arranging.wait()
            if arranging is self._arranging:
                self._arranging = None

    async def _arrange(self) -> None:
        await in_slices(self.model.arrange(self.order(), self.test()))
        if not self.finder.settle():
            await in_slices(self.model.arrange(self.order(), self.test()))
        await in_slices(self.arranged())
        self.view.begin()
        self.paint_frame()

    def arranged(self) -> Iterator[None]:
        """Look at what is shown now, in steps."""
        return iter(())

    @property
    def found_text(self) -> str:
        """What was typed last to find rows."""
        return self.finder.text

    def find(self, text: str) -> None:
        """Show the rows that match."""
        self.finder.type(text, time.time())
        self.rearrange()
        self.paint_frame()

    def step_back(self) -> bool:
        """Remove the filter, or then the marks."""
        if self.finder.text:
            self.find("")
            return True
        if self.model.marks:
            self.action_unmark()
            return True
        return False

    @property
    def found_cells(self) -> list[Cell]:
        """What the breadcrumb says of finding and marks."""
        cells = []
        if self.finder.text:
            cells.append(Cell(f"/{self.finder.text}", "key"))
        if self.finder.expected:
            cells.append(Cell(f"expected {self.finder.expected}", "waiting"))
        if self.model.marks:
            cells.append(Cell(f"{len(self.model.marks):,} marked", "mark"))
        return cells

    def move(self, step: int) -> None:
        """Move the cursor by some lines."""
        self.view.move(step)

    def action_down(self) -> None:
        """Move down."""
        self.move(1)

    def action_up(self) -> None:
        """Move up."""
        self.move(-1)

    def action_first(self) -> None:
        """Go to the first line."""
        self.move(-len(self.model))

    def action_last(self) -> None:
        """Go to the last line."""
        self.move(len(self.model))

    def action_page_down(self) -> None:
        """Move down by half a screen."""
        self.move(max(1, self.view.room // 2))

    def action_page_up(self) -> None:
        """Move up by half a screen."""
        self.move(-max(1, self.view.room // 2))

    def action_fold(self) -> None:
        """Fold the group under the cursor."""
        self.model.fold(is_folded=True)
        self.paint()

    def action_unfold(self) -> None:
        """Unfold the group under the cursor."""
        self.model.fold(is_folded=False)
        self.paint()

    def action_unmark(self) -> None:
        """Remove all marks."""
        self.model.unmark()
        self.paint()

    def on_table_view_open(self) -> None:
        """Go in, as Enter does."""
        if self._has("enter"):
            self.call_later(self.action_press, "enter")
