"""The place of a job while it is written, moved or removed, and the clean-up after a process that died there.

Beside ``<hash>`` in ``jobs/<task>/`` there may be, as with experimaestro:

* ``.tmp.<hash>``: what is being written or removed, which may be deleted at any time;
* ``.tmp.<hash>.lock``: locked by the process that writes the job;

and of xpm-remote only:

* ``.tmp.<hash>.aside``: what was in the job's place before; in a workspace, the directory of a moved job between the
  moment when a link took its place and its removal. Its success marker is removed first: one that has it is whole;
* ``.orphan.<hash>``: a whole job that is to be removed, until it is decided that it may be: then it is ``.tmp.<hash>``.

All of it is done in the open directory that has these names, so that it stays there whatever takes the place of that.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import Iterable

from xpm_remote.workspace import filesystem, mounts
from xpm_remote.workspace.failures import BusyFailure, DamagedFailure, WorkspaceFailure
from xpm_remote.workspace.folders.comparing import compare_jobs
from xpm_remote.workspace.folders.trees import DIRECTORY, close_read, naming, remove
from xpm_remote.workspace.layout import ASIDE_PREFIX, STAGING_PREFIX, JobId, Layout, is_name
from xpm_remote.workspace.locks import STALE_AFTER, StagingLock

LOCK_SUFFIX = ".lock"
ASIDE_SUFFIX = ".aside"


class JobSlot:
    """The place of a job in a workspace or a folder, with the lock for writing it.

    Args:
        layout: The workspace or folder.
        job: The job.
        shared: Whether other hosts, whose locks are not seen here, may write there.
        strict: Whether the directories above the job must be there, and be no links.
    """

    def __init__(self, layout: Layout, job: JobId, *, shared: bool, strict: bool = False) -> None:
        self.job = job
        self.final = layout.job(job)
        self.parent = self.final.parent
        self.staged = self.parent / f"{STAGING_PREFIX}{job.hash}"
        self.aside = self.parent / f"{STAGING_PREFIX}{job.hash}{ASIDE_SUFFIX}"
        self.orphan = self.parent / f"{ASIDE_PREFIX}{job.hash}"
        self.lock = StagingLock(self.parent / f"{self.staged.name}{LOCK_SUFFIX}", shared=shared)
        self.done_name = f"{job.script_name}.done"
        self.directory = -1
        self._root = layout.root
        self._shared = shared
        self._strict = strict

    def take(self) -> None:
        """Make the directories above the job, but not the root; lock it; clean up after a process that died.

        Raises:
            BusyFailure: Another process writes this job.
            DamagedFailure: What was set aside is nowhere else, and a person must decide.
            OSError: The directories or the lock cannot be made.
        """
        self.directory = self._open_parent()
        try:
            self.lock.acquire(self.directory)
            try:
                self._leave_the_living()
                remove(self.staged, self.directory)
                self._heal()
                self.put_back_orphan()
            except BaseException:
                self.lock.release()
                raise
        except BaseException:
            self._close()
            raise

    def _open_parent(self) -> int:
        """Open the directory that has the job, from the root down."""
        flags = DIRECTORY if self._strict else DIRECTORY & ~os.O_NOFOLLOW
        opened = filesystem.open_file(self._root, flags & ~os.O_NOFOLLOW)
        for directory in (self.parent.parent, self.parent):
            above = opened
            try:
                with naming(os.fspath(directory)):
                    try:
                        opened = filesystem.open_file(directory.name, flags, dir_fd=above)
                    except FileNotFoundError:
                        if self._strict:
                            raise
                        with contextlib.suppress(FileExistsError):
                            filesystem.mkdir(directory.name, dir_fd=above)
                        opened = filesystem.open_file(directory.name, flags, dir_fd=above)
            finally:
                close_read(above)
        return opened

    def _close(self) -> None:
        descriptor, self.directory = self.directory, -1
        if descriptor >= 0:
            close_read(descriptor)

    def clear(self) -> None:
        """Remove what is staged.

        Raises:
            OSError: Something cannot be removed.
        """
        remove(self.staged, self.directory)

    def discard(self) -> None:
        """Remove what is staged, and release the lock; what cannot be removed is left to the next process."""
        if self.directory < 0:
            return
        ours = self.lock.is_ours()
        try:
            if ours:
                remove(self.staged, self.directory)
        except OSError:
            ours = False
        self.release(keep_file=not ours)

    def release(self, *, keep_file: bool = False) -> None:
        """Release the lock, and leave what is staged.

        Args:
            keep_file: As of ``StagingLock.release``.
        """
        try:
            self.lock.release(keep_file=keep_file)
        finally:
            self._close()

    def publish(self) -> None:
        """Give what is staged the job's name; an empty directory in its place is replaced.

        Raises:
            BusyFailure: Another process removed the lock, and may have written here.
            OSError: The rename failed.
        """
        self._make_sure_of_lock()
        self.rename(self.staged, self.final)

    def rename(self, first: Path, second: Path) -> None:
        """Rename beside the job.

        Raises:
            OSError: The rename failed.
        """
        with naming(os.fspath(second)):
            filesystem.rename(
                first.name, second.name, src_dir_fd=self.directory, dst_dir_fd=self.directory
            )

    def replace(self) -> None:
        """Exchange what is staged and what is in the job's place; ``discard`` removes the latter.

        Where no call does that (NFS, systems other than Linux), what was there is set aside first, and for a moment the
        job has no name. If the process dies in that moment, the next one puts it back.

        Raises:
            BusyFailure: As ``publish``.
            OSError: It failed; as far as possible everything is as it was.
        """
        self._make_sure_of_lock()
        if not self._exchange(self.staged):
            self.rename(self.final, self.aside)
            self._rename_or_put_back()
            self.rename(self.aside, self.staged)

    def set_aside_for_link(self, target: Path) -> None:
        """Put a link in the place of the job's directory, which is aside afterwards. Without a gap, as ``replace``.

        Raises:
            BusyFailure: As ``publish``.
            OSError: It failed; as far as possible everything is as it was.
        """
        self._make_sure_of_lock()
        with naming(os.fspath(self.aside)):
            filesystem.symlink(target, self.aside.name, dir_fd=self.directory)
        try:
            done = self._exchange(self.aside)
        except OSError:
            filesystem.unlink(self.aside.name, dir_fd=self.directory)
            raise
        if not done:
            self.rename(self.aside, self.staged)
            self.rename(self.final, self.aside)
            self._rename_or_put_back()

    def put_back(self) -> None:
        """Undo ``set_aside_for_link``.

        Raises:
            OSError: It failed; the directory is aside.
        """
        if not self._exchange(self.aside):
            filesystem.unlink(self.final.name, dir_fd=self.directory)
            self.rename(self.aside, self.final)
        else:
            filesystem.unlink(self.aside.name, dir_fd=self.directory)

    def remove_aside(self) -> None:
        """Remove what was set aside, the success marker first.

        Raises:
            OSError: Something cannot be removed.
        """
        remove(self.aside, self.directory, self.done_name)

    def put_back_orphan(self) -> bool:
        """Give a job back its name that was set aside to be removed; return False if something has that name now.

        Raises:
            OSError: It failed; the job is aside.
        """
        status = self.status(self.orphan)
        if status is None:
            return True
        try:
            try:
                filesystem.rename_to_free(self.orphan.name, self.final.name, dir_fd=self.directory)
            except OSError as error:
                if error.errno not in filesystem.UNSUPPORTED:
                    raise
                self._rename_if_free(status)
        except FileExistsError:
            return False
        return True

    def _rename_if_free(self, status: os.stat_result) -> None:
        """Put back without the system's call for it: only an empty directory can be replaced by that."""
        if self.status(self.final) is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        if not stat.S_ISLNK(status.st_mode):
            self.rename(self.orphan, self.final)
            return
        target = filesystem.readlink(self.orphan.name, dir_fd=self.directory)
        filesystem.symlink(target, self.final.name, dir_fd=self.directory)
        filesystem.unlink(self.orphan.name, dir_fd=self.directory)

    def directories(self) -> tuple[Path, Path, Path]:
        """Return the directories in which names may have been made, inner ones first."""
        return self.parent, self.parent.parent, self._root

    def _rename_or_put_back(self) -> None:
        try:
            self.rename(self.staged, self.final)
        except OSError:
            self.rename(self.aside, self.final)
            raise

    def _exchange(self, path: Path) -> bool:
        """Exchange a name and the job's; return False if the system cannot do that."""
        try:
            filesystem.exchange(path.name, self.final.name, dir_fd=self.directory)
        except OSError as error:
            if error.errno not in filesystem.UNSUPPORTED:
                error.filename = os.fspath(self.final)
                raise
            return False
        return True

    def status(self, path: Path) -> os.stat_result | None:
        """Return the status of a name beside the job; None where nothing has it."""
        try:
            return filesystem.lstat(path.name, dir_fd=self.directory)
        except FileNotFoundError:
            return None

    def _make_sure_of_lock(self) -> None:
        if not self.lock.is_ours():
            raise BusyFailure(f"another process removed {self.lock.path}", "try again")

    def _leave_the_living(self) -> None:
        """Refuse a place of which another host may write: something young is staged although there was no lock file."""
        if not (self._shared and self.lock.is_new):
            return
        lock, staged = self.status(self.lock.path), self.status(self.staged)
        if lock is not None and staged is not None:
            # The ctime is the file server's, and is not copied with a directory.
            age = lock.st_ctime - staged.st_ctime
            if age < STALE_AFTER:
                raise BusyFailure(
                    f"{self.staged} may be of a process on another host",
                    f"if there is none, try again in {STALE_AFTER / 60:.0f} minutes",
                )

    def _heal(self) -> None:
        """Put back what was set aside if the job has nothing better; remove it if the job has all of it."""
        status = self.status(self.aside)
        if status is None:
            return
        final = self.status(self.final)
        if final is None:
            self.rename(self.aside, self.final)
        elif not stat.S_ISDIR(status.st_mode):
            filesystem.unlink(self.aside.name, dir_fd=self.directory)
        elif self._hides_whole_job():
            self.put_back()
        elif filesystem.stat_or_none(self.final / self.done_name) is not None:
            kept = Path(os.path.realpath(self.final))
            if not compare_jobs(
                kept, self.aside, self.job.script_name, directory=self.directory
            ).is_part:
                raise DamagedFailure(
                    f"{self.aside} has files that {self.final} lacks",
                    "look at both, and remove one",
                )
            self.remove_aside()

    def _hides_whole_job(self) -> bool:
        """Return whether a whole job is aside while the link in its place leads to none, for whatever reason."""
        if not filesystem.is_link(self.final):
            return False
        if filesystem.lstat_or_none(self.aside / self.done_name) is None:
            return False
        try:
            return filesystem.stat_or_none(self.final / self.done_name) is None
        except OSError:
            return True


