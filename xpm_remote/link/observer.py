"""The steps of making a connection, as an observer sees them. Pure."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from xpm_remote.link.waits import CurrentWait


class Step(str, Enum):
    """The steps from the host name to the command, in order; a jump host has all but the last."""

    RESOLVE = "resolve"
    TCP = "tcp"
    HOST_KEY = "host key"
    AUTHENTICATION = "authentication"
    SHELL = "shell"


class AttemptOutcome(str, Enum):
    """The outcome of an attempt to log in."""

    ACCEPTED = "accepted"
    PARTIAL = "accepted, and more is asked for"
    REFUSED = "refused"


class Attempt(NamedTuple):
    """One attempt to log in.

    Attributes:
        method: SSH's name of the method: ``publickey``, ``password``, ``keyboard-interactive`` and so on.
        identity: The key's kind, fingerprint and source; empty for other methods.
        outcome: The outcome.
        seconds: Its duration, the person's time included.
    """

    method: str
    identity: str
    outcome: AttemptOutcome
    seconds: float


class Observer:
    """Receives the steps of a connection, and ignores them; a subclass records them.

    A step ends when the next begins, or when making the connection fails.
    """

    def enter(self, step: Step, host: str) -> None:
        """Record that a step begins; ``host`` is host and port."""

    def leave_out(self, step: Step, host: str, why: str) -> None:
        """Record that a step is left out."""

    def note(self, name: str, value: str | float | list[str]) -> None:
        """Record a fact that the current step has found."""

    def attempted(self, attempt: Attempt) -> None:
        """Record an attempt to log in."""

    def wait_for(self, current: CurrentWait | None) -> None:
        """Record what is waited for from now on; None: nothing of the host's."""


UNOBSERVED = Observer()
