"""Listing directories: what is at the paths of jobs, once for each task, and whether it has changed."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from xpm_remote.workspace.layout import Layout, is_name
from xpm_remote.workspace.reading.json_files import Problems, reason
from xpm_remote.workspace.reading.runs import RunFacts

DIRECTORY = "directory"
LINK = "link"
ABSENT = "absent"
UNKNOWN = "unknown"

SLACK = 120.0
"""Seconds before the time in question that count as after it: a file server's clock may differ from the host's."""


class Directories:
    """What was at the paths of jobs when their tasks were first asked for.

    Args:
        jobs: ``jobs/`` of the workspace.
    """

    def __init__(self, jobs: str) -> None:
        self._jobs = jobs
        self._by_task: dict[str, dict[str, str] | None] = {}

    def at(self, task_id: str, job_id: str) -> str:
        """Return what is at a job's path, one of the constants above; anything else but a link is a directory."""
        try:
            found = self._by_task[task_id]
        except KeyError:
            found = self._by_task[task_id] = list_jobs(f"{self._jobs}/{task_id}")
        return UNKNOWN if found is None else found.get(job_id, ABSENT)


def list_jobs(task: str) -> dict[str, str] | None:
    """Return what is at the path of each job of a task, by the job's hash; None when the task cannot be listed."""
    try:
        with os.scandir(task) as entries:
            return {entry.name: LINK if entry.is_symlink() else DIRECTORY for entry in entries}
    except FileNotFoundError:
        return {}
    except OSError:
        return None


def run_changed(layout: Layout, run: RunFacts, since: float) -> bool:
    """Return whether a run's files may have changed since a time (epoch seconds)."""
    experiment = layout.experiment(run.experiment_id)
    directory = experiment / run.run_id
    paths = (experiment, directory / "status.json", directory / "jobs.jsonl")
    return any(_changed(path, since) for path in paths)


def place_unless_changed(job: Path, since: float) -> str | None:
    """Return what is at a job's path if it has not changed since a time; None when it may have, or is not there."""
    try:
        found = os.lstat(job)
    except OSError:
        return None
    if found.st_ctime >= since - SLACK:
        return None
    own = job / ".experimaestro"
    if any(_changed(path, since) for path in (job, own, own / "status.json")):
        return None
    return LINK if stat.S_ISLNK(found.st_mode) else DIRECTORY


def _changed(path: Path, since: float) -> bool:
    try:
        return path.stat().st_ctime >= since - SLACK
    except OSError:
        return True


def list_named(path: str, problems: Problems) -> list[os.DirEntry[str]]:
    """Return the entries of a directory; none when it is not there.

    Hidden names are left out (files that are being written have such); names that cannot be part of an id are noted.
    """
    try:
        with os.scandir(path) as entries:
            return [entry for entry in entries if _is_fit(entry, problems)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        problems.note(path, reason(error))
        return []


def is_directory(entry: os.DirEntry[str], problems: Problems, *, follow: bool = False) -> bool:
    """Return whether an entry is a directory, by default not through a link."""
    try:
        return entry.is_dir(follow_symlinks=follow)
    except OSError as error:
        problems.note(entry.path, reason(error))
        return False


def _is_fit(entry: os.DirEntry[str], problems: Problems) -> bool:
    name = entry.name
    if name.startswith("."):
        return False
    # A name that is not UTF-8 could not be sent; tasks and experiments have no such names.
    with contextlib.suppress(UnicodeEncodeError):
        name.encode()
        if is_name(name):
            return True
    problems.note(entry.path, "has a name that cannot be part of an id")
    return False
