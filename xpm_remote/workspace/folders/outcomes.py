"""What archiving and recovering plan to do, and what came of it: values that print and travel as JSON.

Text in a reason or a message may hold file names: whoever prints it escapes it. Pure.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any, Callable, NamedTuple

from xpm_remote.workspace.folders.folder import Folder
from xpm_remote.workspace.layout import JobId, parse_job_id

Progress = Callable[[JobId, int, int], None]
"""Told the job, and how many more bytes and files of it are copied; called from several threads at once."""


class ArchiveStatus(Enum):
    """What came, or will come, of one job in one folder."""

    COPIED = "copied"
    """The folder has a new copy, checked and durable."""

    MOVED = "moved"
    """The folder has the job, and the workspace has a link to it."""

    PRESENT = "present"
    """The folder had it whole already."""

    COMPLETED = "completed"
    """The folder had a part of it, or older files of experimaestro's own, and has it whole now."""

    KEPT = "kept"
    """Copied, but the workspace keeps its directory: ``message`` says what could not be moved with it."""

    DIFFERS = "differs"
    """The folder has another job under that name, or data that the workspace lacks; nothing was changed."""

    BUSY = "busy"
    """Somebody else writes this job."""

    UNAVAILABLE = "unavailable"
    """The folder is missing, not mounted, full or read-only."""

    FAILED = "failed"
    """A file could not be read or written, or the copy is not what was read; the workspace's job is as it was."""


ARCHIVED = frozenset(
    {
        ArchiveStatus.COPIED,
        ArchiveStatus.MOVED,
        ArchiveStatus.PRESENT,
        ArchiveStatus.COMPLETED,
        ArchiveStatus.KEPT,
    }
)
"""The folder has the whole job."""

WORTH_ANOTHER_TRY = frozenset({ArchiveStatus.BUSY, ArchiveStatus.UNAVAILABLE, ArchiveStatus.FAILED})
"""What may pass by itself."""


class ArchiveVerdict(Enum):
    """Whether a job is to be archived."""

    ARCHIVE = "archive"
    OPTED_OUT = "opted-out"
    """Somebody said that this job is not to be archived."""

    UNFINISHED = "unfinished"
    """It has no success marker, or it runs."""

    MISSING = "missing"
    """The workspace has no such job, or a link that leads nowhere."""

    NO_FOLDER = "no-folder"
    """No folder takes jobs."""


class ArchiveStep(NamedTuple):
    """What is to be done with a job in one folder, as far as names and sizes tell.

    Attributes:
        folder: The folder.
        action: ``copy``, ``move``, ``verify`` (a copy is there), ``none`` (it lives there), ``unavailable``.
        reason: Why the folder is unavailable; empty otherwise.
    """

    folder: Folder
    action: str
    reason: str = ""

    def to_wire(self) -> dict[str, Any]:
        """Give it as plain JSON types."""
        return {"folder": self.folder.to_wire(), "action": self.action, "reason": self.reason}

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> ArchiveStep:
        """Read what ``to_wire`` gave."""
        return cls(Folder.from_wire(wire["folder"]), wire["action"], wire["reason"])


class ArchivePlan(NamedTuple):
    """What is to be done with a job, folder by folder.

    Attributes:
        job: The job.
        verdict: Whether it is to be archived.
        reason: Why not; empty when it is.
        size: Bytes of its files.
        files: How many files, links and directories it has.
        steps: The folders, in their order.
    """

    job: JobId
    verdict: ArchiveVerdict
    reason: str = ""
    size: int = 0
    files: int = 0
    steps: tuple[ArchiveStep, ...] = ()

    def to_wire(self) -> dict[str, Any]:
        """Give it as plain JSON types."""
        return {
            "job": str(self.job),
            "verdict": self.verdict.value,
            "reason": self.reason,
            "size": self.size,
            "files": self.files,
            "steps": [step.to_wire() for step in self.steps],
        }

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> ArchivePlan:
        """Read what ``to_wire`` gave."""
        return cls(
            parse_job_id(wire["job"]),
            ArchiveVerdict(wire["verdict"]),
            wire["reason"],
            wire["size"],
            wire["files"],
            tuple(ArchiveStep.from_wire(step) for step in wire["steps"]),
        )


class FolderOutcome(NamedTuple):
    """What came of one job in one folder.

    Attributes:
        folder: The folder.
        status: What came of it.
        message: What a person should know, in a line; empty when all is well.
        size: Bytes copied.
        files: Files, links and directories copied.
    """

    folder: Folder
    status: ArchiveStatus
    message: str = ""
    size: int = 0
    files: int = 0

    def to_wire(self) -> dict[str, Any]:
        """Give it as plain JSON types."""
        return {
            "folder": self.folder.to_wire(),
            "status": self.status.value,
            "message": self.message,
            "size": self.size,
            "files": self.files,
        }

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> FolderOutcome:
        """Read what ``to_wire`` gave."""
        return cls(
            Folder.from_wire(wire["folder"]),
            ArchiveStatus(wire["status"]),
            wire["message"],
            wire["size"],
            wire["files"],
        )


