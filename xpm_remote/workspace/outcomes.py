"""Plans for jobs, their outcomes, and both as plain JSON types.

Text in a reason or a message may hold file names: it is escaped where it is printed. Pure.
"""

from __future__ import annotations

from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, Callable, NamedTuple, TypeVar

from xpm_remote.workspace.failures import UnreadFile
from xpm_remote.workspace.layout import Folder, FolderMode, JobId, parse_job_id

_Value = TypeVar("_Value")
_Reader = Callable[[Any], Any]

CopyProgress = Callable[[JobId, int, int], None]
"""Called with a job and how many more bytes and files of it are copied; from several threads at once."""


class ArchiveStatus(Enum):
    """The outcome, or the expected outcome, of archiving one job in one folder."""

    COPIED = "copied"
    """The folder has a new copy, checked and durable."""

    MOVED = "moved"
    """The folder has the job, and the workspace has a link to it."""

    PRESENT = "present"
    """The folder had it whole already."""

    COMPLETED = "completed"
    """The folder had a part of it, or older files of experimaestro's own, and has it whole now."""

    KEPT = "kept"
    """Copied, but the workspace keeps its directory: ``message`` names what could not be moved with it."""

    DIFFERS = "differs"
    """The folder has another job under that name, or data that the workspace lacks; nothing was changed."""

    BUSY = "busy"
    """Another process writes this job."""

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
"""Statuses whose cause may pass by itself."""


class ArchiveVerdict(Enum):
    """Whether a job is archived, or why not."""

    ARCHIVE = "archive"
    OPTED_OUT = "opted-out"
    """A user has excluded this job from archiving."""

    UNFINISHED = "unfinished"
    """It has no success marker, or it runs."""

    MISSING = "missing"
    """The workspace has no such job, or a link that leads nowhere."""

    NO_FOLDER = "no-folder"
    """No folder takes jobs."""

    UNREADABLE = "unreadable"
    """What decides it cannot be read now, which does not mean that it is absent."""


class ArchiveStep(NamedTuple):
    """The step planned for a job in one folder, judged by names and sizes.

    Attributes:
        folder: The folder.
        action: ``copy``, ``move``, ``verify`` (a copy is there), ``none`` (it lives there), ``unavailable``.
        reason: Why the folder is unavailable; empty otherwise.
    """

    folder: Folder
    action: str
    reason: str = ""


class ArchivePlan(NamedTuple):
    """The steps planned for a job, folder by folder.

    Attributes:
        job: The job.
        verdict: Whether it will be archived.
        reason: Why not; empty when it will.
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


class FolderOutcome(NamedTuple):
    """The outcome of archiving one job in one folder.

    Attributes:
        folder: The folder.
        status: The outcome.
        message: What a person should know, in a line; empty when all is well.
        size: Bytes copied.
        files: Files, links and directories copied.
    """

    folder: Folder
    status: ArchiveStatus
    message: str = ""
    size: int = 0
    files: int = 0


class ArchiveOutcome(NamedTuple):
    """The outcome of archiving a job.

    Attributes:
        job: The job.
        verdict: Whether it was archived.
        reason: Why not; empty when it was.
        folders: The outcome in each folder, in their order; empty when it was not archived.
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
    def is_busy(self) -> bool:
        """Whether another process works on it."""
        return any(each.status is ArchiveStatus.BUSY for each in self.folders)

    @property
    def is_worth_another_try(self) -> bool:
        """Whether a folder, or reading the job, failed in a way that may pass."""
        if self.verdict is ArchiveVerdict.UNREADABLE:
            return True
        return any(each.status in WORTH_ANOTHER_TRY for each in self.folders)


