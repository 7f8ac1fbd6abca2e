"""Reading a workspace: experiments, runs, jobs. Nothing is ever written, and no lock file made."""

from __future__ import annotations

import errno
import stat
from pathlib import Path
from typing import Callable, Iterable, Iterator

from xpm_remote.workspace import states
from xpm_remote.workspace.failures import (
    NotAWorkspaceFailure,
    UnreadableFailure,
    UnreadFile,
    explain,
)
from xpm_remote.workspace.layout import MARKER, JobId, Layout, is_name
from xpm_remote.workspace.processes import Host
from xpm_remote.workspace.reading import disk
from xpm_remote.workspace.reading.directories import Directories
from xpm_remote.workspace.reading.job_files import JobReader
from xpm_remote.workspace.reading.jobs import (
    CurrentJob,
    JobFacts,
    merge_jobs,
    newest_first,
    with_outputs,
    with_word,
)
from xpm_remote.workspace.reading.json_files import NO_ENTRY, Problems, reason
from xpm_remote.workspace.reading.live_events import LiveEvents
from xpm_remote.workspace.reading.looks import Look
from xpm_remote.workspace.reading.run_files import Listing, RunFiles
from xpm_remote.workspace.reading.runs import (
    RUN_CRASHED,
    RUN_DETACHED,
    RUN_DONE,
    RUN_FAILED,
    RUN_RUNNING,
    RunFacts,
    age,
)

FEW_JOBS = 8
"""Jobs whose files of events are looked for one by one: listing those of all that run would cost more."""

REMOVED_WHEN_DONE = 2
"""The ``transient`` of a job whose directory experimaestro removes once nothing needs it."""


class WorkspaceReader:
    """Reads a workspace; each call reads the files anew.

    Args:
        root: Its directory.
        host: The host on which this code runs.
        check: Whether to check that it is a workspace.

    Attributes:
        root: The same, absolute.
        layout: Its paths.
        problems: Files that could not be read, each once, as of the last time that each was tried.

    Raises:
        NotAWorkspaceFailure: There is no such directory, or it is no workspace.
    """

    def __init__(self, root: Path, host: Host | None = None, *, check: bool = True) -> None:
        self.root = Path.cwd() / root
        self.layout = Layout(self.root)
        self.problems = Problems()
        self._host = host or Host()
        self._mounted: set[str] = set()
        if check:
            check_workspace(self.root)
        self._events = LiveEvents(str(self.root), self.problems)
        self._runs = RunFiles(str(self.root), self._events, self._host, self.problems)

    def another(self) -> WorkspaceReader:
        """Return a reader of the same workspace with problems of its own, without reading anything."""
        return WorkspaceReader(self.root, self._host, check=False)

    def experiments(self) -> list[RunFacts]:
        """Return the current run of every experiment that has one, sorted by id."""
        found = (self.experiment(experiment_id) for experiment_id in self.experiment_ids())
        return [run for run in found if run is not None]

    def experiment_ids(self) -> list[str]:
        """Return the ids of all experiments that can be listed, sorted."""
        return self.listing().names

    def listing(self) -> Listing:
        """Return the ids of all experiments, and whether they could be listed."""
        return self._runs.experiment_ids()

    def unmounted(self, *, by_servers: bool = False) -> UnreadFile | None:
        """Return why the workspace itself cannot be read, such as a disk that is not mounted; None when it can.

        Args:
            by_servers: Whether its file servers are asked, past the caches of this host.
        """
        look = Look(str(self.root), self.problems)
        look.check_marker()
        for path in (self.layout.experiments, self.layout.jobs):
            self._check_mounted(str(path), look)
        for path in (self.root, self.layout.experiments, self.layout.jobs) if by_servers else ():
            look.ask_server(str(path))
        return look.unread

    def _check_mounted(self, path: str, look: Look) -> None:
        """Record a failure for a directory on a disk of its own that is on the workspace's disk now."""
        found, root = look.stat(path), look.stat(str(self.root))
        look.forgive(path)
        if found is None or root is None:
            return
        if found.st_dev != root.st_dev:
            self._mounted.add(path)
        elif path in self._mounted:
            look.fail(path, OSError(errno.ENOENT, "is empty: its own disk is not mounted"))

    def experiment(self, experiment_id: str) -> RunFacts | None:
        """Return the current run of an experiment; None when it has none."""
        return self._runs.current(experiment_id) if is_name(experiment_id) else None

    def jobs(self, run: RunFacts, jobs: JobReader | None = None) -> Iterator[JobFacts]:
        """Yield the jobs of a run, in the order of their submission.

        Args:
            run: The run.
            jobs: The reader from ``several_jobs`` or ``many_jobs``, for more jobs than these.
        """
        jobs = jobs or self.several_jobs(len(run.job_infos))
        for job_id in run.job_infos:
            yield self._job_in(run, job_id, jobs)

    def several_jobs(self, number: int) -> JobReader:
        """Return a reader of so many jobs in a row: the files of events of many are listed once."""
        return self._job_reader(self._events.listed() if number > FEW_JOBS else None)

    def many_jobs(self) -> JobReader:
        """Return a reader of very many jobs in a row: their directories are listed once, not looked up for each."""
        directories = Directories(str(self.layout.jobs))
        return self._job_reader(self._events.listed(), directories)

    def job(self, job_id: JobId) -> JobFacts | None:
        """Return a job from its own files alone; None when it has no directory."""
        facts = self._job_reader().read(job_id.task, job_id.hash)
        if not facts.has_directory and not facts.is_link and facts.unread is None:
            return None
        return _as_far_as_read(with_outputs(with_word(facts, None, None, is_live=True)))

    def job_in(self, run: RunFacts, job_hash: str) -> JobFacts:
        """Return a job of a run, as ``jobs`` yields it."""
        return self._job_in(run, job_hash, self._job_reader())

    def _job_reader(
        self, events: LiveEvents | None = None, directories: Directories | None = None
    ) -> JobReader:
        jobs = str(self.layout.jobs)
        return JobReader(jobs, events or self._events, self._host, self.problems, directories)

    def _job_in(self, run: RunFacts, job_id: str, jobs: JobReader) -> JobFacts:
        info = run.job_infos[job_id]
        word = run.job_states.get(job_id)
        is_live = run.status == RUN_RUNNING
        facts = jobs.read(
            info.task_id, info.job_id, word, run.hostname, info.submitted, is_over=_is_over(run)
        )
        facts = without_scheduler(with_word(facts, word, info.submitted, is_live=is_live), run)
        if info.transient != REMOVED_WHEN_DONE:
            facts = with_outputs(facts)
        return jobs.dated(_as_far_as_read(facts))


