"""The place of a job while it is written, moved or removed, and the clean-up after a process that died there.

Beside ``<hash>`` in ``jobs/<task>/`` there may be, as with experimaestro:

* ``.tmp.<hash>``: what is being written or removed, which may be deleted at any time;
* ``.tmp.<hash>.lock``: locked by the process that writes the job;

and of xpm-remote only:

* ``.tmp.<hash>.aside``: what was in the job's place before; in a workspace, the directory of a moved job between the
  moment when a link took its place and its removal. Its success marker is removed first: one that has it is whole.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import Iterable

from xpm_remote.workspace import filesystem, mounts
from xpm_remote.workspace.failures import BusyFailure, DamagedFailure, WorkspaceFailure, explain
from xpm_remote.workspace.folders.comparing import changed_since, compare_jobs
from xpm_remote.workspace.folders.trees import DIRECTORY, Opened, job_entries, remove
from xpm_remote.workspace.layout import STAGING_PREFIX, JobId, Layout, is_name
from xpm_remote.workspace.locks import STALE_AFTER, StagingLock, holding

LOCK_SUFFIX = ".lock"
ASIDE_SUFFIX = ".aside"

READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
"""Error numbers of a workspace in which a job cannot be replaced by a link."""


class JobSlot:
    """The place of a job in a workspace or a folder, with the lock for writing it.

    Args:
        layout: The workspace or folder.
        job: The job.
        shared: Whether other hosts, whose locks are not seen here, may write there.
    """

    def __init__(self, layout: Layout, job: JobId, *, shared: bool) -> None:
        self.job = job
        self.final = layout.job(job)
        self.parent = self.final.parent
        self.staged = self.parent / f"{STAGING_PREFIX}{job.hash}"
        self.aside = self.parent / f"{STAGING_PREFIX}{job.hash}{ASIDE_SUFFIX}"
        self.lock = StagingLock(self.parent / f"{self.staged.name}{LOCK_SUFFIX}", shared=shared)
        self.done_name = f"{job.script_name}.done"
        self._root = layout.root
        self._shared = shared

    def take(self) -> None:
        """Make the directories above the job, but not the root; lock it; clean up after a process that died.

        Raises:
            BusyFailure: Another process writes this job.
            DamagedFailure: What was set aside is nowhere else, and a person must decide.
            OSError: The directories or the lock cannot be made.
        """
        for directory in (self.parent.parent, self.parent):
            if not filesystem.is_directory(directory):
                with contextlib.suppress(FileExistsError):
                    filesystem.mkdir(directory)
        self.lock.acquire()
        try:
            self._leave_the_living()
            remove(self.staged)
            self._heal()
        except BaseException:
            self.lock.release()
            raise

    def clear(self) -> None:
        """Remove what is staged.

        Raises:
            OSError: Something cannot be removed.
        """
        remove(self.staged)

    def discard(self) -> None:
        """Remove what is staged, and release the lock; what cannot be removed is left to the next process."""
        ours = self.lock.is_ours()
        try:
            if ours:
                remove(self.staged)
        except OSError:
            ours = False
        self.lock.release(keep_file=not ours)

    def publish(self) -> None:
        """Give what is staged the job's name; an empty directory in its place is replaced.

        Raises:
            BusyFailure: Another process removed the lock, and may have written here.
            OSError: The rename failed.
        """
        self._make_sure_of_lock()
        filesystem.rename(self.staged, self.final)

    def replace(self) -> None:
        """Exchange what is staged and what is in the job's place; ``discard`` removes the latter.

        Where no call does that (NFS, systems other than Linux), what was there is set aside first, and for a moment the
        job has no name. If the process dies in that moment, the next one puts it back.

        Raises:
            BusyFailure: As ``publish``.
            OSError: It failed; as far as possible everything is as it was.
        """
        self._make_sure_of_lock()
        if not _exchange(self.staged, self.final):
            filesystem.rename(self.final, self.aside)
            self._rename_or_put_back()
            filesystem.rename(self.aside, self.staged)

    def try_link(self, target: Path) -> str:
        """Return why a link here would not lead to a copy; empty if it would. One is made beside the job, and removed.

        Raises:
            OSError: It cannot be made or removed.
        """
        filesystem.symlink(target, self.aside)
        try:
            return self.why_not_followed(self.aside, target)
        finally:
            filesystem.unlink(self.aside)

    def why_not_followed(self, link: Path, target: Path) -> str:
        """Return why a link does not lead to a copy, as on a file system that refuses some; empty if it does."""
        try:
            found = filesystem.lstat(link / self.done_name)
            is_same = os.path.samestat(found, filesystem.lstat(target / self.done_name))
        except OSError as error:
            return f"a link to the folder cannot be followed there ({error.strerror})"
        return "" if is_same else "a link to the folder would lead elsewhere there"

    def set_aside_for_link(self, target: Path) -> None:
        """Put a link in the place of the job's directory, which is aside afterwards. Without a gap, as ``replace``.

        Raises:
            BusyFailure: As ``publish``.
            OSError: It failed; as far as possible everything is as it was.
        """
        self._make_sure_of_lock()
        filesystem.symlink(target, self.aside)
        try:
            done = _exchange(self.aside, self.final)
        except OSError:
            filesystem.unlink(self.aside)
            raise
        if not done:
            filesystem.rename(self.aside, self.staged)
            filesystem.rename(self.final, self.aside)
            self._rename_or_put_back()

    def put_back(self) -> None:
        """Undo ``set_aside_for_link``.

        Raises:
            OSError: It failed; the directory is aside.
        """
        if not _exchange(self.aside, self.final):
            filesystem.unlink(self.final)
            filesystem.rename(self.aside, self.final)
        else:
            filesystem.unlink(self.aside)

    def remove_aside(self) -> None:
        """Remove what was set aside, the success marker first.

        Raises:
            OSError: Something cannot be removed.
        """
        remove(self.aside, self.done_name)

    def directories(self) -> tuple[Path, Path, Path]:
        """Return the directories in which names may have been made, inner ones first."""
        return self.parent, self.parent.parent, self._root

    def _rename_or_put_back(self) -> None:
        try:
            filesystem.rename(self.staged, self.final)
        except OSError:
            filesystem.rename(self.aside, self.final)
            raise

    def _make_sure_of_lock(self) -> None:
        if not self.lock.is_ours():
            raise BusyFailure(f"another process removed {self.lock.path}", "try again")

    def _leave_the_living(self) -> None:
        """Refuse a place of which another host may write: something young is staged although there was no lock file."""
        if not (self._shared and self.lock.is_new):
            return
        with contextlib.suppress(FileNotFoundError):
            # The ctime is the file server's, and is not copied with a directory.
            age = filesystem.lstat(self.lock.path).st_ctime - filesystem.lstat(self.staged).st_ctime
            if age < STALE_AFTER:
                raise BusyFailure(
                    f"{self.staged} may be of a process on another host",
                    f"if there is none, try again in {STALE_AFTER / 60:.0f} minutes",
                )

    def _heal(self) -> None:
        """Put back what was set aside if the job has nothing better; remove it if the job has all of it."""
        aside = filesystem.lstat_or_none(self.aside)
        if aside is None:
            return
        if filesystem.lstat_or_none(self.final) is None:
            filesystem.rename(self.aside, self.final)
        elif not stat.S_ISDIR(aside.st_mode):
            filesystem.unlink(self.aside)
        elif self._hides_whole_job():
            self.put_back()
        elif filesystem.stat_or_none(self.final / self.done_name) is not None:
            kept = Path(os.path.realpath(self.final))
            if not compare_jobs(kept, self.aside, self.job.script_name).is_part:
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


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two names; return False if the system cannot do that."""
    try:
        filesystem.exchange(first, second)
    except OSError as error:
        if error.errno not in filesystem.UNSUPPORTED:
            raise
        return False
    return True


