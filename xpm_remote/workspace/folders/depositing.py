"""A batch of jobs brought into one folder: copied, checked, made durable, named; only then taken from the workspace.

Each step is done for the whole batch before the next begins, so that making things durable costs a few calls a batch.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Callable, Sequence

from xpm_remote.workspace import filesystem
from xpm_remote.workspace.failures import BusyFailure, FolderFailure, WorkspaceFailure, explain
from xpm_remote.workspace.folders.batches import Turns
from xpm_remote.workspace.folders.comparing import compare_jobs
from xpm_remote.workspace.folders.durability import Durability
from xpm_remote.workspace.folders.finding import check_folder
from xpm_remote.workspace.folders.staging import READ_ONLY, JobSlot, MoveOut
from xpm_remote.workspace.folders.transfers import NEEDS_ANOTHER_FOLDER, Heartbeat, Transfer
from xpm_remote.workspace.layout import Folder, FolderMode, JobId, Layout
from xpm_remote.workspace.outcomes import ArchiveStatus, CopyProgress, FolderOutcome

_STAGED = frozenset({ArchiveStatus.COPIED, ArchiveStatus.COMPLETED})
_WHOLE = _STAGED | {ArchiveStatus.PRESENT}


class _Work:
    """One job on its way.

    Attributes:
        transfer: Its copy.
        moving: The workspace's directory, if it is to become a link.
        status: What came of it so far; ``message``: what a person should know.
        replaces: Whether a part of the job is in the copy's place.
    """

    def __init__(self, transfer: Transfer) -> None:
        self.transfer = transfer
        self.moving: MoveOut | None = None
        self.status = ArchiveStatus.COPIED
        self.message = ""
        self.replaces = False

    @property
    def place(self) -> JobSlot:
        """Where it goes."""
        return self.transfer.place

    def fail(self, error: OSError | WorkspaceFailure) -> None:
        """Note that it did not work."""
        self.status, self.message = _classify(error, self.place.final)

    def release(self) -> None:
        """Remove what is left of the copying, and let others at the job."""
        self.place.discard()
        if self.moving is not None:
            self.moving.release()


class BatchArchiver:
    """Brings jobs into one folder.

    Args:
        workspace: Where the jobs are.
        folder: Where they go.
        progress: Told of each step.
        abandon: Asked at each step whether to give up at once.
        turns: Shared by all that work at the same time.
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
        self._progress = progress
        self._heartbeat = Heartbeat(abandon)
        self._turns = turns
        self._works: list[_Work] = []
        self._done: dict[JobId, FolderOutcome] = {}

    def run(self, jobs: Sequence[JobId]) -> dict[JobId, FolderOutcome]:
        """Bring the jobs there; a failure costs one job, or this folder, and is an outcome."""
        try:
            check_folder(self._folder, self._workspace)
            with Durability(self._folder.path) as folder, Durability(
                self._workspace.jobs
            ) as workspace:
                self._run(jobs, folder, workspace)
        except (FolderFailure, OSError) as error:
            status, message = _classify(error, self._folder.path)
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
        """Copy a job beside its place; give the bytes."""
        try:
            work = self._prepare(job, folder, workspace)
        except (WorkspaceFailure, OSError) as error:
            status, message = _classify(error, self._workspace.job(job))
            self._done[job] = FolderOutcome(self._folder, status, message)
            return 0
        if work is None:
            self._done[job] = FolderOutcome(self._folder, ArchiveStatus.PRESENT)
            return 0
        self._works.append(work)
        return work.transfer.report.size

    def _prepare(self, job: JobId, folder: Durability, workspace: Durability) -> _Work | None:
        """Lock, look, copy; None when the job lives in this folder."""
        here = self._workspace.job(job)
        source = Path(os.path.realpath(here))
        place = JobSlot(self._layout, job, shared=folder.each)
        if _are_one(source, place.final):
            return None
        place.take()
        work = _Work(Transfer(source, place, self._progress, self._heartbeat))
        try:
            self._heartbeat.add(place.lock)
            if self._folder.mode is FolderMode.MOVE and not here.is_symlink():
                self._lock_here(work, job, workspace)
            self._stage(work, sync=folder.is_each(place.parent))
        except BaseException:
            work.release()
            raise
        return work

    def _lock_here(self, work: _Work, job: JobId, workspace: Durability) -> None:
        try:
            work.moving = MoveOut(self._workspace, job, shared=workspace.each)
        except OSError as error:
            if error.errno not in READ_ONLY:
                raise
            work.message = f"the workspace keeps its directory: {explain(error, work.place.final)}"
        else:
            self._heartbeat.add(work.moving.place.lock)

    def _stage(self, work: _Work, *, sync: bool) -> None:
        final, transfer = work.place.final, work.transfer
        if not _is_something(final):
            transfer.stage(sync=sync)
            return
        if final.is_symlink() or not final.is_dir():
            work.status, work.message = ArchiveStatus.DIFFERS, f"{final} is not a directory"
            return
        found = compare_jobs(transfer.source, final, work.place.job.script_name, sync=sync)
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
        """Make durable, name, make durable, move; then say what came of each, and let go of it."""
        works, self._works = self._works, []
        try:
            self._settle(works, folder, ())
            for work in works:
                if work.status in _STAGED:
                    _publish(work)
            self._settle(
                works, folder, [each for work in works for each in work.place.directories()]
            )
            self._move([work for work in works if work.status in _WHOLE and work.moving], workspace)
        finally:
            self._heartbeat.clear()
            for work in works:
                work.release()
                self._done[work.place.job] = self._outcome(work)

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
        for work in works:
            self._swap(work)
        moved = [work for work in works if work.status is ArchiveStatus.MOVED]
        if not moved:
            return
        try:
            workspace.settle(work.place.parent for work in moved if work.moving)
        except OSError as error:
            for work in moved:
                _take_back(work, error)
            return
        for work in moved:
            _finish(work)

    def _swap(self, work: _Work) -> None:
        if work.moving is None:
            return
        try:
            obstacle = work.moving.swap(work.place.final)
        except (WorkspaceFailure, OSError) as error:
            work.fail(error)
            return
        if obstacle:
            work.status = ArchiveStatus.KEPT
            work.message = f"the workspace keeps its directory: {obstacle}"
        else:
            work.status = ArchiveStatus.MOVED

    def _outcome(self, work: _Work) -> FolderOutcome:
        report = work.transfer.report
        message = work.message
        if work.status is ArchiveStatus.COPIED and message:
            work.status = ArchiveStatus.KEPT
        if report.special_count and not message:
            more = ", …" if report.special_count > len(report.special) else ""
            message = f"not copied, for they are no files: {', '.join(report.special)}{more}"
        return FolderOutcome(self._folder, work.status, message, report.size, report.files)


