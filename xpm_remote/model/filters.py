"""The job filter language: ``model = "bm25" and lr in [0.1, 0.01] and not @state = "error"``.

The language is described in docs/filters.md. A filter that experimaestro understands means the same here, but that
``and`` binds more strongly than ``or``. Pure.
"""

from __future__ import annotations

import operator
import re
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Protocol, TypeAlias

from xpm_remote.model.filter_tokens import (
    MAX_DEPTH,
    MAX_LENGTH,
    NUMBER,
    FilterError,
    Kind,
    Token,
    as_age,
    as_date,
    as_number,
    tokenize,
)
from xpm_remote.workspace.rows import Row
from xpm_remote.workspace.states import State

Moment: TypeAlias = "datetime | float | None"
"""A time: aware, or in seconds since the epoch; None where it is unknown."""


class Filterable(Protocol):
    """The fields of a job that a filter reads."""

    @property
    def state(self) -> str:
        """The state to show, such as ``running``."""

    @property
    def task_id(self) -> str:
        """The task."""

    @property
    def tags(self) -> Mapping[str, Any]:
        """The tags; their values are JSON values."""

    @property
    def submitted(self) -> Moment:
        """When it was submitted."""

    @property
    def started(self) -> Moment:
        """When it started."""

    @property
    def ended(self) -> Moment:
        """When it ended."""

    @property
    def reason(self) -> str | None:
        """Why it failed; None unless it did."""

    @property
    def row(self) -> Row | None:
        """What SLURM has of it; None where it is not known to have it."""


Filter = Callable[[Filterable], bool]
"""Returns whether a job matches."""
_Operand = Callable[[Filterable], object]

_STATES = {state.value for state in State} | {"submitted"}
# As lists of jobs print them.
_ALIASES = {"fail": "error", "failed": "error", "unsched": "unscheduled", "submitted": "waiting"}
_EQUALITIES = "=, !=, ~, in or not in"  # of what has no order
_COMPARISONS = "=, !=, <, <=, >, >=, ~, in or not in"
_OPERAND = "a tag, @state, @name, @reason, @slurm, @submitted, @started, @ended or @age"
_ORDERS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def parse_filter(text: str, now: float | None = None) -> Filter:
    """Parse a filter.

    Args:
        text: The filter.
        now: When ages end, in seconds since the epoch; by default the time of this call.

    Raises:
        FilterError: It cannot be parsed; has the column, and what is expected there.
    """
    return _Parser(text, time.time() if now is None else now).parse()


