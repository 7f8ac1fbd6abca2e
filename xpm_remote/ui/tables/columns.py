"""Columns of tables: what their cells show and are sorted by, and how wide they are. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from rich.cells import cell_len, set_cell_size

Row = TypeVar("Row")

GAP = 1
"""Columns of the terminal between two cells."""


class Cell(NamedTuple):
    """The text of a cell, fit for a terminal, and the name of its style."""

    text: str
    style: str = ""


NOTHING = Cell("")


@dataclass(frozen=True)
class Look:
    """What cells are drawn by.

    Attributes:
        now: The local time in epoch seconds.
        skews: By how many seconds each workspace's clock is ahead of ours.
        stale: The workspaces whose rows may be out of date.
        tags: The names of the tags that differ among the rows that are shown.
        is_ascii: Whether only ASCII may be drawn besides what comes from the remote.
    """

    now: float
    skews: Mapping[str, float] = field(default_factory=dict)
    stale: frozenset[str] = frozenset()
    tags: tuple[str, ...] = ()
    is_ascii: bool = False

    def then(self, workspace: str) -> float:
        """Return the time by the clock of a workspace."""
        return self.now + self.skews.get(workspace, 0.0)


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A column.

    Attributes:
        name: How it is called in commands.
        head: What stands above it.
        cell: Returns a cell.
        rank: Returns what rows are sorted by; None where they cannot be.
        letter: The key that sorts by it.
        least: The width below which it is left out, or the next one shrinks.
        most: The width beyond which it grows only where there is room.
        weight: What is left out first has the least.
        is_right: Whether its cells end at its right edge.
        is_reversed: Whether sorting by it begins with the largest.
    """

    name: str
    head: str
    cell: Callable[[Row, Look], Cell]
    rank: Callable[[Row], Any] | None = None
    letter: str = ""
    least: int = 3
    most: int = 40
    weight: int = 5
    is_right: bool = False
    is_reversed: bool = False


class Widths:
    """The widths that a table's columns want: they grow with what is shown, and shrink only when that is another."""

    def __init__(self) -> None:
        self._wanted: dict[str, int] = {}

    def reset(self) -> None:
        """Begin anew, since something else is shown."""
        self._wanted.clear()

    def note(self, column: Column[Any], texts: Iterable[str]) -> None:
        """Take into account what a column shows."""
        most = max(map(cell_len, texts), default=0)
        if most > self._wanted.get(column.name, 0):
            self._wanted[column.name] = most

    def fit(self, columns: Sequence[Column[Any]], width: int) -> dict[str, int]:
        """Return the width of each column that has room, by its name.

        A column that shows nothing is left out. Where there is too little room, the widest shrink, and then the least
        important go; where there is more, those grow whose texts are cut.
        """
        wanted = {
            column.name: max(self._wanted[column.name], len(column.head), 1)
            for column in columns
            if self._wanted.get(column.name)
        }
        kept = [column for column in columns if column.name in wanted]
        while len(kept) > 1 and _total(min(c.least, wanted[c.name]) for c in kept) > width:
            kept.remove(min(kept, key=lambda column: column.weight))
        widths = {c.name: min(wanted[c.name], c.most) for c in kept}
        _shrink(kept, widths, width)
        room = width - _total(widths.values())
        for column in sorted(kept, key=lambda column: -column.weight):
            more = max(0, min(room, wanted[column.name] - widths[column.name]))
            widths[column.name] += more
            room -= more
        return widths


def _total(widths: Iterable[int]) -> int:
    return sum(width + GAP for width in widths) - GAP


def _shrink(columns: Sequence[Column[Any]], widths: dict[str, int], width: int) -> None:
    """Shrink the widest columns until all fit, or each is at its least."""
    while _total(widths.values()) > width:
        spare = [c for c in columns if widths[c.name] > c.least]
        if not spare:
            only = columns[0].name
            widths[only] = max(1, min(widths[only], width))
            return
        widest = max(spare, key=lambda column: widths[column.name])
        widths[widest.name] -= 1


def fitted(text: str, width: int, *, is_right: bool = False, mark: str = "…") -> str:
    """Return a text of exactly so many columns of the terminal, cut with a mark or filled up."""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - len(mark)) + mark if width > len(mark) else mark[:width]
    filling = " " * (width - length)
    return filling + text if is_right else text + filling


class Spread:
    """Which tags are the same in all rows, and which differ."""

    def __init__(self) -> None:
        self._is_begun = False
        self.common: dict[str, Any] = {}
        self.differing: dict[str, None] = {}

    def add(self, tags: Mapping[str, Any]) -> None:
        """Take one more row into account."""
        common = self.common
        if not self._is_begun:
            self._is_begun = True
            common.update(tags)
            return
        if tags == common:
            return
        for name, value in tags.items():
            if name not in self.differing and (name not in common or common[name] != value):
                self.differing[name] = None
                common.pop(name, None)
        for name in [name for name in common if name not in tags]:
            self.differing[name] = None
            del common[name]
