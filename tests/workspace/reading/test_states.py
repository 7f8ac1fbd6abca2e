"""The words for states, and which of two counts."""

from __future__ import annotations

import pytest

from xpm_remote.model.states import State
from xpm_remote.model.states import parse_state as parse_model_state
from xpm_remote.workspace.reading.states import (
    RANKS,
    further,
    parse_reason,
    parse_state,
    telling_reason,
)


@pytest.mark.parametrize(
    ("word", "state", "reason"),
    [
        ("running", "running", None),
        ("submitted", "waiting", None),
        ("DONE", "done", None),
        ("error:TIMEOUT", "error", "TIMEOUT"),
        ("error:timeout", "error", "TIMEOUT"),
        ("error:", "error", None),
        ("error:\x1b[31m", "error", None),
        ("dancing", None, None),
        (None, None, None),
        (5, None, None),
        ([], None, None),
    ],
)
def test_parse_state(word: object, state: str | None, reason: str | None) -> None:
    """A word is a state with or without a reason; any other is none."""
    assert parse_state(word) == (state, reason)


def test_states_are_those_of_the_model() -> None:
    """The remote side and the laptop know the same states in the same order."""
    known = [each for each in State if each is not State.UNKNOWN]
    assert {each.value: each.rank for each in known} == RANKS
    for word in (*RANKS, "submitted", "error:TIMEOUT"):
        state, reason = parse_model_state(word)
        assert parse_state(word) == (state.value, reason)


@pytest.mark.parametrize("word", ["", "a b", "x" * 41, "\n", None, 3])
def test_no_reason(word: object) -> None:
    """What is no single word is no reason."""
    assert parse_reason(word) is None


def test_further() -> None:
    """The more advanced of two states counts; the execution's where they tie."""
    assert further("running", "done") == "done"
    assert further("error", "done") == "error"
    assert further("unscheduled", "transient") == "unscheduled"


def test_telling_reason() -> None:
    """A reason that says more than that a job failed counts before one that does not."""
    assert telling_reason("FAILED", "TIMEOUT") == "TIMEOUT"
    assert telling_reason(None, "FAILED") == "FAILED"
    assert telling_reason(None, None) is None
