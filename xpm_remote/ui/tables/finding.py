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

_OPERATOR = re.compile(r"[=~<>@]|\b(?:in|not)\s*\[")
"""What words do not have, and filters do."""


class Finder:
    """The last text that could be understood.

    Attributes:
        text: What was typed.
        test: Whether a row is found; None where every row is.
        expected: What the text lacks to be a filter; empty where it is one, or words.
    """

    def __init__(self) -> None:
        self.text = ""
        self.test: Found | None = None
        self.expected = ""

    def type(self, text: str, now: float) -> None:
        """Take the text as it is now.

        Args:
            text: The text; an unfinished filter leaves the last test.
            now: The time in epoch seconds, for ages.
        """
        self.text = text
        self.expected = ""
        if not text.strip():
            self.test = None
            return
        try:
            self.test = _by_filter(parse_filter(text, now))
        except FilterError as error:
            if _OPERATOR.search(text) is None:
                self.test = _by_words(text)
            else:
                self.expected = error.expected


def _by_filter(matches: Filter) -> Found:
    return lambda row: row.job is not None and matches(row.job)


def _by_words(text: str) -> Found:
    words = text.lower().split()
    if len(words) == 1:
        word = words[0]
        return lambda row: word in row.words
    return lambda row: all(word in row.words for word in words)
