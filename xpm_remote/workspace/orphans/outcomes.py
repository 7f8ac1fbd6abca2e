"""What is to be done with orphans and what came of it, with their form on the wire. Pure."""

from __future__ import annotations

from enum import Enum
from typing import Any, NamedTuple

from xpm_remote.workspace.layout import JobId, parse_job_id
from xpm_remote.workspace.orphans.listing import Orphan


class CleanAction(Enum):
    """What is to be done with an orphan."""

    REMOVE = "remove"
    """Its directory is deleted."""

    UNLINK = "unlink"
    """The link of a moved job is removed; the folder keeps the job."""

    KEEP = "keep"
    """Nothing; the reason says why."""


class CleanStep(NamedTuple):
    """What is to be done with an orphan.

    Attributes:
        orphan: The orphan.
        action: What is to be done.
        reason: Why it is kept, in a line; empty otherwise.
    """

    orphan: Orphan
    action: CleanAction
    reason: str = ""

    def to_wire(self) -> dict[str, Any]:
        """Give it as plain JSON types."""
        return {
            "orphan": self.orphan.to_wire(),
            "action": self.action.value,
            "reason": self.reason,
        }

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> CleanStep:
        """Read what ``to_wire`` gave."""
        return cls(Orphan.from_wire(wire["orphan"]), CleanAction(wire["action"]), wire["reason"])


class CleanStatus(Enum):
    """What came of an orphan."""

    REMOVED = "removed"
    UNLINKED = "unlinked"
    KEPT = "kept"
    """Nothing was changed: it is used, or no orphan any more."""

    FAILED = "failed"
    """It could not be removed; the message says what is left, and where."""


class CleanOutcome(NamedTuple):
    """What came of an orphan.

    Attributes:
        job: The job.
        status: What came of it.
        message: What a person should know, in a line; empty when all is well.
    """

    job: JobId
    status: CleanStatus
    message: str = ""

    def to_wire(self) -> dict[str, Any]:
        """Give it as plain JSON types."""
        return {"job": str(self.job), "status": self.status.value, "message": self.message}

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> CleanOutcome:
        """Read what ``to_wire`` gave."""
        return cls(parse_job_id(wire["job"]), CleanStatus(wire["status"]), wire["message"])
