"""The jobs of a workspace of this machine, by the engine itself."""

from __future__ import annotations

import select
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any

from xpm_remote.jobs.interface import FAILURES_PAGE, LOG_PART, MATCHES, no_experiment
from xpm_remote.workspace.agent.actions import Actions
from xpm_remote.workspace.failures import UnreadFile, WorkspaceFailure
from xpm_remote.workspace.folders.archiving import archive, plan_archive
from xpm_remote.workspace.folders.recovery import plan_recovery, recover
from xpm_remote.workspace.inspecting.answers import Failure, JobDetail, LogPart, LogSearch
from xpm_remote.workspace.inspecting.detail import DetailReader
from xpm_remote.workspace.inspecting.failures import FailureReader, newest_first
from xpm_remote.workspace.inspecting.logs import log_path, read_part
from xpm_remote.workspace.inspecting.searching import SearchRequest, search_part
from xpm_remote.workspace.layout import Folder, JobId, Layout
from xpm_remote.workspace.orphans.cleaning import Cleaner
from xpm_remote.workspace.orphans.listing import find_orphans
from xpm_remote.workspace.orphans.references import read_references
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
from xpm_remote.workspace.processes import Host
from xpm_remote.workspace.reading.jobs import CurrentJob
from xpm_remote.workspace.reading.lookup import Lookup, LookupResult
from xpm_remote.workspace.reading.reader import WorkspaceReader, current_jobs, is_directory
from xpm_remote.workspace.rows import ASK_INTERVAL, Account, silence
from xpm_remote.workspace.schedulers.accounting import ask_account
from xpm_remote.workspace.schedulers.queue import Queue
from xpm_remote.workspace.watching.following import Follower, JobLife
from xpm_remote.workspace.watching.inotify import Inotify
from xpm_remote.workspace.watching.logs import Log, Piece, wire_text
from xpm_remote.workspace.watching.watch import Watcher


