"""Whether a failure passes by itself, and when to try again. Pure: time and chance are arguments."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from xpm_remote.errors import (
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
    """Tell whether what has worked before, and failed so, is likely to work again.

    A host that refuses us, has another key, has no such workspace or speaks another protocol will go on doing so.
    """
    return isinstance(error, _TRANSIENT)


class Schedule:
    """When to try again: exponential backoff with full jitter, under a limit of attempts.

    Args:
        random: Gives numbers in [0, 1).
    """

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._failures = 0
        self._attempts: deque[float] = deque(maxlen=ATTEMPTS)

    def reset(self) -> None:
        """Take note of a success: the next failure is a first one again. The limit of attempts stays."""
        self._failures = 0

    def next_delay(self, now: float) -> float:
        """Give the seconds until the next attempt, and count that.

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
