"""Finding jobs by ids in full, the beginnings of ids, and patterns, where jobs lie.

``TASK/HASH`` may be shortened at the end of each part, the task may be its last part alone (``learner/0a1b2c3d``, as
logs are labelled), and it may be left out, as long as only one job matches.
``*``, ``?`` and ``[...]`` make a pattern, which may match any number of jobs.
"""

from __future__ import annotations

import errno
import re
from fnmatch import translate
from pathlib import Path
from typing import Callable, Iterable, NamedTuple

from xpm_remote.workspace import filesystem
from xpm_remote.workspace.failures import BadIdFailure, NoJobFailure, UnreadFile
from xpm_remote.workspace.layout import JobId, Layout, is_name
from xpm_remote.workspace.reading import disk
from xpm_remote.workspace.reading.json_files import unread_file

SHORTEST_HASH = 4
"""Characters of a hash without its task: fewer are more likely a slip than a choice."""

LISTED = 5
"""Jobs that are named when a text matches more than one."""

_PATTERN = re.compile(r"[*?\[]")
_Matches = Callable[[str], bool]


class LookupResult(NamedTuple):
    """The jobs that a text matches.

    Attributes:
        text: The text.
        jobs: The jobs, in order; none when no job is found. One that may be there, but cannot be looked at, counts.
        unlisted: The directories that could not be listed, so that there may be more.
    """

    text: str
    jobs: tuple[JobId, ...]
    unlisted: tuple[UnreadFile, ...] = ()


class Lookup:
    """Finds jobs by texts in workspaces and folders; each task is listed once.

    Args:
        places: The workspaces and folders.

    Attributes:
        unlisted: The directories that could not be listed so far, by path.
    """

    def __init__(self, places: Iterable[Layout]) -> None:
        self._places = tuple(places)
        self._hashes: dict[str, frozenset[str]] = {}
        self.unlisted: dict[str, UnreadFile] = {}

    def find(self, text: str) -> LookupResult:
        """Return the jobs that a text matches.

        Raises:
            BadIdFailure: It cannot be an id, nor the beginning of one, nor a pattern.
            NoJobFailure: It is not a pattern, and matches more than one job.
        """
        jobs = self._find(text)
        return LookupResult(text, jobs, tuple(self.unlisted.values()))

    def _find(self, text: str) -> tuple[JobId, ...]:
        task, job_hash = _parts(text)
        if _PATTERN.search(text):
            return self._matching(_pattern(task or "*"), _pattern(job_hash))
        exact = self._exact(task, job_hash)
        if exact:
            return exact
        jobs = self._matching(self._task_matcher(task), lambda each: each.startswith(job_hash))
        if task:
            jobs = tuple(sorted({*jobs, *self._of_last_part(task, job_hash)}))
        if len(jobs) > 1:
            more = f" and {len(jobs) - LISTED} more" if len(jobs) > LISTED else ""
            named = ", ".join(map(str, jobs[:LISTED])) + more
            raise NoJobFailure(
                f"{text!r} could be {len(jobs)} jobs: {named}", "give more of the id"
            )
        return jobs

    def all(self) -> tuple[JobId, ...]:
        """Return all jobs, in order."""
        return self._matching(lambda _: True, lambda _: True)

    def _exact(self, task: str, job_hash: str) -> tuple[JobId, ...]:
        """Return the job of exactly that id, with its task in lower case if need be, as experimaestro spells it."""
        for name in dict.fromkeys((task, task.lower())) if task else ():
            job = JobId(name, job_hash)
            if any(_may_be_there(place.job(job)) for place in self._places):
                return (job,)
        return ()

    def _task_matcher(self, task: str) -> _Matches:
        tasks = self._tasks()
        for name in (task, task.lower()):
            if name in tasks:
                return lambda each: each == name
        return lambda each: each.startswith((task, task.lower()))

    def _of_last_part(self, task: str, job_hash: str) -> tuple[JobId, ...]:
        """Return the jobs of tasks of whose name only the last part is given."""
        if task in self._tasks() or task.lower() in self._tasks():
            return ()
        names = (task, task.lower())
        return self._matching(
            lambda each: JobId(each, "").script_name in names,
            lambda each: each.startswith(job_hash),
        )

    def _matching(self, is_task: _Matches, is_hash: _Matches) -> tuple[JobId, ...]:
        return tuple(
            JobId(task, each)
            for task in self._tasks()
            if is_task(task)
            for each in sorted(self._of_task(task))
            if is_hash(each)
        )

    def _tasks(self) -> list[str]:
        return sorted({name for place in self._places for name in self._names(place.jobs)})

    def _of_task(self, task: str) -> frozenset[str]:
        if task not in self._hashes:
            self._hashes[task] = frozenset(
                name for place in self._places for name in self._names(place.jobs / task)
            )
        return self._hashes[task]

    def _names(self, directory: Path) -> list[str]:
        """Return the names of jobs or tasks in a directory; none where it cannot be listed."""
        try:
            return [each.name for each in disk.scan(str(directory)) if is_name(each.name)]
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                self.unlisted[str(directory)] = unread_file(str(directory), error)
            return []


def _may_be_there(path: Path) -> bool:
    """Return whether something has that name, or that cannot be found out."""
    try:
        return filesystem.lstat_or_none(path) is not None
    except OSError:
        return True


def _parts(text: str) -> tuple[str, str]:
    """Split a text into task and hash, each checked; the task may be empty."""
    task, slash, job_hash = text.rpartition("/")
    is_short = not slash and len(text) < SHORTEST_HASH and not _PATTERN.search(text)
    if is_short or (slash and not is_name(task)) or not is_name(job_hash):
        raise BadIdFailure(
            f"{text!r} is not the id of a job",
            "give task/hash as `jobs list` prints it, the beginning of one, or a pattern",
        )
    return task, job_hash


def _pattern(text: str) -> _Matches:
    matches = re.compile(translate(text)).match
    return lambda name: matches(name) is not None
