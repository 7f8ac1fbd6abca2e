"""The states of a job as text, their order, and which of two words on a job counts. Pure."""

from __future__ import annotations

import sys

UNSCHEDULED = "unscheduled"
TRANSIENT = "transient"
WAITING = "waiting"
READY = "ready"
SCHEDULED = "scheduled"
RUNNING = "running"
DONE = "done"
ERROR = "error"

RANKS = {
    UNSCHEDULED: 0,
    TRANSIENT: 0,
    WAITING: 1,
    READY: 2,
    SCHEDULED: 3,
    RUNNING: 4,
    DONE: 5,
    ERROR: 5,
}
"""How far a job in a state has come."""

FINAL = frozenset({DONE, ERROR})

FAILED = "FAILED"
"""The reason that says no more than that a job failed."""

_OTHER_WORDS = {"submitted": WAITING}  # the first that a scheduler says of a job
_REASON_MAX = 40


def parse_state(word: object) -> tuple[str | None, str | None]:
    """Read a state as files spell it, such as ``error:TIMEOUT``: the state, None if it is none, and the reason."""
    if not isinstance(word, str):
        return None, None
    if word in RANKS:
        return word, None
    name, _, reason = word.partition(":")
    name = name.lower()
    name = _OTHER_WORDS.get(name, name)
    return (name, parse_reason(reason)) if name in RANKS else (None, None)


def parse_reason(word: object) -> str | None:
    """Read the reason of a failure, in capitals as experimaestro names them; None when it is none."""
    if not isinstance(word, str) or not word.replace("_", "").isalnum() or len(word) > _REASON_MAX:
        return None
    return sys.intern(word.upper())


def further(execution: str, scheduler: str) -> str:
    """Give the state to show: the more advanced of the two; the execution's where they tie."""
    return scheduler if RANKS[scheduler] > RANKS[execution] else execution


def telling_reason(*reasons: str | None) -> str | None:
    """Give the first reason that says more than that the job failed, else the first, else None."""
    known = [reason for reason in reasons if reason]
    return next((reason for reason in known if reason != FAILED), known[0] if known else None)
