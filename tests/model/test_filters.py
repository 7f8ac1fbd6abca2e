"""The job filter language: the meaning of each form, and the place of mistakes."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Struct

from xpm_remote.model.entities import Job
from xpm_remote.model.filter_tokens import MAX_DEPTH, MAX_LENGTH, FilterError
from xpm_remote.model.filters import are_equal, parse_filter
from xpm_remote.workspace.states import State


class Seen(Struct, frozen=True, kw_only=True):
    """A job for a filter."""

    state: str = "done"
    task_id: str = "demo.train"
    tags: dict[str, Any] = {}


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
        ("", 0, "a tag, @state or @name"),
        ("   ", 0, "a tag, @state or @name"),
        ("x", 1, "=, !=, ~, in or not in"),
        ("x =", 3, "a text in quotes, a number, or another tag"),
        ("x = 1 y", 6, "and, or, or the end"),
        ("x = 1 AND y = 1", 6, "and, or, or the end"),
        ("x == 1", 3, "one = only"),
        ("x = 'a", 4, "the quote that ends the text"),
        ("x = 3abc", 4, "a number; a text stands in quotes"),
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
        ("x not = 1", 2, "=, !=, ~, in or not in"),
        ("x ~ y", 4, "a regular expression in quotes"),
        ("x ~ '(a'", 5, "a regular expression: missing )"),
        ("x ~ 'ab[c'", 7, "a regular expression: unterminated"),
        ("x ~ 'a{99999999999999999999}'", 4, "a regular expression that is less large"),
        ("@stat = 1", 0, "a tag, @state or @name"),
        ("1 = x", 0, "a tag, @state or @name"),
        ("x = @stat", 4, "a tag, @state or @name"),
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
