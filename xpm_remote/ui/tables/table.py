"""The lines of a table: rows and titles of groups, a cursor that follows its row, folds and marks. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Generic, NamedTuple

from xpm_remote.ui.tables.arrangement import (
    SLICE,
    Arrangement,
    Group,
    GroupName,
    Key,
    Order,
    Row,
    Test,
)


class Line(NamedTuple, Generic[Key]):
    """What one line shows: a row, or the title of a group where ``key`` is None."""

    group: GroupName
    key: Key | None


class Table(Generic[Key, Row]):
    """A table of rows.

    Args:
        order: How rows are arranged.

    Attributes:
        marks: The keys of the marked rows.
        version: A number that grows with each change of what is shown.
    """

    def __init__(self, order: Order[Row]) -> None:
        self._rows: dict[Key, Row] = {}
        self._now: Arrangement[Key, Row] = Arrangement(order)
        self._missed: dict[Key, None] | None = None
        self._folded: set[GroupName] = set()
        self._lines: tuple[list[int], list[Group]] | None = None
        self._length = 0
        self._cursor: Line[Key] | None = None
        self._at = 0
        self.marks: dict[Key, None] = {}
        self.version = 0

    @property
    def rows(self) -> Mapping[Key, Row]:
        """All rows, shown or not."""
        return MappingProxyType(self._rows)

    @property
    def order(self) -> Order[Row]:
        """How rows are arranged."""
        return self._now.order

    @property
    def test(self) -> Test[Row] | None:
        """Whether a row is shown; None where every row is."""
        return self._now.test

    def update(self, changes: Mapping[Key, Row | None]) -> None:
        """Apply rows that changed, came, or went (None)."""
        for key, row in changes.items():
            if row is not None:
                self._rows[key] = row
            else:
                self._rows.pop(key, None)
                self.marks.pop(key, None)
        if self._missed is not None:
            self._missed.update(dict.fromkeys(changes))
        self._now.repair(self._rows, changes)
        self._changed()

    def arrange(self, order: Order[Row], test: Test[Row] | None) -> Iterator[None]:
        """Sort, group or filter otherwise, in steps; until the last one the table is as before.

        Of two such works only the one that was begun last has an effect.
        """
        missed: dict[Key, None] = {}
        self._missed = missed
        coming = self._now
        if order is coming.order:
            steps = coming.sift(self._rows, test, missed)
        else:
            coming = Arrangement(order, test)
            steps = coming.fill(self._rows)
        for step in steps:
            yield step
            if self._missed is not missed:
                return
        yield from self._catch_up(coming, missed)
        if self._missed is not missed:
            return
        self._missed = None
        coming.repair(self._rows, missed)
        if coming.order.group is not self._now.order.group:
            self._folded.clear()
        self._now = coming
        self._changed()

    def _catch_up(self, coming: Arrangement[Key, Row], missed: dict[Key, None]) -> Iterator[None]:
        """Repair what changed meanwhile, in steps, until there is little of it."""
        while len(missed) > SLICE and self._missed is missed:
            part = list(islice(missed, SLICE))
            for key in part:
                del missed[key]
            coming.repair(self._rows, part)
            if coming is self._now:
                self._changed()
            yield

    def __len__(self) -> int:
        """Return the number of lines."""
        self._index()
        return self._length

    @property
    def number_shown(self) -> int:
        """The number of rows that match, folded or not."""
        return sum(len(group.shown) for group in self._now.groups.values())

    def line(self, index: int) -> Line[Key]:
        """Return one line.

        Raises:
            IndexError: There is none of that number.
        """
        starts, groups = self._index()
        if not 0 <= index < self._length:
            raise IndexError(index)
        place = bisect_right(starts, index) - 1
        group, within = groups[place], index - starts[place]
        if self._is_grouped:
            if within == 0:
                return Line(group.name, None)
            within -= 1
        if self._now.order.is_reversed:
            within = len(group.shown) - 1 - within
        return Line(group.name, group.shown[within][2])

    def index(self, line: Line[Key]) -> int | None:
        """Return the number of a line; None where it is not shown."""
        starts, groups = self._index()
        key = line.key
        if key is None:
            names = [group.name for group in groups] if self._is_grouped else []
            return starts[names.index(line.group)] if line.group in names else None
        found = self._now.find(key)
        if found is None or found[0].name in self._folded:
            return None
        group, within = found
        if self._now.order.is_reversed:
            within = len(group.shown) - 1 - within
        return starts[groups.index(group)] + within + self._is_grouped

    def group(self, name: GroupName) -> Group:
        """Return a group that is shown."""
        return self._now.groups[name]

    def shown_keys(self, group: GroupName | None = None) -> Iterator[Key]:
        """Yield the keys of the rows that match, of one group or of all, in their order."""
        _, groups = self._index()
        is_reversed = self._now.order.is_reversed
        for each in groups:
            if group is None or each.name == group:
                entries = reversed(each.shown) if is_reversed else iter(each.shown)
                yield from (entry[2] for entry in entries)

    # The cursor

    @property
    def cursor(self) -> int:
        """The number of the line with the cursor; 0 in an empty table."""
        return self._at

    @property
    def current(self) -> Line[Key] | None:
        """The line with the cursor; None in an empty table."""
        return self.line(self._at) if len(self) else None

    def go(self, index: int) -> None:
        """Move the cursor to a line, the first or the last one where there is none of that number."""
        length = len(self)
        self._at = max(0, min(index, length - 1))
        self._cursor = self.line(self._at) if length else None

    def seek(self, is_wanted: Callable[[Row], bool], step: int) -> bool:
        """Move the cursor to the next row of a kind, forwards or backwards; return whether there is one."""
        length = len(self)
        for distance in range(1, length + 1):
            index = (self._at + step * distance) % length
            key = self.line(index).key
            if key is not None and is_wanted(self._rows[key]):
                self.go(index)
                return True
        return False

    # Folds and marks

    def is_folded(self, group: GroupName) -> bool:
        """Return whether only the title of a group is shown."""
        return group in self._folded

    def fold(self, *, is_folded: bool) -> None:
        """Fold or unfold the group with the cursor, which goes to its title."""
        line = self.current
        if line is None or not self._is_grouped:
            return
        (self._folded.add if is_folded else self._folded.discard)(line.group)
        self._cursor = Line(line.group, None)
        self._changed()

    def mark(self) -> None:
        """Mark the row with the cursor, or the rows of its group, or unmark them if all are marked."""
        line = self.current
        if line is None:
            return
        keys = [line.key] if line.key is not None else list(self.shown_keys(line.group))
        if all(key in self.marks for key in keys):
            for key in keys:
                del self.marks[key]
        else:
            self.marks.update(dict.fromkeys(keys))
        self.version += 1

    def mark_all(self) -> None:
        """Mark all rows that match."""
        self.marks.update(dict.fromkeys(self.shown_keys()))
        self.version += 1

    def unmark(self) -> None:
        """Remove all marks."""
        self.marks.clear()
        self.version += 1

    @property
    def chosen(self) -> list[Key]:
        """The keys of what an action is about: the marked rows, else the one with the cursor, else its group."""
        line = self.current
        if self.marks or line is None:
            return list(self.marks)
        return [line.key] if line.key is not None else list(self.shown_keys(line.group))

    @property
    def _is_grouped(self) -> bool:
        return self._now.order.group is not None

    def _changed(self) -> None:
        """Bring the cursor to where its row is now; where that is not shown, it stays on its line."""
        self.version += 1
        self._lines = None
        # Until it was moved, it is on the first line.
        if self._cursor is not None:
            index = self.index(self._cursor)
            self.go(self._at if index is None else index)

    def _index(self) -> tuple[list[int], list[Group]]:
        if self._lines is None:
            starts: list[int] = []
            groups = [self._now.groups[name] for name in sorted(self._now.groups)]
            groups = [group for group in groups if group.shown]
            self._length = 0
            for group in groups:
                starts.append(self._length)
                self._length += self._is_grouped
                self._length += 0 if group.name in self._folded else len(group.shown)
            self._lines = (starts, groups)
        return self._lines
