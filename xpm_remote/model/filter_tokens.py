"""The tokens of a job filter, or an error with the column of the mistake. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from xpm_remote.errors import UsageError

MAX_LENGTH = 4096
"""Maximum characters of a filter, and so of a regular expression in it."""

MAX_DEPTH = 100
"""Maximum depth of parentheses: far below the limit of the interpreter's stack."""

NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
"""A number, in a filter and in a tag whose value is text."""

_DATE = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{3}(?:\d{3})?)?)?(?:Z|[-+]\d\d:\d\d)?)?",
    re.ASCII,
)
_AGE_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

_TOKEN = re.compile(
    rf"""\s*(?:
        (?P<string>"[^"]*"|'[^']*')
      | (?P<date>{_DATE.pattern.replace("[T ]", "T")})(?![\w.-])
      | (?P<age>(?:\d+(?:\.\d+)?[smhdw])+)(?![\w.])
      | (?P<number>{NUMBER.pattern})(?![\w.])
      | (?P<variable>@[A-Za-z]*)
      | (?P<word>[A-Za-z][A-Za-z0-9_-]*)
      | (?P<symbol>!=|[<>]=?|[=~()\[\],])
    )""",
    re.VERBOSE | re.ASCII,
)
_SPACE = re.compile(r"\s*")
_MISTAKES = (
    (re.compile(r"[\"']"), "the quote that ends the text"),
    (re.compile(r"[-+.]?\d"), "a number, a date or an age; a text stands in quotes"),
    (re.compile(r"!"), "!=, or the word not"),
    (re.compile(r"&"), "the word and"),
    (re.compile(r"\|"), "the word or"),
)
_ESCAPES = {r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\f": "\f"}
_ESCAPE = re.compile(r"\\[ntrf]")


class FilterError(UsageError):
    """A filter that cannot be parsed.

    Args:
        text: The filter.
        column: Where the mistake is, from 0; the length of the text for its end.
        expected: What may stand there instead.
    """

    def __init__(self, text: str, column: int, expected: str) -> None:
        super().__init__(f"the filter cannot be understood at column {column + 1}", expected)
        self.text = text
        self.column = column
        self.expected = expected


class Kind(Enum):
    """The kind of a token."""

    STRING = "string"
    NUMBER = "number"
    DATE = "date"
    AGE = "age"
    VARIABLE = "variable"  # @state, @name, @age, ...
    WORD = "word"  # a tag, or one of: and, or, not, in
    SYMBOL = "symbol"
    END = "end"


class Token(NamedTuple):
    """A token: its kind, its text, and its column from 0."""

    kind: Kind
    text: str
    column: int

    @property
    def raw(self) -> str:
        """The text between the quotes of a string."""
        return self.text[1:-1]

    @property
    def value(self) -> str | int | float:
        """The value of a string or a number."""
        if self.kind is Kind.NUMBER:
            return as_number(self.text)
        return _ESCAPE.sub(lambda found: _ESCAPES[found[0]], self.raw)


def as_number(text: str) -> int | float:
    """Convert a text that ``NUMBER`` matches; a whole number of up to ``MAX_LENGTH`` digits exactly."""
    digits = text.lstrip("+-")
    if digits.isdigit() and len(digits) <= MAX_LENGTH:
        return int(text)
    return float(text)


def as_date(text: str) -> float | None:
    """Return the seconds since the epoch of an ISO date, with or without time and zone; None where it is none.

    A date alone is its first moment; a time without a zone is this machine's.
    """
    if not _DATE.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def as_age(text: str) -> float:
    """Return the seconds of an age such as ``2h`` or ``1d12h``."""
    return sum(float(number) * _UNITS[unit] for number, unit in _AGE_PART.findall(text))


def tokenize(text: str) -> Iterator[Token]:
    """Yield the tokens of a filter; the last one is ``Kind.END``.

    Raises:
        FilterError: A character begins no token, or the filter is too long.
    """
    if len(text) > MAX_LENGTH:
        raise FilterError(text, MAX_LENGTH, f"at most {MAX_LENGTH} characters")
    position, end = 0, len(text.rstrip())
    while position < end:
        found = _TOKEN.match(text, position)
        if found is None:
            raise _mistake(text, position)
        kind = Kind(found.lastgroup)
        yield Token(kind, found[kind.value], found.start(kind.value))
        position = found.end()
    yield Token(Kind.END, "", end)


def _mistake(text: str, position: int) -> FilterError:
    space = _SPACE.match(text, position)
    column = space.end() if space else position
    for start, expected in _MISTAKES:
        if start.match(text, column):
            return FilterError(text, column, f"expected {expected}")
    return FilterError(text, column, "expected a tag, @state, @name, a text in quotes, or a number")
