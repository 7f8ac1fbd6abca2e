"""The watched places of a workspace, and the subject of a change at each."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from xpm_remote.workspace.layout import JobFiles, JobId, Layout, is_name
from xpm_remote.workspace.reading import disk
from xpm_remote.workspace.reading.json_files import NO_ENTRY
from xpm_remote.workspace.watching.watch import LIVE, REST, Pace, Watcher

_EXPERIMENT_FILE = re.compile(r"(.+)-\d{1,9}\.jsonl")
_JOB_FILE = re.compile(r"(?:[0-9a-f]{8}-|event-)(.+)-\d{1,9}\.jsonl")


class ListSubject(NamedTuple):
    """The list of experiments."""


class RunSubject(NamedTuple):
    """The current run of an experiment."""

    experiment_id: str


class JobSubject(NamedTuple):
    """A job."""

    task_id: str
    job_id: str


class EventsSubject(NamedTuple):
    """The events of a job, whose file is named after its hash only."""

    job_hash: str


class TaskSubject(NamedTuple):
    """The jobs of a task: which directories there are."""

    task_id: str


class LiveSubject(NamedTuple):
    """The files of live events in a directory, of jobs or of experiments."""

    directory: str


class Places:
    """Sets the watches of a workspace; a place is watched before it is read, so that no change is missed.

    Args:
        layout: The workspace.
        watcher: Watches paths.
    """

    def __init__(self, layout: Layout, watcher: Watcher) -> None:
        self._layout = layout
        self._watcher = watcher
        self._runs: dict[str, str] = {}

    def watch_workspace(self) -> None:
        """Watch for new experiments and tasks; live events are watched by ``watch_live``."""
        experiments, jobs = str(self._layout.experiments), str(self._layout.jobs)
        self._watcher.tell(experiments, lambda _: ListSubject())
        self._watcher.add(experiments, ListSubject(), REST)
        self._watcher.tell(jobs, lambda name: TaskSubject(name) if is_name(name) else None)

    def live_directories(self) -> list[str]:
        """Return the directories of live events."""
        return [str(self._layout.live_experiment_events), str(self._layout.live_job_events)]

    def watch_live(self, directory: str) -> list[RunSubject | EventsSubject]:
        """Watch a directory of live events and all files in it; return the subjects of the files.

        Raises:
            OSError: It cannot be read.
        """
        is_root = directory in self.live_directories()
        self._watcher.tell(
            directory, lambda name: self._live_subject(directory, name), contents=True
        )
        self._watcher.add(directory, LiveSubject(directory), LIVE)
        found: list[RunSubject | EventsSubject] = []
        for entry in _entries(directory):
            if is_root and _is_directory(entry):  # the layouts before 2.0.6 and 2.1.1
                found += self.watch_live(entry.path)
                continue
            subject = self._file_subject(directory, entry.name)
            if subject is not None:
                self._watcher.add(entry.path, subject, LIVE)
                found.append(subject)
        return found

    def watch_file(self, directory: str, name: str) -> None:
        """Watch a file of live events that has just appeared."""
        subject = self._file_subject(directory, name)
        if subject is not None:
            self._watcher.add(f"{directory}/{name}", subject, LIVE)

    def watch_experiment(self, experiment_id: str) -> None:
        """Watch for another run of an experiment, and for the end of its scheduler."""
        directory = str(self._layout.experiment(experiment_id))
        subject = RunSubject(experiment_id)
        # Its lock is closed when the scheduler ends, in whatever way.
        self._watcher.tell(directory, lambda _: subject)
        self._watcher.add(directory, subject, REST)

    def watch_run(self, experiment_id: str, run_id: str, *, is_live: bool) -> None:
        """Watch the files of a current run, and no longer those of the one before."""
        directory = str(self._layout.experiment(experiment_id) / run_id)
        before = self._runs.get(experiment_id)
        if before not in (None, directory):
            self.forget_run(experiment_id)
        self._runs[experiment_id] = directory
        subject = RunSubject(experiment_id)
        pace = LIVE if is_live else REST
        names = frozenset({"status.json", "jobs.jsonl"})
        self._watcher.tell(
            directory, lambda name: subject if name in names else None, contents=True
        )
        for name in sorted(names):
            self._watcher.add(f"{directory}/{name}", subject, pace)

    def forget_run(self, experiment_id: str) -> None:
        """Stop watching the files of an experiment's run."""
        directory = self._runs.pop(experiment_id, None)
        if directory is not None:
            for path in (directory, f"{directory}/status.json", f"{directory}/jobs.jsonl"):
                self._watcher.forget(path)

    def forget_experiment(self, experiment_id: str) -> None:
        """Stop watching an experiment."""
        self.forget_run(experiment_id)
        self._watcher.forget(str(self._layout.experiment(experiment_id)))

    def watch_task(self, task_id: str) -> None:
        """Watch for jobs of a task that come or go."""
        directory = str(self._layout.jobs / task_id)
        self._watcher.tell(
            directory, lambda name: JobSubject(task_id, name) if is_name(name) else None
        )
        self._watcher.add(directory, TaskSubject(task_id), REST)

    def watch_job(self, job_id: JobId, pace: Pace = LIVE) -> None:
        """Watch a job that runs: its markers, its pid file, and its lock, which is closed when it ends."""
        subject = JobSubject(job_id.task, job_id.hash)
        names = _state_files(job_id.script_name)
        directory = f"{self._layout.jobs}/{job_id.task}/{job_id.hash}"
        self._watcher.tell(directory, lambda name: subject if name in names else None)
        self._watcher.add(directory, subject, pace)

    def forget_job(self, job_id: JobId) -> None:
        """Stop watching a job."""
        self._watcher.forget(str(self._layout.job(job_id)))

    def _live_subject(
        self, directory: str, name: str
    ) -> LiveSubject | RunSubject | EventsSubject | None:
        """Return the subject of an event for a name that is not watched yet; a file is watched from now on."""
        subject = self._file_subject(directory, name)
        if subject is not None:
            self.watch_file(directory, name)
            return subject
        return LiveSubject(directory)

    def _file_subject(self, directory: str, name: str) -> RunSubject | EventsSubject | None:
        """Return the subject of a file of live events."""
        experiments = str(self._layout.live_experiment_events)
        if directory == experiments:
            named = _EXPERIMENT_FILE.fullmatch(name)
            return RunSubject(named[1]) if named else None
        if Path(directory).parent == self._layout.live_experiment_events:
            return RunSubject(Path(directory).name)
        named = _JOB_FILE.fullmatch(name)
        return EventsSubject(named[1]) if named else None


@lru_cache(maxsize=1024)  # many jobs are of few tasks
def _state_files(script_name: str) -> frozenset[str]:
    """Return the names of the files in a job's directory that change with its state."""
    files = JobFiles(Path(), script_name)
    paths = (files.done, files.failed, files.pid, files.lock, files.own)
    return frozenset(path.name for path in paths)


def _entries(directory: str) -> list[os.DirEntry[str]]:
    try:
        return disk.scan(directory)
    except OSError as error:
        if error.errno in NO_ENTRY:
            return []
        raise


def _is_directory(entry: os.DirEntry[str]) -> bool:
    return disk.call(entry.path, lambda: entry.is_dir(follow_symlinks=False))
