"""Archiving a batch of jobs in one folder: copied, checked, made durable, named; then removed from the workspace.

Each step is done for the whole batch before the next begins, so that making data durable takes a few calls a batch.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import Callable, Sequence

from xpm_remote.workspace import filesystem
from xpm_remote.workspace.failures import (
    BusyFailure,
    FolderFailure,
    WorkspaceFailure,
    explain,
    explain_any,
)
from xpm_remote.workspace.folders.batches import Turns
from xpm_remote.workspace.folders.comparing import compare_jobs
from xpm_remote.workspace.folders.durability import Durability
from xpm_remote.workspace.folders.finding import check_folder
from xpm_remote.workspace.folders.moving import READ_ONLY, MoveOut
from xpm_remote.workspace.folders.staging import JobSlot
from xpm_remote.workspace.folders.transfers import NEEDS_ANOTHER_FOLDER, Heartbeat, Sides, Transfer
from xpm_remote.workspace.layout import Folder, FolderMode, JobId, Layout
from xpm_remote.workspace.outcomes import ARCHIVED, ArchiveStatus, CopyProgress, FolderOutcome

_STAGED = frozenset({ArchiveStatus.COPIED, ArchiveStatus.COMPLETED})
_WHOLE = _STAGED | {ArchiveStatus.PRESENT}


class BatchArchiver:
    """Archives jobs in one folder.

    Args:
        workspace: Where the jobs are.
        folder: The folder.
        progress: Called at each step.
        abandon: Called at each step; if true, the copying is given up.
        turns: Shared by all batches that are at work at the same time.
    """

    def __init__(
        self,
        workspace: Layout,
        folder: Folder,
        progress: CopyProgress,
        abandon: Callable[[], bool],
        turns: Turns,
    ) -> None:
        self._workspace = workspace
        self._folder = folder
        self._layout = folder.layout
        self._sides = Sides(workspace.root, folder.path)
        self._progress = progress
        self._heartbeat = Heartbeat(abandon)
        self._turns = turns
        self._works: list[_Work] = []
        self._done: dict[JobId, FolderOutcome] = {}

    def run(self, jobs: Sequence[JobId]) -> dict[JobId, FolderOutcome]:
        """Archive the jobs. A failure affects one job, or this folder, and is an outcome."""
        try:
            check_folder(self._folder, self._workspace)
            with Durability(self._folder.path) as folder, Durability(
                self._workspace.jobs
            ) as workspace:
                self._run(jobs, folder, workspace)
        except (FolderFailure, OSError) as error:
            status, message = _classify(error, self._folder.path, self._sides)
            for job in jobs:
                if job not in self._done:
                    self._done[job] = FolderOutcome(self._folder, status, message)
        return self._done

    def _run(self, jobs: Sequence[JobId], folder: Durability, workspace: Durability) -> None:
        try:
            self._turns.copy(
                jobs,
                lambda job: self._begin(job, folder, workspace),
                lambda: self._flush(folder, workspace),
                waits=folder.each,
            )
        finally:
            for work in self._works:  # none, unless something unexpected ended the batch
                work.release()

    def _begin(self, job: JobId, folder: Durability, workspace: Durability) -> int:
        """Copy a job beside its place, and return the bytes."""
        try:
            work = self._prepare(job, folder, workspace)
        except Exception as error:  # noqa: BLE001  (whatever it is, it costs one job)
            status, message = _classify(error, self._workspace.job(job), self._sides)
            self._done[job] = FolderOutcome(self._folder, status, message)
            return 0
        if work is None:
            self._done[job] = FolderOutcome(self._folder, ArchiveStatus.PRESENT)
            return 0
        self._works.append(work)
        return work.transfer.report.size

    def _prepare(self, job: JobId, folder: Durability, workspace: Durability) -> _Work | None:
        """Lock the job and copy it; return None if it lives in this folder."""
        here = self._workspace.job(job)
        source = Path(os.path.realpath(here))
        slot = JobSlot(self._layout, job, shared=folder.each)
        if _are_one(source, slot.final):
            return None
        slot.take()
        work = _Work(Transfer(source, slot, self._progress, self._heartbeat), self._sides)
        try:
            self._heartbeat.add(slot.lock)
            if self._folder.mode is FolderMode.MOVE and not filesystem.is_link(here):
                self._lock_here(work, job, workspace)
            self._stage(work, sync=folder.is_each(slot.parent))
        except BaseException:
            work.release()
            raise
        return work

    def _lock_here(self, work: _Work, job: JobId, workspace: Durability) -> None:
        try:
            work.move_out = MoveOut(self._workspace, job, shared=workspace.each)
        except OSError as error:
            if error.errno not in READ_ONLY:
                raise
            work.message = f"the workspace keeps its directory: {explain(error, work.slot.final)}"
        else:
            self._heartbeat.add(work.move_out.slot.lock)

    def _stage(self, work: _Work, *, sync: bool) -> None:
        final, transfer = work.slot.final, work.transfer
        if not _is_something(final):
            transfer.stage(sync=sync)
            return
        if filesystem.is_link(final) or not filesystem.is_directory(final):
            work.status, work.message = ArchiveStatus.DIFFERS, f"{final} is not a directory"
            return
        found = compare_jobs(
            transfer.source,
            final,
            work.slot.job.script_name,
            sync=sync,
            directory=work.slot.directory,
        )
        if found.is_same:
            work.status = ArchiveStatus.PRESENT
        elif found.is_part:
            transfer.stage(sync=sync)
            if found.own_extra:
                transfer.carry_over(sync=sync)
            work.status, work.replaces = ArchiveStatus.COMPLETED, True
        else:
            names = ", ".join(found.different)
            work.status, work.message = ArchiveStatus.DIFFERS, f"{final} differs in {names}"

    def _flush(self, folder: Durability, workspace: Durability) -> None:
        """Make durable, name, make durable, move; then record the outcomes and release the locks."""
        works, self._works = self._works, []
        try:
            self._settle(works, folder, ())
            for work in works:
                if work.status in _STAGED:
                    _publish(work)
            self._settle(
                works, folder, [each for work in works for each in work.slot.directories()]
            )
            self._move([work for work in works if work.status in _WHOLE], workspace)
        finally:
            self._heartbeat.clear()
            for work in works:
                work.release()
                self._done[work.slot.job] = self._outcome(work)

    def _settle(self, works: Sequence[_Work], where: Durability, names: Sequence[Path]) -> None:
        if not works:
            return
        try:
            where.settle(names)
        except OSError as error:
            for work in works:
                if work.status in _WHOLE:
                    work.fail(error)

    def _move(self, works: Sequence[_Work], workspace: Durability) -> None:
        """Let links take the place of the directories, and remove these when the links are durable."""
        moved = [
            (work, work.move_out) for work in works if work.move_out and _swap(work, work.move_out)
        ]
        if not moved:
            return
        try:
            workspace.settle(move_out.slot.parent for _, move_out in moved)
        except OSError as error:
            for work, move_out in moved:
                work.fail(error, move_out.slot.final)
                with contextlib.suppress(OSError):  # if it stays aside, the next run finds it
                    move_out.slot.put_back()
            return
        for work, move_out in moved:
            try:
                move_out.check(work.slot)
            except (WorkspaceFailure, OSError) as error:
                work.fail(error, move_out.slot.final)
                continue
            try:
                move_out.slot.remove_aside()
            except OSError as error:
                left = explain(error, move_out.slot.aside)
                work.message = f"moved, but not all that was here is removed yet: {left}"

    def _outcome(self, work: _Work) -> FolderOutcome:
        report = work.transfer.report
        if work.status is ArchiveStatus.COPIED and work.message:
            work.status = ArchiveStatus.KEPT
        notes = (
            report.left_out(f"the folder {self._folder.path}") if work.status in ARCHIVED else ""
        )
        message = "; ".join(filter(None, (work.message, notes)))
        return FolderOutcome(self._folder, work.status, message, report.size, report.files)


class _Work:
    """The archiving of one job.

    Attributes:
        transfer: The copying.
        move_out: The workspace's directory, if it is to become a link.
        status: The outcome so far.
        message: What the user should know about it.
        replaces: Whether a part of the job is in the copy's place.
    """

    def __init__(self, transfer: Transfer, sides: Sides) -> None:
        self.transfer = transfer
        self._sides = sides
        self.move_out: MoveOut | None = None
        self.status = ArchiveStatus.COPIED
        self.message = ""
        self.replaces = False

    @property
    def slot(self) -> JobSlot:
        """The job's place in the folder."""
        return self.transfer.slot

    def fail(self, error: OSError | WorkspaceFailure, where: Path | None = None) -> None:
        """Record an error as the outcome; ``where`` it happened if it names no path, by default in the folder."""
        self.status, self.message = _classify(error, where or self.slot.final, self._sides)

    def release(self) -> None:
        """Remove what is left of the copying, and release the locks."""
        self.slot.discard()
        if self.move_out is not None:
            self.move_out.slot.discard()


