"""What was written to a directory made durable, for a batch of jobs at once where the kernel can do that.

``syncfs`` writes out a whole file system in one call, and since Linux 5.8 tells of what could not be written since the
directory was opened. Where that is not so, or other hosts hold a part of the data, each file and each directory is
written out by itself.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import TracebackType
from typing import Iterable

from xpm_remote.workspace import filesystem, mounts

_TELLS_OF_FAILURES = (5, 8)
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
        # Open before anything is written: failures are told to those who had the file system open.
        self._descriptor = filesystem.open_file(self._root, _DIRECTORY)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        filesystem.close(self._descriptor)

    def is_each(self, path: Path) -> bool:
        """Tell whether what is written below a directory must be made durable file by file."""
        return self.each or not self._covers(path)

    def settle(self, directories: Iterable[Path] = ()) -> None:
        """Make durable what was written, and that names were made or changed in these directories.

        Raises:
            OSError: Something could not be written: none of it counts.
        """
        if not self.each:
            filesystem.sync_file_system(self._descriptor)
        for directory in dict.fromkeys(directories):
            if self.is_each(directory):
                sync_directory(directory)

    def _covers(self, path: Path) -> bool:
        """Tell whether a directory is on the file system of the root: there may be links and mounts between."""
        try:
            return filesystem.stat(path).st_dev == filesystem.stat_open(self._descriptor).st_dev
        except OSError:
            return False


def sync_directory(path: Path) -> None:
    """Make durable which names a directory has.

    Raises:
        OSError: It cannot be opened or written.
    """
    descriptor = filesystem.open_file(path, _DIRECTORY)
    try:
        filesystem.fsync(descriptor)
    finally:
        filesystem.close(descriptor)


def _can_sync_at_once(root: Path) -> bool:
    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    if os.uname().sysname != "Linux" or not release:
        return False
    version = (int(release.group(1)), int(release.group(2)))
    return version >= _TELLS_OF_FAILURES and mounts.belongs_to_one_host(root)