class Sweeper:
    """Removes what processes that died have left in a workspace or folder, once for each task.

    Args:
        layout: The workspace or folder.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._swept: set[str] = set()

    def sweep(self, tasks: Iterable[str]) -> None:
        """Clean up beside the jobs of these tasks; what cannot be cleaned up is left to the next run."""
        for task in tasks:
            if task not in self._swept:
                self._swept.add(task)
                with contextlib.suppress(OSError):
                    self._sweep(task)

    def _sweep(self, task: str) -> None:
        left = leftovers(self._layout, task)
        shared = bool(left) and not mounts.belongs_to_one_host(self._layout.root)
        for job in left:
            slot = JobSlot(self._layout, job, shared=shared)
            with contextlib.suppress(OSError, WorkspaceFailure):
                slot.take()
                slot.discard()


def leftovers(layout: Layout, task: str) -> dict[JobId, list[Path]]:
    """Return the jobs of a task beside which there is something that a process at work there has made, or left.

    Raises:
        OSError: The task cannot be listed.
    """
    found: dict[JobId, list[Path]] = {}
    with filesystem.scan(layout.jobs / task) as entries:
        for entry in entries:
            job_hash = _hash_of(entry.name)
            if is_name(job_hash):
                found.setdefault(JobId(task, job_hash), []).append(layout.jobs / task / entry.name)
    return dict(sorted(found.items()))


def _hash_of(name: str) -> str:
    """Return the hash of the job that a leftover belongs to; empty for any other name."""
    if name.startswith(ASIDE_PREFIX):
        return name[len(ASIDE_PREFIX) :]
    if not name.startswith(STAGING_PREFIX):
        return ""
    rest = name[len(STAGING_PREFIX) :]
    for suffix in (LOCK_SUFFIX, ASIDE_SUFFIX):
        if rest.endswith(suffix):
            return rest[: -len(suffix)]
    return rest