class _Parser:
    """A recursive-descent parser: ``or``, then ``and``, then ``not``, then conditions."""

    def __init__(self, text: str, now: float) -> None:
        self._text = text
        self._now = now
        self._tokens = list(tokenize(text))
        self._index = 0
        self._depth = 0

    def parse(self) -> Filter:
        """Parse the whole filter."""
        found = self._any()
        self._check(self._here.kind is Kind.END, "and, or, or the end")
        return found

    @property
    def _here(self) -> Token:
        return self._tokens[self._index]

    def _is(self, *texts: str) -> bool:
        """Return whether these words and symbols come next."""
        kinds = (Kind.WORD, Kind.SYMBOL)
        coming = self._tokens[self._index : self._index + len(texts)]
        return [each.text for each in coming if each.kind in kinds] == list(texts)

    def _take(self, *texts: str) -> bool:
        """Skip these words and symbols if they come next; return whether they did."""
        is_next = self._is(*texts)
        self._index += len(texts) * is_next
        return is_next

    def _next(self) -> Token:
        token = self._here
        self._index += 1
        return token

    def _check(self, is_right: bool, expected: str, at: Token | None = None) -> None:
        if not is_right:
            raise FilterError(self._text, (at or self._here).column, f"expected {expected}")

    def _any(self) -> Filter:
        return self._joined("or", self._all, any)

    def _all(self) -> Filter:
        return self._joined("and", self._negated, all)

    def _joined(
        self, word: str, parse: Callable[[], Filter], holds: Callable[[Iterable[bool]], bool]
    ) -> Filter:
        parts = [parse()]
        while self._take(word):
            parts.append(parse())
        return parts[0] if len(parts) == 1 else lambda job: holds(part(job) for part in parts)

    def _negated(self) -> Filter:
        is_negated = False
        while self._is("not") and not self._is_tag():
            self._next()
            is_negated = not is_negated
        inner = self._group() if self._is("(") else self._condition()
        return _negation(inner) if is_negated else inner

    def _is_tag(self) -> bool:
        """Return whether ``not`` is the name of a tag: a comparison follows it."""
        follows = self._tokens[self._index + 1]
        if follows.kind is Kind.SYMBOL:
            return follows.text in ("=", "!=", "~", *_ORDERS)
        return self._is("not", "in", "[")

    def _group(self) -> Filter:
        start = self._next()
        self._depth += 1
        self._check(self._depth <= MAX_DEPTH, f"at most {MAX_DEPTH} parentheses", start)
        inner = self._any()
        self._check(self._take(")"), "and, or, or )")
        self._depth -= 1
        return inner

    def _condition(self) -> Filter:
        subject = self._here
        order = self._tokens[min(self._index + 1, len(self._tokens) - 1)]
        if order.kind is Kind.SYMBOL and order.text in _ORDERS:
            return self._comparison(subject, _ORDERS[order.text])
        if subject.text in _TIMED:
            self._next()
            self._check(False, "<, <=, > or >=")
        left = self._variable(_OPERAND)
        if self._take("~"):
            return self._search(left, subject)
        if self._take("not", "in"):
            return _negation(self._membership(left, subject))
        if self._take("in"):
            return self._membership(left, subject)
        is_negated = self._is("!=")
        expected = _COMPARISONS if subject.kind is Kind.WORD else _EQUALITIES
        self._check(is_negated or self._is("="), expected)
        self._next()
        found = self._equality(left, subject)
        return _negation(found) if is_negated else found

    def _comparison(self, subject: Token, compare: Callable[[float, float], bool]) -> Filter:
        """Parse ``lr < 0.1``, ``@started >= 2026-11-28`` or ``@age > 2h``; what has no such value does not match."""
        expected = "a tag, @submitted, @started, @ended or @age"
        is_time = subject.text in _TIMED
        self._check(subject.kind is Kind.WORD or is_time, expected)
        self._index += 2
        name, other = subject.text, self._next()
        read: Callable[[Filterable], float | None]
        if name in ("@age", "age") and other.kind is Kind.AGE:
            limit, now = as_age(other.text), self._now
            return lambda job: _holds(compare, _age(job, now), limit)
        self._check(name != "@age", "an age such as 90s, 2h or 1d12h", other)
        bound = as_date(other.raw if other.kind is Kind.STRING else other.text)
        if bound is not None:
            read = _TIMES[name] if is_time else lambda job: _tag_date(job.tags.get(name))
            return lambda job: _holds(compare, read(job), bound)
        self._check(not is_time, "a date such as 2026-11-28 or 2026-11-28T09:30", other)
        if other.kind is Kind.WORD:
            return lambda job: _tags_hold(compare, job.tags.get(name), job.tags.get(other.text))
        number = _number(other.value) if other.kind in (Kind.STRING, Kind.NUMBER) else None
        self._check(number is not None, "a number, a date, or another tag", other)
        return lambda job: _holds(compare, _number(job.tags.get(name)), number)

    def _variable(self, expected: str) -> _Operand:
        token = self._here
        self._check(token.kind in (Kind.WORD, Kind.VARIABLE), expected)
        self._next()
        if token.kind is Kind.WORD:
            return lambda job: job.tags.get(token.text)
        known = _OPERAND if expected == _OPERAND else "a tag, @state, @name, @reason or @slurm"
        self._check(token.text in _VARIABLES, known, token)
        return _VARIABLES[token.text]

    def _equality(self, left: _Operand, subject: Token) -> Filter:
        other = self._here
        self._check(not self._is("="), "one = only")
        if other.kind in (Kind.STRING, Kind.NUMBER):
            value = self._value(subject)
            return lambda job: are_equal(left(job), value)
        is_bare = subject.text == "@state" and _state(other.text) is not None
        self._check(not is_bare, f'quotes around a state: "{other.text}"')
        right = self._variable("a text in quotes, a number, or another tag")
        return lambda job: are_equal(left(job), right(job))

    def _membership(self, left: _Operand, subject: Token) -> Filter:
        self._check(self._take("["), "[ and values")
        values = [self._value(subject)]
        while self._take(","):
            values.append(self._value(subject))
        self._check(self._take("]"), ", or ]")
        return lambda job: any(are_equal(left(job), value) for value in values)

    def _value(self, subject: Token) -> str | int | float:
        """Parse a value to compare with; for ``@state`` it has to be a state."""
        token = self._here
        self._check(token.kind in (Kind.STRING, Kind.NUMBER), "a text in quotes, or a number")
        self._next()
        if subject.text != "@state":
            return token.value
        state = _state(str(token.value))
        self._check(state is not None, f"a state: {', '.join(sorted(_STATES))}", token)
        return state or ""

    def _search(self, left: _Operand, subject: Token) -> Filter:
        token = self._here
        self._check(token.kind is Kind.STRING, "a regular expression in quotes")
        self._next()
        flags = re.IGNORECASE if subject.text == "@state" else re.RegexFlag(0)
        pattern = self._compile(token, flags)

        def is_found(job: Filterable) -> bool:
            value = left(job)
            return value is not None and pattern.search(str(value)) is not None

        return is_found

    def _compile(self, token: Token, flags: re.RegexFlag) -> re.Pattern[str]:
        """Compile a regular expression; its backslashes are left to it."""
        try:
            with warnings.catch_warnings():
                # FutureWarning: the pattern may change its meaning in a later Python.
                warnings.simplefilter("ignore")
                return re.compile(token.raw, flags)
        except re.error as error:
            column = token.column + 1 + (error.pos or 0)
            what = f"expected a regular expression: {error.msg}"
            raise FilterError(self._text, column, what) from error
        except (OverflowError, RecursionError) as error:
            what = "expected a regular expression that is less large"
            raise FilterError(self._text, token.column, what) from error


