"""Removing orphans from a workspace: they are checked again before, and nothing outside it is touched."""

from __future__ import annotations

import os
import time
from typing import Callable, Iterable, Iterator, Sequence

from xpm_remote.workspace import filesystem
from xpm_remote.workspace.failures import (
    BusyFailure,
    DamagedFailure,
    FolderFailure,
    WorkspaceFailure,
)
from xpm_remote.workspace.folders.finding import archives
from xpm_remote.workspace.folders.staging import discard_job
from xpm_remote.workspace.layout import Folder, JobFiles, Layout
from xpm_remote.workspace.locks import is_held
from xpm_remote.workspace.orphans.listing import find_orphans
from xpm_remote.workspace.outcomes import (
    CleanAction,
    CleanOutcome,
    CleanStatus,
    CleanStep,
    Orphan,
    OrphanReport,
)
from xpm_remote.workspace.processes import Host
from xpm_remote.workspace.reading.jobs import process_of
from xpm_remote.workspace.reading.json_files import SMALL_LIMIT, Problems, read_object, reason
from xpm_remote.workspace.schedulers.questions import Schedulers

LOOK_AGAIN = 1.0
"""Seconds between two checks whether an experiment runs: one that has just started has hardly a job."""


class Cleaner:
    """Removes the orphans of a workspace.

    Args:
        layout: The workspace.
        folders: Its folders.
        with_folders: Whether to keep the jobs that a backup or move folder has.
        is_forced: Whether to continue while an experiment runs. A job that runs is kept in any case.
        host: The host on which this code runs.
        clock: A monotonic clock, seconds.
    """

    def __init__(
        self,
        layout: Layout,
        folders: Iterable[Folder] = (),
        *,
        with_folders: bool = True,
        is_forced: bool = False,
        host: Host | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._layout = layout
        self._folders = tuple(folders)
        self._with_folders = with_folders
        self._is_forced = is_forced
        self._host = host or Host()
        self._schedulers = Schedulers()
        self._clock = clock
        self._looked = -LOOK_AGAIN

    def check(self, report: OrphanReport) -> None:
        """Check that all that may refer to jobs could be read, and that no experiment runs.

        Raises:
            DamagedFailure: Not everything that may refer to jobs could be read.
            FolderFailure: A folder could not be read.
            BusyFailure: An experiment runs.
        """
        if report.unread:
            path, why, _ = report.unread[0]
            raise DamagedFailure(
                f"{path} {why}, so it is not known which jobs it refers to",
                "repair it or put it away, and clean then",
            )
        if report.unavailable:
            raise FolderFailure(report.unavailable[0], "clean when it can be read again")
        self._check_idle()

    def plan(self, report: OrphanReport) -> tuple[CleanStep, ...]:
        """Return what to do with each orphan.

        Raises:
            WorkspaceFailure: As ``check``.
        """
        self.check(report)
        return tuple(self._step(orphan) for orphan in report.orphans)

    def apply(self, steps: Sequence[CleanStep]) -> Iterator[CleanOutcome]:
        """Clean job by job, and yield the outcomes. A job that is no longer an orphan is kept.

        Raises:
            WorkspaceFailure: As ``check``, also when an experiment starts meanwhile.
        """
        report = find_orphans(self._layout, self._folders, with_folders=self._with_folders)
        self.check(report)
        orphans = {orphan.job for orphan in report.orphans}
        for step in steps:
            job = step.orphan.job
            if step.action is CleanAction.KEEP:
                yield CleanOutcome(job, CleanStatus.KEPT, step.reason)
            elif job not in orphans:
                yield CleanOutcome(job, CleanStatus.KEPT, "it is no orphan any more")
            else:
                self._check_idle()
                yield self._clean(step.orphan)

    def _check_idle(self) -> None:
        if self._is_forced or self._clock() - self._looked < LOOK_AGAIN:
            return
        running = running_experiment(self._layout)
        if running is not None:
            raise BusyFailure(
                f"the experiment {running} runs, and may need any job",
                "wait for its end, or give --force",
            )
        self._looked = self._clock()

    def _step(self, orphan: Orphan) -> CleanStep:
        above = (self._layout.jobs, self._layout.jobs / orphan.job.task)
        link = next((path for path in above if path.is_symlink()), None)
        if link is not None:
            return CleanStep(orphan, CleanAction.KEEP, f"it lies behind the link {link}")
        if orphan.is_link:
            why = self._why_not_unlink(orphan)
            return CleanStep(orphan, CleanAction.KEEP if why else CleanAction.UNLINK, why)
        files = self._layout.job_files(orphan.job)
        why = why_running(files, self._host, self._schedulers, is_forced=self._is_forced)
        return CleanStep(orphan, CleanAction.KEEP if why else CleanAction.REMOVE, why)

    def _why_not_unlink(self, orphan: Orphan) -> str:
        """Return why a link is kept; empty if a folder has the whole job that it leads to."""
        target = os.path.realpath(orphan.path)
        for folder in archives(self._folders):
            files = folder.layout.job_files(orphan.job)
            if os.path.realpath(files.directory) == target and files.done.is_file():
                return ""
        return f"it is a link to {target}, which no folder of the workspace has"

    def _clean(self, orphan: Orphan) -> CleanOutcome:
        step = self._step(orphan)
        if step.action is CleanAction.KEEP:
            return CleanOutcome(orphan.job, CleanStatus.KEPT, step.reason)
        try:
            if step.action is CleanAction.UNLINK:
                filesystem.unlink(orphan.path)
                return CleanOutcome(orphan.job, CleanStatus.UNLINKED)
            discard_job(self._layout, orphan.job)
        except DamagedFailure as failure:
            return CleanOutcome(orphan.job, CleanStatus.FAILED, str(failure))
        except WorkspaceFailure as failure:
            return CleanOutcome(orphan.job, CleanStatus.KEPT, str(failure))
        except OSError as error:
            return CleanOutcome(orphan.job, CleanStatus.FAILED, f"{orphan.path}: {reason(error)}")
        return CleanOutcome(orphan.job, CleanStatus.REMOVED)


def running_experiment(layout: Layout) -> str | None:
    """Return the name of an experiment whose scheduler runs, or None."""
    try:
        names = sorted(os.listdir(layout.experiments))  # noqa: PTH208
    except OSError:
        return None
    return next((name for name in names if is_held(layout.scheduler_lock(name))), None)


def why_running(
    files: JobFiles, host: Host, schedulers: Schedulers, *, is_forced: bool = False
) -> str:
    """Return why a job may be running; empty if it is not.

    Args:
        files: The files of the job.
        host: The host on which this code runs.
        schedulers: What is asked whether they have it.
        is_forced: Whether a scheduler that does not answer is taken to have ended it.
    """
    if is_held(files.lock):
        return "it runs: its lock is held"
    try:
        if schedulers.check_ended(files, is_forced=is_forced):
            return ""
    except BusyFailure as failure:
        return f"it may run: {failure}"
    if files.done.exists() or files.failed.exists() or not os.path.lexists(files.pid):
        return ""
    process = process_of(read_object(str(files.pid), SMALL_LIMIT, Problems()), None)
    if process is None or process.kind != "local":
        return ""  # as by force
    try:
        modified = files.pid.stat().st_mtime
    except OSError:
        modified = None
    if host.has_died(process, modified, str(files.lock)):
        return ""
    where = f" on {process.host}" if process.host else ""
    return f"it may run: {process.kind} process {process.pid}{where}, as {files.pid.name} says"
