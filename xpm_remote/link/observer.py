"""Looking on while a connection is made: its steps as they begin, and what each brings.

Nobody has to: ``Unobserved`` is the default everywhere. Pure.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, Protocol


class Step(str, Enum):
    """A step on the way to a command, in order; each host on the way has all but the last."""

    RESOLVE = "resolve"
    TCP = "tcp"
    HOST_KEY = "host key"
    AUTHENTICATION = "authentication"
    SHELL = "shell"


class AttemptOutcome(str, Enum):
    """What became of an attempt to log in."""

    ACCEPTED = "accepted"
    PARTIAL = "accepted, and more is asked for"
    REFUSED = "refused"


class Attempt(NamedTuple):
    """One attempt to log in.

    Attributes:
        method: As SSH calls it: ``publickey``, ``password``, ``keyboard-interactive`` and so on.
        identity: The key, as its kind, its fingerprint and where it is from; empty for other methods.
        outcome: What became of it.
        seconds: How long that took, the person's time included.
    """

    method: str
    identity: str
    outcome: AttemptOutcome
    seconds: float


class Observer(Protocol):
    """Somebody who looks on. A step ends where the next begins, or by an error that ``open_connection`` raises."""

    def enter(self, step: Step, host: str) -> None:
        """Take note that a step begins; ``host`` names host and port."""

    def leave_out(self, step: Step, host: str, why: str) -> None:
        """Take note that a step is not made."""

    def note(self, name: str, value: str | float | list[str]) -> None:
        """Take note of something that the step in progress brought."""

    def attempted(self, attempt: Attempt) -> None:
        """Take note of an attempt to log in."""


class Unobserved:
    """Nobody looks on."""

    def enter(self, step: Step, host: str) -> None:
        """Forget it."""

    def leave_out(self, step: Step, host: str, why: str) -> None:
        """Forget it."""

    def note(self, name: str, value: str | float | list[str]) -> None:
        """Forget it."""

    def attempted(self, attempt: Attempt) -> None:
        """Forget it."""


UNOBSERVED = Unobserved()
