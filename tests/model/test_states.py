"""States: how they are spelled, their order, and which reason tells more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xpm_remote.model.states import (
    FINAL,
    IDLE,
    PENDING,
    State,
    further,
    parse_state,
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
def test_parse_state(word: str | None, expected: tuple[State, str | None]) -> None:
    """A word is read whatever its case, with the reason that may follow it; an unknown one is no error."""
    assert parse_state(word) == expected


def test_every_state_is_in_one_group() -> None:
    """A job waits, runs, has ended, or lies idle: one of them and only one."""
    groups = [*FINAL, *PENDING, *IDLE, State.RUNNING]
    assert sorted(groups) == sorted(State)


def test_final_states() -> None:
    """Only done and error are ends."""
    assert [state for state in State if state.is_final] == [State.DONE, State.ERROR]


def test_order() -> None:
    """The ranks are those of experimaestro; an unknown state is below all of them."""
    order = [state.rank for state in State]
    assert order == [-1, 0, 0, 1, 2, 3, 4, 5, 5]


@given(STATES, STATES)
def test_further_is_the_more_advanced(execution: State, scheduler: State) -> None:
    """The more advanced state is shown, and the execution's where they tie."""
    shown = further(execution, scheduler)
    assert shown.rank == max(execution.rank, scheduler.rank)
    if execution.rank == scheduler.rank:
        assert shown is execution


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
