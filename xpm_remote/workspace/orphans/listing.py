"""Jobs that no run refers to: which of them a folder could give back, and which are in the workspace only.

Nothing is written here. The rules are experimaestro's: a job is what lies two levels below ``jobs``; one that a backup
or move folder has too is recoverable and no orphan; a ``use`` folder does not count. But links are not followed into
other people's data: what a link leads to in a ``use`` folder is never a candidate.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import AbstractSet, Iterable, Iterator, NamedTuple

from xpm_remote.workspace.failures import FolderFailure
from xpm_remote.workspace.folders.finding import archives, check_folder
from xpm_remote.workspace.layout import Folder, FolderMode, JobId, Layout, is_name
from xpm_remote.workspace.orphans.references import Inode, References, read_references
from xpm_remote.workspace.outcomes import Orphan, OrphanReport
from xpm_remote.workspace.reading.json_files import Problems, reason

_BLOCK = 512  # bytes of a block of ``st_blocks``, whatever the file system's own are


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
        with_sizes: Whether to measure what they take on the disk.
    """
    folders = tuple(folders)
    references = read_references(layout)
    unlisted = Problems()
    found = list(_candidates(layout, references, unlisted))
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


def disk_usage(path: Path) -> int:
    """Give the bytes that a directory and all in it take on its disk; links are not followed.

    A file of several names counts once; what cannot be looked at does not count.
    """
    seen: set[Inode] = set()
    total, left = _own_usage(str(path), seen), [str(path)]
    while left:
        try:
            with os.scandir(left.pop()) as entries:
                for entry in entries:
                    total += _own_usage(entry.path, seen)
                    if entry.is_dir(follow_symlinks=False):
                        left.append(entry.path)
        except OSError:
            continue
    return total


def _own_usage(path: str, seen: set[Inode]) -> int:
    try:
        status = os.lstat(path)
    except OSError:
        return 0
    inode = (status.st_dev, status.st_ino)
    if inode in seen:
        return 0
    seen.add(inode)
    return status.st_blocks * _BLOCK


def _candidates(layout: Layout, references: References, problems: Problems) -> list[Orphan]:
    """Give the jobs that no run refers to, neither by name nor by a link that leads to the same directory."""
    links: list[str] = []
    found: list[Orphan] = []
    for task in _scan(str(layout.jobs), problems):
        if is_name(task.name) and _is_directory(task):
            known = references.by_task.get(task.name, set())
            for entry in _unusual(task.path, known, problems):
                if entry.name in known:
                    links.append(entry.path)
                else:
                    found += _as_orphan(task.name, entry)
    inodes = references.inodes.union(_inodes(links)) if found else set()
    if inodes:
        found = [each for each in found if not inodes.intersection(_inodes([str(each.path)]))]
    jobs = os.path.realpath(layout.jobs)
    return sorted(each for each in found if not _leads_to_known(each, jobs, references))


def _leads_to_known(orphan: Orphan, jobs: str, references: References) -> bool:
    """Tell whether a link leads to a job of the same workspace that a run refers to."""
    if not orphan.is_link:
        return False
    parent, job_hash = os.path.split(os.path.realpath(orphan.path))
    place, task = os.path.split(parent)
    return place == jobs and job_hash in references.by_task.get(task, ())


def _as_orphan(task: str, entry: _Entry) -> Iterator[Orphan]:
    # Of a loop of links, too, that is no directory.
    if is_name(entry.name) and os.path.isdir(entry.path):  # noqa: PTH112
        yield Orphan(JobId(task, entry.name), Path(entry.path), entry.is_link)


def _inodes(paths: Iterable[str]) -> Iterator[Inode]:
    for path in paths:
        try:
            status = os.stat(path)  # noqa: PTH116  (of many, as text)
        except OSError:
            continue
        yield status.st_dev, status.st_ino


def _is_in_use(orphan: Orphan, folders: Iterable[Folder]) -> bool:
    """Tell whether a link leads into a folder from which nothing is ever taken."""
    if not orphan.is_link:
        return False
    target = Path(os.path.realpath(orphan.path))
    roots = (Path(os.path.realpath(each.path)) for each in folders if each.mode is FolderMode.USE)
    return any(root in target.parents for root in roots)


def _with_folders(
    found: list[Orphan], layout: Layout, folders: Iterable[Folder], unavailable: list[str]
) -> list[Orphan]:
    """Say of each job which folder has it, if one does."""
    having: list[tuple[Folder, set[JobId]]] = []
    tasks = {each.job.task for each in found}
    for folder in folders:
        try:
            check_folder(folder, layout)
        except FolderFailure as failure:
            unavailable.append(str(failure))
            continue
        having.append((folder, _jobs_in(folder, tasks, unavailable)))
    owners: dict[JobId, Folder] = {}
    for folder, jobs in having:
        for job in jobs:
            owners.setdefault(job, folder)
    return [each._replace(folder=owners.get(each.job)) for each in found]


def _jobs_in(folder: Folder, tasks: Iterable[str], unavailable: list[str]) -> set[JobId]:
    problems = Problems()
    jobs = {
        JobId(task, entry.name)
        for task in tasks
        for entry in _scan(str(folder.layout.jobs / task), problems)
        if _is_directory(entry)
    }
    unavailable += [f"{each.path}: {each.why}" for each in problems]
    return jobs


class _Entry(NamedTuple):
    """What may be a job: where it is, its name, and whether it is a link."""

    path: str
    name: str
    is_link: bool


def _unusual(path: str, known: AbstractSet[str], problems: Problems) -> list[_Entry]:
    """Give what is in the directory of a task, but for the directories of known jobs: those are many."""
    try:
        names = os.listdir(path)  # noqa: PTH208
        # Without links among them, which takes no look at each where a directory counts those in it.
        if os.stat(path).st_nlink == len(names) + 2:  # noqa: PTH116
            return [_Entry(f"{path}/{name}", name, False) for name in set(names) - known]
        with os.scandir(path) as entries:
            return [
                _Entry(each.path, each.name, each.is_symlink())
                for each in entries
                if each.name not in known or each.is_symlink()
            ]
    except OSError as error:
        problems.note(path, reason(error))
        return []


def _scan(path: str, problems: Problems) -> Iterator[os.DirEntry[str]]:
    """Give what is in a directory; nothing when it is not there."""
    try:
        with os.scandir(path) as entries:
            yield from entries
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        problems.note(path, reason(error))


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links
        return False
