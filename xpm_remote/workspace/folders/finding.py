"""Where a job is: what is in its place in the workspace, and which folders have it."""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path
from typing import Iterable, NamedTuple, Sequence

from xpm_remote.workspace import filesystem, mounts
from xpm_remote.workspace.failures import FolderFailure
from xpm_remote.workspace.layout import Folder, FolderMode, JobId, Layout


class Presence(Enum):
    """What is in the place of a job."""

    WHOLE = "whole"
    """Its directory, or a link that leads to it, with the success marker."""

    MISSING = "missing"
    NOWHERE = "nowhere"
    """A link that leads nowhere, to itself, or to a directory without anything."""

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
    """The folders of a workspace that can be looked into.

    Attributes:
        usable: In their order.
        unavailable: Why the others cannot.
    """

    usable: tuple[Folder, ...]
    unavailable: tuple[str, ...]


class FoundCopies(NamedTuple):
    """What the folders have of a job.

    Attributes:
        copies: In the order of the folders.
        unavailable: Why folders could not be looked into.
    """

    copies: tuple[Copy, ...]
    unavailable: tuple[str, ...]


def presence(path: Path, job: JobId) -> Presence:
    """Tell what is in the place of a job; what cannot be read counts as something else."""
    try:
        if not os.path.lexists(path):
            return Presence.MISSING
        is_link = path.is_symlink()
        if is_link and not _leads_somewhere(path):
            return Presence.NOWHERE
        if not path.is_dir():
            return Presence.OTHER
        if _is_done(path, job):
            return Presence.WHOLE
        if _has_files(path):
            return Presence.PART
    except OSError:
        return Presence.OTHER
    return Presence.NOWHERE if is_link else Presence.EMPTY


def usable_folders(workspace: Layout, folders: Sequence[Folder]) -> UsableFolders:
    """Look which folders, of any mode, can be looked into now."""
    usable, unavailable = [], []
    for folder in folders:
        try:
            check_folder(folder, workspace)
        except FolderFailure as failure:
            unavailable.append(str(failure))
        else:
            usable.append(folder)
    return UsableFolders(tuple(usable), tuple(unavailable))


def find_copies(folders: UsableFolders, job: JobId) -> FoundCopies:
    """Look for a job in all folders, in their order."""
    copies, unavailable = [], list(folders.unavailable)
    for folder in folders.usable:
        try:
            copy = _copy_in(folder, job)
        except OSError as error:
            unavailable.append(f"the folder {folder.path} cannot be read: {error.strerror}")
        else:
            copies += [copy] if copy else []
    return FoundCopies(tuple(copies), tuple(unavailable))


def _copy_in(folder: Folder, job: JobId) -> Copy | None:
    path = folder.job(job)
    try:
        filesystem.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    there = presence(path, job)
    if there not in (Presence.WHOLE, Presence.PART):
        return None
    return Copy(folder, Path(os.path.realpath(path)), there is Presence.WHOLE)


def _is_done(path: Path, job: JobId) -> bool:
    return os.path.lexists(f"{path}/{job.script_name}.done")


def _leads_somewhere(link: Path) -> bool:
    try:
        filesystem.stat(link)
    except OSError:  # nothing there, or links in a circle
        return False
    return True


def _has_files(directory: Path) -> bool:
    """Tell whether there is anything but directories."""
    pending = [os.fspath(directory)]
    while pending:
        with filesystem.scan(pending.pop()) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    return True
                pending.append(entry.path)
    return False


def archives(folders: Iterable[Folder]) -> tuple[Folder, ...]:
    """Give those that jobs go to, in their order."""
    return tuple(folder for folder in folders if folder.mode is not FolderMode.USE)


def check_folder(folder: Folder, workspace: Layout) -> None:
    """Make sure that a folder can be used now, without changing anything.

    Raises:
        FolderFailure: It is missing, not mounted, no directory, not absolute, or the workspace itself.
    """
    path = folder.path
    if not path.is_absolute():
        raise FolderFailure(f"the folder {path} is not an absolute path", "write it in full")
    point = mounts.unmounted_above(path)
    if point is not None:
        raise FolderFailure(f"the folder {path} is not there: {point} is not mounted", "mount it")
    try:
        status = filesystem.stat(path)
        with filesystem.scan(path):
            pass
    except FileNotFoundError:
        raise FolderFailure(
            f"the folder {path} does not exist", "mount its disk, or create it"
        ) from None
    except OSError as error:
        raise FolderFailure(f"the folder {path} cannot be read: {error.strerror}") from error
    if _is_same(status, workspace.root) or _is_same_jobs(folder.layout, workspace):
        raise FolderFailure(f"the folder {path} is the workspace itself", "name another one")


def _is_same_jobs(folder: Layout, workspace: Layout) -> bool:
    try:
        return _is_same(filesystem.stat(folder.jobs), workspace.jobs)
    except OSError:
        return False


def _is_same(status: os.stat_result, path: Path) -> bool:
    try:
        return os.path.samestat(status, filesystem.stat(path))
    except OSError:
        return False
