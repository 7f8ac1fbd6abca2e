"""Reading which jobs the runs of a workspace refer to: all runs of all experiments, whatever their outcome.

A run has ``jobs.jsonl``, to which the scheduler adds a line for each job that it submits, and links below ``jobs``.
Version 1 of the layout has links only. What a running scheduler has not written there yet may be in its live events;
where the file is lost, the events that the run keeps count, and a status that names further jobs makes it unreadable.
In doubt a job counts as referred to, since the others are deleted: only what is shown to be absent refers to nothing.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Callable, Iterable, Iterator, NamedTuple, Tuple, Union

from xpm_remote.workspace import filesystem, mounts
from xpm_remote.workspace.failures import explain
from xpm_remote.workspace.layout import JobId, Layout, is_name
from xpm_remote.workspace.reading.json_files import (
    LARGE_LIMIT,
    LINE_LIMIT,
    LINES_LIMIT,
    Problems,
    UnfitFileError,
    decode,
    open_regular,
    read_object,
    reason,
)

Place = Union[Tuple[int, int], str]
"""Device and number, which identify a directory on whatever path it is reached; its path where nothing is there."""

_CHUNK = 1 << 20
"""Bytes of jobs.jsonl that are read at once: some 5,000 jobs, of a file that may have a million."""

# A line as the scheduler writes it; any other JSON is read too, ten times as slowly. The pattern begins with the
# end of the line before, since a constant text is searched for fastest.
_USUAL = re.compile(r'\n\{"job_id": "(\w+)", "task_id": "([\w.]+)",', re.ASCII)
_HASH, _TASK = itemgetter(0), itemgetter(1)  # of a match of it
_FIRST_LISTS = ("jobs", "jobs.bak")

_ENDED = ("done", "failed", "completed")
"""Words for the status of a run that has ended."""

_SETTLED = 5
"""Seconds after which a change of a file counts as past: clocks of file systems may count in whole seconds or two."""


class Trace(NamedTuple):
    """What changes of a file or directory when its contents change.

    Attributes:
        is_settled: Whether the last change is so long ago that a further one would have another time.
    """

    inode: tuple[int, int]
    size: int
    changed: int
    is_settled: bool


def trace(path: str) -> Trace | None:
    """Return the trace of a file or directory, as the server has it; None where there is none."""
    try:
        # Opening asks a file server anew, where a mere status may be some seconds old.
        descriptor = filesystem.open_file(
            path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        )
        try:
            status = filesystem.stat_open(descriptor)
        finally:
            filesystem.close(descriptor)
    except OSError:
        return None
    changed = max(status.st_mtime_ns, status.st_ctime_ns)
    return Trace(
        (status.st_dev, status.st_ino),
        status.st_size,
        changed,
        time.time_ns() - changed > _SETTLED * 1_000_000_000,
    )


class References:
    """The jobs that runs refer to.

    Attributes:
        by_task: The hashes by task, as the runs spell them, not validated.
        places: What links of version 1 lead to.
        unended: The directories of runs that have no end, each with its host; empty where that is not known.
        problems: What could not be read, and may refer to more jobs.
    """

    def __init__(self) -> None:
        self.by_task: dict[str, set[str]] = {}
        self.places: set[Place] = set()
        self.unended: dict[str, str] = {}
        self.problems = Problems()
        self._sources: dict[str, Trace | None] = {}

    def __len__(self) -> int:
        return sum(map(len, self.by_task.values()))

    def __iter__(self) -> Iterator[JobId]:
        """Yield those that can be ids of jobs, in order."""
        for task in sorted(self.by_task):
            if is_name(task):
                yield from (
                    JobId(task, each) for each in sorted(self.by_task[task]) if is_name(each)
                )

    def see(self, path: str) -> str:
        """Record how a directory or file is before it is read; return its path."""
        self._sources.setdefault(path, trace(path))
        return path

    def is_current(self) -> bool:
        """Return whether certainly nothing that was read has changed since."""
        return all(
            trace(path) == seen and (seen is None or seen.is_settled)
            for path, seen in self._sources.items()
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
    if wanted is None:
        # First: a run that ends takes them away, and has all of them in its other files by then.
        _read_events(str(layout.live_experiment_events), found)
    _check_mounted(str(layout.experiments), found)
    _check_there(layout, found)
    named: dict[str, frozenset[str]] = {}
    listed = _runs(layout, wanted, found)
    for run, is_alias in listed.items():
        if not is_alias:  # ``current`` is a link to one of the others
            if wanted is None:
                named[run] = _read_status(run, found)
            if not _read_lines_of(f"{run}/jobs.jsonl", found, _add_usual_or_all):
                _read_events(f"{run}/events", found)
            _read_links(f"{run}/jobs", found)
    _read_first(layout, wanted, found)
    _check_named(named, found)
    if listed.keys() != _runs(layout, wanted, found).keys():
        found.problems.note(str(layout.experiments), "changed while it was read")
    return found


def _check_there(layout: Layout, found: References) -> None:
    """Note that no experiment is there, nor their directory, while there are jobs: it may be elsewhere for a moment."""
    lists = (str(layout.experiments), str(layout.first_experiments))
    try:
        is_there = any(filesystem.lstat_or_none(each) is not None for each in lists)
    except OSError:
        return  # noted when it is listed
    if not is_there and list_names(str(layout.jobs), found.problems):
        found.problems.note(lists[0], "is not there; if its runs were removed, make it anew, empty")


def _read_first(layout: Layout, wanted: set[str] | None, found: References) -> None:
    """Read the links of version 1 of the layout."""
    for name, experiment in _directories(str(layout.first_experiments), found):
        if wanted is None or name in wanted:
            _check_mounted(experiment, found)
            for links in _FIRST_LISTS:
                _read_links(f"{experiment}/{links}", found)
                _follow_links(f"{experiment}/{links}", found)


def _runs(layout: Layout, wanted: set[str] | None, references: References) -> dict[str, bool]:
    """Return the directories of runs, each with whether it is a link to another one of the same experiment."""
    found: dict[str, bool] = {}
    for name, experiment in _directories(str(layout.experiments), references):
        if wanted is None or name in wanted:
            runs = dict(_directories(experiment, references))
            found.update({run: _link_target(run) in runs for run in runs.values()})
    return found


def _directories(parent: str, found: References) -> list[tuple[str, str]]:
    """Return name and path of each directory, or link to one, in a directory."""
    paths = [(name, f"{parent}/{name}") for name in _list(parent, found)]
    if not paths:
        _check_mounted(parent, found)
    return [(name, path) for name, path in paths if is_directory(path, found.problems)]


def _check_mounted(directory: str, found: References) -> None:
    """Note a directory that is, or may be, empty only because its disk is not mounted."""
    try:
        if mounts.unmounted_above(Path(directory)):
            found.problems.note(directory, "is not mounted")
    except OSError as error:
        found.problems.note(
            directory, f"is empty, and may not be mounted: {explain(error, Path(directory))}"
        )


def _list(directory: str, found: References) -> list[str]:
    return list_names(found.see(directory), found.problems)


def _read_status(run: str, found: References) -> frozenset[str]:
    """Note a run that has no end, or may have none; return the hashes of the jobs that its status names."""
    problems = Problems()
    path = found.see(f"{run}/status.json")
    status = read_object(path, LARGE_LIMIT, problems)
    if problems:
        found.unended[run] = ""
    elif status is not None and not (status.get("ended_at") or status.get("status") in _ENDED):
        hostname = status.get("hostname")
        found.unended[run] = hostname if isinstance(hostname, str) else ""
    states = (status or {}).get("job_states")
    return frozenset(states if isinstance(states, dict) else ())


def _check_named(named: dict[str, frozenset[str]], found: References) -> None:
    """Note the runs whose status names jobs that no list and no link has: their task is not known."""
    known: set[str] = set().union(*found.by_task.values())
    for run, hashes in named.items():
        missing = len(hashes - known)
        if missing:
            why = f"is incomplete: status.json beside it names further jobs ({missing})"
            found.problems.note(f"{run}/jobs.jsonl", why)


def is_directory(path: str, problems: Problems) -> bool:
    """Return whether a name of a directory leads to a directory; noted as a problem where that is unknown."""
    try:
        return stat.S_ISDIR(filesystem.stat(path).st_mode)
    except FileNotFoundError:
        problems.note(path, _why_absent(path) or "disappeared while it was read")
    except OSError as error:
        problems.note(path, reason(error))
    return False


def list_names(directory: str, problems: Problems) -> list[str]:
    """List a directory; one that is absent is empty, and so is a file."""
    try:
        return filesystem.list_directory(directory)
    except (FileNotFoundError, NotADirectoryError):
        why = _why_absent(directory)
    except OSError as error:
        why = reason(error)
    if why:
        problems.note(directory, why)
    return []


def _why_absent(path: str) -> str:
    """Return why it is not known what is at a path where nothing was found; empty if there is nothing."""
    at = path
    try:
        while filesystem.lstat_or_none(at) is None:
            at = os.path.dirname(at)  # noqa: PTH120
        filesystem.stat(at)
    except (FileNotFoundError, NotADirectoryError):
        # A migration from version 1 leaves such a link to a name that the root directory lacks, on purpose.
        if at.endswith("/xp") and os.path.dirname(filesystem.readlink(at)) == "/":  # noqa: PTH120
            return ""
        return "is a link to nowhere" if at == path else f"lies behind {at}, a link to nowhere"
    except OSError as error:
        return reason(error)
    return ""


def _link_target(path: str) -> str | None:
    try:
        return filesystem.readlink(path)
    except OSError:  # no link
        return None


def _read_links(directory: str, found: References) -> None:
    """Add the names of links, which are those of jobs even if they lead nowhere."""
    for task in _list(directory, found):
        found.of_task(task).update(_list(f"{directory}/{task}", found))


def _follow_links(directory: str, found: References) -> None:
    for task in _list(directory, found):
        for name in _list(f"{directory}/{task}", found):
            found.places.update(place_of(f"{directory}/{task}/{name}", found.problems))


def place_of(path: str, problems: Problems) -> Iterator[Place]:
    """Yield what a path leads to, which may be absent for a moment; nothing where that is unknown."""
    try:
        status = filesystem.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        yield os.path.realpath(path)
    except OSError as error:
        if error.errno != errno.ELOOP:
            problems.note(path, reason(error))
    else:
        yield status.st_dev, status.st_ino


def _read_events(directory: str, found: References) -> None:
    """Add the jobs that events of experiments name, in files of the directory, or one level below as before 2.1.1."""
    for name in _list(directory, found):
        path = f"{directory}/{name}"
        inner = [name] if name.endswith(".jsonl") else _list(path, found)
        for file in inner:
            if file.endswith(".jsonl"):
                _read_lines_of(path if file == name else f"{path}/{file}", found, _add_events)


def _read_lines_of(path: str, found: References, add: Callable[[bytes, References], str]) -> bool:
    """Add the jobs of a file of lines, and note what is wrong with it; return whether it is there, or may be."""
    bad, is_there = "", True
    try:
        handle = open_regular(found.see(path))
        if handle is None:
            bad = _why_absent(path)
            is_there = bool(bad)
        else:
            try:
                for lines in _chunks(handle):
                    bad = add(lines, found) or bad
            finally:
                filesystem.close(handle)
    except OSError as error:
        bad = reason(error)
    except UnfitFileError as error:
        bad = str(error)
    if bad:
        found.problems.note(path, bad)
    return is_there


def _chunks(handle: int) -> Iterator[bytes]:
    """Yield a file in pieces that end with a line.

    Raises:
        UnfitFileError: It is too large, or a line of it is.
    """
    rest, left = b"", LINES_LIMIT
    while True:
        data = filesystem.read(handle, _CHUNK)
        if not data:
            break
        left -= len(data)
        whole, newline, rest = (rest + data).rpartition(b"\n")
        if left < 0 or len(rest) > LINE_LIMIT:
            raise UnfitFileError("is too large to be read whole")
        yield whole + newline
    if rest:
        yield rest


def _add_usual_or_all(lines: bytes, found: References) -> str:
    return "" if _add_usual(lines, found) else _add_all(lines, found)


def _add_events(lines: bytes, found: References) -> str:
    return _add_all(lines, found, each_names=False)


def _add_usual(lines: bytes, found: References) -> bool:
    """Add the jobs of lines as the scheduler writes them; return whether all lines were such."""
    text = lines.decode("utf-8", "surrogateescape")
    jobs = _USUAL.findall(f"\n{text}")
    jobs.sort(key=_TASK)
    for task, group in groupby(jobs, _TASK):
        found.of_task(task).update(map(_HASH, group))
    return len(jobs) == text.count("\n") and text.endswith("}\n")


def _add_all(lines: bytes, found: References, *, each_names: bool = True) -> str:
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
        elif each_names:
            bad = "has a line that names no job"
    return bad
