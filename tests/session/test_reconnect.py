"""Which failures are transient, when to retry, and when a user is needed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xpm_remote import errors
from xpm_remote.session.reconnect import (
    ATTEMPTS,
    LONGEST_DELAY,
    WINDOW,
    AskPerson,
    Backoff,
    GiveUp,
    Reconnect,
    Retry,
    SharedBackoff,
    is_transient,
    no_person,
)

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
    errors.StalledError("the host has not found it", at_start=True),
    errors.RequestError("get_jobs", -32603, "half-written file"),
    errors.ResolveError("no network"),
    errors.ShellInitError("module system down"),
    errors.StartError("cannot fork"),
    errors.UnreachableError("refused"),
]


@pytest.mark.parametrize("error", FATAL, ids=lambda error: type(error).__name__)
def test_fatal(error: errors.XpmRemoteError) -> None:
    """A failure that would repeat itself is fatal."""
    assert not is_transient(error)


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_transient(error: errors.XpmRemoteError) -> None:
    """A failure of the network, of a host under load or by a restart is transient."""
    assert is_transient(error)


def test_backoff_doubles_up_to_its_limit() -> None:
    """At the maximum of the jitter, delays double from half a second to half a minute."""
    backoff = Backoff(lambda: 1.0)
    delays, now = [], 0.0
    for _ in range(9):
        delays.append(backoff.next_delay(now))
        now += delays[-1] + 100  # each attempt takes its time
    assert delays == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_success_starts_anew() -> None:
    """After a success the first delay is a short one again."""
    backoff = Backoff(lambda: 1.0)
    for _ in range(5):
        backoff.next_delay(0.0)
    backoff.reset()
    assert backoff.next_delay(1000.0) == 0.5


@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.booleans()), max_size=60))
def test_never_hammers(fates: list[tuple[float, bool]]) -> None:
    """With any jitter and any successes, there are at most so many attempts in any window."""
    dice = iter([dice for dice, _ in fates])
    backoff = Backoff(lambda: next(dice))
    now, attempts = 0.0, []
    for _, succeeds in fates:
        delay = backoff.next_delay(now)
        assert 0 <= delay <= max(LONGEST_DELAY, WINDOW)
        now += delay
        attempts.append(now)
        if succeeds:
            backoff.reset()
    for first, last in zip(attempts, attempts[ATTEMPTS:], strict=False):
        assert last - first >= WINDOW - 1e-6


DOWN = errors.UnreachableError("down")
REFUSED = errors.AuthenticationError("refused")
NEEDS_PERSON = errors.AuthenticationError("refused", unanswered=("a code", "a password"))


@pytest.fixture
def reconnect() -> Reconnect:
    """A reconnection at the maximum of the jitter."""
    return Reconnect(Backoff(lambda: 1.0))


def test_retry(reconnect: Reconnect) -> None:
    """A transient failure is retried with growing delays, which a success resets, within a limit."""
    assert reconnect.decide(DOWN, 100.0) == Retry(100.5)
    assert reconnect.decide(DOWN, 200.0, until=200.0) == Retry(201.0)
    reconnect.succeeded()
    assert reconnect.decide(DOWN, 300.0) == Retry(300.5)
    assert reconnect.decide(DOWN, 400.1, until=400.0) == GiveUp()


def test_refusal_without_a_prompt(reconnect: Reconnect) -> None:
    """A refusal that no answer would have prevented is fatal."""
    assert reconnect.decide(REFUSED, 1.0) == GiveUp()
    assert reconnect.decide(errors.ProtocolError("another"), 1.0) == GiveUp()


def test_person_is_needed(reconnect: Reconnect) -> None:
    """A prompt waits for the user, again after a wrong answer, until the link is lost or restored."""
    ask = AskPerson("a code or a password")
    assert reconnect.decide(NEEDS_PERSON, 1.0) == ask
    assert reconnect.decide(REFUSED, 2.0) == ask
    assert reconnect.decide(DOWN, 3.0) == Retry(3.5)
    assert reconnect.decide(REFUSED, 4.0) == GiveUp()
    assert reconnect.decide(NEEDS_PERSON, 5.0) == ask
    reconnect.succeeded()
    assert reconnect.decide(REFUSED, 6.0) == GiveUp()
    assert reconnect.decide(NEEDS_PERSON, 7.0) == ask
    assert reconnect.decide(errors.HostKeyError("changed"), 8.0) == GiveUp()


async def test_no_person() -> None:
    """Without a caller, no user comes."""
    assert not await no_person("a password")


def test_shared_delays() -> None:
    """All who wait for a host get the time of the same attempt, which counts once; after it another one is planned."""
    backoff = SharedBackoff(lambda: 0.5)
    first = backoff.next_delay(100.0)
    assert first == 0.25
    assert [backoff.next_delay(100.0 + later) for later in (0.0, 0.125)] == [0.25, 0.125]
    assert backoff.next_delay(100.25) == 0.5
    backoff.reset()
    assert backoff.next_delay(101.0) == 0.25


def test_shared_delays_instead_of_our_own() -> None:
    """Where others wait for the same, their delay counts, and ours does not grow."""
    reconnect = Reconnect(Backoff(lambda: 0.5))
    shared = SharedBackoff(lambda: 0.0)
    for _ in range(3):
        assert reconnect.decide(errors.LinkLostError("cut"), 1.0, backoff=shared) == Retry(1.0)
    assert reconnect.decide(errors.LinkLostError("cut"), 1.0) == Retry(1.25)
