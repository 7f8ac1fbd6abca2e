"""Which failures pass, and when to try again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xpm_remote import errors
from xpm_remote.session.retry import ATTEMPTS, LONGEST_DELAY, WINDOW, Schedule, is_transient

FATAL = [
    errors.AuthenticationError("refused"),
    errors.HostKeyError("changed"),
    errors.NegotiationError("no common algorithm"),
    errors.OptionError("bad option"),
    errors.ProtocolError("another protocol"),
    errors.RemotePathError("no workspace"),
]
PASSING = [
    errors.LinkLostError("reset"),
    errors.RemoteEndedError("killed"),
    errors.RemoteTimeoutError("silent"),
    errors.RequestError("get_jobs", -32603, "half-written file"),
    errors.ResolveError("no network"),
    errors.ShellInitError("module system down"),
    errors.StartError("cannot fork"),
    errors.UnreachableError("refused"),
]


@pytest.mark.parametrize("error", FATAL, ids=lambda error: type(error).__name__)
def test_fatal(error: errors.XpmRemoteError) -> None:
    """What would fail again in the same way is not tried again."""
    assert not is_transient(error)


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_transient(error: errors.XpmRemoteError) -> None:
    """What the network, a host under load or a restart does is."""
    assert is_transient(error)


def test_backoff_doubles_up_to_its_limit() -> None:
    """With the dice at their highest, delays double from half a second to half a minute."""
    schedule = Schedule(lambda: 1.0)
    delays, now = [], 0.0
    for _ in range(9):
        delays.append(schedule.next_delay(now))
        now += delays[-1] + 100  # each attempt takes its time
    assert delays == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_success_starts_anew() -> None:
    """After a success the first delay is a short one again."""
    schedule = Schedule(lambda: 1.0)
    for _ in range(5):
        schedule.next_delay(0.0)
    schedule.reset()
    assert schedule.next_delay(1000.0) == 0.5


@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.booleans()), max_size=60))
def test_never_hammers(fates: list[tuple[float, bool]]) -> None:
    """However the dice fall, and whatever succeeds in between, there are at most so many attempts in any window."""
    dice = iter([dice for dice, _ in fates])
    schedule = Schedule(lambda: next(dice))
    now, attempts = 0.0, []
    for _, succeeds in fates:
        delay = schedule.next_delay(now)
        assert 0 <= delay <= max(LONGEST_DELAY, WINDOW)
        now += delay
        attempts.append(now)
        if succeeds:
            schedule.reset()
    for first, last in zip(attempts, attempts[ATTEMPTS:], strict=False):
        assert last - first >= WINDOW - 1e-6
