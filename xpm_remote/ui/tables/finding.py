"""What is typed to find rows: words, or a filter of docs/filters.md while it can be parsed. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from xpm_remote.model.entities import Job
from xpm_remote.model.filter_tokens import FilterError
from xpm_remote.model.filters import Filter, parse_filter


class Findable(Protocol):
    """What can be found: it is known by words, and stands for a job or for none."""

    @property
    def words(self) -> str:
        """All that it can be found by, in lower case."""

    @property
    def job(self) -> Job | None:
        """The job; a row without one is found by words only."""


Found = Callable[[Findable], bool]


class TooSlowError(Exception):
    """A filter has a regular expression that takes too long."""


def _unlimited(matches: Filter) -> Filter:
    return matches


_OPERATOR = re.compile(r"[=~<>@]|\b(?:in|not)\s*\[")
"""What words do not have, and filters do."""


class Finder:
    """The last text that could be understood.

    Args:
        limited: Makes a filter one that raises ``TooSlowError`` where it would take too long.

    Attributes:
        text: What was typed.
        test: Whether a row is found; None where every row is.
        expected: What the text lacks to be a filter; empty where it is one, or words.
    """

    def __init__(self, limited: Callable[[Filter], Filter] = _unlimited) -> None:
        self.text = ""
        self.test: Found | None = None
        self.expected = ""
        self._limited = limited
        self._kept: Found | None = None
        self._is_slow = False

    def type(self, text: str, now: float) -> None:
        """Take the text as it is now.

        Args:
            text: The text; an unfinished filter leaves the last test.
            now: The time in epoch seconds, for ages.
        """
        self.text = text
        self.expected = ""
        self._is_slow = False
        if not text.strip():
            self.test = None
            return
        try:
            self.test = self._by_filter(self._limited(parse_filter(text, now)))
        except FilterError as error:
            if _OPERATOR.search(text) is None:
                self.test = _by_words(text)
            else:
                self.expected = error.expected

    def settle(self) -> bool:
        """Keep the test, now that every row was tried, or return to the last one if it took too long.

        Returns:
            Whether the test is kept.
        """
        if self._is_slow:
            self._is_slow = False
            self.test = self._kept
            return False
        self._kept = self.test
        return True

    def _by_filter(self, matches: Filter) -> Found:
        def is_found(row: Findable) -> bool:
            # After one row that took too long, no other is tried.
            if row.job is None or self._is_slow:
                return False
            try:
                return matches(row.job)
            except TooSlowError:
                self._is_slow = True
                self.expected = "a regular expression that takes less time"
                return False

        return is_found


def _by_words(text: str) -> Found:
    words = text.lower().split()
    if len(words) == 1:
        word = words[0]
        return lambda row: word in row.words
    return lambda row: all(word in row.words for word in words)
