"""The states of a job, their order, and which of two pieces of evidence counts. Pure."""

from __future__ import annotations

from enum import Enum


class State(str, Enum):
    """What a job does, from the least to the most advanced.

    ``UNKNOWN`` stands for a word that a newer experimaestro may send; it never wins over a word that we know.
    """

    UNKNOWN = "unknown"
    UNSCHEDULED = "unscheduled"
    TRANSIENT = "transient"
    WAITING = "waiting"
    READY = "ready"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    DONE = "done"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """How far a job in this state has come, from -1 to 5."""
        return _RANKS[self]

    @property
    def is_final(self) -> bool:
        """Whether the job has ended, well or not."""
        return self in FINAL


_RANKS = {
    State.UNKNOWN: -1,
    State.UNSCHEDULED: 0,
    State.TRANSIENT: 0,
    State.WAITING: 1,
    State.READY: 2,
    State.SCHEDULED: 3,
    State.RUNNING: 4,
    State.DONE: 5,
    State.ERROR: 5,
}
_BY_WORD = {state.value: state for state in State}
# A scheduler event says "submitted" before it says anything else: the job then waits for its turn.
_BY_WORD["submitted"] = State.WAITING

FINAL = frozenset({State.DONE, State.ERROR})
PENDING = frozenset({State.WAITING, State.READY, State.SCHEDULED})
"""Jobs that are to run. An unscheduled one may never do: what it needs has failed, or its run has ended."""
IDLE = frozenset({State.UNSCHEDULED, State.TRANSIENT, State.UNKNOWN})

GENERIC_REASON = "FAILED"
"""The reason that the reference server gives for every failure whose cause it has not read."""


def parse_state(word: str | None) -> tuple[State, str | None]:
    """Read a state as files and messages spell it: ``running``, ``error:TIMEOUT``; None is ``unscheduled``."""
    if word is None:
        return State.UNSCHEDULED, None
    name, _, reason = word.partition(":")
    return _BY_WORD.get(name.lower(), State.UNKNOWN), reason.upper() or None


def further(execution: State, scheduler: State) -> State:
    """Give the state to show: the more advanced of the two; the execution's where they tie.

    The reference server reports finished jobs as running, its scheduler's word being right, and the reverse.
    """
    return scheduler if scheduler.rank > execution.rank else execution


def telling_reason(*reasons: str | None) -> str | None:
    """Give the first reason that says more than that the job failed, else the generic one, else None."""
    known = [reason for reason in reasons if reason]
    return next(
        (reason for reason in known if reason != GENERIC_REASON), known[0] if known else None
    )