_VARIABLES: dict[str, _Operand] = {
    "@state": lambda job: job.state.lower(),
    "@name": lambda job: job.task_id,
    "@slurm": lambda job: job.row and job.row.id,
    "@reason": lambda job: job.reason or (job.row and job.row.reason) or None,
}


def _seconds(moment: Moment) -> float | None:
    return moment.timestamp() if isinstance(moment, datetime) else moment


_TIMES: dict[str, Callable[[Filterable], float | None]] = {
    "@submitted": lambda job: _seconds(job.submitted),
    "@started": lambda job: _seconds(job.started),
    "@ended": lambda job: _seconds(job.ended),
}
_TIMED = frozenset(_TIMES) | {"@age"}


def _age(job: Filterable, now: float) -> float | None:
    """Return the seconds since a job ended, else since it started, else since it was submitted."""
    for moment in (job.ended, job.started, job.submitted):
        if moment is not None:
            return now - (_seconds(moment) or 0)
    return None


def _tag_date(value: object) -> float | None:
    return as_date(value) if isinstance(value, str) else None


def _number(value: object) -> int | float | None:
    """Return the number that a value is or spells, with 1 and 0 for true and false; None where it is none."""
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, str) and len(value) <= MAX_LENGTH and NUMBER.fullmatch(value):
        return as_number(value)
    return None


def _holds(
    compare: Callable[[float, float], bool], left: float | None, right: float | None
) -> bool:
    return left is not None and right is not None and compare(left, right)


def _tags_hold(compare: Callable[[float, float], bool], left: object, right: object) -> bool:
    """Return whether two tags compare so, as numbers or as dates."""
    as_numbers = _number(left), _number(right)
    if as_numbers[0] is not None and as_numbers[1] is not None:
        return _holds(compare, *as_numbers)
    return _holds(compare, _tag_date(left), _tag_date(right))


def _state(text: str) -> str | None:
    """Return the state that a word names, in any case; None where it names none."""
    word = text.lower()
    found = _ALIASES.get(word, word)
    return found if found in _STATES else None


def _negation(inner: Filter) -> Filter:
    return lambda job: not inner(job)


def are_equal(left: object, right: object) -> bool:
    """Compare two values of tags or of the filter.

    Two texts are equal when they are the same; two numbers, when their values are, with 1 and 0 for true and false. A
    number equals a text that writes it (``0.1`` and ``1e-1``), a truth value the texts ``true`` or ``false`` in any
    case. Anything else is compared as text. An absent tag equals an absent tag only.
    """
    if left is None or right is None:
        return left is right
    if isinstance(left, str) and not isinstance(right, str):
        return _spells(left, right)
    if isinstance(right, str) and not isinstance(left, str):
        return _spells(right, left)
    return left == right


def _spells(text: str, value: object) -> bool:
    """Return whether a text writes a value that is not text."""
    if isinstance(value, bool):
        return text.lower() == str(value).lower()
    if isinstance(value, (int, float)) and len(text) <= MAX_LENGTH and NUMBER.fullmatch(text):
        return as_number(text) == value
    return text == str(value)
