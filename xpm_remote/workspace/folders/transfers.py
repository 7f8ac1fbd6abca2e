"""Copying a job beside its new place, while its locks are kept alive."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Callable, NamedTuple

from xpm_remote.workspace import filesystem
from xpm_remote.workspace.failures import NO_SPACE, BusyFailure, explain, path_of
from xpm_remote.workspace.folders.copying import CopyReport, TreeCopy
from xpm_remote.workspace.folders.staging import JobSlot
from xpm_remote.workspace.folders.trees import Tree, own_top_names
from xpm_remote.workspace.locks import RENEW_AFTER, StagingLock
from xpm_remote.workspace.outcomes import CopyProgress

NEEDS_ANOTHER_FOLDER = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EROFS,
        errno.ENODEV,
        errno.ENXIO,
        errno.ESTALE,
        errno.ENOTCONN,
        errno.EHOSTDOWN,
        errno.ETIMEDOUT,
    }
)
"""Error numbers that mean that nothing can be written to a folder, rather than that one job is at fault."""


class Sides(NamedTuple):
    """The two sides of a copy, to tell which one is at fault.

    Attributes:
        workspace: The root of the workspace.
        folder: The root of the folder, where it is known already.
    """

    workspace: Path
    folder: Path | None = None

    def blames_folder(self, error: OSError, where: Path) -> bool:
        """Return whether an error is the folder's; ``where`` is the file if the error names none."""
        path = path_of(error) or os.fspath(where)
        in_workspace = _depth_in(self.workspace, path)
        return self.folder is not None and _depth_in(self.folder, path) > in_workspace

    def explain(self, error: OSError, where: Path) -> str:
        """Return a line with the side, the file and the reason of an error."""
        message = explain(error, where)
        is_full = error.errno in NO_SPACE
        if self.blames_folder(error, where):
            state = "is full" if is_full else "cannot be used"
            return f"the folder {self.folder} {state}: {message}"
        return f"the workspace {self.workspace} is full: {message}" if is_full else message


def _depth_in(root: Path, path: str) -> int:
    """Return how long the part of a path is that leads to a root; 0 where it is not in it."""
    for each in (os.fspath(root), os.path.realpath(root)):
        if path == each or path.startswith(each.rstrip("/") + "/"):
            return len(each)
    return 0


class Heartbeat:
    """Renews the locks that a thread holds while it copies.

    Args:
        abandon: Called at each step; if true, the copying is given up.
    """

    def __init__(self, abandon: Callable[[], bool]) -> None:
        self._abandon = abandon
        self._locks: list[StagingLock] = []
        self._last = time.monotonic()

    def add(self, lock: StagingLock) -> None:
        """Renew this lock too."""
        self._locks.append(lock)

    def clear(self) -> None:
        """Forget the locks."""
        self._locks.clear()

    def beat(self) -> None:
        """Renew the locks if they are due.

        Raises:
            BusyFailure: The copying must be given up.
        """
        if self._abandon():
            raise BusyFailure("interrupted", "try again")
        now = time.monotonic()
        if now - self._last >= RENEW_AFTER:
            self._last = now
            for lock in self._locks:
                lock.renew()


class Transfer:
    """One job that is copied beside its new place.

    Args:
        source: Its directory, which is no link.
        slot: Its new place, locked.
        progress: Called at each step.
        heartbeat: Renews the locks at each step.
    """

    def __init__(
        self, source: Path, slot: JobSlot, progress: CopyProgress, heartbeat: Heartbeat
    ) -> None:
        self.source = source
        self.slot = slot
        self.report = CopyReport()
        self._seen: os.stat_result | None = None
        self._progress = progress
        self._heartbeat = heartbeat

    def stage(self, *, sync: bool) -> None:
        """Copy the job.

        Args:
            sync: Whether each file is made durable by itself.

        Raises:
            DamagedFailure: A file changed meanwhile, or what was written is not what was read.
            OSError: Something cannot be read or written.
        """
        with Tree(self.source) as source:
            self._seen = filesystem.stat_open(source.top)
            self.report = self._copy(source, sync=sync)

    def make_sure_of_source(self) -> None:
        """Check that the job is unchanged since it was copied: experimaestro removes a job that it moves file by file.

        Raises:
            BusyFailure: It has changed.
            OSError: Its status cannot be read.
        """
        now = filesystem.lstat(self.source)
        if self._seen is None or not os.path.samestat(now, self._seen):
            raise BusyFailure(f"{self.source} was replaced while it was copied", "try again")
        if now.st_mtime_ns != self._seen.st_mtime_ns:
            raise BusyFailure(f"{self.source} changed while it was copied", "try again")

    def carry_over(self, *, sync: bool) -> None:
        """Add experimaestro's own files that only the old copy has to what is staged.

        Raises:
            DamagedFailure: As ``stage``.
            OSError: As ``stage``.
        """
        with Tree(self.slot.final, self.slot.directory) as source:
            self._copy(source, sync=sync, fill=True)

    def _copy(self, source: Tree, *, sync: bool, fill: bool = False) -> CopyReport:
        return TreeCopy(
            source,
            self.slot.staged,
            self.slot.directory,
            excluded=own_top_names(self.slot.job.script_name),
            sync=sync,
            told=self._told,
            fill=fill,
        ).run()

    def _told(self, size: int, files: int) -> None:
        self._heartbeat.beat()
        self._progress(self.slot.job, size, files)
