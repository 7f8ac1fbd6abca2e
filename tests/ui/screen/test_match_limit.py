"""The limit for one match of a regular expression."""

from __future__ import annotations

import signal

import msgspec
import pytest

from tests.model.builders import known_job
from tests.support.polling import wait_until
from xpm_remote.model.filters import parse_filter
from xpm_remote.ui.screen.match_limit import MatchLimit
from xpm_remote.ui.tables.finding import TooSlowError
from xpm_remote.workspace.states import State

JOB = msgspec.structs.replace(known_job(State.ERROR), task_id="a" * 60)
LIMIT = 30.0
"""Seconds for a timer to end, on a busy machine."""


def is_set() -> bool:
    """Return whether a timer runs."""
    # It takes our time to expire: this takes some.
    sum(range(10_000))
    return signal.getitimer(signal.ITIMER_VIRTUAL)[0] > 0


def test_a_match_that_takes_for_ever_is_ended() -> None:
    """One that fails after each of 2 ** 60 ways is ended, and leaves nothing behind."""
    before = signal.getsignal(signal.SIGVTALRM)
    limit = MatchLimit()
    slow = limit.limited(parse_filter('@name ~ "(a+)+b"'))
    for _ in range(2):
        with pytest.raises(TooSlowError):
            slow(JOB)
    wait_until(lambda: not is_set(), LIMIT, "the timer to end")
    assert signal.getsignal(signal.SIGVTALRM) == before


def test_many_matches_are_not_ended() -> None:
    """However long they take together; the timer ends after them."""
    limit = MatchLimit()
    quick = limit.limited(parse_filter('@name ~ "^a+$"'))
    began = is_set()
    assert not began
    while not is_set():
        assert quick(JOB)
    assert all(quick(JOB) for _ in range(200_000))
    wait_until(lambda: not is_set(), LIMIT, "the timer to end")
