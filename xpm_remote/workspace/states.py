"""The state of a job, its progress, and the process that runs it.

A state is a ``State``, or its plain word where very many are handled: the two are equal and have the same hash. Pure.
"""

from __future__ import annotations

import sys
from enum import Enum
from typing import NamedTuple, TypeVar


class State(str, Enum):
    """The state of a job, from the least to the most advanced.

    ``UNKNOWN`` stands for a word that a newer experimaestro may send, and for a job that cannot be read; it never wins
    over a word that we know.
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
        """The position of this state in a job's life, from -1 to 5."""
        return _RANKS[self.value]

    @property
    def is_final(self) -> bool:
        """Whether the job has ended, well or not."""
        return self in FINAL


UNKNOWN = State.UNKNOWN.value
UNSCHEDULED = State.UNSCHEDULED.value
SCHEDULED = State.SCHEDULED.value
RUNNING = State.RUNNING.value
DONE = State.DONE.value
ERROR = State.ERROR.value

_RANKS = {
    "unknown": -1,
    "unscheduled": 0,
    "transient": 0,
    "waiting": 1,
    "ready": 2,
    "scheduled": 3,
    "running": 4,
    "done": 5,
    "error": 5,
}
_BY_WORD = {state.value: state for state in State}
# A scheduler event says "submitted" before it says anything else: the job then waits for its turn.
SUBMITTED = "submitted"
_BY_WORD[SUBMITTED] = State.WAITING
_WORDS = {word: state.value for word, state in _BY_WORD.items() if state is not State.UNKNOWN}

FINAL = frozenset({State.DONE, State.ERROR})
PENDING = frozenset({State.WAITING, State.READY, State.SCHEDULED})
"""Jobs that will run. An unscheduled one may never do so: a dependency has failed, or its run has ended."""
LIVE = frozenset({State.SCHEDULED, State.RUNNING})
"""Jobs that are with their launcher, or run."""
IDLE = frozenset({State.UNSCHEDULED, State.TRANSIENT, State.UNKNOWN})

GENERIC_REASON = "FAILED"
"""The reason without information beyond the failure itself."""

_REASON_MAX = 40

_State = TypeVar("_State", bound=str)


class Progress(NamedTuple):
    """One level of a job's progress bars: level from 0 (outermost), fraction of 1, or None where it is unknown."""

    level: int
    fraction: float | None
    description: str | None = None


class Process(NamedTuple):
    """The content of a pid file: the pid (or the number of a SLURM job), the launcher's kind, and the host if known."""

    pid: int | str
    kind: str
    host: str | None = None


def read_state(word: str | None) -> tuple[State, str | None]:
    """Return the state in a message, such as ``running`` or ``error:TIMEOUT``, and the reason; None is unscheduled."""
    if word is None:
        return State.UNSCHEDULED, None
    name, _, reason = word.partition(":")
    return _BY_WORD.get(name.lower(), State.UNKNOWN), reason.upper() or None


def parse_state(word: object) -> tuple[str | None, str | None]:
    """Return the plain word of the state in a file, None if it is not a state, and the reason."""
    if not isinstance(word, str):
        return None, None
    state = _WORDS.get(word)
    if state is not None:
        return state, None
    name, _, reason = word.partition(":")
    state = _WORDS.get(name.lower())
    return (None, None) if state is None else (state, parse_reason(reason))


def parse_reason(word: object) -> str | None:
    """Return the reason of a failure, in capitals as experimaestro names them; None when it is none."""
    if not isinstance(word, str) or not word.replace("_", "").isalnum() or len(word) > _REASON_MAX:
        return None
    return sys.intern(word.upper())


def is_further(one: str, other: str) -> bool:
    """Return whether a job in a state has come further than one in another."""
    return _RANKS[one] > _RANKS[other]


def further(execution: _State, scheduler: _State) -> _State:
    """Return the state to show: the more advanced of the two; the execution's where they tie.

    The reference server reports finished jobs as running, its scheduler's word being right, and the reverse.
    """
    return scheduler if _RANKS[scheduler] > _RANKS[execution] else execution


def telling_reason(*reasons: str | None) -> str | None:
    """Return the first reason other than ``GENERIC_REASON``, else the first, else None."""
    first = None
    for reason in reasons:
        if reason and reason != GENERIC_REASON:
            return reason
        first = first or reason
    return first or None
