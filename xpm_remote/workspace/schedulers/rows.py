"""What a scheduler says of a job, and what is asked of every scheduler. Pure."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, Protocol, Sequence


class Phase(Enum):
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
    """

    id: str
    phase: Phase
    state: str
    directory: str


class Cancelled(Enum):
    """The outcome of a cancellation."""

    DONE = "done"
    UNKNOWN = "unknown"
    """The scheduler did not answer, or still has the job: the cancellation may be carried out later."""

    REFUSED = "refused"


class Scheduler(Protocol):
    """A scheduler of jobs.

    Attributes:
        why: Why the last question was not answered, or the cancellation not done; empty otherwise.
    """

    why: str

    def ask(self, users: Sequence[int]) -> dict[str, Row] | None:
        """Return the jobs of users by directory, one that has not ended before others; None: it does not answer."""

    def find(self, job_id: str) -> list[Row] | None:
        """Return the jobs of an id: none if there is no such job any more; None: it does not answer."""

    def cancel(self, row: Row) -> Cancelled:
        """Cancel a job."""
