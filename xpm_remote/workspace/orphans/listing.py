"""Finding the jobs that no run refers to, and which of them a folder has. Nothing is written.

The rules are experimaestro's: a job is what lies two levels below ``jobs``; one that a backup or move folder has too is
recoverable and no orphan; a ``use`` folder does not count. But other people's data are left alone: a link into a
``use`` folder is never an orphan.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import AbstractSet, Iterable, Iterator, NamedTuple

from xpm_remote.workspace import filesystem
from xpm_remote.workspace.folders.finding import archives, why_unavailable
from xpm_remote.workspace.layout import ASIDE_PREFIX, Folder, FolderMode, JobId, Layout, is_name
from xpm_remote.workspace.orphans.references import (
    Place,
    References,
    Trace,
    is_directory,
    list_names,
    place_of,
    read_references,
    trace,
)
from xpm_remote.workspace.outcomes import Orphan, OrphanReport
from xpm_remote.workspace.reading.json_files import Problems, reason

_BLOCK = 512  # bytes of a block of ``st_blocks``, on any file system


def find_orphans(
    layout: Layout,
    folders: Iterable[Folder] = (),
    *,
    with_folders: bool = True,
    with_sizes: bool = False,
) -> OrphanReport:
    """Find the jobs that no run refers to.

    Args:
        layout: The workspace.
        folders: Its folders.
        with_folders: Whether a job that a backup or move folder has is recoverable rather than an orphan.
        with_sizes: Whether to measure their usage of the disk.
    """
    folders = tuple(folders)
    references = read_references(layout)
    unlisted = Problems()
    found = _candidates(layout, references, unlisted)
    found = [each for each in found if not _is_in_use(each, folders)]
    unavailable: list[str] = []
    if with_folders:
        found = _with_folders(found, layout, archives(folders), unavailable)
    if with_sizes:
        found = [each._replace(size=disk_usage(each.path)) for each in found]
    return OrphanReport(
        tuple(each for each in found if each.folder is None),
        tuple(each for each in found if each.folder is not None),
        tuple(references.problems),
        tuple(unlisted),
        tuple(unavailable),
    )


class KnownLinks:
    """The directories that the links of known jobs lead to. A task is listed again when it has changed.

    Args:
        layout: The workspace.
    """

    def __init__(self, layout: Layout) -> None:
        self._jobs = str(layout.jobs)
        self._by_task: dict[str, tuple[Trace, set[Place]]] = {}
        self._references: References | None = None

    def places(self, references: References) -> set[Place]:
        """Return them; what cannot be read is added to the problems of the references."""
        if references is not self._references:
            self._by_task.clear()
            self._references = references
        found: set[Place] = set()
        for task in list_names(self._jobs, references.problems):
            known = references.by_task.get(task)
            if known:
                found |= self._of_task(f"{self._jobs}/{task}", known, references.problems)
        return found

    def _of_task(self, path: str, known: AbstractSet[str], problems: Problems) -> set[Place]:
        now = trace(path)
        seen, places = self._by_task.get(path, (None, set()))
        if now is None or not now.is_settled or now != seen:
            entries = _unusual(path, known, problems)
            links = (each.path for each in entries if each.name in known)
            places = {place for link in links for place in place_of(link, problems)}
            if now is not None:
                self._by_task[path] = now, places
        return places


def disk_usage(path: Path) -> int:
    """Return the bytes that a directory and all in it use on its disk. Links are not followed.

    A file with several names counts once; what cannot be read does not count.
    """
    seen: set[tuple[int, int]] = set()
    total, left = _own_usage(str(path), seen), [str(path)]
    while left:
        try:
            with filesystem.scan(left.pop()) as entries:
                for entry in entries:
                    total += _own_usage(entry.path, seen)
                    if entry.is_dir(follow_symlinks=False):
                        left.append(entry.path)
        except OSError:
            continue
    return total


def _own_usage(path: str, seen: set[tuple[int, int]]) -> int:
    try:
        status = filesystem.lstat(path)
    except OSError:
        return 0
    inode = (status.st_dev, status.st_ino)
    if inode in seen:
        return 0
    seen.add(inode)
    return status.st_blocks * _BLOCK


def _candidates(layout: Layout, references: References, problems: Problems) -> list[Orphan]:
    """Return the jobs that no run refers to, neither by name nor by a link to the same directory."""
    links: list[str] = []
    found: list[Orphan] = []
    for task in _scan(str(layout.jobs), problems):
        known = references.by_task.get(task.name, set())
        # Where the links of known jobs cannot be read, any directory may be the target of one.
        place = references.problems if known else problems
        if is_name(task.name) and _is_directory(task, place):
            entries = _unusual(task.path, known, place)
            links += [entry.path for entry in entries if entry.name in known]
            found += _orphans(task.name, entries, known, problems)
    places = set(references.places)
    for link in links if found else ():
        places.update(place_of(link, references.problems))
    if places:
        found = [each for each in found if _is_apart(each, places, problems)]
    jobs = os.path.realpath(layout.jobs)
    return sorted(each for each in found if not _leads_to_known(each, jobs, references))


def _leads_to_known(orphan: Orphan, jobs: str, references: References) -> bool:
    """Return whether a link leads to a job of the same workspace that a run refers to."""
    if not orphan.is_link:
        return False
    parent, job_hash = os.path.split(os.path.realpath(orphan.path))
    place, task = os.path.split(parent)
    return place == jobs and job_hash in references.by_task.get(task, ())


def _orphans(
    task: str, entries: list[_Entry], known: AbstractSet[str], problems: Problems
) -> Iterator[Orphan]:
    """Yield the directories of unknown jobs, and those that an interrupted command has set aside."""
    names = {entry.name for entry in entries}
    for entry in entries:
        name = entry.name
        if name.startswith(ASIDE_PREFIX):
            name = name[len(ASIDE_PREFIX) :]
            if name in names:
                continue
        if name in known or not is_name(name):
            continue
        try:
            if filesystem.is_directory(entry.path):
                yield Orphan(JobId(task, name), Path(entry.path), entry.is_link)
        except OSError as error:
            problems.note(entry.path, reason(error))


def _is_apart(orphan: Orphan, known: AbstractSet[Place], problems: Problems) -> bool:
    """Return whether an orphan's directory is certainly none of the known ones."""
    own = set(place_of(str(orphan.path), problems))
    return bool(own) and not own.intersection(known)


