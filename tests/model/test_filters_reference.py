"""Random filters: against an evaluation by sets of jobs, and against the real experimaestro where it works."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct, to_builtins

from tests.support.effort import examples
from tests.support.peer import run_peer
from xpm_remote.model.filters import parse_filter
from xpm_remote.workspace.rows import Row

pytestmark = pytest.mark.slow

NAMES = ["a", "b", "c-d", "not", "or"]
TEXTS = ["", "x", "y", "0", "0.10", "True", "two words", "1e1"]
NUMBERS = ["0", "0.1", "-1", "10", "1e1", "+.1"]
VALUES: list[Any] = ["x", "y", "", "0", "0.1", 0, 0.1, 10, -1, 10.0, True, "1e1", "True"]
STATES = ["done", "error", "running", "waiting", "unscheduled"]
PATTERNS = ["x", "^[xy]$", "0", "", "."]
COUNT = 300
"""The number of filters for the real experimaestro."""
SEED = 20_261_122


class Seen(Struct, frozen=True, kw_only=True):
    """A job for a filter."""

    state: str
    task_id: str
    tags: dict[str, Any]
    submitted: float | None = None
    started: float | None = None
    ended: float | None = None
    reason: str | None = None
    row: Row | None = None


class Expression(Struct, frozen=True):
    """A filter as text, how strongly it binds (0: or, 1: and, 2: not, 3: the rest), and the jobs that match."""

    text: str
    strength: int
    jobs: frozenset[int]


def _universe() -> list[Seen]:
    """All kinds of jobs: every name with every value, or without one."""
    draw = random.Random(SEED)
    jobs = []
    for number in range(60):
        names = draw.sample(NAMES, draw.randrange(len(NAMES) + 1))
        tags = {name: draw.choice(VALUES) for name in names}
        state = STATES[number % len(STATES)]
        jobs.append(Seen(state=state, task_id=f"t.{number % 3}", tags=tags))
    return jobs


JOBS = _universe()
EVERY = frozenset(range(len(JOBS)))


def _exact(value: object) -> Fraction | None:
    """Return the number that a value is or spells, exactly; None for other text."""
    if isinstance(value, bool):
        return Fraction(value)
    try:
        return Fraction(str(value))
    except ValueError:
        return None


def _same(tag: object, given_value: object) -> bool:
    """Return equality by tables of the notations of each value, not by cases of types."""
    if tag is None or given_value is None:
        return tag is given_value
    kinds = {type(tag), type(given_value)}
    if kinds == {str}:
        return tag == given_value
    if kinds == {bool, str}:
        return str(tag).upper() == str(given_value).upper()
    left, right = _exact(tag), _exact(given_value)
    if left is not None and right is not None:
        return left == right
    return str(tag) == str(given_value)


def _where(is_meant: Callable[[Seen], bool]) -> frozenset[int]:
    return frozenset(number for number in EVERY if is_meant(JOBS[number]))


def _quoted(text: str, quote: str) -> str:
    return f"{quote}{text}{quote}"


@st.composite
def literals(draw: st.DrawFn) -> tuple[str, Any]:
    """A value as text and as what it is."""
    if draw(st.booleans()):
        text = draw(st.sampled_from(NUMBERS))
        return text, float(text)
    text = draw(st.sampled_from(TEXTS))
    return _quoted(text, draw(st.sampled_from("\"'"))), text


@st.composite
def conditions(draw: st.DrawFn) -> Expression:
    """A condition about a tag, the state or the task."""
    name = draw(st.sampled_from(NAMES))
    kind = draw(st.sampled_from(["=", "!=", "~", "in", "not in", "tag", "@state", "@name"]))
    if kind == "~":
        pattern = draw(st.sampled_from(PATTERNS))
        found = re.compile(pattern).search
        jobs = _where(lambda job: name in job.tags and bool(found(str(job.tags[name]))))
        return Expression(f'{name} ~ "{pattern}"', 3, jobs)
    if kind == "tag":
        other = draw(st.sampled_from(NAMES))
        jobs = _where(lambda job: _same(job.tags.get(name), job.tags.get(other)))
        return Expression(f"{name} = {other}", 3, jobs)
    if kind == "@state":
        state = draw(st.sampled_from(STATES))
        word = draw(st.sampled_from([state, state.upper()]))
        return Expression(f"@state = '{word}'", 3, _where(lambda job: job.state == state))
    if kind == "@name":
        return Expression('@name != "t.1"', 3, _where(lambda job: job.task_id != "t.1"))
    return _tag_condition(name, kind, draw(st.lists(literals(), min_size=1, max_size=3)))


def _tag_condition(name: str, kind: str, values: list[tuple[str, Any]]) -> Expression:
    if kind in ("=", "!="):
        del values[1:]
    jobs = _where(lambda job: any(_same(job.tags.get(name), value) for _, value in values))
    listed = ", ".join(text for text, _ in values)
    right = f"[{listed}]" if "in" in kind else listed
    return Expression(f"{name} {kind} {right}", 3, EVERY - jobs if kind[0] in "!n" else jobs)


def _inside(inner: Expression, strength: int) -> str:
    """Return the text of a part, in parentheses only where it would be read otherwise."""
    return inner.text if inner.strength >= strength else f"({inner.text})"


def _negated(inner: Expression) -> Expression:
    return Expression(f"not {_inside(inner, 2)}", 2, EVERY - inner.jobs)


def _joined(parts: Sequence[Expression], word: str) -> Expression:
    strength = ("or", "and").index(word)
    sets = [part.jobs for part in parts]
    jobs = frozenset.union(*sets) if word == "or" else frozenset.intersection(*sets)
    # One more, so that a part of the same kind gets parentheses too, sometimes.
    return Expression(f" {word} ".join(_inside(part, strength) for part in parts), strength, jobs)


EXPRESSIONS = st.recursive(
    conditions(),
    lambda inner: st.one_of(
        inner.map(_negated),
        inner.map(lambda each: Expression(f"( {each.text} )", 3, each.jobs)),
        st.tuples(st.lists(inner, min_size=2, max_size=3), st.sampled_from(["and", "or"])).map(
            lambda drawn: _joined(*drawn)
        ),
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=examples(50, 500))
@given(EXPRESSIONS)
def test_sets_of_jobs(expression: Expression) -> None:
    """A filter matches the jobs that the sets of its conditions give, by union, intersection and complement."""
    matches = parse_filter(expression.text)
    assert frozenset(n for n in EVERY if matches(JOBS[n])) == expression.jobs, expression.text


def _of_texts(draw: random.Random) -> str:
    """A condition that the real experimaestro can decide: it compares texts, exactly."""
    name, text = draw.choice(NAMES[:3]), draw.choice(TEXTS)
    return draw.choice(
        [
            f'{name} = "{text}"',
            f"{name} = '{text}'",
            f"{name} = {draw.choice(NAMES[:3])}",
            f'@state = "{draw.choice(STATES)}"',
            f'@name = "t.{draw.randrange(3)}"',
        ]
    )


def _filters(draw: random.Random) -> Iterable[str]:
    """Filters that mean the same from left to right as with precedence: first ``and``, then ``or``."""
    for _ in range(COUNT):
        ands = [_of_texts(draw) for _ in range(draw.randrange(1, 4))]
        ors = [_of_texts(draw) for _ in range(draw.randrange(3))]
        yield " or ".join([" and ".join(ands), *ors])


def test_filters_of_the_real_one() -> None:
    """What the real experimaestro accepts has the same meaning here, for tags that are texts."""
    draw = random.Random(SEED)
    jobs = [
        Seen(state=job.state, task_id=job.task_id, tags={k: str(v) for k, v in job.tags.items()})
        for job in JOBS
    ]
    seen = [{"state": each.state, "task": each.task_id, "tags": each.tags} for each in jobs]
    filters = list(_filters(draw))
    answers = run_peer(
        "ask_peer_filters.py", [json.dumps({"filter": each, "jobs": seen}) for each in filters]
    )
    some = 0
    for text, answer in zip(filters, answers, strict=True):
        matches = parse_filter(text)
        ours = [matches(job) for job in jobs]
        assert answer == {"matches": ours}, text
        some += any(ours)
    assert some > COUNT / 2, to_builtins(some)
