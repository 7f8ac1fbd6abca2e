"""What follows a lost link: another attempt and when, a person, or the end. Time and chance are arguments. Pure."""

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
    StartError,
    UnreachableError,
    XpmRemoteError,
)

FIRST_DELAY = 0.5
"""Seconds of the first delay, at most: a dropped connection is mostly back at once."""
LONGEST_DELAY = 30.0
"""Seconds of any delay, at most: a person who opens the laptop waits no longer."""

WINDOW = 30.0
"""Seconds within which there are at most ``ATTEMPTS`` attempts, however the dice fall: sites ban those who hammer."""
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


def is_transient(error: XpmRemoteError) -> bool:
    """Return whether what has worked before, and failed so, is likely to work again.

    A host that refuses us, has another key, has no such workspace or speaks another protocol will go on doing so.
    """
    return isinstance(error, _TRANSIENT)


class Backoff:
    """When to try again: exponential backoff with full jitter, under a limit of attempts.

    Args:
        random: Returns numbers in [0, 1).
    """

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._failures = 0
        self._attempts: deque[float] = deque(maxlen=ATTEMPTS)

    def reset(self) -> None:
        """Take note of a success: the next failure is a first one again. The limit of attempts stays."""
        self._failures = 0

    def next_delay(self, now: float) -> float:
        """Return the seconds until the next attempt, and count that attempt.

        Args:
            now: The time in seconds, of any clock that does not go back.
        """
        ceiling = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(self._failures, 16))
        self._failures += 1
        at = now + self._random() * ceiling
        if len(self._attempts) == ATTEMPTS:
            at = max(at, self._attempts[0] + WINDOW)
        self._attempts.append(at)
        return at - now


CallPerson = Callable[[str], Awaitable[bool]]
"""Waits until a person is ready to answer the questions named; returns False if none will be."""


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
    """Connect once a person is ready to answer these questions, with them as prompter; until then make no attempt."""

    asked: str


@dataclass(frozen=True)
class GiveUp:
    """The failure does not pass."""


class Reconnect:
    """Decides what follows a lost link, or an attempt to restore it that failed.

    Args:
        backoff: When to try again.
    """

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._asked = ""  # what a person is answering in the present attempt

    def succeeded(self) -> None:
        """Take note that the link is restored."""
        self._backoff.reset()
        self._asked = ""

    def decide(
        self, error: XpmRemoteError, now: float, until: float = math.inf
    ) -> Retry | AskPerson | GiveUp:
        """Return what to do next.

        Args:
            error: What ended the link, or the attempt.
            now: The time in seconds, of any clock that does not go back.
            until: When to give up.
        """
        asked = ""
        if self._asked:  # a wrong answer may be given anew
            asked = self._asked if isinstance(error, AuthenticationError) else ""
        elif isinstance(error, LinkError):
            asked = " or ".join(error.unanswered)
        self._asked = asked
        if asked:
            return AskPerson(asked)
        if not is_transient(error) or now > until:
            return GiveUp()
        return Retry(now + self._backoff.next_delay(now))
