"""What a scheduler, such as SLURM, has of a job. Pure."""

from __future__ import annotations

from enum import Enum
from typing import Any, NamedTuple

from xpm_remote.workspace.failures import UnreadFile

ASK_INTERVAL = 120.0
"""Seconds between two questions to a scheduler: the strictest figure that sites name."""


SLURM = "SLURM"
"""What stands in place of a path where SLURM cannot be asked."""


def silence(trouble: str) -> list[UnreadFile]:
    """Return that SLURM does not answer as something that cannot be read; nothing where there is no trouble."""
    return [UnreadFile(SLURM, f"does not answer: {trouble}")] if trouble else []


class Account(NamedTuple):
    """What the accounting of a scheduler has of a job.

    Attributes:
        values: Names, and what they are, both as texts.
        why: Why there are none, or not all; empty if it has answered.
    """

    values: tuple[tuple[str, str], ...] = ()
    why: str = ""

    @classmethod
    def from_wire(cls, wire: list[Any]) -> Account:
        """Return the account from a list of its fields.

        Raises:
            TypeError, ValueError: It is not such a list.
        """
        values, why = wire
        return cls(tuple((str(name), str(value)) for name, value in values), str(why))


class Phase(str, Enum):
    """How far a scheduler has come with a job."""

    QUEUED = "queued"
    RUNNING = "running"
    ENDED = "ended"


class Row(NamedTuple):
    """A job that a scheduler has.

    Attributes:
        id: The scheduler's id of it.
        phase: How far it has come.
        state: The same in the scheduler's own word.
        directory: The directory in which it runs, which proves whose job it is.
        reason: Why it waits, in the scheduler's own word; empty unless it does.
        queue: The queue, which SLURM calls a partition.
        submitted: When it was submitted, epoch seconds; None where the scheduler does not tell.
        starts: When it started, or is expected to; None where that is not known.
        ends: When it ended, or its time is over; None without a limit.
        nodes: The hosts on which it runs.
        cpus: How many processors it has asked for; ``memory`` and ``gpus``, as the scheduler spells them.
        warning: How the files of the job contradict this; empty if they do not.
        asked: When the scheduler had it so, epoch seconds, where it has not answered since; None while it answers.
    """

    id: str
    phase: Phase
    state: str
    directory: str
    reason: str = ""
    queue: str = ""
    submitted: float | None = None
    starts: float | None = None
    ends: float | None = None
    nodes: str = ""
    cpus: str = ""
    memory: str = ""
    gpus: str = ""
    warning: str = ""
    asked: float | None = None
