"""The auxiliary folders of a workspace: where jobs are copied or moved to, and where lost ones are found.

A folder has the layout of a workspace, with jobs only: ``<folder>/jobs/<task>/<hash>``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Iterable

from xpm_remote.workspace import filesystem, mounts
from xpm_remote.workspace.failures import FolderFailure
from xpm_remote.workspace.layout import Folder, FolderMode, Layout


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