def _is_in_use(orphan: Orphan, folders: Iterable[Folder]) -> bool:
    """Return whether a link leads into a ``use`` folder."""
    if not orphan.is_link:
        return False
    target = Path(os.path.realpath(orphan.path))
    roots = (Path(os.path.realpath(each.path)) for each in folders if each.mode is FolderMode.USE)
    return any(root in target.parents for root in roots)


def _with_folders(
    found: list[Orphan], layout: Layout, folders: Iterable[Folder], unavailable: list[str]
) -> list[Orphan]:
    """Add to each job the first folder that has it, if any."""
    tasks: dict[str, set[str]] = {}
    for each in found:
        tasks.setdefault(each.job.task, set()).add(each.job.hash)
    owners: dict[JobId, Folder] = {}
    for folder in folders:
        why = why_unavailable(folder, layout)
        if why:
            unavailable.append(why)
            continue
        for job in _jobs_in(folder, tasks, unavailable):
            owners.setdefault(job, folder)
    return [each._replace(folder=owners.get(each.job)) for each in found]


def _jobs_in(
    folder: Folder, wanted: dict[str, set[str]], unavailable: list[str]
) -> Iterator[JobId]:
    """Yield the wanted jobs that a folder has; what cannot be looked at is added to ``unavailable``."""
    problems = Problems()
    for task in wanted.keys() & list_names(str(folder.layout.jobs), problems):
        path = f"{folder.layout.jobs}/{task}"
        for name in wanted[task].intersection(list_names(path, problems)):
            if is_directory(f"{path}/{name}", problems):
                yield JobId(task, name)
    unavailable += [f"{each.path} {each.why}" for each in problems]


class _Entry(NamedTuple):
    """The path of what may be a job, its name, and whether it is a link."""

    path: str
    name: str
    is_link: bool


def _unusual(path: str, known: AbstractSet[str], problems: Problems) -> list[_Entry]:
    """List the directory of a task, but without the directories of known jobs, which are many."""
    try:
        before = filesystem.stat(path).st_nlink
        names = filesystem.list_directory(path)
        # If all are directories, which the link count says on most file systems, none need be a link.
        if before == filesystem.stat(path).st_nlink == len(names) + 2:
            return [_Entry(f"{path}/{name}", name, False) for name in set(names) - known]
        with filesystem.scan(path) as entries:
            return [
                _Entry(each.path, each.name, each.is_symlink())
                for each in entries
                if each.name not in known or each.is_symlink()
            ]
    except OSError as error:
        problems.note(path, reason(error))
        return []


def _scan(path: str, problems: Problems) -> Iterator[os.DirEntry[str]]:
    """Yield the entries of a directory; none if it is absent."""
    try:
        with filesystem.scan(path) as entries:
            yield from entries
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        problems.note(path, reason(error))


def _is_directory(entry: os.DirEntry[str], problems: Problems) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False) or filesystem.is_directory(entry.path)
    except OSError as error:
        problems.note(entry.path, reason(error))
        return False