def _publish(work: _Work) -> None:
    try:
        work.transfer.make_sure_of_source()
        if work.replaces:
            work.slot.replace()
        else:
            work.slot.publish()
    except (WorkspaceFailure, OSError) as error:
        work.fail(error)


def _swap(work: _Work, move_out: MoveOut) -> bool:
    """Let a link take the place of the directory; return whether it did."""
    try:
        obstacle = move_out.swap(work.slot.final)
    except (WorkspaceFailure, OSError) as error:
        work.fail(error)
        return False
    if obstacle:
        work.status = ArchiveStatus.KEPT
        work.message = f"the workspace keeps its directory: {obstacle}"
        return False
    work.status = ArchiveStatus.MOVED
    return True


def _classify(error: Exception, where: Path, sides: Sides) -> tuple[ArchiveStatus, str]:
    if isinstance(error, BusyFailure):
        return ArchiveStatus.BUSY, str(error)
    if isinstance(error, FolderFailure):
        return ArchiveStatus.UNAVAILABLE, str(error)
    if not isinstance(error, OSError):
        return ArchiveStatus.FAILED, explain_any(error)
    is_gone = error.errno in NEEDS_ANOTHER_FOLDER and sides.blames_folder(error, where)
    status = ArchiveStatus.UNAVAILABLE if is_gone else ArchiveStatus.FAILED
    return status, sides.explain(error, where)


def _is_something(path: Path) -> bool:
    """Return whether there is anything but an empty directory."""
    status = filesystem.lstat_or_none(path)
    if status is None or not stat.S_ISDIR(status.st_mode):
        return status is not None
    with filesystem.scan(path) as entries:
        return any(True for _ in entries)


def _are_one(first: Path, second: Path) -> bool:
    named = filesystem.lstat_or_none(second)
    return named is not None and os.path.samestat(filesystem.stat(first), named)