def _is_over(run: RunFacts) -> bool:
    """Return whether the scheduler of a run has ended."""
    return run.status in (RUN_DONE, RUN_FAILED, RUN_DETACHED, RUN_CRASHED)


def without_scheduler(facts: JobFacts, run: RunFacts) -> JobFacts:
    """Return a job of a run whose scheduler has ended: what only waited there will not run."""
    if not _is_over(run) or facts.state in states.FINAL:
        return facts
    is_on_its_own = facts.state == states.RUNNING or facts.process is not None
    if is_on_its_own and facts.has_directory:
        return facts
    return facts._replace(state=states.UNSCHEDULED)


def _as_far_as_read(facts: JobFacts) -> JobFacts:
    """Return a job; of one that could not be read only the marker of success is proof."""
    if facts.unread is None or facts.has_done_marker:
        return facts
    return facts._replace(state=states.UNKNOWN, failure_reason=None, certain=False)


def is_directory(path: Path) -> bool:
    """Return whether a path is, or leads to, a directory.

    Raises:
        UnreadableFailure: It cannot be looked at.
    """
    try:
        return stat.S_ISDIR(disk.stat(str(path)).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise UnreadableFailure(
            explain(error, path), "look at its permissions and its disk"
        ) from None


def check_workspace(root: Path) -> None:
    """Raise unless a directory is a workspace.

    Raises:
        NotAWorkspaceFailure: It is not one, or cannot be read.
    """
    try:
        disk.lstat(str(root / MARKER))
        return
    except OSError as error:
        why = f"cannot be looked into: {reason(error)}"
        if error.errno in NO_ENTRY:
            why = "is no experimaestro workspace" if root.is_dir() else "is no directory"
    except ValueError as error:
        why = f"is no path: {error}"
    raise NotAWorkspaceFailure(f"{root} {why}", f"give the directory that holds {MARKER}")


def current_jobs(
    reader: WorkspaceReader,
    experiment: str | None = None,
    judge: Callable[[Iterable[JobFacts]], Iterable[JobFacts]] = iter,
) -> list[CurrentJob] | None:
    """Return the jobs of the current runs, the latest submission first; None for an unknown experiment.

    Args:
        reader: Reads the workspace.
        experiment: The experiment, if only one is wanted.
        judge: Returns jobs as their scheduler shows them.
    """
    runs = reader.experiments() if experiment is None else [reader.experiment(experiment)]
    found: dict[JobId, CurrentJob] = {}
    known = [run for run in runs if run is not None]
    if experiment is not None and not known:
        return None
    for run in sorted(known, key=age):
        for facts in judge(reader.jobs(run)):
            tags = run.job_infos[facts.job_id].tags
            job = CurrentJob(facts, tags, (run.experiment_id,))
            before = found.get(facts.id)
            found[facts.id] = job if before is None else merge_jobs(before, job)
    return sorted(found.values(), key=newest_first)