class ArchiveOutcome(NamedTuple):
    """What came of archiving a job.

    Attributes:
        job: The job.
        verdict: Whether it was to be archived.
        reason: Why not; empty when it was.
        folders: What came of it in each folder, in their order; empty when it was not to be archived.
    """

    job: JobId
    verdict: ArchiveVerdict
    reason: str = ""
    folders: tuple[FolderOutcome, ...] = ()

    @property
    def is_archived(self) -> bool:
        """Whether each folder has the whole job."""
        return bool(self.folders) and all(each.status in ARCHIVED for each in self.folders)

    @property
    def is_worth_another_try(self) -> bool:
        """Whether a folder failed in a way that may pass."""
        return any(each.status in WORTH_ANOTHER_TRY for each in self.folders)

    def to_wire(self) -> dict[str, Any]:
        """Give it as plain JSON types."""
        return {
            "job": str(self.job),
            "verdict": self.verdict.value,
            "reason": self.reason,
            "folders": [folder.to_wire() for folder in self.folders],
        }

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> ArchiveOutcome:
        """Read what ``to_wire`` gave."""
        return cls(
            parse_job_id(wire["job"]),
            ArchiveVerdict(wire["verdict"]),
            wire["reason"],
            tuple(FolderOutcome.from_wire(folder) for folder in wire["folders"]),
        )


class RecoveryStatus(Enum):
    """What came, or will come, of the recovery of a job."""

    THERE = "there"
    """The workspace has it: its directory, or a link of a moved job that leads to it."""

    RECOVERED = "recovered"
    """A folder has it whole and it is, or will be, restored."""

    INCOMPLETE = "incomplete"
    """Folders have it without its success marker only; that is restored if somebody says so."""

    NOT_FOUND = "not-found"
    """No folder has it."""

    OBSTRUCTED = "obstructed"
    """Something is in its place that may be the only copy of somebody's data; nothing was changed."""

    BUSY = "busy"
    """Somebody else recovers or archives it."""

    FAILED = "failed"
    """A file could not be read or written, or the copy is not what was read."""

    @property
    def is_there(self) -> bool:
        """Whether the workspace has the job, or will have it."""
        return self in (RecoveryStatus.THERE, RecoveryStatus.RECOVERED)

    @property
    def is_to_do(self) -> bool:
        """Whether a plan that says so is to be carried out: who is busy now may be done by then."""
        return self in (RecoveryStatus.RECOVERED, RecoveryStatus.BUSY)


class RecoveryPlan(NamedTuple):
    """What is to be done to have a job in the workspace.

    Attributes:
        job: The job.
        status: ``RECOVERED`` when there is something to do; otherwise why there is nothing.
        source: The folder that it is to come from.
        complete: Whether that copy has the success marker.
        size: Bytes of its files.
        files: How many files, links and directories it has.
        reason: What a person should know, in a line.
        unavailable: The folders that could not be looked into, each with the reason.
    """

    job: JobId
    status: RecoveryStatus
    source: Folder | None = None
    complete: bool = False
    size: int = 0
    files: int = 0
    reason: str = ""
    unavailable: tuple[str, ...] = ()

    def to_wire(self) -> dict[str, Any]:
        """Give it as plain JSON types."""
        return {
            "job": str(self.job),
            "status": self.status.value,
            "source": self.source.to_wire() if self.source else None,
            "complete": self.complete,
            "size": self.size,
            "files": self.files,
            "reason": self.reason,
            "unavailable": list(self.unavailable),
        }

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> RecoveryPlan:
        """Read what ``to_wire`` gave."""
        source = wire["source"]
        return cls(
            parse_job_id(wire["job"]),
            RecoveryStatus(wire["status"]),
            Folder.from_wire(source) if source else None,
            wire["complete"],
            wire["size"],
            wire["files"],
            wire["reason"],
            tuple(wire["unavailable"]),
        )


class RecoveryOutcome(NamedTuple):
    """What came of the recovery of a job.

    Attributes:
        job: The job.
        status: What came of it.
        path: Its directory in the workspace, whether it is there or not.
        source: The folder that it came from.
        message: What a person should know, in a line; empty when all is well.
        size: Bytes copied.
        files: Files, links and directories copied.
        unavailable: The folders that could not be looked into, each with the reason.
    """

    job: JobId
    status: RecoveryStatus
    path: Path
    source: Folder | None = None
    message: str = ""
    size: int = 0
    files: int = 0
    unavailable: tuple[str, ...] = ()

    @property
    def is_there(self) -> bool:
        """Whether the workspace has the job."""
        return self.status.is_there

    def to_wire(self) -> dict[str, Any]:
        """Give it as plain JSON types."""
        return {
            "job": str(self.job),
            "status": self.status.value,
            "path": str(self.path),
            "source": self.source.to_wire() if self.source else None,
            "message": self.message,
            "size": self.size,
            "files": self.files,
            "unavailable": list(self.unavailable),
        }

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> RecoveryOutcome:
        """Read what ``to_wire`` gave."""
        source = wire["source"]
        return cls(
            parse_job_id(wire["job"]),
            RecoveryStatus(wire["status"]),
            Path(wire["path"]),
            Folder.from_wire(source) if source else None,
            wire["message"],
            wire["size"],
            wire["files"],
            tuple(wire["unavailable"]),
        )