class LocalJobs:
    """The jobs of a workspace of this machine, as ``Jobs``.

    Args:
        layout: The paths of the workspace.
        folders: Its folders, in their order.
        keepers: The ids of other workspaces that have it as a folder.
        slurm_interval: Seconds between two questions to SLURM; None to ask only before kill and clean.
    """

    is_local = True

    def __init__(
        self,
        layout: Layout,
        folders: tuple[Folder, ...],
        keepers: tuple[str, ...],
        slurm_interval: float | None = ASK_INTERVAL,
    ) -> None:
        self.layout = layout
        self.folders = folders
        self.keepers = keepers
        self._slurm_interval = slurm_interval

    def find(self, texts: Sequence[str], *, everywhere: bool = False) -> list[LookupResult]:
        """Find the jobs that texts mean."""
        folders = [folder.layout for folder in self.folders] if everywhere else []
        lookup = Lookup([self.layout, *folders])
        return [lookup.find(text) for text in texts]

    def references(self) -> tuple[tuple[JobId, ...], tuple[UnreadFile, ...]]:
        """Return all jobs that runs refer to, and what could not be read of them."""
        references = read_references(self.layout)
        return tuple(references), tuple(references.problems)

    def current(self, experiment: str | None) -> tuple[list[CurrentJob], list[UnreadFile]]:
        """Return the jobs of the current runs."""
        reader = WorkspaceReader(self.layout.root)
        queue = self._queue()
        found = current_jobs(reader, experiment, queue.all_judged)
        if found is None:
            raise no_experiment(experiment or "", reader.experiment_ids(), self.layout)
        return found, [*reader.problems, *silence(queue.trouble)]

    def directory(self, job: JobId) -> tuple[str, bool]:
        """Return the directory of a job, and whether it is there."""
        directory = self.layout.job(job)
        return str(directory), is_directory(directory)

    def plan_recovery(self, jobs: Iterable[JobId], *, incomplete: bool) -> list[RecoveryPlan]:
        """Plan what ``recover`` would do."""
        return list(plan_recovery(self.layout, self.folders, jobs, incomplete=incomplete))

    def recover(
        self, jobs: Iterable[JobId], *, incomplete: bool, progress: CopyProgress
    ) -> Generator[RecoveryOutcome, None, None]:
        """Restore jobs."""
        yield from recover(
            self.layout, self.folders, jobs, incomplete=incomplete, progress=progress
        )

    def plan_archive(self, jobs: Iterable[JobId]) -> list[ArchivePlan]:
        """Plan what ``archive`` would do."""
        return list(plan_archive(self.layout, self.folders, jobs))

    def archive(
        self, jobs: Iterable[JobId], *, progress: CopyProgress
    ) -> Generator[ArchiveOutcome, None, None]:
        """Copy or move jobs to the folders."""
        yield from archive(self.layout, self.folders, jobs, progress=progress)

    def find_orphans(self, *, with_folders: bool, with_sizes: bool) -> OrphanReport:
        """Report the jobs that no run refers to."""
        return find_orphans(
            self.layout, self.folders, with_folders=with_folders, with_sizes=with_sizes
        )

    def plan_orphans(
        self, report: OrphanReport, *, with_folders: bool, force: bool
    ) -> Sequence[CleanStep]:
        """Plan what ``clean_orphans`` would do."""
        return self._cleaner(with_folders=with_folders, force=force).plan(report)

    def clean_orphans(
        self, steps: Sequence[CleanStep], *, with_folders: bool, force: bool
    ) -> Generator[CleanOutcome, None, None]:
        """Carry out steps."""
        yield from self._cleaner(with_folders=with_folders, force=force).apply(steps)

    def plan_action(self, action: str, jobs: Iterable[JobId], *, force: bool) -> list[ActionPlan]:
        """Plan what killing or cleaning jobs would do."""
        actions = self._actions()
        return [actions.plan(action, job, is_forced=force) for job in jobs]

    def perform(self, plans: Iterable[ActionPlan]) -> Generator[ActionOutcome, None, None]:
        """Carry out plans."""
        actions = self._actions()
        yield from map(actions.perform, plans)

    def log_pieces(
        self, job: JobId, stream: str, lines: int | None
    ) -> Generator[Piece, None, None]:
        """Yield the last lines of a log, or all of it."""
        log = self._log(job, stream)
        piece = log.after(None, is_over=True) if lines is None else log.last(lines, is_over=True)
        while piece.position is not None:
            yield piece
            if not piece.more:
                return
            piece = log.after(piece.position, is_over=True)

    def follow_logs(
        self, jobs: Sequence[JobId], stream: str, lines: int, *, warn: Callable[[str], None]
    ) -> Generator[tuple[JobId, str], None, None]:
        """Yield the last lines of logs, then what is added, until all jobs have ended.

        Raises:
            WorkspaceFailure: The only log cannot be read, or too many logs are to be followed.
        """
        reader = WorkspaceReader(self.layout.root)
        left = {str(job): job for job in jobs}
        heard: list[dict[str, Any]] = []
        with closing(_watcher()) as watcher:
            follower = Follower(watcher, lambda _, told: heard.append(told))
            for name, job in left.items():
                follower.check_room(name)
                log = self._log(job, stream)
                piece = log.last(lines)
                yield job, piece.text
                has_ended = JobLife(reader, self.layout.job_files(job), job).has_ended
                follower.follow(name, log, has_ended, piece.position)
            while left:
                descriptor = watcher.fileno()
                watched = [] if descriptor is None else [descriptor]
                select.select(watched, [], [], follower.wait_time())
                follower.step()
                while heard:
                    told = heard.pop(0)
                    name = told["name"]
                    if "error" in told:
                        if len(jobs) == 1:
                            raise WorkspaceFailure(told["error"])
                        warn(f"{name}: {told['error']}")
                    yield left[name], wire_text(told)
                    if told.get("ended") or "error" in told:
                        follower.unfollow(name)
                        del left[name]

    def failures(
        self, jobs: Sequence[JobId], known: Mapping[JobId, str]
    ) -> Generator[tuple[Failure, ...], None, None]:
        """Yield why jobs failed, in pages, each with the newest first; without those that are known."""
        reader = FailureReader(WorkspaceReader(self.layout.root))
        for start in range(0, len(jobs), FAILURES_PAGE):
            page = jobs[start : start + FAILURES_PAGE]
            found = [reader.read(job, known.get(job, "")) for job in page]
            yield tuple(sorted((each for each in found if each is not None), key=newest_first))

    def detail(self, job: JobId) -> JobDetail | None:
        """Return what is known of a job; None when there is no such job."""
        return DetailReader(WorkspaceReader(self.layout.root), self._queue().all_judged).read(job)

    def account(self, job: JobId) -> Account | None:
        """Return what SLURM's accounting has of a job; None for one that is not its."""
        return ask_account(self.layout.job_files(job))

    def read_log(
        self,
        job: JobId,
        stream: str,
        *,
        before: int | None = None,
        after: int | None = None,
        size: int = LOG_PART,
        attempt: str = "",
    ) -> LogPart | None:
        """Return a part of a log; None when there is no such log."""
        path = log_path(self.layout.job_files(job), stream, attempt)
        return read_part(path, before=before, after=after, size=size)

    def search_log(
        self,
        job: JobId,
        stream: str,
        pattern: str,
        *,
        is_regex: bool = False,
        ignore_case: bool = False,
        limit: int = MATCHES,
        attempt: str = "",
    ) -> Generator[LogSearch, None, None]:
        """Search a log; yield what is found in each part of it."""
        path = log_path(self.layout.job_files(job), stream, attempt)
        request = SearchRequest(pattern, is_regex, ignore_case, 0, limit)
        total, is_over = 0, False
        while not is_over:
            part = search_part(path, request)
            if part is None:
                return
            total, is_over = total + part.total, part.is_over
            yield part._replace(total=total)
            left = request.wanted - len(part.matches)
            request = request._replace(start=part.reached, wanted=left)

    def _log(self, job: JobId, stream: str) -> Log:
        return Log(self.layout.job_files(job), stream)

    def _cleaner(self, *, with_folders: bool, force: bool) -> Cleaner:
        return Cleaner(self.layout, self.folders, with_folders=with_folders, is_forced=force)

    def _actions(self) -> Actions:
        host = Host()
        return Actions(WorkspaceReader(self.layout.root, host), host)

    def _queue(self) -> Queue:
        return Queue(self.layout, Host(), self._slurm_interval)


def _watcher() -> Watcher:
    try:
        return Watcher(Inotify())
    except OSError:  # polling does it too
        return Watcher(None)
