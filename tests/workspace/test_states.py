"""States: their spelling, their order, and which reason is more informative."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xpm_remote.workspace.states import (
    FINAL,
    IDLE,
    PENDING,
    State,
    further,
    is_further,
    parse_reason,
    parse_state,
    read_state,
    telling_reason,
)

STATES = st.sampled_from(list(State))


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("running", (State.RUNNING, None)),
        ("RUNNING", (State.RUNNING, None)),
        ("submitted", (State.WAITING, None)),
        ("error:TIMEOUT", (State.ERROR, "TIMEOUT")),
        ("error:missing_outputs", (State.ERROR, "MISSING_OUTPUTS")),
        ("error:", (State.ERROR, None)),
        ("levitating", (State.UNKNOWN, None)),
        ("", (State.UNKNOWN, None)),
        (None, (State.UNSCHEDULED, None)),
    ],
)
def test_read_state(word: str | None, expected: tuple[State, str | None]) -> None:
    """A word is read in any case, with an optional reason after it; an unknown one is no error."""
    assert read_state(word) == expected


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


@pytest.mark.parametrize("word", [*State, "submitted", "error:TIMEOUT"])
def test_words_of_files_are_those_of_messages(word: str) -> None:
    """Files and messages have the same states; no word means unknown."""
    state, reason = read_state(word)
    known = state is not State.UNKNOWN
    assert parse_state(word) == (state.value if known else None, reason)


@pytest.mark.parametrize("word", ["", "a b", "x" * 41, "\n", None, 3])
def test_no_reason(word: object) -> None:
    """Anything but a single word is no reason."""
    assert parse_reason(word) is None


def test_plain_words() -> None:
    """A state and its word are the same key of a table, and the same member of a set."""
    assert {each: each.rank for each in State} == {each.value: each.rank for each in State}
    assert all((each.value in FINAL) is each.is_final for each in State)


def test_every_state_is_in_one_group() -> None:
    """A job is waiting, running, ended or idle, exactly one of them."""
    groups = [*FINAL, *PENDING, *IDLE, State.RUNNING]
    assert sorted(groups) == sorted(State)


def test_final_states() -> None:
    """Only done and error are final."""
    assert [state for state in State if state.is_final] == [State.DONE, State.ERROR]


def test_order() -> None:
    """The ranks are those of experimaestro; an unknown state is below all of them."""
    order = [state.rank for state in State]
    assert order == [-1, 0, 0, 1, 2, 3, 4, 5, 5]


@given(STATES, STATES)
def test_further_is_the_more_advanced(execution: State, scheduler: State) -> None:
    """The more advanced state is shown; in a tie, the execution's."""
    shown = further(execution, scheduler)
    assert shown.rank == max(execution.rank, scheduler.rank)
    if execution.rank == scheduler.rank:
        assert shown is execution


def test_further_of_plain_words() -> None:
    """The more advanced of two states counts; in a tie, the execution's."""
    assert further("running", "done") == "done"
    assert is_further("done", "running")
    assert not is_further("done", "error")
    assert further("error", "done") == "error"
    assert further("unscheduled", "transient") == "unscheduled"


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [
        (("FAILED", "TIMEOUT"), "TIMEOUT"),
        (("TIMEOUT", "FAILED"), "TIMEOUT"),
        (("MEMORY", "TIMEOUT"), "MEMORY"),
        (("FAILED", None), "FAILED"),
        ((None, "", "CANCELLED"), "CANCELLED"),
        ((None, None), None),
    ],
)
def test_telling_reason(reasons: tuple[str | None, ...], expected: str | None) -> None:
    """A cause is preferred to the bare statement that the job failed."""
    assert telling_reason(*reasons) == expected
