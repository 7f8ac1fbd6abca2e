"""Deciding what follows a lost link: another attempt and its time, a person, or giving up.

Time and chance are arguments. Pure.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from xpm_remote.errors import (
    AuthenticationError,
    LinkError,
    LinkLostError,
    RemoteEndedError,
    RemoteTimeoutError,
    RequestError,
    ResolveError,
    ShellInitError,
    StalledError,
    StartError,
    UnreachableError,
    XpmRemoteError,
)

FIRST_DELAY = 0.5
"""The longest first delay in seconds: a dropped connection is mostly back at once."""
LONGEST_DELAY = 30.0
"""The longest delay in seconds: how long one waits after opening the laptop."""

WINDOW = 30.0
"""Seconds within which there are at most ``ATTEMPTS`` attempts, whatever the jitter: sites ban frequent logins."""
ATTEMPTS = 6

_TRANSIENT = (
    LinkLostError,
    RemoteEndedError,
    RemoteTimeoutError,
    RequestError,
    ResolveError,
    ShellInitError,
    StartError,
    UnreachableError,
)

_UNFIT = (RequestError, ShellInitError, StartError)


def is_transient(error: XpmRemoteError) -> bool:
    """Return whether a link that worked before, and failed with this error, is likely to work again.

    A refused login, another host key, a missing workspace and another protocol are not transient.
    """
    if isinstance(error, StalledError):
        return error.at_start
    return isinstance(error, _TRANSIENT)


def is_down(error: XpmRemoteError) -> bool:
    """Return whether a first attempt failed since the host, the network or a file server does not answer.

    What could be reached and cannot serve, such as a host without Python, will not change by being tried again.
    """
    return is_transient(error) and not isinstance(error, _UNFIT)


class Backoff:
    """Exponential backoff with full jitter, under a limit of attempts.

    Args:
        random: Returns numbers in [0, 1).
    """

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._failures = 0
        self._attempts: deque[float] = deque(maxlen=ATTEMPTS)

    def reset(self) -> None:
        """Start with the first delay again, after a success. The limit of attempts stays."""
        self._failures = 0

    def next_delay(self, now: float) -> float:
        """Return the seconds until the next attempt, and count that attempt.

        Args:
            now: The time in seconds, of any monotonic clock.
        """
        ceiling = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(self._failures, 16))
        self._failures += 1
        at = now + self._random() * ceiling
        if len(self._attempts) == ATTEMPTS:
            at = max(at, self._attempts[0] + WINDOW)
        self._attempts.append(at)
        return at - now


class SharedBackoff(Backoff):
    """The delays of all who wait for the same host: they try at the same time, and that counts as one attempt."""

    def __init__(self, random: Callable[[], float]) -> None:
        super().__init__(random)
        self._planned = -math.inf

    def next_delay(self, now: float) -> float:
        """Return the seconds until the attempt that is planned, or plan one.

        Args:
            now: The time in seconds, of any monotonic clock.
        """
        if self._planned <= now:
            self._planned = now + super().next_delay(now)
        return self._planned - now


CallPerson = Callable[[str], Awaitable[bool]]
"""Waits until a person is ready to answer the given questions; returns False if there is none."""


async def no_person(asked: str) -> bool:
    """Return False: no one can answer prompts."""
    del asked
    return False


@dataclass(frozen=True)
class Retry:
    """Connect at this time, with ``Unattended`` as prompter."""

    at: float


@dataclass(frozen=True)
class AskPerson:
    """Connect once a person is ready to answer these questions, asking at the terminal; make no attempt before."""

    asked: str


@dataclass(frozen=True)
class GiveUp:
    """Make no further attempt: the failure is not transient."""


class Reconnect:
    """Decides what follows a lost link, or a failed attempt to restore it.

    Args:
        backoff: The delays before attempts.
    """

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._asked = ""  # what a person is answering in the present attempt

    def succeeded(self) -> None:
        """Note that the link is restored."""
        self._backoff.reset()
        self._asked = ""

    def decide(
        self,
        error: XpmRemoteError,
        now: float,
        until: float = math.inf,
        backoff: Backoff | None = None,
    ) -> Retry | AskPerson | GiveUp:
        """Return what to do next.

        Args:
            error: What ended the link, or the attempt.
            now: The time in seconds, of any monotonic clock.
            until: The time after which to give up.
            backoff: The delays instead of our own, where others wait for the same.
        """
        asked = ""
        if self._asked:  # after a wrong answer, ask again
            asked = self._asked if isinstance(error, AuthenticationError) else ""
        elif isinstance(error, LinkError):
            asked = " or ".join(error.unanswered)
        self._asked = asked
        if asked:
            return AskPerson(asked)
        if not is_transient(error) or now > until:
            return GiveUp()
        return Retry(now + (backoff or self._backoff).next_delay(now))
