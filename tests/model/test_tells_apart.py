"""What tells failed jobs apart: traits with both counts, from five failures and twice as often on."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xpm_remote.model.tells_apart import (
    FEWEST,
    LEAST_LIFT,
    Distinction,
    Traits,
    tells_apart,
    traits_of,
)


def of(**tags: Any) -> Traits:
    """Return the traits of a job with tags and nothing else."""
    return frozenset(trait for trait in traits_of("demo.learn", tags, ()) if trait[0] != "@task")


def test_the_traits_of_a_job() -> None:
    """A job has its tags with their types, its task, its experiments and its hosts."""
    tags = {"x": 1, "y": "1", "z": [True]}
    assert traits_of("demo.learn", tags, ["e", "f"], ["node1"]) == {
        ("x", "1"),
        ("y", '"1"'),
        ("z", "[true]"),
        ("@task", '"demo.learn"'),
        ("@experiment", '"e"'),
        ("@experiment", '"f"'),
        ("@host", '"node1"'),
    }


def test_a_picture_of_the_design() -> None:
    """13 of 13 failed jobs have it, and 12 of 290 others: that is 24 times as often."""
    failed = [of(lr=0.1, seed=number, model="x") for number in range(13)]
    others = [of(lr=0.1 if number < 12 else 0.01, seed=number, model="x") for number in range(290)]
    (found,) = tells_apart(failed, others)
    assert found == Distinction("lr", 0.1, 13, 13, 12, 290)
    assert round(found.lift) == 24


def test_what_tells_most_comes_first() -> None:
    """What more of the failed jobs have is first; the rarer among the others if they are as many."""
    failed = [of(a=1, b=1, c=1 if number < 5 else 0) for number in range(10)]
    others = [of(a=0, b=1 if number < 3 else 0, c=0) for number in range(10)]
    found = tells_apart(failed, others)
    assert [(each.name, each.failed_with, each.others_with) for each in found] == [
        ("a", 10, 0),
        ("b", 10, 3),
        ("c", 5, 0),
    ]
    assert found[0].lift == math.inf


def test_values_of_other_types_differ() -> None:
    """A number, a truth value and a text are three values."""
    failed = [of(x=1)] * 5
    others = [of(x=True)] * 5 + [of(x="1")] * 5
    assert [(each.value, each.others_with) for each in tells_apart(failed, others)] == [(1, 0)]


@pytest.mark.parametrize(("failed", "others"), [(0, 10), (FEWEST - 1, 10), (10, 0)])
def test_too_few_tell_nothing(failed: int, others: int) -> None:
    """Below five failures, or with nothing to compare them with, nothing is told."""
    assert tells_apart([of(x=1)] * failed, [of(x=0)] * others) == []


@given(st.lists(st.integers(0, 3), max_size=30), st.lists(st.integers(0, 3), max_size=30))
def test_counts_are_right(failed: list[int], others: list[int]) -> None:
    """Everything that is told has its bounds, its counts, and the lift that they give."""
    found = tells_apart([of(x=each) for each in failed], [of(x=each) for each in others])
    expected = {
        each
        for each in set(failed)
        if failed.count(each) >= FEWEST
        and others
        and failed.count(each) * len(others) >= LEAST_LIFT * len(failed) * others.count(each)
    }
    assert {each.value for each in found} == expected
    for each in found:
        assert (each.failed_with, each.failed) == (failed.count(each.value), len(failed))
        assert (each.others_with, each.others) == (others.count(each.value), len(others))