class RecoveryStatus(Enum):
    """The outcome, or the expected outcome, of the recovery of a job."""

    THERE = "there"
    """The workspace has it: its directory, or a link of a moved job that leads to it."""

    RECOVERED = "recovered"
    """A folder has it whole and it is, or will be, restored."""

    INCOMPLETE = "incomplete"
    """Folders have it without its success marker only; that is restored on request."""

    NOT_FOUND = "not-found"
    """No folder has it."""

    OBSTRUCTED = "obstructed"
    """Something is in its place that may be the only copy of data; nothing was changed."""

    BUSY = "busy"
    """Another process recovers or archives it."""

    FAILED = "failed"
    """A file could not be read or written, or the copy is not what was read."""

    @property
    def is_there(self) -> bool:
        """Whether the workspace has the job, or will have it."""
        return self in (RecoveryStatus.THERE, RecoveryStatus.RECOVERED)

    @property
    def is_to_do(self) -> bool:
        """Whether a plan with this status is carried out: what is busy now may have ended by then."""
        return self in (RecoveryStatus.RECOVERED, RecoveryStatus.BUSY)


class RecoveryPlan(NamedTuple):
    """The step planned to have a job in the workspace.

    Attributes:
        job: The job.
        status: ``RECOVERED`` when there is something to do; otherwise why there is nothing.
        source: The folder that it will come from.
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


class RecoveryOutcome(NamedTuple):
    """The outcome of the recovery of a job.

    Attributes:
        job: The job.
        status: The outcome.
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

    @property
    def is_busy(self) -> bool:
        """Whether another process works on it."""
        return self.status is RecoveryStatus.BUSY


class Orphan(NamedTuple):
    """A job that no run refers to.

    Attributes:
        job: The job.
        path: Its directory in the workspace, or a link to one.
        is_link: Whether it is a link, as that of a moved job.
        folder: The folder from which it can be recovered; None for an orphan.
        size: Bytes that it takes on the disk of the workspace; None when it was not measured.
    """

    job: JobId
    path: Path
    is_link: bool = False
    folder: Folder | None = None
    size: int | None = None


class OrphanReport(NamedTuple):
    """The jobs that no run refers to, in order.

    Attributes:
        orphans: Those that are in the workspace only, or all when folders do not count.
        recoverable: Those that a backup or move folder has too.
        unread: What could not be read of the runs, so that more jobs may be referred to.
        unlisted: The directories of jobs that could not be listed, so that there may be more orphans.
        unavailable: The folders that could not be looked into, so that more jobs may be recoverable; with the reason.
    """

    orphans: tuple[Orphan, ...] = ()
    recoverable: tuple[Orphan, ...] = ()
    unread: tuple[UnreadFile, ...] = ()
    unlisted: tuple[UnreadFile, ...] = ()
    unavailable: tuple[str, ...] = ()


class CleanAction(Enum):
    """The action planned for an orphan."""

    REMOVE = "remove"
    """Its directory is deleted."""

    UNLINK = "unlink"
    """The link of a moved job is removed; the folder keeps the job."""

    SWEEP = "sweep"
    """What an interrupted command left beside the job is removed, or put back if the job is needed."""

    KEEP = "keep"
    """Nothing is done; the step has a reason."""


class CleanStep(NamedTuple):
    """The step planned for an orphan.

    Attributes:
        orphan: The orphan.
        action: The action.
        reason: Why it is kept, in a line; empty otherwise.
        is_unknown: Whether it is kept since it cannot be read.
    """

    orphan: Orphan
    action: CleanAction
    reason: str = ""
    is_unknown: bool = False


class CleanStatus(Enum):
    """The outcome for an orphan."""

    REMOVED = "removed"
    UNLINKED = "unlinked"
    KEPT = "kept"
    """Nothing was changed: it is used, or no orphan any more."""

    FAILED = "failed"
    """It could not be removed; the message names what is left, and where."""


class CleanOutcome(NamedTuple):
    """The outcome for an orphan.

    Attributes:
        job: The job.
        status: The outcome.
        message: What a person should know, in a line; empty when all is well.
    """

    job: JobId
    status: CleanStatus
    message: str = ""


KILL = "kill"
CLEAN = "clean"


