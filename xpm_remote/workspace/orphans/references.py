"""Reading which jobs the runs of a workspace refer to: all runs of all experiments, whatever their outcome.

A run has ``jobs.jsonl``, to which the scheduler adds a line for each job that it submits, and links below ``jobs``.
Version 1 of the layout has links only. In doubt a job counts as referred to, since the others are deleted.
"""

from __future__ import annotations

import os
import re
from itertools import groupby
from operator import itemgetter
from typing import BinaryIO, Iterable, Iterator, Tuple

from xpm_remote.workspace.layout import JobId, Layout, is_name
from xpm_remote.workspace.reading.json_files import (
    LINE_LIMIT,
    LINES_LIMIT,
    Problems,
    UnfitFileError,
    decode,
    open_regular,
    reason,
)

Inode = Tuple[int, int]
"""Device and number, which identify a directory on whatever path it is reached."""

_CHUNK = 1 << 20
"""Bytes of jobs.jsonl that are read at once: some 5,000 jobs, of a file that may have a million."""

# A line as the scheduler writes it; any other JSON is read too, ten times as slowly. The pattern begins with the
# end of the line before, since a constant text is searched for fastest.
_USUAL = re.compile(r'\n\{"job_id": "(\w+)", "task_id": "([\w.]+)",', re.ASCII)
_HASH, _TASK = itemgetter(0), itemgetter(1)  # of a match of it
_FIRST_LISTS = ("jobs", "jobs.bak")


class References:
    """The jobs that runs refer to.

    Attributes:
        by_task: The hashes by task, as the runs spell them, not validated.
        inodes: The directories that links of version 1 lead to.
        problems: What could not be read, and may refer to more jobs.
    """

    def __init__(self) -> None:
        self.by_task: dict[str, set[str]] = {}
        self.inodes: set[Inode] = set()
        self.problems = Problems()

    def __len__(self) -> int:
        return sum(map(len, self.by_task.values()))

    def __iter__(self) -> Iterator[JobId]:
        """Yield those that can be ids of jobs, in order."""
        for task in sorted(self.by_task):
            if is_name(task):
                yield from (
                    JobId(task, each) for each in sorted(self.by_task[task]) if is_name(each)
                )

    def of_task(self, task: str) -> set[str]:
        """Return the set of the hashes of a task, to which more may be added."""
        return self.by_task.setdefault(task, set())


def read_references(layout: Layout, experiments: Iterable[str] | None = None) -> References:
    """Read which jobs the runs refer to.

    Args:
        layout: The workspace.
        experiments: The names of the experiments; by default all.
    """
    found = References()
    wanted = None if experiments is None else set(experiments)
    for name, experiment in _directories(str(layout.experiments), found.problems):
        if wanted is None or name in wanted:
            runs = dict(_directories(experiment, found.problems))
            for run in runs.values():
                if _link_target(run) not in runs:  # ``current`` is a link to one of the others
                    _read_jobs_file(f"{run}/jobs.jsonl", found)
                    _read_links(f"{run}/jobs", found)
    for name, experiment in _directories(str(layout.first_experiments), found.problems):
        if wanted is None or name in wanted:
            for links in _FIRST_LISTS:
                _read_links(f"{experiment}/{links}", found)
                _follow_links(f"{experiment}/{links}", found)
    return found


def _directories(parent: str, problems: Problems) -> list[tuple[str, str]]:
    """Return name and path of each directory, or link to one, in a directory."""
    paths = [(name, f"{parent}/{name}") for name in _names(parent, problems)]
    return [(name, path) for name, path in paths if os.path.isdir(path)]  # noqa: PTH112


def _names(directory: str, problems: Problems) -> list[str]:
    """List a directory; one that is absent is empty."""
    try:
        return os.listdir(directory)  # noqa: PTH208
    except FileNotFoundError:
        # After a migration from version 1, xp is left as a link to nowhere on purpose.
        if os.path.islink(directory) and not directory.endswith("/xp"):  # noqa: PTH114
            problems.note(directory, "is a link to nowhere")
    except NotADirectoryError:
        pass
    except OSError as error:
        problems.note(directory, reason(error))
    return []


def _link_target(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:  # no link
        return None


def _read_links(directory: str, found: References) -> None:
    """Add the names of links, which are those of jobs even if they lead nowhere."""
    for task in _names(directory, found.problems):
        found.of_task(task).update(_names(f"{directory}/{task}", found.problems))


def _follow_links(directory: str, found: References) -> None:
    for task in _names(directory, found.problems):
        for name in _names(f"{directory}/{task}", found.problems):
            try:
                place = os.stat(f"{directory}/{task}/{name}")  # noqa: PTH116
            except OSError:
                continue
            found.inodes.add((place.st_dev, place.st_ino))


def _read_jobs_file(path: str, found: References) -> None:
    bad = ""
    try:
        handle = open_regular(path)
        if handle is None:
            return
        with os.fdopen(handle, "rb") as file:
            for lines in _chunks(file):
                if not _add_usual(lines, found):
                    bad = _add_all(lines, found) or bad
    except OSError as error:
        bad = reason(error)
    except UnfitFileError as error:
        bad = str(error)
    if bad:
        found.problems.note(path, bad)


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    """Yield a file in pieces that end with a line.

    Raises:
        UnfitFileError: It is too large, or a line of it is.
    """
    rest, left = b"", LINES_LIMIT
    while True:
        data = file.read(_CHUNK)
        if not data:
            break
        left -= len(data)
        whole, newline, rest = (rest + data).rpartition(b"\n")
        if left < 0 or len(rest) > LINE_LIMIT:
            raise UnfitFileError("is too large to be read whole")
        yield whole + newline
    if rest:
        yield rest


def _add_usual(lines: bytes, found: References) -> bool:
    """Add the jobs of lines as the scheduler writes them; return whether all lines were such."""
    text = lines.decode("utf-8", "surrogateescape")
    jobs = _USUAL.findall(f"\n{text}")
    jobs.sort(key=_TASK)
    for task, group in groupby(jobs, _TASK):
        found.of_task(task).update(map(_HASH, group))
    return len(jobs) == text.count("\n") and text.endswith("}\n")


def _add_all(lines: bytes, found: References) -> str:
    """Add the jobs of lines of any JSON; return what is wrong with the other lines, or an empty text."""
    bad = ""
    for line in filter(bytes.strip, lines.split(b"\n")):
        try:
            job = decode(line)
        except UnfitFileError as error:
            bad = f"has a line that {error}"
            continue
        values = job if isinstance(job, dict) else {}
        task, job_hash = values.get("task_id"), values.get("job_id")
        if isinstance(task, str) and isinstance(job_hash, str):
            found.of_task(task).add(job_hash)
        else:
            bad = "has a line that names no job"
    return bad
