"""Finding a job: what is in its place in the workspace, which folders can be used, and which have a copy."""

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
    """Return what is in the place of a job; what cannot be read is ``OTHER``."""
    try:
        if not os.path.lexists(path):
            return Presence.MISSING
        is_link = path.is_symlink()
        if is_link and not os.path.exists(path):  # noqa: PTH110  (False for a loop of links too)
            return Presence.NOWHERE
        if not path.is_dir():
            return Presence.OTHER
        if os.path.lexists(f"{path}/{job.script_name}.done"):
            return Presence.WHOLE
        if _has_files(path):
            return Presence.PART
    except OSError:
        return Presence.OTHER
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
            unavailable.append(f"the folder {folder.path} cannot be read: {error.strerror}")
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