class ActionPlan(NamedTuple):
    """The action planned for a job.

    Attributes:
        job: The job.
        action: ``kill`` or ``clean``.
        what: What would be done, in words; empty when it is refused.
        refusal: Why it is refused; empty when it is not.
        pid: The process, or the SLURM job, that would be ended.
        kind: The launcher's kind: ``local`` or ``slurm``.
        is_over: Whether it is refused because the wanted state is reached already.
        is_forced: Whether it is done, too, where it cannot be known whether the job has ended.
    """

    job: JobId
    action: str
    what: str = ""
    refusal: str = ""
    pid: int | str | None = None
    kind: str = ""
    is_over: bool = False
    is_forced: bool = False

    def outcome(self, success: bool, message: str) -> ActionOutcome:
        """Return an outcome of this plan."""
        return ActionOutcome(self.job, self.action, success, message)


class ActionOutcome(NamedTuple):
    """The outcome of an action.

    Attributes:
        job: The job.
        action: ``kill`` or ``clean``.
        success: Whether the wanted state is reached.
        message: What was done, or why not.
    """

    job: JobId
    action: str
    success: bool
    message: str


def to_wire(value: Any) -> Any:  # noqa: ANN401  (any of the values here, and what they hold)
    """Return a value as plain JSON types."""
    if isinstance(value, JobId):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        if hasattr(value, "_fields"):
            return {name: to_wire(each) for name, each in zip(value._fields, value)}
        return [to_wire(each) for each in value]
    return value


def from_wire(kind: type[_Value], wire: dict[str, Any]) -> _Value:
    """Return the value of a kind from its ``to_wire`` form.

    Raises:
        BadIdFailure: The id of a job is not one.
        KeyError, TypeError, ValueError: It is not such a form.
    """
    readers = _READERS[kind]
    names: tuple[str, ...] = kind._fields  # type: ignore[attr-defined]
    return kind(*(readers[name](wire[name]) if name in readers else wire[name] for name in names))


def _one(kind: type[Any]) -> _Reader:
    return partial(from_wire, kind)


def _optional(kind: type[Any]) -> _Reader:
    return lambda wire: from_wire(kind, wire) if wire else None


def _each(kind: type[Any]) -> _Reader:
    return lambda wires: tuple(from_wire(kind, wire) for wire in wires)


_READERS: dict[type[Any], dict[str, _Reader]] = {
    Folder: {"path": Path, "mode": FolderMode},
    UnreadFile: {},
    ArchiveStep: {"folder": _one(Folder)},
    ArchivePlan: {"job": parse_job_id, "verdict": ArchiveVerdict, "steps": _each(ArchiveStep)},
    FolderOutcome: {"folder": _one(Folder), "status": ArchiveStatus},
    ArchiveOutcome: {
        "job": parse_job_id,
        "verdict": ArchiveVerdict,
        "folders": _each(FolderOutcome),
    },
    RecoveryPlan: {
        "job": parse_job_id,
        "status": RecoveryStatus,
        "source": _optional(Folder),
        "unavailable": tuple,
    },
    RecoveryOutcome: {
        "job": parse_job_id,
        "status": RecoveryStatus,
        "path": Path,
        "source": _optional(Folder),
        "unavailable": tuple,
    },
    Orphan: {"job": parse_job_id, "path": Path, "folder": _optional(Folder)},
    OrphanReport: {
        "orphans": _each(Orphan),
        "recoverable": _each(Orphan),
        "unread": _each(UnreadFile),
        "unlisted": _each(UnreadFile),
        "unavailable": tuple,
    },
    CleanStep: {"orphan": _one(Orphan), "action": CleanAction},
    CleanOutcome: {"job": parse_job_id, "status": CleanStatus},
    ActionPlan: {"job": parse_job_id},
    ActionOutcome: {"job": parse_job_id},
}
"""The readers of the fields that are not plain JSON types, by kind of value and field."""
