"""Jobs that succeeded, brought into the folders of their workspace: planned, then done."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Callable, Iterable, Iterator, Sequence

from xpm_remote.workspace import filesystem
from xpm_remote.workspace.failures import FolderFailure, NoJobFailure
from xpm_remote.workspace.folders.batches import Turns, run_batches
from xpm_remote.workspace.folders.depositing import BatchArchiver
from xpm_remote.workspace.folders.durability import sync_directory
from xpm_remote.workspace.folders.finding import archives, check_folder
from xpm_remote.workspace.folders.staging import Sweeper
from xpm_remote.workspace.folders.trees import measure
from xpm_remote.workspace.layout import Folder, FolderMode, JobFiles, JobId, Layout
from xpm_remote.workspace.locks import is_held
from xpm_remote.workspace.outcomes import (
    ArchiveOutcome,
    ArchivePlan,
    ArchiveStep,
    ArchiveVerdict,
    CopyProgress,
    FolderOutcome,
)

FILE_NAME = "no-backup"
"""The file in ``.experimaestro/`` of a job that is not to be archived."""


def no_progress(job: JobId, size: int, files: int) -> None:
    """Take progress, and tell nobody."""


def never() -> bool:
    """Say that nobody wants to stop."""
    return False


def plan_archive(
    workspace: Layout, folders: Sequence[Folder], jobs: Iterable[JobId]
) -> Iterator[ArchivePlan]:
    """Say what ``archive`` would do with each job; nothing is read but names and sizes, and nothing is written."""
    targets = archives(folders)
    reasons = {folder: _unavailable(folder, workspace) for folder in targets}
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
    """Bring each job into each folder that takes jobs, in the folders' order.

    A failure costs one job, or one folder, and is an outcome. Whatever ends the process, or the machine, each job stays
    whole in the workspace or in a folder, and the next run goes on from there.

    Args:
        workspace: Where the jobs are.
        folders: All folders of the workspace.
        jobs: The jobs; they are taken as the work goes on.
        progress: Told of each step, from two threads.
        stop: Asked before more jobs are taken; those at work are finished.
        abandon: Asked at each step of the copying; those at work are given up, and nothing of them is left. Closing the
            iterator, or an exception in its consumer, does the same.

    Returns:
        One outcome a job, in the order of the jobs.
    """
    targets = archives(folders)
    turns = Turns()
    sweepers = [Sweeper(layout) for layout in (workspace, *(each.layout for each in targets))]

    def work(batch: Sequence[JobId], abandoned: Callable[[], bool]) -> list[ArchiveOutcome]:
        depositors = [
            BatchArchiver(workspace, folder, progress, abandoned, turns) for folder in targets
        ]
        return _archive_batch(workspace, targets, batch, depositors)

    def prepare(batch: Sequence[JobId]) -> None:
        for sweeper in sweepers:
            sweeper.sweep(job.task for job in batch)

    return run_batches(jobs, work, prepare=prepare, stop=stop, abandon=abandon)


def judge(workspace: Layout, targets: Sequence[Folder], job: JobId) -> tuple[ArchiveVerdict, str]:
    """Tell whether a job is to be archived, and why not."""
    directory = workspace.job(job)
    if not targets:
        return ArchiveVerdict.NO_FOLDER, "the workspace has no folder of mode backup or move"
    try:
        is_directory = stat.S_ISDIR(filesystem.stat(directory).st_mode)
    except OSError as error:
        is_link = directory.is_symlink()
        reason = "its link leads nowhere" if is_link else f"it is not there: {error.strerror}"
        return ArchiveVerdict.MISSING, reason
    if not is_directory:
        return ArchiveVerdict.MISSING, "it is not a directory"
    if not os.path.lexists(directory / f"{job.script_name}.done"):
        return ArchiveVerdict.UNFINISHED, "it has no success marker"
    if is_held(directory / f"{job.script_name}.lock"):
        return ArchiveVerdict.UNFINISHED, "it runs"
    if has_opted_out(workspace, job):
        return ArchiveVerdict.OPTED_OUT, "it is marked as not to be archived"
    return ArchiveVerdict.ARCHIVE, ""


def _archive_batch(
    workspace: Layout,
    targets: Sequence[Folder],
    batch: Sequence[JobId],
    depositors: Sequence[BatchArchiver],
) -> list[ArchiveOutcome]:
    verdicts = {job: judge(workspace, targets, job) for job in batch}
    wanted = [job for job in verdicts if verdicts[job][0] is ArchiveVerdict.ARCHIVE]
    found: dict[JobId, list[FolderOutcome]] = {job: [] for job in batch}
    for depositor in depositors:
        outcomes = depositor.run(wanted)
        for job in wanted:
            found[job].append(outcomes[job])
    return [ArchiveOutcome(job, *verdicts[job], tuple(found[job])) for job in batch]


def _step(workspace: Layout, folder: Folder, job: JobId, unavailable: str) -> ArchiveStep:
    if unavailable:
        return ArchiveStep(folder, "unavailable", unavailable)
    here, there = workspace.job(job), folder.job(job)
    if os.path.lexists(there):
        lives_there = there.exists() and there.samefile(here)
        return ArchiveStep(folder, "none" if lives_there else "verify")
    moves = folder.mode is FolderMode.MOVE and not here.is_symlink()
    return ArchiveStep(folder, "move" if moves else "copy")


def _unavailable(folder: Folder, workspace: Layout) -> str:
    try:
        check_folder(folder, workspace)
    except FolderFailure as failure:
        return str(failure)
    return ""


def has_opted_out(layout: Layout, job: JobId) -> bool:
    """Tell whether a job is not to be archived."""
    return os.path.lexists(_file(layout, job))


def opt_out(layout: Layout, job: JobId) -> None:
    """Remember durably that a job is not to be archived; what is archived already stays.

    Raises:
        NoJobFailure: The workspace has no directory of that job to remember it in.
        OSError: The file cannot be made, or not be made durable.
    """
    files: JobFiles = layout.job_files(job)
    if not files.directory.is_dir():
        raise NoJobFailure(f"the workspace has no job {job}", "say so when it has run")
    if not files.own.is_dir():
        filesystem.mkdir(files.own)
        sync_directory(files.directory)
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    filesystem.close(filesystem.open_file(_file(layout, job), flags, 0o666))
    sync_directory(files.own)  # the file is empty: that there is its name is all


def _file(layout: Layout, job: JobId) -> Path:
    return layout.job(job) / ".experimaestro" / FILE_NAME
