"""Rows in groups and in order, repaired by the rows that change and not sorted anew. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from typing import Any, Generic, TypeVar

from xpm_remote.ui.tables.ranking import Entry, Ranking

Row = TypeVar("Row")
Key = TypeVar("Key", bound=Hashable)

SLICE = 500
"""Rows of one step: a few milliseconds, so that a key is answered between two of them."""

GroupName = tuple[Any, str]
"""What groups are sorted by, and the title."""

Test = Callable[[Row], bool]


@dataclass(frozen=True)
class Order(Generic[Row]):
    """How rows are arranged.

    Attributes:
        rank: Returns what rows are sorted by; rows for which that is None come last.
        is_reversed: Whether the largest comes first.
        group: Returns the group of a row; None for no groups.
        word: Returns what the rows of a group are counted by, such as their state.
    """

    rank: Callable[[Row], Any]
    is_reversed: bool = False
    group: Callable[[Row], GroupName] | None = None
    word: Callable[[Row], str] | None = None


class Group:
    """Rows that are shown under one title.

    Attributes:
        name: What it is sorted by, and its title.
        ranked: All its rows.
        shown: Those that match; the same ranking where every row does.
        tally: How many of those have each word.
    """

    __slots__ = ("name", "ranked", "shown", "tally")

    def __init__(self, name: GroupName) -> None:
        self.name = name
        self.ranked = Ranking([])
        self.shown = self.ranked
        self.tally: Counter[str] = Counter()


UNGROUPED: GroupName = (0, "")

_Place = tuple[GroupName, Entry, str]
"""The group of a row, what it is sorted by there, and the word that it is counted by."""


class Arrangement(Generic[Key, Row]):
    """The groups of a table, each in order.

    Args:
        order: How rows are arranged.
        test: Whether a row is shown; None where every row is.
    """

    def __init__(self, order: Order[Row], test: Test[Row] | None = None) -> None:
        self.order = order
        self.test = test
        self.groups: dict[GroupName, Group] = {}
        self._places: dict[Key, _Place] = {}

    def find(self, key: Key) -> tuple[Group, int] | None:
        """Return the group of a row and its number in ascending order there; None where it is not shown."""
        place = self._places.get(key)
        if place is None:
            return None
        group = self.groups[place[0]]
        index = group.shown.index(place[1])
        return None if index is None else (group, index)

    def fill(self, rows: Mapping[Key, Row]) -> Iterator[None]:
        """Arrange rows, in steps; only afterwards it is of use."""
        runs: dict[GroupName, list[list[Entry]]] = {}
        for part in _slices(list(rows)):
            fresh: dict[GroupName, list[Entry]] = {}
            for key in part:
                row = rows.get(key)
                if row is not None:  # it may have gone since
                    name, entry, _ = self._place(key, row)
                    fresh.setdefault(name, []).append(entry)
            for name, entries in fresh.items():
                entries.sort()
                runs.setdefault(name, []).append(entries)
            yield
        for name, parts in runs.items():
            group = self._group(name)
            group.ranked = group.shown = Ranking((yield from _merged(parts)))
        yield from self.sift(rows, self.test, {})

    def sift(
        self, rows: Mapping[Key, Row], test: Test[Row] | None, missed: Mapping[Key, None]
    ) -> Iterator[None]:
        """Choose the rows that are shown, in steps; the choice holds with the last one.

        Args:
            rows: All rows.
            test: Whether a row is shown.
            missed: The keys of the rows that were repaired between the steps, which are to be repaired once more.
        """
        chosen: dict[Group, tuple[list[Entry], Counter[str]]] = {}
        has_work = test is not None or self.order.word is not None
        budget = SLICE
        for group in list(self.groups.values()) if has_work else ():
            shown, tally = chosen[group] = [], Counter()
            for part in _slices(list(group.ranked)):
                found = part if test is None else _matching(rows, part, test)
                shown += found
                self._count(tally, found)
                budget -= len(part)
                if budget <= 0:
                    budget = SLICE
                    yield
        for group in self.groups.values():
            shown, tally = chosen.get(group, ([], Counter()))
            if test is None:
                group.shown = group.ranked
            else:
                # Those that were repaired have other places by now.
                group.shown = Ranking([e for e in shown if e[2] not in missed] if missed else shown)
            group.tally = Counter() if missed else tally
            if missed:
                self._count(group.tally, group.shown)
        self.test = test

    def repair(self, rows: Mapping[Key, Row], keys: Iterable[Key]) -> None:
        """Put the rows that changed, came or went in their places."""
        for key in keys:
            before, row = self._places.pop(key, None), rows.get(key)
            if row is None:
                if before is not None:
                    self._remove(before)
                continue
            place = self._place(key, row)
            is_shown = self.test is None or self.test(row)
            if before is None or before[:2] != place[:2]:
                if before is not None:
                    self._remove(before)
                self._add(place, is_shown=is_shown)
            else:
                self._recount(place, before[2], is_shown=is_shown)

    def _place(self, key: Key, row: Row) -> _Place:
        order = self.order
        name = UNGROUPED if order.group is None else order.group(row)
        rank = order.rank(row)
        word = "" if order.word is None else order.word(row)
        entry = ((rank is None) is not order.is_reversed, 0 if rank is None else rank, key)
        place = self._places[key] = (name, entry, word)
        return place

    def _group(self, name: GroupName) -> Group:
        group = self.groups.get(name)
        if group is None:
            group = self.groups[name] = Group(name)
            if self.test is not None:
                group.shown = Ranking([])
        return group

    def _count(self, tally: Counter[str], entries: Iterable[Entry]) -> None:
        if self.order.word is not None:
            places = map(self._places.get, [entry[2] for entry in entries])
            tally.update([place[2] for place in places if place is not None])  # else it has gone

    def _add(self, place: _Place, *, is_shown: bool) -> None:
        name, entry, word = place
        group = self._group(name)
        group.ranked.add(entry)
        if is_shown:
            group.tally[word] += 1
            if group.shown is not group.ranked:
                group.shown.add(entry)

    def _remove(self, place: _Place) -> None:
        name, entry, word = place
        group = self.groups[name]
        is_whole = group.shown is group.ranked
        was_shown = group.ranked.remove(entry) if is_whole else group.shown.remove(entry)
        if was_shown:
            group.tally[word] -= 1
        if not is_whole:
            group.ranked.remove(entry)
        if not group.ranked:
            del self.groups[name]

    def _recount(self, place: _Place, before: str, *, is_shown: bool) -> None:
        """Apply that a row stays in its place, but may be shown now, or counted otherwise."""
        name, entry, word = place
        group = self.groups[name]
        if group.shown is group.ranked:
            was_shown = True
        else:
            was_shown = group.shown.remove(entry)
            if is_shown:
                group.shown.add(entry)
        if was_shown:
            group.tally[before] -= 1
        if is_shown:
            group.tally[word] += 1


def _matching(rows: Mapping[Key, Row], entries: list[Entry], test: Test[Row]) -> list[Entry]:
    return [e for e in entries if (row := rows.get(e[2])) is not None and test(row)]


def _slices(items: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(items), SLICE):
        yield items[start : start + SLICE]


def _merged(runs: list[list[Entry]]) -> Generator[None, None, list[Entry]]:
    """Merge sorted lists, in steps."""
    entries: list[Entry] = []
    merged = merge(*runs)
    while part := list(islice(merged, SLICE)):
        entries += part
        yield
    return entries
