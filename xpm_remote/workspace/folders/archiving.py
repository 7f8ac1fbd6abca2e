"""Archiving jobs that succeeded into the folders of their workspace: the plan, the work, and opting out."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Callable, Iterable, Iterator, Sequence

from xpm_remote.workspace import filesystem
from xpm_remote.workspace.failures import NoJobFailure, explain
from xpm_remote.workspace.folders.batches import Turns, run_batches
from xpm_remote.workspace.folders.depositing import BatchArchiver
from xpm_remote.workspace.folders.durability import sync_directory
from xpm_remote.workspace.folders.finding import archives, why_unavailable
from xpm_remote.workspace.folders.staging import Sweeper
from xpm_remote.workspace.folders.trees import Opened, measure
from xpm_remote.workspace.layout import Folder, FolderMode, JobId, Layout
from xpm_remote.workspace.locks import lock_is_held
from xpm_remote.workspace.outcomes import (
    ArchiveOutcome,
    ArchivePlan,
    ArchiveStep,
    ArchiveVerdict,
    CopyProgress,
)

OPT_OUT_NAME = "no-backup"
"""The file in ``.experimaestro/`` of a job that is not to be archived."""


def no_progress(job: JobId, size: int, files: int) -> None:
    """Ignore progress."""


def never() -> bool:
    """Return False: nothing stops the work."""
    return False


def plan_archive(
    workspace: Layout, folders: Sequence[Folder], jobs: Iterable[JobId]
) -> Iterator[ArchivePlan]:
    """Yield what ``archive`` would do with each job. Only names and sizes are read, and nothing is written."""
    targets = archives(folders)
    reasons = {folder: why_unavailable(folder, workspace) for folder in targets}
    for job in jobs:
        verdict, reason = judge(workspace, targets, job)
        if verdict is not ArchiveVerdict.ARCHIVE:
            yield ArchivePlan(job, verdict, reason)
            continue
        size, files = measure(workspace.job(job))
        steps = tuple(_step(workspace, folder, job, reasons[folder]) for folder in targets)
        yield ArchivePlan(job, verdict, "", size, files, steps)


def archive(
    workspace: Layout,
    folders: Sequence[Folder],
    jobs: Iterable[JobId],
    *,
    progress: CopyProgress = no_progress,
    stop: Callable[[], bool] = never,
    abandon: Callable[[], bool] = never,
) -> Iterator[ArchiveOutcome]:
    """Copy or move each job to each folder of mode backup or move, in the folders' order.

    A failure affects one job, or one folder, and is an outcome. Whatever ends the process or the machine, each job
    stays whole in the workspace or in a folder, and the next run continues from there.

    Args:
        workspace: Where the jobs are.
        folders: All folders of the workspace.
        jobs: The jobs; they are taken as the work goes on.
        progress: Called at each step, in two threads.
        stop: Called before more jobs are taken; if true, those at work are finished and no more are taken.
        abandon: Called at each step of the copying; if true, those at work are given up, and nothing of them is left.
            Closing the iterator, or an exception in its consumer, does the same.

    Yields:
        One outcome a job, in the order of the jobs.
    """
    targets = archives(folders)
    turns = Turns()
    sweepers = [Sweeper(layout) for layout in (workspace, *(each.layout for each in targets))]

    def work(batch: Sequence[JobId], abandoned: Callable[[], bool]) -> list[ArchiveOutcome]:
        verdicts = {job: judge(workspace, targets, job) for job in batch}
        wanted = [job for job in batch if verdicts[job][0] is ArchiveVerdict.ARCHIVE]
        done = [
            BatchArchiver(workspace, folder, progress, abandoned, turns).run(wanted)
            for folder in targets
        ]
        by_job = {job: tuple(outcomes[job] for outcomes in done) for job in wanted}
        return [ArchiveOutcome(job, *verdicts[job], by_job.get(job, ())) for job in batch]

    def prepare(batch: Sequence[JobId]) -> None:
        for sweeper in sweepers:
            sweeper.sweep(job.task for job in batch)

    return run_batches(jobs, work, prepare=prepare, stop=stop, abandon=abandon)


def judge(workspace: Layout, targets: Sequence[Folder], job: JobId) -> tuple[ArchiveVerdict, str]:
    """Return whether a job is to be archived, and if not, why."""
    if not targets:
        return ArchiveVerdict.NO_FOLDER, "the workspace has no folder of mode backup or move"
    try:
        return _judge_files(workspace, job)
    except OSError as error:
        return ArchiveVerdict.UNREADABLE, explain(error, workspace.job(job))


def _judge_files(workspace: Layout, job: JobId) -> tuple[ArchiveVerdict, str]:
    files = workspace.job_files(job)
    status = filesystem.stat_or_none(files.directory)
    if status is None:
        is_link = filesystem.is_link(files.directory)
        reason = "its link leads nowhere" if is_link else "it is not there"
        return ArchiveVerdict.MISSING, reason
    if not stat.S_ISDIR(status.st_mode):
        return ArchiveVerdict.MISSING, "it is not a directory"
    if filesystem.lstat_or_none(files.done) is None:
        return ArchiveVerdict.UNFINISHED, "it has no success marker"
    if lock_is_held(files.lock):
        return ArchiveVerdict.UNFINISHED, "it runs"
    if filesystem.lstat_or_none(_opt_out_file(workspace, job)) is not None:
        return ArchiveVerdict.OPTED_OUT, "it is marked as not to be archived"
    return ArchiveVerdict.ARCHIVE, ""


def _step(workspace: Layout, folder: Folder, job: JobId, unavailable: str) -> ArchiveStep:
    if unavailable:
        return ArchiveStep(folder, "unavailable", unavailable)
    here, there = workspace.job(job), folder.job(job)
    try:
        if filesystem.lstat_or_none(there) is not None:
            copy = filesystem.stat_or_none(there)
            lives_there = copy is not None and os.path.samestat(copy, filesystem.stat(here))
            return ArchiveStep(folder, "none" if lives_there else "verify")
        moves = folder.mode is FolderMode.MOVE and not filesystem.is_link(here)
    except OSError as error:
        return ArchiveStep(folder, "unavailable", explain(error, there))
    return ArchiveStep(folder, "move" if moves else "copy")


def opt_out(layout: Layout, job: JobId) -> None:
    """Record durably that a job is not to be archived. What is archived already stays.

    Raises:
        NoJobFailure: The workspace has no directory of that job.
        OSError: The file cannot be made, or not be made durable.
    """
    files = layout.job_files(job)
    if not filesystem.is_directory(files.directory):
        raise NoJobFailure(f"the workspace has no job {job}", "try again when it has run")
    if not filesystem.is_directory(files.own):
        filesystem.mkdir(files.own)
        sync_directory(files.directory)
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with Opened(_opt_out_file(layout, job), flags):
        pass
    sync_directory(files.own)  # which makes an empty file durable


def _opt_out_file(layout: Layout, job: JobId) -> Path:
    return layout.job_files(job).own / OPT_OUT_NAME
