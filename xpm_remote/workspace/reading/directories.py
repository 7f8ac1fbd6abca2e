"""Listing directories: what is at the paths of jobs, once for each task, and whether it has changed."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from xpm_remote.workspace.layout import Layout, is_name
from xpm_remote.workspace.reading import disk
from xpm_remote.workspace.reading.json_files import NO_ENTRY, Problems
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
            try:
                found = list_jobs(f"{self._jobs}/{task_id}")
            except OSError:
                found = None  # each job of it is looked for
            self._by_task[task_id] = found
        return UNKNOWN if found is None else found.get(job_id, ABSENT)


def list_jobs(task: str) -> dict[str, str]:
    """Return what is at the path of each job of a task, by the job's hash; none when the task is missing.

    Raises:
        OSError: It cannot be listed.
    """
    try:
        entries = disk.scan(task)
    except OSError as error:
        if error.errno in NO_ENTRY:
            return {}
        raise
    return {entry.name: LINK if entry.is_symlink() else DIRECTORY for entry in entries}


def run_changed(layout: Layout, run: RunFacts, since: float) -> bool:
    """Return whether a run's files may have changed since a time (epoch seconds)."""
    experiment = layout.experiment(run.experiment_id)
    directory = experiment / run.run_id
    paths = (experiment, directory / "status.json", directory / "jobs.jsonl")
    return any(_changed(path, since) for path in paths)


def place_unless_changed(job: Path, since: float) -> str | None:
    """Return what is at a job's path if it has not changed since a time; None when it may have, or is not there."""
    try:
        found = disk.lstat(str(job))
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
        return disk.stat(str(path)).st_ctime >= since - SLACK
    except OSError:
        return True


def list_named(path: str, problems: Problems) -> list[os.DirEntry[str]]:
    """Return the entries of a directory; none when it is missing.

    Hidden names are left out (files that are being written have such); names that cannot be part of an id are noted.
    """
    try:
        entries = disk.scan(path)
    except OSError as error:
        if error.errno in NO_ENTRY:
            problems.missing(path)
        else:
            problems.fail(path, error)
        return []
    problems.clear(path)
    return [entry for entry in entries if _is_fit(entry, problems)]


def is_directory(entry: os.DirEntry[str], problems: Problems, *, or_link: bool = False) -> bool:
    """Return whether an entry is a directory, or also a link that may lead to one, on another disk."""
    try:
        if or_link and disk.call(entry.path, entry.is_symlink):
            disk.stat(entry.path)
            return True
        return disk.call(entry.path, lambda: entry.is_dir(follow_symlinks=False))
    except OSError as error:
        if or_link and error.errno in (*NO_ENTRY, errno.ELOOP):
            return error.errno != errno.ELOOP  # a disk that is not mounted; a circle leads nowhere
        problems.fail(entry.path, error)
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
