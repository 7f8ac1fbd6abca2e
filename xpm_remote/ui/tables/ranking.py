"""A sorted list in parts: what changes is put in its place at once, however long the list is. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from itertools import accumulate, chain
from typing import Any

Entry = tuple[bool, Any, Any]
"""What rows are sorted by: whether the value is missing, the value, and the row's key."""

PART = 500
"""Entries of one part; a part of twice as many is halved."""


class Ranking:
    """Entries in ascending order, each of them once.

    Args:
        entries: Those of the beginning, in order.
    """

    __slots__ = ("_length", "_parts", "_starts", "_tops")

    def __init__(self, entries: list[Entry]) -> None:
        self._parts = [entries[start : start + PART] for start in range(0, len(entries), PART)]
        self._tops = [part[-1] for part in self._parts]
        self._length = len(entries)
        self._starts: list[int] | None = None

    def add(self, entry: Entry) -> None:
        """Put an entry in its place."""
        self._length += 1
        self._starts = None
        if not self._parts:
            self._parts, self._tops = [[entry]], [entry]
            return
        at = min(bisect_left(self._tops, entry), len(self._parts) - 1)
        part = self._parts[at]
        insort(part, entry)
        if len(part) == 2 * PART:
            self._parts[at : at + 1] = [part[:PART], part[PART:]]
            self._tops.insert(at, part[PART - 1])
            at += 1
        self._tops[at] = part[-1]

    def remove(self, entry: Entry) -> bool:
        """Remove an entry; return whether it was there."""
        at, within = self._find(entry)
        if within is None:
            return False
        self._length -= 1
        self._starts = None
        part = self._parts[at]
        del part[within]
        if part:
            self._tops[at] = part[-1]
        else:
            del self._parts[at], self._tops[at]
        return True

    def index(self, entry: Entry) -> int | None:
        """Return the number of an entry; None where it is not there."""
        at, within = self._find(entry)
        return None if within is None else self._begin[at] + within

    def __getitem__(self, index: int) -> Entry:
        """Return the entry of a number, from 0 on."""
        begin = self._begin
        at = bisect_right(begin, index) - 1
        return self._parts[at][index - begin[at]]

    def __len__(self) -> int:
        """Return the number of entries."""
        return self._length

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries in order."""
        return chain.from_iterable(self._parts)

    def __reversed__(self) -> Iterator[Entry]:
        """Yield the entries from the last to the first."""
        return chain.from_iterable(map(reversed, reversed(self._parts)))

    def _find(self, entry: Entry) -> tuple[int, int | None]:
        at = bisect_left(self._tops, entry)
        if at == len(self._parts):
            return at, None
        part = self._parts[at]
        within = bisect_left(part, entry)
        return at, within if part[within] == entry else None

    @property
    def _begin(self) -> list[int]:
        """The number of the first entry of each part."""
        if self._starts is None:
            self._starts = list(accumulate(map(len, self._parts[:-1]), initial=0))
        return self._starts
