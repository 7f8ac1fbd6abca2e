"""A job on its way from one place to another: copied beside its new place, not yet there."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Callable

from xpm_remote.workspace import filesystem
from xpm_remote.workspace.failures import BusyFailure
from xpm_remote.workspace.folders.copying import CopyReport, TreeCopy
from xpm_remote.workspace.folders.staging import JobSlot
from xpm_remote.workspace.folders.trees import own_top_names
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
"""What says that a folder cannot be written at all, rather than that something is wrong with one job."""


class Heartbeat:
    """The locks that a thread holds, shown to be alive while it copies.

    Args:
        abandon: Asked at each step whether to give up at once.
    """

    def __init__(self, abandon: Callable[[], bool]) -> None:
        self._abandon = abandon
        self._locks: list[StagingLock] = []
        self._last = time.monotonic()

    def add(self, lock: StagingLock) -> None:
        """Keep a lock alive, too."""
        self._locks.append(lock)

    def clear(self) -> None:
        """Forget the locks."""
        self._locks.clear()

    def beat(self) -> None:
        """Renew the locks if it is time.

        Raises:
            BusyFailure: We are to give up.
        """
        if self._abandon():
            raise BusyFailure("interrupted", "try again")
        now = time.monotonic()
        if now - self._last >= RENEW_AFTER:
            self._last = now
            for lock in self._locks:
                lock.renew()


class Transfer:
    """One job that is copied to the place beside its new one.

    Args:
        source: Its directory, which is no link.
        place: Where it goes, locked.
        progress: Told of each step.
        heartbeat: Keeps our locks alive.
    """

    def __init__(
        self, source: Path, place: JobSlot, progress: CopyProgress, heartbeat: Heartbeat
    ) -> None:
        self.source = source
        self.place = place
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
        self._seen = filesystem.lstat(self.source)
        self.report = TreeCopy(
            self.source,
            self.place.staged,
            excluded=own_top_names(self.place.job.script_name),
            sync=sync,
            told=self._told,
        ).run()

    def make_sure_of_source(self) -> None:
        """Stop if the job has changed since it was copied: experimaestro removes a job that it moves file by file.

        Raises:
            BusyFailure: It has changed.
            OSError: It cannot be looked at.
        """
        now = filesystem.lstat(self.source)
        if self._seen is None or not os.path.samestat(now, self._seen):
            raise BusyFailure(f"{self.source} was replaced while it was copied", "try again")
        if now.st_mtime_ns != self._seen.st_mtime_ns:
            raise BusyFailure(f"{self.source} changed while it was copied", "try again")

    def carry_over(self, *, sync: bool) -> None:
        """Add to what is staged what only the old copy has, which is experimaestro's own.

        Raises:
            DamagedFailure: As of ``stage``.
            OSError: As of ``stage``.
        """
        TreeCopy(
            self.place.final,
            self.place.staged,
            excluded=own_top_names(self.place.job.script_name),
            sync=sync,
            told=self._told,
            fill=True,
        ).run()

    def _told(self, size: int, files: int) -> None:
        self._heartbeat.beat()
        self._progress(self.place.job, size, files)
