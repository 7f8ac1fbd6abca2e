"""Removing orphans from a workspace: each is decided on when it is set aside, and nothing outside it is touched."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Iterable, Iterator, Sequence

from xpm_remote.workspace import filesystem, mounts
from xpm_remote.workspace.failures import (
    BusyFailure,
    DamagedFailure,
    FolderFailure,
    UnreadFile,
    WorkspaceFailure,
    explain,
)
from xpm_remote.workspace.folders.finding import archives
from xpm_remote.workspace.folders.removing import Imprint, JobRemoval, imprint
from xpm_remote.workspace.folders.staging import JobSlot, leftovers
from xpm_remote.workspace.layout import Folder, JobFiles, JobId, Layout, is_name
from xpm_remote.workspace.locks import may_be_held
from xpm_remote.workspace.orphans.activity import why_not_idle, why_running
from xpm_remote.workspace.orphans.listing import KnownLinks, find_orphans
from xpm_remote.workspace.orphans.references import (
    References,
    list_names,
    place_of,
    read_references,
)
from xpm_remote.workspace.outcomes import (
    CleanAction,
    CleanOutcome,
    CleanStatus,
    CleanStep,
    Orphan,
    OrphanReport,
)
from xpm_remote.workspace.processes import Host
from xpm_remote.workspace.reading.json_files import Problems
from xpm_remote.workspace.schedulers.questions import Schedulers, UnansweredFailure


class _StoppedError(Exception):
    """Nothing more may be removed, because of the failure that is the argument."""


class Cleaner:
    """Removes the orphans of a workspace.

    Args:
        layout: The workspace.
        folders: Its folders.
        with_folders: Whether to keep the jobs that a backup or move folder has.
        is_forced: Whether to continue while an experiment runs. A job that runs is kept in any case.
        host: The host on which this code runs.
    """

    def __init__(
        self,
        layout: Layout,
        folders: Iterable[Folder] = (),
        *,
        with_folders: bool = True,
        is_forced: bool = False,
        host: Host | None = None,
    ) -> None:
        self._layout = layout
        self._folders = tuple(folders)
        self._with_folders = with_folders
        self._is_forced = is_forced
        self._host = host or Host()
        self._schedulers = Schedulers(self._host)
        self._links = KnownLinks(layout)
        self._references: References | None = None

    def check(self, report: OrphanReport) -> None:
        """Check that all that may refer to jobs could be read, and can be now, and that no experiment runs.

        Raises:
            DamagedFailure: Not everything that may refer to jobs could be read.
            FolderFailure: A folder could not be read.
            BusyFailure: An experiment runs.
        """
        if report.unread:
            raise _unknown(report.unread[0])
        if report.unavailable:
            raise FolderFailure(report.unavailable[0], "clean when it can be read again")
        self._look()

    def plan(self, report: OrphanReport) -> tuple[CleanStep, ...]:
        """Return what to do with each orphan, and with what interrupted commands have left.

        Raises:
            WorkspaceFailure: As ``check``.
        """
        self.check(report)
        steps = [self._step(orphan) for orphan in report.orphans]
        return (*steps, *self._sweeps({orphan.job for orphan in report.orphans}))

    def apply(self, steps: Sequence[CleanStep]) -> Iterator[CleanOutcome]:
        """Clean job by job, and yield the outcomes. A job that is no longer an orphan is kept.

        Raises:
            WorkspaceFailure: As ``check``, also when an experiment starts meanwhile.
        """
        report = find_orphans(self._layout, self._folders, with_folders=self._with_folders)
        self.check(report)
        orphans = {orphan.job: orphan for orphan in report.orphans}
        for step in steps:
            job = step.orphan.job
            if step.action is CleanAction.KEEP:
                yield _kept(step)
            elif step.action is CleanAction.SWEEP:
                self._look()
                yield self._sweep(job)
            elif job not in orphans:
                yield CleanOutcome(job, CleanStatus.KEPT, "it is no orphan any more")
            else:
                self._look()
                yield self._clean(orphans[job])

    def _look(self) -> References:
        """Return what is referred to at this moment.

        Raises:
            WorkspaceFailure: As ``check``.
        """
        if self._references is None or not self._references.is_current():
            self._references = read_references(self._layout)
        _raise_unknown(self._references)
        why = "" if self._is_forced else why_not_idle(self._layout, self._references, self._host)
        if why:
            raise BusyFailure(f"{why}, and may need any job", "wait for its end, or give --force")
        return self._references

    def _step(self, orphan: Orphan) -> CleanStep:
        try:
            above = (self._layout.jobs, self._layout.jobs / orphan.job.task)
            link = next((path for path in above if filesystem.is_link(path)), None)
            if link is not None:
                return CleanStep(orphan, CleanAction.KEEP, f"it lies behind the link {link}")
            if orphan.is_link:
                why, action = self._why_not_unlink(orphan, orphan.path), CleanAction.UNLINK
            else:
                files = JobFiles(orphan.path, orphan.job.script_name)
                why = why_running(files, self._host, self._schedulers, is_forced=self._is_forced)
                action = CleanAction.REMOVE
        except (UnansweredFailure, OSError) as error:
            known = explain(error, orphan.path) if isinstance(error, OSError) else str(error)
            why = f"it may run: {known}"
            return CleanStep(orphan, CleanAction.KEEP, why, is_unknown=True)
        return CleanStep(orphan, CleanAction.KEEP if why else action, why)

    def _why_not_unlink(self, orphan: Orphan, path: Path) -> str:
        """Return why a link is kept; empty if a folder has the whole job that it leads to."""
        target = os.path.realpath(path)
        for folder in archives(self._folders):
            files = folder.layout.job_files(orphan.job)
            if os.path.realpath(files.directory) == target and filesystem.stat_or_none(files.done):
                return ""
        return f"it is a link to {target}, which no folder of the workspace has"

    def _clean(self, orphan: Orphan) -> CleanOutcome:
        """Remove an orphan, or keep it.

        Raises:
            WorkspaceFailure: As ``check``; the job is where it was.
        """
        step = self._step(orphan)
        if step.action is CleanAction.KEEP:
            return _kept(step)
        try:
            why = self._remove(orphan._replace(path=self._layout.job(orphan.job)))
        except _StoppedError as stopped:
            raise stopped.args[0] from None
        except DamagedFailure as failure:
            return CleanOutcome(orphan.job, CleanStatus.FAILED, str(failure))
        except WorkspaceFailure as failure:
            return CleanOutcome(orphan.job, CleanStatus.KEPT, str(failure))
        except OSError as error:
            return CleanOutcome(orphan.job, CleanStatus.FAILED, explain(error, orphan.path))
        if why:
            return CleanOutcome(orphan.job, CleanStatus.KEPT, why)
        is_link = step.action is CleanAction.UNLINK
        return CleanOutcome(orphan.job, CleanStatus.UNLINKED if is_link else CleanStatus.REMOVED)

    def _remove(self, orphan: Orphan) -> str:
        """Set an orphan aside, and remove it unless it is needed now; return why it is kept, or an empty text."""
        with JobRemoval(self._layout, orphan.job) as removal:
            # What an interrupted command had set aside has its name again.
            seen = imprint(self._layout.job_files(orphan.job))
            step = self._step(orphan)
            if step.action is CleanAction.KEEP:
                return step.reason
            removal.set_aside(is_link=orphan.is_link)
            why = self._why_needed(orphan, removal.files, seen)
            if why:
                removal.put_back()
            else:
                removal.remove()
        return why

    def _why_needed(self, orphan: Orphan, files: JobFiles, seen: Imprint) -> str:
        """Return why an orphan that is set aside is put back; empty if it is not.

        Raises:
            _StoppedError: Nothing may be removed.
            OSError: The orphan cannot be read.
        """
        try:
            references = self._look()
            known = references.places | self._links.places(references)
            own = set(place_of(str(files.directory), references.problems))
            own.add(os.path.realpath(orphan.path.parent) + f"/{orphan.job.hash}")
            _raise_unknown(references)
        except WorkspaceFailure as failure:
            raise _StoppedError(failure) from None
        if orphan.job.hash in references.by_task.get(orphan.job.task, ()):
            return "a run refers to it now"
        if own & known:
            return "a job that a run refers to is a link to it now"
        if imprint(files) != seen:
            return "it has changed, or was started"
        if orphan.is_link:
            return self._why_not_unlink(orphan, files.directory)
        return ""

    def _sweeps(self, orphans: set[JobId]) -> Iterator[CleanStep]:
        """Yield a step for each other job beside which an interrupted command has left something."""
        jobs = self._layout.jobs
        for task in sorted(filter(is_name, list_names(str(jobs), Problems()))):
            found: dict[JobId, list[Path]] = {}
            with contextlib.suppress(OSError):
                if not any(map(filesystem.is_link, (jobs, jobs / task))):
                    found = leftovers(self._layout, task)
            for job, left in found.items():
                lock = JobSlot(self._layout, job, shared=False).lock.path
                if job not in orphans and not may_be_held(lock):
                    yield CleanStep(Orphan(job, left[0]), CleanAction.SWEEP)

    def _sweep(self, job: JobId) -> CleanOutcome:
        shared = not mounts.belongs_to_one_host(self._layout.jobs)
        slot = JobSlot(self._layout, job, shared=shared, strict=True)
        try:
            was_aside = filesystem.lstat_or_none(slot.orphan) is not None
            slot.take()
            slot.discard()
            if filesystem.lstat_or_none(slot.orphan) is not None:
                message = f"{slot.orphan} was to be removed, and {slot.final} has appeared since"
                return CleanOutcome(
                    job, CleanStatus.KEPT, f"{message}; look at both, and remove one"
                )
        except DamagedFailure as failure:
            return CleanOutcome(job, CleanStatus.FAILED, str(failure))
        except WorkspaceFailure as failure:
            return CleanOutcome(job, CleanStatus.KEPT, str(failure))
        except OSError as error:
            return CleanOutcome(job, CleanStatus.FAILED, explain(error, slot.parent))
        if was_aside:
            return CleanOutcome(
                job, CleanStatus.KEPT, "put back: an interrupted command had set it aside"
            )
        return CleanOutcome(job, CleanStatus.REMOVED, "what an interrupted command left")


def _kept(step: CleanStep) -> CleanOutcome:
    status = CleanStatus.FAILED if step.is_unknown else CleanStatus.KEPT
    return CleanOutcome(step.orphan.job, status, step.reason)


def _raise_unknown(references: References) -> None:
    for problem in references.problems:
        raise _unknown(problem)


def _unknown(problem: UnreadFile) -> DamagedFailure:
    return DamagedFailure(
        f"{problem.path} {problem.why}, so it is not known which jobs it refers to",
        "repair it or put it away, and clean then",
    )
