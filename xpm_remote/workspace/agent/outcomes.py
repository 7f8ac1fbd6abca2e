"""What is to be done to jobs and what came of it, with their form on the wire. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

from xpm_remote.workspace.layout import JobId, parse_job_id

KILL = "kill"
CLEAN = "clean"


class ActionPlan(NamedTuple):
    """What would be done to a job.

    Attributes:
        job: The job.
        action: ``kill`` or ``clean``.
        what: What would be done, in words; empty when it is refused.
        refusal: Why it is refused; empty when it is not.
        pid: The process, or SLURM's number, to be ended.
        kind: The launcher's kind: ``local`` or ``slurm``.
        is_over: Whether it is refused because what is wanted is so already.
    """

    job: JobId
    action: str
    what: str = ""
    refusal: str = ""
    pid: int | str | None = None
    kind: str = ""
    is_over: bool = False

    def outcome(self, success: bool, message: str) -> ActionOutcome:
        """Say what came of it."""
        return ActionOutcome(self.job, self.action, success, message)

    def to_wire(self) -> dict[str, Any]:
        """Give it as plain JSON types."""
        return {**self._asdict(), "job": str(self.job)}

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> ActionPlan:
        """Read what ``to_wire`` gave.

        Raises:
            BadIdFailure: The job has no id.
            KeyError, TypeError: It is something else.
        """
        return cls(**{**wire, "job": parse_job_id(wire["job"])})


class ActionOutcome(NamedTuple):
    """What came of an action.

    Attributes:
        job: The job.
        action: ``kill`` or ``clean``.
        success: Whether what was wanted is so.
        message: What was done, or why not.
    """

    job: JobId
    action: str
    success: bool
    message: str

    def to_wire(self) -> dict[str, Any]:
        """Give it as plain JSON types."""
        return {**self._asdict(), "job": str(self.job)}

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> ActionOutcome:
        """Read what ``to_wire`` gave.

        Raises:
            BadIdFailure: The job has no id.
            KeyError, TypeError: It is something else.
        """
        return cls(**{**wire, "job": parse_job_id(wire["job"])})
