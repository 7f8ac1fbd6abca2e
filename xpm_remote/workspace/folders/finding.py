"""Finding a job: what is in its place in the workspace, which folders can be used, and which have a copy."""

from __future__ import annotations

import os
import stat
from enum import Enum
from pathlib import Path
from typing import Iterable, NamedTuple, Sequence

from xpm_remote.workspace import filesystem, mounts
from xpm_remote.workspace.failures import FolderFailure, explain
from xpm_remote.workspace.layout import Folder, FolderMode, JobId, Layout


class Presence(Enum):
    """What is in the place of a job."""

    WHOLE = "whole"
    """Its directory, or a link that leads to it, with the success marker."""

    MISSING = "missing"
    NOWHERE = "nowhere"
    """A link that leads nowhere, to itself, or to a directory without files."""

    EMPTY = "empty"
    """A directory without any file."""

    PART = "part"
    """A directory with files, but without the success marker."""

    OTHER = "other"
    """Something that is no directory."""


class Copy(NamedTuple):
    """A copy of a job in a folder.

    Attributes:
        folder: The folder.
        path: The copy's directory; no link.
        is_whole: Whether it has the success marker.
    """

    folder: Folder
    path: Path
    is_whole: bool


class UsableFolders(NamedTuple):
    """The folders of a workspace that can be read.

    Attributes:
        usable: The folders, in their order.
        unavailable: Why the others cannot be read.
    """

    usable: tuple[Folder, ...]
    unavailable: tuple[str, ...]


class FoundCopies(NamedTuple):
    """The copies of a job.

    Attributes:
        copies: The copies, in the order of the folders.
        unavailable: Why folders could not be read.
    """

    copies: tuple[Copy, ...]
    unavailable: tuple[str, ...]


def presence(path: Path, job: JobId) -> Presence:
    """Return what is in the place of a job.

    Raises:
        OSError: It cannot be read, which does not mean that it is absent.
    """
    named = filesystem.lstat_or_none(path)
    if named is None:
        return Presence.MISSING
    is_link = stat.S_ISLNK(named.st_mode)
    status = filesystem.stat_or_none(path)
    if status is None:
        return Presence.NOWHERE if is_link else Presence.MISSING
    if not stat.S_ISDIR(status.st_mode):
        return Presence.OTHER
    if filesystem.lstat_or_none(f"{path}/{job.script_name}.done") is not None:
        return Presence.WHOLE
    if _has_files(path):
        return Presence.PART
    return Presence.NOWHERE if is_link else Presence.EMPTY


def usable_folders(workspace: Layout, folders: Sequence[Folder]) -> UsableFolders:
    """Return the folders, of any mode, that can be read now."""
    checked = [(folder, why_unavailable(folder, workspace)) for folder in folders]
    return UsableFolders(
        tuple(folder for folder, why in checked if not why), tuple(why for _, why in checked if why)
    )


def find_copies(folders: UsableFolders, job: JobId) -> FoundCopies:
    """Return the copies of a job in all folders, in their order."""
    copies, unavailable = [], list(folders.unavailable)
    for folder in folders.usable:
        try:
            copy = _copy_in(folder, job)
        except OSError as error:
            why = explain(error, folder.job(job))
            unavailable.append(f"the folder {folder.path} cannot be read: {why}")
        else:
            copies += [copy] if copy else []
    return FoundCopies(tuple(copies), tuple(unavailable))


def archives(folders: Iterable[Folder]) -> tuple[Folder, ...]:
    """Return the folders that jobs are archived in, in their order."""
    return tuple(folder for folder in folders if folder.mode is not FolderMode.USE)


def why_unavailable(folder: Folder, workspace: Layout) -> str:
    """Return why a folder cannot be used now; empty if it can."""
    try:
        check_folder(folder, workspace)
    except FolderFailure as failure:
        return str(failure)
    return ""


def check_folder(folder: Folder, workspace: Layout) -> None:
    """Check that a folder can be used now. Nothing is changed.

    Raises:
        FolderFailure: It is missing, not mounted, no directory, not absolute, the workspace itself, or in its jobs.
    """
    path = folder.path
    if not path.is_absolute():
        raise FolderFailure(f"the folder {path} is not an absolute path", "write it in full")
    try:
        point = mounts.unmounted_above(path)
    except OSError as error:
        what = f"the folder {path} is empty, and may be a disk that is not mounted"
        raise FolderFailure(f"{what}: {explain(error, path)}", "make a directory in it") from error
    if point is not None:
        raise FolderFailure(f"the folder {path} is not there: {point} is not mounted", "mount it")
    try:
        with filesystem.scan(path):
            pass
    except FileNotFoundError:
        raise FolderFailure(
            f"the folder {path} does not exist", "mount its disk, or create it"
        ) from None
    except OSError as error:
        raise FolderFailure(f"the folder {path} cannot be read: {error.strerror}") from error
    try:
        unfit = _why_unfit(folder, workspace)
    except OSError as error:
        why = explain(error, path)
        raise FolderFailure(f"the folder {path} may be the workspace itself: {why}") from error
    if unfit:
        raise FolderFailure(f"the folder {path} {unfit}", "name another one")


def _why_unfit(folder: Folder, workspace: Layout) -> str:
    path = folder.path
    if _are_same(path, workspace.root) or _are_same(folder.layout.jobs, workspace.jobs):
        return "is the workspace itself"
    if Path(os.path.realpath(workspace.jobs)) in Path(os.path.realpath(path)).parents:
        return "lies in a job of the workspace"  # whose copy would have itself in it, without end
    return ""


def _are_same(first: Path, second: Path) -> bool:
    one, other = filesystem.stat_or_none(first), filesystem.stat_or_none(second)
    return one is not None and other is not None and os.path.samestat(one, other)


def _copy_in(folder: Folder, job: JobId) -> Copy | None:
    path = folder.job(job)
    there = presence(path, job)
    if there not in (Presence.WHOLE, Presence.PART):
        return None
    return Copy(folder, Path(os.path.realpath(path)), there is Presence.WHOLE)


def _has_files(directory: Path) -> bool:
    """Return whether there is anything but directories, at any depth."""
    pending = [os.fspath(directory)]
    while pending:
        with filesystem.scan(pending.pop()) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    return True
                pending.append(entry.path)
    return False