class MoveOut:
    """One job of the workspace that is to become a link. It is locked from the start, so that it is not recovered.

    Args:
        workspace: Where the job is a directory.
        job: The job.
        shared: Whether other hosts, whose locks are not seen here, may write there.

    Raises:
        BusyFailure: Another process writes this job.
        DamagedFailure: An earlier move left files that are nowhere else.
        OSError: The lock cannot be taken, or its status not be read.
    """

    def __init__(self, workspace: Layout, job: JobId, *, shared: bool) -> None:
        self.slot = JobSlot(workspace, job, shared=shared)
        self.slot.take()
        try:
            # The file system's own clock, from before anything is copied.
            self._began = filesystem.lstat(self.slot.lock.path).st_mtime_ns
        except OSError:
            self.slot.discard()
            raise

    def swap(self, target: Path) -> str:
        """Put a link in the place of the directory, which is aside afterwards.

        Args:
            target: The copy: whole, checked and durable.

        Returns:
            Why the directory must stay where it is; empty if the link is there.

        Raises:
            BusyFailure: The job changed meanwhile.
            OSError: It failed; the directory is where it was.
        """
        if target.samefile(self.slot.final):
            raise DamagedFailure(f"{target} is the job itself", "name another folder")
        obstacle = _obstacle(self.slot.final, target, self.slot.job.script_name)
        obstacle = obstacle or self.slot.try_link(target)
        if obstacle:
            return obstacle
        self.slot.set_aside_for_link(target)
        try:
            changed = changed_since(self.slot.aside, target, self.slot.job.script_name, self._began)
        except OSError:
            self.slot.put_back()
            raise
        if changed is not None:
            self.slot.put_back()
            raise BusyFailure(f"{changed} of {self.slot.job} changed while it was moved")
        obstacle = self.slot.why_not_followed(self.slot.final, target)
        if obstacle:
            self.slot.put_back()
        return obstacle


