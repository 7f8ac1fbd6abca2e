"""The jobs of a workspace on another host, each operation waited for."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager

from xpm_remote.errors import StoppedBySignal
from xpm_remote.jobs.interface import no_experiment
from xpm_remote.jobs.remote import RemoteJobs
from xpm_remote.waiting import StepLoop
from xpm_remote.workspace.failures import UnreadFile
from xpm_remote.workspace.layout import Folder, JobId, Layout
from xpm_remote.workspace.outcomes import (
    ActionOutcome,
    ActionPlan,
    ArchiveOutcome,
    ArchivePlan,
    CleanOutcome,
    CleanStep,
    CopyProgress,
    OrphanReport,
    RecoveryOutcome,
    RecoveryPlan,
)
from xpm_remote.workspace.reading.jobs import CurrentJob
from xpm_remote.workspace.reading.lookup import LookupResult
from xpm_remote.workspace.watching.logs import Piece, Position


@contextmanager
def step_by_step(
    jobs: RemoteJobs, tell: Callable[[str], None]
) -> Iterator[tuple[StepLoop, Layout]]:
    """Open jobs, and yield what runs their operations, with the paths there; at the end, the job in hand is finished.

    Args:
        jobs: The jobs.
        tell: Is called with a line for the person.
    """
    loop = StepLoop()
    try:
        yield loop, loop.run(jobs.open())
    finally:
        try:
            if jobs.is_acting:
                tell("the job in hand is finished there; Ctrl-C again to leave at once")
            loop.run(jobs.aclose(finish=True))
        except StoppedBySignal:
            loop.run(jobs.aclose())
            raise
        finally:
            loop.close()


class SteppedJobs:
    """The jobs of a workspace on another host, as ``Jobs``: each operation waits for ``RemoteJobs``.

    Args:
        loop: Runs what is asynchronous.
        jobs: The jobs there, opened.
        layout: The paths there.
        folders: The folders, as the settings spell them.
        keepers: The ids of other workspaces that have it as a folder.
    """

    is_local = False

    def __init__(
        self,
        loop: StepLoop,
        jobs: RemoteJobs,
        layout: Layout,
        folders: tuple[Folder, ...],
        keepers: tuple[str, ...],
    ) -> None:
        self._loop = loop
        self._jobs = jobs
        self.layout = layout
        self.folders = folders
        self.keepers = keepers

    def find(self, texts: Sequence[str], *, everywhere: bool = False) -> list[LookupResult]:
        """Find the jobs that texts mean."""
        return self._loop.run(self._jobs.find(texts, everywhere=everywhere))

    def references(self) -> tuple[tuple[JobId, ...], tuple[UnreadFile, ...]]:
        """Return all jobs that runs refer to, and what could not be read of them."""
        return self._loop.run(self._jobs.references())

    def current(self, experiment: str | None) -> tuple[list[CurrentJob], list[UnreadFile]]:
        """Return the jobs of the current runs."""
        jobs, experiments, problems = self._loop.run(self._jobs.current(experiment))
        if jobs is None:
            raise no_experiment(experiment or "", experiments, self.layout)
        return jobs, problems

    def directory(self, job: JobId) -> tuple[str, bool]:
        """Return the directory of a job, and whether it is there."""
        return self._loop.run(self._jobs.directory(job))

    def plan_recovery(self, jobs: Iterable[JobId], *, incomplete: bool) -> list[RecoveryPlan]:
        """Plan what ``recover`` would do."""
        return self._loop.run(self._jobs.plan_recovery(jobs, incomplete=incomplete))

    def recover(
        self, jobs: Iterable[JobId], *, incomplete: bool, progress: CopyProgress
    ) -> Generator[RecoveryOutcome, None, None]:
        """Restore jobs."""
        work = self._jobs.recover(jobs, incomplete=incomplete, progress=progress)
        yield from self._loop.each(work)

    def plan_archive(self, jobs: Iterable[JobId]) -> list[ArchivePlan]:
        """Plan what ``archive`` would do."""
        return self._loop.run(self._jobs.plan_archive(jobs))

    def archive(
        self, jobs: Iterable[JobId], *, progress: CopyProgress
    ) -> Generator[ArchiveOutcome, None, None]:
        """Copy or move jobs to the folders."""
        yield from self._loop.each(self._jobs.archive(jobs, progress=progress))

    def find_orphans(self, *, with_folders: bool, with_sizes: bool) -> OrphanReport:
        """Report the jobs that no run refers to."""
        work = self._jobs.find_orphans(with_folders=with_folders, with_sizes=with_sizes)
        return self._loop.run(work)

    def plan_orphans(
        self, report: OrphanReport, *, with_folders: bool, force: bool
    ) -> Sequence[CleanStep]:
        """Plan what ``clean_orphans`` would do, with the sizes of the report."""
        steps = self._loop.run(self._jobs.plan_orphans(with_folders=with_folders, force=force))
        known = {orphan.job: orphan for orphan in report.orphans}
        return [step._replace(orphan=known.get(step.orphan.job, step.orphan)) for step in steps]

    def clean_orphans(
        self, steps: Sequence[CleanStep], *, with_folders: bool, force: bool
    ) -> Generator[CleanOutcome, None, None]:
        """Carry out steps."""
        work = self._jobs.clean_orphans(steps, with_folders=with_folders, force=force)
        yield from self._loop.each(work)

    def plan_action(self, action: str, jobs: Iterable[JobId]) -> list[ActionPlan]:
        """Plan what killing or cleaning jobs would do."""
        return self._loop.run(self._jobs.plan_action(action, jobs))

    def perform(self, plans: Iterable[ActionPlan]) -> Generator[ActionOutcome, None, None]:
        """Carry out plans."""
        yield from self._loop.each(self._jobs.perform(plans))

    def log_pieces(
        self, job: JobId, stream: str, lines: int | None
    ) -> Generator[Piece, None, None]:
        """Yield the last lines of a log, or all of it."""
        wire = self._loop.run(self._jobs.read_log(job, stream, lines=lines))
        while wire["position"] is not None:
            yield Piece(wire["text"], Position.from_wire(wire["position"]))
            if not wire["more"]:
                return
            wire = self._loop.run(self._jobs.read_log(job, stream, position=wire["position"]))

    def follow_logs(
        self,
        jobs: Sequence[JobId],
        stream: str,
        lines: int,
        *,
        warn: Callable[[str], None],
    ) -> Generator[tuple[JobId, str], None, None]:
        """Yield the last lines of logs, then what is added, until all jobs have ended."""
        positions = {}
        for job in jobs:
            wire = self._loop.run(self._jobs.read_log(job, stream, lines=lines))
            positions[job] = wire["position"]
            yield job, wire["text"]
        for job, told in self._loop.each(self._jobs.follow_logs(stream, positions)):
            if "error" in told:
                warn(f"{job}: {told['error']}")
            yield job, str(told.get("text", ""))
