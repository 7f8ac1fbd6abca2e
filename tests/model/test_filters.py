"""The job filter language: the meaning of each form, and the place of mistakes."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from math import isfinite
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from xpm_remote.model.entities import Job
from xpm_remote.model.filter_tokens import MAX_DEPTH, MAX_LENGTH, FilterError
from xpm_remote.model.filters import are_equal, parse_filter
from xpm_remote.workspace.rows import Phase, Row
from xpm_remote.workspace.states import State


class Seen(Struct, frozen=True, kw_only=True):
    """A job for a filter."""

    state: str = "done"
    task_id: str = "demo.train"
    tags: dict[str, Any] = {}
    submitted: float | None = None
    started: float | None = None
    ended: float | None = None
    reason: str | None = None
    row: Row | None = None


def matches(text: str, state: str = "done", **tags: object) -> bool:
    """Return whether a job with these tags matches."""
    return parse_filter(text)(Seen(state=state, tags=tags))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('model = "bm25"', True),
        ("model = 'bm25'", True),
        ('model="bm25"and x=0', True),
        ('model != "bm25"', False),
        ('model ~ "^bm\\d+$"', True),
        ('model ~ "25"', True),
        ('not model ~ "BM"', True),
        ('model in ["a", "bm25"]', True),
        ('model not in ["a", "b"]', True),
        ("x in [1, 2.5, 0]", True),
        ("x not in [0]", False),
        ("lr = 0.001", True),
        ("lr = 1e-3", True),
        ("lr = .001", True),
        ('lr = "1E-3"', True),
        ("lr = +0.0010", True),
        ("x = 0", True),
        ('x = "0"', True),
        ("x = -0", True),
        ("x = 1", False),
        ("seed = 7", True),
        ('seed = "7.0"', False),
        ('flag = "TRUE"', True),
        ("flag = 1", True),
        ("flag = 0", False),
        ("absent = 0", False),
        ("absent != 0", True),
        ('absent ~ ""', False),
        ('absent not in ["a"]', True),
        ("absent = missing", True),
        ("absent = model", False),
        ("a-b_c = x", True),
        ('name = "a\\tb"', True),
        ('name ~ "a\\tb"', True),
        ('@name = "demo.train"', True),
        ('@name ~ "train"', True),
        ('@state = "DONE"', True),
        ('@state != "Error"', True),
        ('@state in ["FAIL", "done"]', True),
        ('@state ~ "DO"', True),
        ("@state = word", True),
        ("not not x = 0", True),
        ("not x = 0 or x = 0", True),
        ("not (x = 0 or x = 0)", False),
        ("x = 0 or x = 1 and x = 2", True),
        ("(x = 0 or x = 1) and x = 2", False),
        ('not = "n"', True),
        ('not != "n"', False),
        ('not ~ "n"', True),
        ('not not in ["n"]', False),
        ('not in in ["i"]', False),
        ('and = "a" and or = "o" or in = "i"', True),
        ("  x\n=\t0 ", True),
        ("list = '[1, 2]'", True),
        ("nan = 'nan'", True),
    ],
)
def test_meaning(text: str, expected: bool) -> None:
    """Each form has the meaning in docs/filters.md."""
    tags: dict[str, Any] = {
        "model": "bm25",
        "lr": 0.001,
        "x": 0,
        "seed": "7",
        "flag": True,
        "name": "a\tb",
        "a-b_c": 0.0,
        "word": "done",
        "not": "n",
        "and": "a",
        "or": "o",
        "in": "i",
        "list": [1, 2],
        "nan": float("nan"),
    }
    assert matches(text, **tags) is expected


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("fail", "error"),
        ("FAILED", "error"),
        ("UNSCHED", "unscheduled"),
        ("submitted", "waiting"),
        ("Running", "running"),
    ],
)
def test_words_for_states(word: str, state: str) -> None:
    """States may have the names of lists, in any case."""
    assert matches(f'@state = "{word}"', state=state)
    assert not matches(f'@state = "{word}"', state="ready")


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("", 0, "a tag, @state, @name, @reason, @slurm, @submitted, @started, @ended or @age"),
        ("   ", 0, "a tag, @state, @name, @reason, @slurm, @submitted, @started, @ended or @age"),
        ("x", 1, "=, !=, <, <=, >, >=, ~, in or not in"),
        ("x =", 3, "a text in quotes, a number, or another tag"),
        ("x = 1 y", 6, "and, or, or the end"),
        ("x = 1 AND y = 1", 6, "and, or, or the end"),
        ("x == 1", 3, "one = only"),
        ("x = 'a", 4, "the quote that ends the text"),
        ("x = 3abc", 4, "a number, a date or an age; a text stands in quotes"),
        ("x ! 3", 2, "!=, or the word not"),
        ("x = 1 & y = 2", 6, "the word and"),
        ("x = 1 | y = 2", 6, "the word or"),
        ("x = 1; y", 5, "a tag, @state, @name, a text in quotes, or a number"),
        ("(x = 1", 6, "and, or, or )"),
        ("x = 1)", 5, "and, or, or the end"),
        ("x in 1", 5, "[ and values"),
        ("x in []", 6, "a text in quotes, or a number"),
        ("x in [y]", 6, "a text in quotes, or a number"),
        ("x in [1", 7, ", or ]"),
        ("x in [1,", 8, "a text in quotes, or a number"),
        ("x not = 1", 2, "=, !=, <, <=, >, >=, ~, in or not in"),
        ("x ~ y", 4, "a regular expression in quotes"),
        ("x ~ '(a'", 5, "a regular expression: missing )"),
        ("x ~ 'ab[c'", 7, "a regular expression: unterminated"),
        ("x ~ 'a{99999999999999999999}'", 4, "a regular expression that is less large"),
        (
            "@stat = 1",
            0,
            "a tag, @state, @name, @reason, @slurm, @submitted, @started, @ended or @age",
        ),
        ("1 = x", 0, "a tag, @state, @name, @reason, @slurm, @submitted, @started, @ended or @age"),
        ("x = @stat", 4, "a tag, @state, @name, @reason or @slurm"),
        ("@state = done", 9, 'quotes around a state: "done"'),
        ("@state = 'finished'", 9, "a state: done, error, "),
        ("@state in ['done', 3]", 19, "a state: done, error, "),
    ],
)
def test_mistakes(text: str, column: int, expected: str) -> None:
    """A mistake is marked, with what may be at its place."""
    with pytest.raises(FilterError) as raised:
        parse_filter(text)
    assert raised.value.column == column
    assert raised.value.expected.startswith(f"expected {expected}")
    assert f"column {column + 1};" in str(raised.value)


def test_longest() -> None:
    """A filter is bounded in length and depth, and within the bounds it is accepted."""
    assert matches("(" * MAX_DEPTH + "x = 1" + ")" * MAX_DEPTH, x=1)
    deep = "(" * (MAX_DEPTH + 1) + "x = 1" + ")" * (MAX_DEPTH + 1)
    with pytest.raises(FilterError, match=f"column {MAX_DEPTH + 1};.* at most {MAX_DEPTH} paren"):
        parse_filter(deep)
    chain = "not " * ((MAX_LENGTH - 5) // 4) + "x = 1"
    assert matches(chain, x=1) is (chain.count("not") % 2 == 0)
    with pytest.raises(FilterError, match=f"at most {MAX_LENGTH} characters"):
        parse_filter(" " * (MAX_LENGTH + 1))
    nines = "9" * (MAX_LENGTH - 4)
    assert matches(f"x = {nines}", x=int(nines))
    assert not matches("x = 9", x="9" * (MAX_LENGTH + 1))


def test_groups_side_by_side() -> None:
    """The bound of depth is about nested parentheses."""
    assert matches(" or ".join(["(x = 2)"] * (2 * MAX_DEPTH) + ["(x = 1)"]), x=1)


def test_regular_expression_that_python_warns_of() -> None:
    """A pattern about which Python warns is used unchanged, without a warning."""
    assert matches("x ~ '[[a]'", x="[")


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (None, None, True),
        (None, 0, False),
        (1, 1.0, True),
        (True, 1, True),
        (10**30, str(10**30), True),
        ("a", "A", False),
        ("1.0", "1", False),
        (1, "one", False),
        ([1], [1], True),
        (False, "False", True),
        (False, "0", False),
        (float("inf"), "inf", True),
        (1, "1 ", False),
        (1, "\u0661", False),
    ],
)
def test_equality(left: object, right: object, expected: bool) -> None:
    """Values are equal on either side."""
    assert are_equal(left, right) is expected
    assert are_equal(right, left) is expected


def test_jobs_of_a_store() -> None:
    """The jobs of a store can be filtered, too."""
    job = Job(task_id="demo.ok", job_id="a", execution=State.DONE, tags={"lr": 0.1})
    assert parse_filter('@state = "done" and lr = 0.1 and @name ~ "^demo"')(job)
    assert not parse_filter('@state = "running"')(job)


DAY = 86400.0
NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lr < 0.1", True),
        ("lr<0.001", False),
        ("lr <= 1e-3", True),
        ("lr > 0.001", False),
        ("lr >= .001 and lr > 0", True),
        ("seed > 6.5", True),
        ('seed > "6"', True),
        ('seed < "7e0"', False),
        ("flag > 0", True),
        ("model < 1", False),
        ("model >= 1", False),
        ("not model >= 1", True),
        ("absent < 1", False),
        ("absent >= 1", False),
        ("list < 1", False),
        ("nan < 1 or nan >= 1", False),
        ("lr < seed", True),
        ("seed < lr", False),
        ("lr < model", False),
        ("lr < absent", False),
        ("day > 2026-11-27", True),
        ("day >= '2026-11-28'", True),
        ("day < 2026-11-28", False),
        ("day < later", True),
        ("model < 2026-11-28", False),
        ("lr < 2026-11-28", False),
        ("day < 3", False),
        ("not < 3", True),
        ("not not < 3", False),
        ("age < 3", False),
    ],
)
def test_order(text: str, expected: bool) -> None:
    """Numbers and dates of tags are compared; what is neither, or of the other kind, does not match."""
    tags: dict[str, Any] = {
        "lr": 0.001, "seed": "7", "flag": True, "model": "bm25", "list": [1], "nan": float("nan"), "not": 2,
        "day": "2026-11-28", "later": "2026-11-28T00:00:01", "age": 30,
    }  # fmt: skip
    assert matches(text, **tags) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@submitted < 2027-01-01", True),
        ("@started >= 2027-01-14T08:00Z", True),
        ("@started > '2027-01-14 10:00:00+01:00'", False),
        ("@started <= 2027-01-14T08:00:00.500+00:00", True),
        ("@ended > 2000-01-01 or @ended < 2100-01-01", False),
        ("@age > 23h", True),
        ("@age < 1d", False),
        ("@age >= 1d", True),
        ("age <= 1d", True),
        ("age > 1d0.5h", False),
        ("@age > 1440m and @age < 86401s and @age < 1w", False),
    ],
)
def test_times(text: str, expected: bool) -> None:
    """Times are compared with dates, and the age with spans of time; an unknown time does not match."""
    job = Seen(submitted=NOW - 30 * DAY, started=NOW - DAY)
    assert parse_filter(text, NOW)(job) is expected


def test_age() -> None:
    """The age counts from the end, else from the start, else from the submission."""
    is_old = parse_filter("@age > 2h", NOW)
    assert is_old(Seen(submitted=NOW - DAY))
    assert not is_old(Seen(submitted=NOW - DAY, started=NOW))
    assert not is_old(Seen(submitted=NOW - DAY, started=NOW - DAY, ended=NOW))
    assert not is_old(Seen())
    started = datetime.fromtimestamp(NOW - DAY, timezone.utc)
    assert is_old(Job(task_id="t", job_id="a", started=started))
    assert parse_filter("@age < 1s")(Seen(submitted=time.time() + 5))


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("lr < high or", 13, "a tag"),
        ('lr < "high"', 6, "a number, a date, or another tag"),
        ("lr < 2h", 6, "a number, a date, or another tag"),
        ("lr < ", 5, "a number, a date, or another tag"),
        ("lr == 3", 5, "one = only"),
        ("lr <> 3", 5, "a number, a date, or another tag"),
        ("lr =< 3", 5, "a text in quotes, a number, or another tag"),
        ("@state < 'done'", 1, "a tag, @submitted, @started, @ended or @age"),
        ("@age > 2", 8, "an age such as 90s, 2h or 1d12h"),
        ("@age > 2026-11-28", 8, "an age such as 90s, 2h or 1d12h"),
        ("@started > 2h", 12, "a date such as 2026-11-28"),
        ("@started > 2026-13-40", 12, "a date such as 2026-11-28"),
        ("@age = 2h", 6, "<, <=, > or >="),
        ("@ended in [1]", 8, "<, <=, > or >="),
        ("@started", 9, "<, <=, > or >="),
        ("x = 2h", 5, "a text in quotes, a number, or another tag"),
        ("x in [2026-11-28]", 7, "a text in quotes, or a number"),
        ("x < 2026-11-28T99:99", 5, "a number, a date, or another tag"),
        ("3 < x", 1, "a tag"),
    ],
)
def test_mistakes_of_order(text: str, column: int, expected: str) -> None:
    """What cannot be compared so is pointed at."""
    with pytest.raises(FilterError) as raised:
        parse_filter(text)
    assert raised.value.expected.startswith(f"expected {expected}")
    assert raised.value.column + 1 == column


VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.lists(st.integers())
)


@given(
    VALUES
    | st.sampled_from(["2026-11-28", "0001-01-01", "9999-12-31T23:59", "9999-99-99", "1e999"]),
    VALUES,
)
def test_any_value(left: object, right: object) -> None:
    """No value of a tag is an exception, and at most one of <, = and > is true of numbers."""
    tags: dict[str, Any] = {"a": left, "b": right}
    for text in ("2026-11-28", "3", "b", '"-1e400"'):
        below, above = (matches(f"a {sign} {text}", **tags) for sign in "<>")
        assert not (below and above)
        assert matches(f"a <= {text}", **tags) >= below
        assert matches(f"a >= {text}", **tags) >= above


@given(st.integers() | st.floats(allow_nan=False), st.integers() | st.floats(allow_nan=False))
def test_order_is_that_of_numbers(left: float, right: float) -> None:
    """Two numbers compare as Python compares them, also where tags write them as text."""
    spelled: dict[str, Any] = {"a": str(left) if isfinite(left) else left, "b": right}
    plain: dict[str, Any] = {"a": left, "b": right}
    for tags in (plain, spelled):
        assert matches("a < b", **tags) is (left < right)
        assert matches("a >= b", **tags) is (left >= right)


def test_scheduler() -> None:
    """A job is found by its number in SLURM, and by why it waits there or has failed."""
    waiting = Seen(row=Row("4711", Phase.QUEUED, "PENDING", "/ws", "Priority"))
    failed = Seen(reason="TIMEOUT", row=Row("4712", Phase.ENDED, "TIMEOUT", "/ws"))
    for text, expected in (
        ("@slurm = 4711", (True, False, False)),
        ('@slurm = "4712"', (False, True, False)),
        ('@reason = "Priority"', (True, False, False)),
        ('@reason ~ "TIME"', (False, True, False)),
        ('not @reason ~ "."', (False, False, True)),
    ):
        assert tuple(map(parse_filter(text), (waiting, failed, Seen()))) == expected, text
