"""Removing the directory of a job, decided at the moment when it is done.

What was found out before may have changed. So the job loses its name first: it is set aside, whole, where no process
finds it any more. What is found out then holds, and the job is removed, or put back. A process that dies between leaves
it as ``.orphan.<hash>``, which the next command puts back, or decides on anew.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import Tuple

from xpm_remote.workspace import filesystem, mounts
from xpm_remote.workspace.failures import BusyFailure, DamagedFailure, explain
from xpm_remote.workspace.folders.staging import JobSlot
from xpm_remote.workspace.folders.trees import DIRECTORY, Opened, remove
from xpm_remote.workspace.layout import JobFiles, JobId, Layout
from xpm_remote.workspace.locks import holding

Imprint = Tuple[object, ...]
"""What shows whether a job has started, ended or changed; two are equal if it has not."""


def imprint(files: JobFiles) -> Imprint:
    """Return what would be different if a job had been started, had ended, or was replaced by another directory.

    Raises:
        OSError: It cannot be read.
    """
    paths = (
        files.directory,
        *(files.done, files.failed, files.pid, files.lock),
        files.directory / f"{files.name}.py",
        files.own / "status.json",
    )
    return tuple(_trace(filesystem.lstat_or_none(path)) for path in paths)


def _trace(status: os.stat_result | None) -> Imprint | None:
    if status is None:
        return None
    return status.st_dev, status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns


def put_back_interrupted(layout: Layout, job: JobId) -> None:
    """Give a job its name back if an interrupted command has set it aside.

    Raises:
        WorkspaceFailure: As of ``JobSlot.take``.
        OSError: As of ``JobSlot.take``.
    """
    slot = JobSlot(layout, job, shared=not mounts.belongs_to_one_host(layout.jobs), strict=True)
    if filesystem.lstat_or_none(slot.orphan) is not None:
        slot.take()
        slot.discard()


def may_be_there(layout: Layout, job: JobId) -> bool:
    """Return whether there may be a job, perhaps set aside by a command that was interrupted."""
    slot = JobSlot(layout, job, shared=False)
    try:
        return any(filesystem.lstat_or_none(each) for each in (slot.final, slot.orphan))
    except OSError:
        return True


class JobRemoval:
    """One job that is being removed; a context manager that puts it back unless it was removed.

    No link is followed, neither to the job nor in it.

    Args:
        layout: The workspace.
        job: The job.

    Raises:
        BusyFailure: On entering: it runs here, or another process writes it.
        DamagedFailure: On entering: what an interrupted command left needs a person.
        OSError: On entering: a directory above it is no directory, or a lock cannot be taken.
    """

    def __init__(self, layout: Layout, job: JobId) -> None:
        parent = layout.job(job).parent
        self._slot = JobSlot(
            layout, job, shared=not mounts.belongs_to_one_host(parent), strict=True
        )
        self._locks = contextlib.ExitStack()
        self._is_aside = False
        self.files = JobFiles(self._slot.orphan, job.script_name)

    def __enter__(self) -> JobRemoval:
        self._slot.take()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._is_aside:
                self.put_back()
        finally:
            try:
                self._locks.close()
            finally:
                self._slot.release()

    def set_aside(self, *, is_link: bool = False) -> None:
        """Take the job's name away.

        Args:
            is_link: Whether it is a link, of which only itself is removed, and not a directory.

        Raises:
            BusyFailure: It runs, or it is something else than was said, or another job is aside.
            OSError: It cannot be renamed.
        """
        slot = self._slot
        wanted = stat.S_IFLNK if is_link else stat.S_IFDIR
        status = filesystem.lstat(slot.final.name, dir_fd=slot.directory)
        if stat.S_IFMT(status.st_mode) != wanted:
            what = "a link" if is_link else "a directory but a link or a file"
            raise BusyFailure(f"{slot.final} is no{'t' if is_link else ''} {what}")
        if not is_link:
            with Opened(slot.final.name, DIRECTORY, dir_fd=slot.directory) as directory:
                self._locks.enter_context(
                    holding(slot.final / f"{self.files.name}.lock", directory)
                )
        point = mounts.mounted_below(slot.final)
        if point is not None:
            raise BusyFailure(f"a file system is mounted at {point}", "unmount it first")
        if self.is_interrupted():
            raise BusyFailure(f"{slot.orphan} is in the way", "look at both, and remove one")
        slot.rename(slot.final, slot.orphan)
        self._is_aside = True

    def is_interrupted(self) -> bool:
        """Return whether an interrupted command has set the job aside, and another one has its name.

        Raises:
            OSError: It cannot be read.
        """
        return self._slot.status(self._slot.orphan) is not None

    def put_back(self) -> None:
        """Give the job its name back; what has appeared under that name is never replaced.

        Raises:
            DamagedFailure: Something has that name: both are kept.
            OSError: It cannot be renamed.
        """
        self._is_aside = False
        if not self._slot.put_back_orphan():
            raise DamagedFailure(
                f"{self._slot.final} has appeared anew, and the job that was there is kept as {self._slot.orphan}",
                "look at both, and remove one",
            )

    def remove(self) -> None:
        """Remove what was set aside.

        Raises:
            DamagedFailure: Not all of it could be removed; the rest is beside its place, under no job's name.
            OSError: Nothing of it could be removed.
        """
        slot = self._slot
        slot.rename(slot.orphan, slot.staged)
        self._is_aside = False
        try:
            remove(slot.staged, slot.directory, slot.done_name)
        except OSError as error:
            left = explain(error, slot.staged)
            raise DamagedFailure(f"{left}; what is left is in {slot.staged}") from None


def discard_job(layout: Layout, job: JobId, seen: Imprint | None = None) -> None:
    """Remove the directory of a job. No link is followed, and no process of the job can start meanwhile.

    The caller must know that the job is not needed and does not run on another host.

    Args:
        layout: The workspace.
        job: The job.
        seen: What the caller knows that from; by default the job as it is now.

    Raises:
        BusyFailure: It runs here, or another process writes it, or it is no directory, or it has changed.
        DamagedFailure: Not all of it could be removed; the rest is beside its place, under no job's name. Or it could
            not be put back, since another one has its name.
        OSError: It cannot be renamed; it is as it was.
    """
    seen = seen or imprint(layout.job_files(job))
    with JobRemoval(layout, job) as removal:
        removal.set_aside()
        if imprint(removal.files) != seen:
            removal.put_back()
            raise BusyFailure("it has changed, or was started", "look at it again")
        removal.remove()
