"""What is asked of every scheduler. Pure."""

from __future__ import annotations

from enum import Enum
from typing import Protocol, Sequence

from xpm_remote.workspace.rows import Row


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
