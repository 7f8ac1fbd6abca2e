"""Restoring a batch of jobs: each is decided on, copied, checked, made durable, and named."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Callable, NamedTuple, Sequence

from xpm_remote.workspace import filesystem
from xpm_remote.workspace.failures import BusyFailure, WorkspaceFailure, explain, explain_any
from xpm_remote.workspace.folders.batches import Turns
from xpm_remote.workspace.folders.comparing import compare_jobs
from xpm_remote.workspace.folders.durability import Durability
from xpm_remote.workspace.folders.finding import (
    Copy,
    FoundCopies,
    Presence,
    UsableFolders,
    find_copies,
    presence,
    usable_folders,
)
from xpm_remote.workspace.folders.staging import JobSlot
from xpm_remote.workspace.folders.transfers import Heartbeat, Sides, Transfer
from xpm_remote.workspace.layout import Folder, JobId, Layout
from xpm_remote.workspace.locks import lock_is_held
from xpm_remote.workspace.outcomes import CopyProgress, RecoveryOutcome, RecoveryStatus


class BatchRestorer:
    """Restores jobs in a workspace.

    Args:
        workspace: The workspace.
        folders: Its folders.
        incomplete: Whether to restore a copy without success marker.
        progress: Called at each step.
        abandon: Called at each step; if true, the copying is given up.
        turns: Shared by all batches that are at work at the same time.
    """

    def __init__(
        self,
        workspace: Layout,
        folders: Sequence[Folder],
        *,
        incomplete: bool,
        progress: CopyProgress,
        abandon: Callable[[], bool],
        turns: Turns,
    ) -> None:
        self._workspace = workspace
        self._folders = usable_folders(workspace, folders)
        self._incomplete = incomplete
        self._progress = progress
        self._heartbeat = Heartbeat(abandon)
        self._turns = turns
        self._works: list[_Work] = []
        self._done: dict[JobId, RecoveryOutcome] = {}

    def run(self, jobs: Sequence[JobId]) -> dict[JobId, RecoveryOutcome]:
        """Restore the jobs. A failure affects one job, and is an outcome."""
        try:
            with Durability(self._workspace.root) as durable:
                self._run(jobs, durable)
        except OSError as error:
            failure = Decision(RecoveryStatus.FAILED, explain(error, self._workspace.root))
            for job in jobs:
                if job not in self._done:
                    self._decline(job, failure)
        return self._done

    def _run(self, jobs: Sequence[JobId], durable: Durability) -> None:
        try:
            self._turns.copy(
                jobs,
                lambda job: self._begin(job, durable),
                lambda: self._flush(durable),
                waits=durable.each,
            )
        finally:
            for work in self._works:  # none, unless something unexpected ended the batch
                work.transfer.slot.discard()

    def _begin(self, job: JobId, durable: Durability) -> int:
        """Copy a job beside its place, and return the bytes."""
        decision = self._decide(job)
        if decision.status is RecoveryStatus.RECOVERED:
            slot = JobSlot(self._workspace, job, shared=durable.each)
            try:
                slot.take()
            except (WorkspaceFailure, OSError) as error:
                sides = Sides(self._workspace.root)
                decision = Decision(*_classify(error, slot, sides), (), decision.unavailable)
            else:
                return self._begin_locked(slot, durable)
        self._decline(job, decision)
        return 0

    def _begin_locked(self, slot: JobSlot, durable: Durability) -> int:
        """Decide again, now that the job is locked; then copy it, and return the bytes."""
        try:
            self._heartbeat.add(slot.lock)
            decision = self._decide(slot.job, locked=True)
            work = None
            if decision.status is RecoveryStatus.RECOVERED:
                work = self._stage(slot, decision, sync=durable.is_each(slot.parent))
        except BaseException:
            slot.discard()
            raise
        if work is None:
            slot.discard()
            self._decline(slot.job, decision)
            return 0
        self._works.append(work)
        return work.transfer.report.size

    def _decide(self, job: JobId, *, locked: bool = False) -> Decision:
        return decide(
            self._workspace, self._folders, job, incomplete=self._incomplete, locked=locked
        )

    def _stage(self, slot: JobSlot, decision: Decision, *, sync: bool) -> _Work:
        """Copy from the first folder that can be read."""
        works = []
        for copy in decision.copies:
            transfer = Transfer(copy.path, slot, self._progress, self._heartbeat)
            sides = Sides(self._workspace.root, copy.folder.path)
            work = _Work(transfer, copy, decision, sides)
            try:
                slot.clear()
                transfer.stage(sync=sync)
            except Exception as error:  # noqa: BLE001  (whatever it is, it costs one job)
                work.fail(error)
            works.append(work)
            if work.status in (RecoveryStatus.RECOVERED, RecoveryStatus.BUSY):
                break
        return works[-1]

    def _flush(self, durable: Durability) -> None:
        """Make durable, name, make durable; then record the outcomes and release the locks."""
        works, self._works = self._works, []
        try:
            _settle(works, durable)
            for work in works:
                if work.status is RecoveryStatus.RECOVERED:
                    self._publish(work)
            _settle(works, durable, named=True)
        finally:
            self._heartbeat.clear()
            for work in works:
                slot, report = work.transfer.slot, work.transfer.report
                slot.discard()
                self._done[slot.job] = RecoveryOutcome(
                    slot.job,
                    work.status,
                    slot.final,
                    work.copy.folder,
                    work.message or report.left_out(f"the workspace {self._workspace.root}"),
                    report.size,
                    report.files,
                    work.decision.unavailable,
                )

    def _publish(self, work: _Work) -> None:
        """Give the job its name; a useless link, or a part of the job, is replaced."""
        slot = work.transfer.slot
        try:
            there = presence(slot.final, slot.job)
            work.transfer.make_sure_of_source()
            if there is Presence.MISSING:
                slot.publish()
            elif there in (Presence.NOWHERE, Presence.EMPTY, Presence.PART):
                slot.replace()
            elif there is Presence.WHOLE:
                work.status, work.message = RecoveryStatus.THERE, "another process has restored it"
            else:
                what = "another process has put something in its place"
                work.status, work.message = RecoveryStatus.BUSY, what
        except (WorkspaceFailure, OSError) as error:
            work.fail(error)

    def _decline(self, job: JobId, decision: Decision) -> None:
        """Record why a job is not restored."""
        self._done[job] = RecoveryOutcome(
            job,
            decision.status,
            self._workspace.job(job),
            message=decision.reason,
            unavailable=decision.unavailable,
        )


class _Work:
    """The restoring of one job.

    Attributes:
        transfer: The copying.
        copy: Its source.
        decision: The decision to restore it.
        status: The outcome so far.
        message: What the user should know about it.
    """

    def __init__(self, transfer: Transfer, copy: Copy, decision: Decision, sides: Sides) -> None:
        self.transfer = transfer
        self.copy = copy
        self.decision = decision
        self._sides = sides
        self.status = RecoveryStatus.RECOVERED
        self.message = ""

    def fail(self, error: Exception) -> None:
        """Record an error as the outcome."""
        self.status, self.message = _classify(error, self.transfer.slot, self._sides)


def _settle(works: Sequence[_Work], durable: Durability, *, named: bool = False) -> None:
    if not works:
        return
    names = [each for work in works for each in work.transfer.slot.directories()]
    try:
        durable.settle(names if named else ())
    except OSError as error:
        for work in works:
            if work.status is RecoveryStatus.RECOVERED:
                work.fail(error)


def _classify(error: Exception, slot: JobSlot, sides: Sides) -> tuple[RecoveryStatus, str]:
    if isinstance(error, BusyFailure):
        return RecoveryStatus.BUSY, str(error)
    if not isinstance(error, OSError):
        return RecoveryStatus.FAILED, explain_any(error)
    return RecoveryStatus.FAILED, sides.explain(error, slot.final)


class Decision(NamedTuple):
    """What to do about a job.

    Attributes:
        status: ``RECOVERED`` if there is something to do; otherwise why there is nothing.
        reason: What the user should know, in one line.
        copies: Its copies, best first; none if it is put back from where an interrupted move set it aside.
        unavailable: Why folders could not be read.
    """

    status: RecoveryStatus
    reason: str = ""
    copies: tuple[Copy, ...] = ()
    unavailable: tuple[str, ...] = ()


def decide(
    workspace: Layout, folders: UsableFolders, job: JobId, *, incomplete: bool, locked: bool = False
) -> Decision:
    """Return what to do to have a job in the workspace. Nothing is changed.

    Args:
        workspace: The workspace.
        folders: Its folders.
        job: The job.
        incomplete: Whether to restore a copy without success marker.
        locked: Whether the caller holds the staging lock.
    """
    try:
        return _decide(workspace, folders, job, incomplete=incomplete, locked=locked)
    except OSError as error:
        return Decision(RecoveryStatus.FAILED, _why_unread(error, workspace.job(job)))


def _why_unread(error: OSError, place: Path) -> str:
    reason = explain(error, place)
    with contextlib.suppress(OSError):
        if filesystem.is_link(place):
            return f"{reason}; its link is kept: remove it to have the job from another folder"
    return reason


def _decide(
    workspace: Layout, folders: UsableFolders, job: JobId, *, incomplete: bool, locked: bool
) -> Decision:
    here = presence(workspace.job(job), job)
    if here is Presence.WHOLE:
        return Decision(RecoveryStatus.THERE)
    if here is Presence.OTHER:
        what = "something that is not a directory is in its place"
        return Decision(RecoveryStatus.OBSTRUCTED, what)
    slot = JobSlot(workspace, job, shared=False)
    busy = _busy(workspace, slot, locked=locked)
    if busy:
        return Decision(RecoveryStatus.BUSY, busy)
    was_set_aside = filesystem.lstat_or_none(slot.aside / slot.done_name) is not None
    if here is not Presence.PART and was_set_aside:
        return Decision(RecoveryStatus.RECOVERED, "an interrupted move has set it aside")
    if here is Presence.MISSING and filesystem.lstat_or_none(slot.orphan / slot.done_name):
        return Decision(RecoveryStatus.RECOVERED, "an interrupted removal has set it aside")
    found = find_copies(folders, job)
    copies = tuple(copy for copy in found.copies if copy.is_whole or incomplete)
    if here is Presence.PART:
        return _decide_on_part(workspace, job, copies, found)
    return _decide_on_copies(here, copies, found)


def _busy(workspace: Layout, slot: JobSlot, *, locked: bool) -> str:
    """Return what uses the job; empty if nothing does."""
    if not locked and lock_is_held(slot.lock.path):
        return f"another process holds {slot.lock.path}"
    return "it runs" if lock_is_held(slot.final / f"{slot.job.script_name}.lock") else ""


def _decide_on_copies(here: Presence, copies: tuple[Copy, ...], found: FoundCopies) -> Decision:
    if copies:
        best = tuple(sorted(copies, key=lambda copy: not copy.is_whole))  # keeps their order
        return Decision(RecoveryStatus.RECOVERED, "", best, found.unavailable)
    if found.copies:
        path = found.copies[0].path
        reason = f"{path} has no success marker"
        return Decision(RecoveryStatus.INCOMPLETE, reason, (), found.unavailable)
    leftover = {
        Presence.NOWHERE: "its link leads nowhere, and no folder has it",
        Presence.EMPTY: "its directory is empty, and no folder has it",
    }
    reason = leftover.get(here, "no folder has it")
    return Decision(RecoveryStatus.NOT_FOUND, reason, (), found.unavailable)


def _decide_on_part(
    workspace: Layout, job: JobId, copies: tuple[Copy, ...], found: FoundCopies
) -> Decision:
    """Decide to replace a part of a job by a whole copy, but only if the copy has all of it."""
    whole = tuple(copy for copy in copies if copy.is_whole)
    path = workspace.job(job)
    if not whole or filesystem.is_link(path):
        reason = "it has no success marker"
        return Decision(RecoveryStatus.THERE, reason, (), found.unavailable)
    failure = ""
    for copy in whole:
        try:
            compared = compare_jobs(copy.path, path, job.script_name)
        except OSError as error:
            failure = failure or explain(error, path)
            continue
        if compared.is_part:
            return Decision(RecoveryStatus.RECOVERED, "", (copy,), found.unavailable)
        names = ", ".join(compared.different)
        reason = (
            f"{path} has no success marker, but files that differ from {copy.path}"
            f" or are not in it: {names}"
        )
        return Decision(RecoveryStatus.OBSTRUCTED, reason, (), found.unavailable)
    return Decision(RecoveryStatus.FAILED, failure, (), found.unavailable)
