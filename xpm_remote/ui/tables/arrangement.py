"""Rows in groups and in order, repaired by the rows that change and not sorted anew. Pure."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Row = TypeVar("Row")
Key = TypeVar("Key", bound=Hashable)

SLICE = 4000
"""Rows of one step: a few milliseconds, so that a key is answered between two of them."""

FEW = 32
"""Changes of one group up to which each is put in its place; more of them are merged in one pass."""

GroupName = tuple[Any, str]
"""What groups are sorted by, and the title."""

Entry = tuple[bool, Any, Any]
"""What rows are sorted by: whether the value is missing, the value, and the row's key."""

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
        ranked: All its rows, in ascending order.
        shown: Those that match; the same list where every row does.
        tally: How many of those have each word.
    """

    __slots__ = ("name", "ranked", "shown", "tally")

    def __init__(self, name: GroupName) -> None:
        self.name = name
        self.ranked: list[Entry] = []
        self.shown: list[Entry] = self.ranked
        self.tally: Counter[str] = Counter()


UNGROUPED: GroupName = (0, "")


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
        self._places: dict[Key, tuple[Group, Entry, str]] = {}

    def find(self, key: Key) -> tuple[Group, int] | None:
        """Return the group of a row and its number in ascending order there; None where it is not shown."""
        place = self._places.get(key)
        if place is None:
            return None
        group, entry, _ = place
        index = _index(group.shown, entry)
        return None if index is None else (group, index)

    def fill(self, rows: Mapping[Key, Row]) -> Iterator[None]:
        """Arrange rows, in steps; only afterwards it is of use."""
        runs: dict[Group, list[list[Entry]]] = {}
        for part in _slices(list(rows)):
            fresh: dict[Group, list[Entry]] = {}
            for key in part:
                row = rows.get(key)
                if row is not None:  # it may have gone since
                    group, entry, _ = self._place(key, row)
                    fresh.setdefault(group, []).append(entry)
            for group, entries in fresh.items():
                entries.sort()
                runs.setdefault(group, []).append(entries)
            yield
        for group, parts in runs.items():
            group.ranked = group.shown = yield from _merged(parts)
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
        chosen: dict[Group, list[Entry]] = {}
        budget = SLICE
        for group in list(self.groups.values()):
            if test is None:
                break
            shown = chosen[group] = []
            for part in _slices(list(group.ranked)):
                shown += [e for e in part if (row := rows.get(e[2])) is not None and test(row)]
                budget -= len(part)
                if budget <= 0:
                    budget = SLICE
                    yield
        for group in self.groups.values():
            if test is None:
                group.shown = group.ranked
            else:
                # Those that were repaired have other places by now.
                found = chosen.get(group, [])
                group.shown = [e for e in found if e[2] not in missed] if missed else found
            group.tally = Counter()
            if self.order.word is not None:
                group.tally.update(self._places[entry[2]][2] for entry in group.shown)
        self.test = test

    def repair(self, rows: Mapping[Key, Row], keys: Iterable[Key]) -> None:
        """Put the rows that changed, came or went in their places."""
        gone: dict[Group, list[Entry]] = {}
        came: dict[Group, list[Entry]] = {}
        hidden: set[Key] = set()
        for key in keys:
            before, row = self._places.pop(key, None), rows.get(key)
            if row is not None:
                group, entry, word = self._place(key, row)
                is_shown = self.test is None or self.test(row)
                if not is_shown:
                    hidden.add(key)
                if before is not None and before[0] is group and before[1] == entry:
                    self._recount(group, entry, before[2], word, is_shown=is_shown)
                    continue
                came.setdefault(group, []).append(entry)
            if before is not None:
                gone.setdefault(before[0], []).append(before[1])
                self._uncount(*before)
        for group in {**gone, **came}:
            self._amend(group, gone.get(group, []), came.get(group, []), hidden)

    def _place(self, key: Key, row: Row) -> tuple[Group, Entry, str]:
        order = self.order
        name = UNGROUPED if order.group is None else order.group(row)
        group = self.groups.get(name)
        if group is None:
            group = self.groups[name] = Group(name)
            if self.test is not None:
                group.shown = []
        rank = order.rank(row)
        word = "" if order.word is None else order.word(row)
        entry = ((rank is None) is not order.is_reversed, 0 if rank is None else rank, key)
        place = self._places[key] = (group, entry, word)
        return place

    def _recount(
        self, group: Group, entry: Entry, before: str, after: str, *, is_shown: bool
    ) -> None:
        """Apply that a row stays in its place, but may be shown now, or counted otherwise."""
        was = _index(group.shown, entry)
        if was is not None:
            group.tally[before] -= 1
            if not is_shown:
                del group.shown[was]
        if is_shown:
            group.tally[after] += 1
            if was is None:
                insort(group.shown, entry)

    def _uncount(self, group: Group, entry: Entry, word: str) -> None:
        if _index(group.shown, entry) is not None:
            group.tally[word] -= 1

    def _amend(self, group: Group, gone: list[Entry], came: list[Entry], hidden: set[Key]) -> None:
        visible = [entry for entry in came if entry[2] not in hidden]
        if self.order.word is not None:
            group.tally.update(self._places[entry[2]][2] for entry in visible)
        is_whole = self.test is None
        group.ranked = _amended(group.ranked, gone, came)
        group.shown = group.ranked if is_whole else _amended(group.shown, gone, visible)
        if not group.ranked:
            del self.groups[group.name]


def _amended(entries: list[Entry], gone: list[Entry], came: list[Entry]) -> list[Entry]:
    """Return a sorted list without some entries, and with others."""
    if len(gone) + len(came) <= FEW:
        for entry in gone:
            index = _index(entries, entry)
            if index is not None:
                del entries[index]
        for entry in came:
            insort(entries, entry)
        return entries
    if gone:
        dead = set(gone)
        entries = [entry for entry in entries if entry not in dead]
    # Two sorted runs: the sort merges them.
    entries.extend(sorted(came))
    entries.sort()
    return entries


def _index(entries: list[Entry], entry: Entry) -> int | None:
    index = bisect_left(entries, entry)
    return index if index < len(entries) and entries[index] == entry else None


def _slices(items: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(items), SLICE):
        yield items[start : start + SLICE]


def _merged(runs: list[list[Entry]]) -> Generator[None, None, list[Entry]]:
    """Merge sorted lists, two at a time, with a step after each."""
    while len(runs) > 1:
        paired: list[list[Entry]] = []
        for index in range(0, len(runs) - 1, 2):
            both = runs[index] + runs[index + 1]
            both.sort()
            paired.append(both)
            yield
        runs = paired + (runs[-1:] if len(runs) % 2 else [])
    return runs[0]