def _obstacle(directory: Path, target: Path, name: str) -> str:
    """Return what would be lost, or would lead elsewhere, without the directory; empty if there is nothing."""
    for path, entry in job_entries(directory, name):
        if entry.is_symlink():
            is_relative = not filesystem.readlink(entry.path).startswith("/")
            leads_somewhere = filesystem.stat_or_none(directory / path) is not None
            if is_relative and leads_somewhere and filesystem.stat_or_none(target / path) is None:
                return f"{path} is a link that would not lead to the same any more"
        elif not entry.is_file(follow_symlinks=False):
            return f"{path} is no file and cannot be copied"
    return ""


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
        with filesystem.scan(self._layout.jobs / task) as entries:
            names = {_hash_of(entry.name) for entry in entries}
        leftovers = sorted(name for name in names if is_name(name))
        shared = bool(leftovers) and not mounts.belongs_to_one_host(self._layout.root)
        for job_hash in leftovers:
            slot = JobSlot(self._layout, JobId(task, job_hash), shared=shared)
            with contextlib.suppress(OSError, WorkspaceFailure):
                slot.take()
                slot.discard()


def _hash_of(name: str) -> str:
    """Return the hash of the job that a leftover belongs to; empty for any other name."""
    if not name.startswith(STAGING_PREFIX):
        return ""
    rest = name[len(STAGING_PREFIX) :]
    for suffix in (LOCK_SUFFIX, ASIDE_SUFFIX):
        if rest.endswith(suffix):
            return rest[: -len(suffix)]
    return rest


def discard_job(layout: Layout, job: JobId) -> None:
    """Remove the directory of a job. No link is followed, and no process of the job can start meanwhile.

    The caller must know that the job is not needed and does not run on another host.

    Raises:
        BusyFailure: It runs here, or another process writes it, or it is no directory.
        DamagedFailure: Not all of it could be removed; the rest is beside its place, under no job's name.
        OSError: It cannot be renamed; it is as it was.
    """
    parent = layout.job(job).parent
    # Through a descriptor: another process could put a link in the place of the directory.
    with Opened(parent, DIRECTORY) as task:
        slot = JobSlot(layout, job, shared=not mounts.belongs_to_one_host(parent))
        slot.take()
        try:
            with holding(layout.job_files(job).lock):
                if not stat.S_ISDIR(filesystem.lstat(job.hash, dir_fd=task).st_mode):
                    raise BusyFailure(f"{slot.final} is no directory but a link or a file")
                filesystem.rename(job.hash, slot.staged.name, src_dir_fd=task, dst_dir_fd=task)
            try:
                remove(slot.staged, slot.done_name)
            except OSError as error:
                left = explain(error, slot.staged)
                raise DamagedFailure(f"{left}; what is left is in {slot.staged}") from None
        finally:
            slot.lock.release()