def _publish(work: _Work) -> None:
    try:
        work.transfer.make_sure_of_source()
        if work.replaces:
            work.place.replace()
        else:
            work.place.publish()
    except (WorkspaceFailure, OSError) as error:
        work.fail(error)


def _take_back(work: _Work, error: OSError) -> None:
    """Put the directory back when the link could not be made durable."""
    work.fail(error)
    if work.moving is not None:
        with contextlib.suppress(OSError):  # then it is aside, where the next one finds it
            work.moving.place.put_back()


def _finish(work: _Work) -> None:
    if work.moving is None:
        return
    try:
        work.moving.finish()
    except OSError as error:
        work.message = f"moved, but not all that was here is removed: {explain(error, work.moving.place.aside)}"


def _classify(error: OSError | WorkspaceFailure, where: Path) -> tuple[ArchiveStatus, str]:
    if isinstance(error, BusyFailure):
        return ArchiveStatus.BUSY, str(error)
    if isinstance(error, FolderFailure):
        return ArchiveStatus.UNAVAILABLE, str(error)
    if isinstance(error, WorkspaceFailure):
        return ArchiveStatus.FAILED, str(error)
    gone = error.errno in NEEDS_ANOTHER_FOLDER
    return ArchiveStatus.UNAVAILABLE if gone else ArchiveStatus.FAILED, explain(error, where)


def _is_something(path: Path) -> bool:
    """Tell whether there is anything but an empty directory."""
    if path.is_symlink() or not path.is_dir():
        return os.path.lexists(path)
    with filesystem.scan(path) as entries:
        return any(True for _ in entries)


def _are_one(first: Path, second: Path) -> bool:
    try:
        return os.path.samestat(filesystem.stat(first), filesystem.lstat(second))
    except FileNotFoundError:
        return False
