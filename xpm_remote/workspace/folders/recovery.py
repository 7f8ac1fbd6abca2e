"""Restoring jobs that the workspace lacks from the first folder that has them whole: the plan and the work."""

from __future__ import annotations

from typing import Callable, Iterable, Iterator, Sequence

from xpm_remote.workspace.folders.archiving import never, no_progress
from xpm_remote.workspace.folders.batches import Turns, run_batches
from xpm_remote.workspace.folders.finding import usable_folders
from xpm_remote.workspace.folders.restoring import BatchRestorer, decide
from xpm_remote.workspace.folders.staging import Sweeper
from xpm_remote.workspace.folders.trees import measure
from xpm_remote.workspace.layout import Folder, JobId, Layout
from xpm_remote.workspace.outcomes import CopyProgress, RecoveryOutcome, RecoveryPlan


def plan_recovery(
    workspace: Layout, folders: Sequence[Folder], jobs: Iterable[JobId], *, incomplete: bool = False
) -> Iterator[RecoveryPlan]:
    """Yield what ``recover`` would do for each job. Nothing is written."""
    usable = usable_folders(workspace, folders)
    for job in jobs:
        decision = decide(workspace, usable, job, incomplete=incomplete)
        plan = RecoveryPlan(
            job, decision.status, reason=decision.reason, unavailable=decision.unavailable
        )
        if decision.copies:
            copy = decision.copies[0]
            size, files = measure(copy.path)
            plan = plan._replace(source=copy.folder, complete=copy.is_whole, size=size, files=files)
        yield plan


def recover(
    workspace: Layout,
    folders: Sequence[Folder],
    jobs: Iterable[JobId],
    *,
    incomplete: bool = False,
    progress: CopyProgress = no_progress,
    stop: Callable[[], bool] = never,
    abandon: Callable[[], bool] = never,
) -> Iterator[RecoveryOutcome]:
    """Restore each job that the workspace lacks from the first folder, of any mode, that has it whole.

    A job appears in the workspace at once and whole, or not at all. What is in its place is replaced only if nothing is
    lost by that: a link that leads nowhere, a directory without files, a part of what the folder has.

    Args:
        workspace: Where the jobs belong.
        folders: Where they may be, first choice first.
        jobs: The jobs; they are taken as the work goes on.
        incomplete: Whether to restore a copy without success marker.
        progress: Called as by ``archive``.
        stop: Called as by ``archive``.
        abandon: Called as by ``archive``.

    Yields:
        One outcome a job, in the order of the jobs.
    """
    sweeper = Sweeper(workspace)
    turns = Turns()

    def work(batch: Sequence[JobId], abandoned: Callable[[], bool]) -> list[RecoveryOutcome]:
        restorer = BatchRestorer(
            workspace,
            folders,
            incomplete=incomplete,
            progress=progress,
            abandon=abandoned,
            turns=turns,
        )
        done = restorer.run(batch)
        return [done[job] for job in batch]

    def prepare(batch: Sequence[JobId]) -> None:
        sweeper.sweep(job.task for job in batch)

    return run_batches(jobs, work, prepare=prepare, stop=stop, abandon=abandon)
