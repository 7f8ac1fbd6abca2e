"""Making durable what was written to a directory, for a batch of jobs at once where the kernel can do that.

``syncfs`` writes out a whole file system in one call, and since Linux 5.8 reports what could not be written since the
directory was opened. Elsewhere, or where other hosts hold a part of the data, each file and each directory is written
out by itself.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Iterable

from xpm_remote.workspace import filesystem, mounts
from xpm_remote.workspace.folders.trees import Opened

_REPORTS_FAILURES = (5, 8)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Durability:
    """A directory that is written to, until all of it is durable; a context manager.

    Args:
        root: The directory, which exists. What is written to other file systems mounted below it is not covered.

    Attributes:
        each: Whether files must be made durable one by one while they are written.
    """

    def __init__(self, root: Path) -> None:
        self.each = not _can_sync_at_once(root)
        self._root = root
        self._descriptor = -1

    def __enter__(self) -> Durability:
        # Open before anything is written: failures are reported to those who had the file system open.
        self._descriptor = filesystem.open_file(self._root, _DIRECTORY)
        return self

    def __exit__(self, *_: object) -> None:
        filesystem.close(self._descriptor)

    def is_each(self, path: Path) -> bool:
        """Return whether what is written below a directory must be made durable file by file."""
        if self.each:
            return True
        try:  # there may be links and mounts between the root and the directory
            return filesystem.stat(path).st_dev != filesystem.stat_open(self._descriptor).st_dev
        except OSError:
            return True

    def settle(self, directories: Iterable[Path] = ()) -> None:
        """Make durable what was written, and the names that were made or changed in these directories.

        Raises:
            OSError: Something could not be written: none of it counts.
        """
        if not self.each:
            filesystem.sync_file_system(self._descriptor)
        for directory in dict.fromkeys(directories):
            if self.is_each(directory):
                sync_directory(directory)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable.

    Raises:
        OSError: It cannot be opened or written.
    """
    with Opened(path, _DIRECTORY) as descriptor:
        filesystem.fsync(descriptor)


def _can_sync_at_once(root: Path) -> bool:
    if not filesystem.HAS_SYNC_FILE_SYSTEM:
        return False
    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    if os.uname().sysname != "Linux" or not release:
        return False
    version = (int(release.group(1)), int(release.group(2)))
    return version >= _REPORTS_FAILURES and mounts.belongs_to_one_host(root)
