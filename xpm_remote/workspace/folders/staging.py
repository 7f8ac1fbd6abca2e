"""The place of a job while it is written, and what a process that died there has left.

Beside ``<hash>`` in ``jobs/<task>/`` there may be, as experimaestro has them, too:

* ``.tmp.<hash>``: what is being filled, or is being removed; worth nothing to anybody else;
* ``.tmp.<hash>.lock``: locked by whoever writes the job.

and of ours only:

* ``.tmp.<hash>.aside``: what was in the job's place before; in a workspace, the directory of a moved job between the
  moment when a link took its place and its removal. Its success marker goes first: one that has it is whole.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import Iterable, Iterator

from xpm_remote.workspace import filesystem, mounts
from xpm_remote.workspace.failures import BusyFailure, DamagedFailure, WorkspaceFailure, explain
from xpm_remote.workspace.folders.comparing import changed_since, compare_jobs
from xpm_remote.workspace.folders.trees import job_entries, remove
from xpm_remote.workspace.layout import STAGING_PREFIX, JobId, Layout, is_name
from xpm_remote.workspace.locks import STALE_AFTER, StagingLock, holding

LOCK_SUFFIX = ".lock"
ASIDE_SUFFIX = ".aside"

READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
"""What a workspace answers in which a job cannot be replaced by a link."""


class JobSlot:
    """Where a job is, or will be, in a workspace or a folder, with the lock of whoever writes it.

    Args:
        layout: The workspace or folder.
        job: The job.
        shared: Whether other hosts may write here whose locks we cannot see.
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
        """Make the directories above the job, but never the root; lock it; clear up after a process that died.

        Raises:
            BusyFailure: Somebody else writes this job.
            DamagedFailure: What was set aside is nowhere else: somebody must look at it.
            OSError: The directories or the lock cannot be made.
        """
        for directory in (self.parent.parent, self.parent):
            if not directory.is_dir():
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
        """Remove what is staged, and let go of the lock; what cannot be removed stays for the next one to remove."""
        ours = self.lock.is_ours()
        try:
            if ours:
                remove(self.staged)
        except OSError:
            ours = False
        self.lock.release(keep_file=not ours)

    def publish(self) -> None:
        """Give what is staged the job's name; an empty directory in its place gives way.

        Raises:
            BusyFailure: Somebody else removed our lock, and may have written here.
            OSError: The name cannot be given.
        """
        self._make_sure_of_lock()
        filesystem.rename(self.staged, self.final)

    def replace(self) -> None:
        """Let what is staged and what is in the job's place change places; remove the latter with ``discard``.

        Where no call does that (NFS, systems other than Linux), what was there is set aside first, and for a moment the
        job has no name. A process that dies in that moment leaves it aside, from where the next one puts it back.

        Raises:
            BusyFailure: As of ``publish``.
            OSError: It cannot be done; as far as possible everything is as it was.
        """
        self._make_sure_of_lock()
        if not _exchange(self.staged, self.final):
            filesystem.rename(self.final, self.aside)
            self._rename_or_put_back()
            filesystem.rename(self.aside, self.staged)

    def set_aside_for_link(self, target: Path) -> None:
        """Put a link in the place of the job's directory, which is aside afterwards. Without a gap, as ``replace``.

        Raises:
            BusyFailure: As of ``publish``.
            OSError: It cannot be done; as far as possible everything is as it was.
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
            OSError: It cannot be done; the directory is aside.
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
        """Give the directories in which names may have been made, inner ones first."""
        return self.parent, self.parent.parent, self._root

    def _rename_or_put_back(self) -> None:
        try:
            filesystem.rename(self.staged, self.final)
        except OSError:
            filesystem.rename(self.aside, self.final)
            raise

    def _make_sure_of_lock(self) -> None:
        if not self.lock.is_ours():
            raise BusyFailure(f"somebody else removed {self.lock.path}", "try again")

    def _leave_the_living(self) -> None:
        """Stop where other hosts write unseen, and something young is staged although there was no lock file."""
        if not (self._shared and self.lock.is_new):
            return
        with contextlib.suppress(FileNotFoundError):
            # Times of change are the file server's, and are not copied with a directory.
            age = filesystem.lstat(self.lock.path).st_ctime - filesystem.lstat(self.staged).st_ctime
            if age < STALE_AFTER:
                raise BusyFailure(
                    f"{self.staged} may be of a process on another host",
                    f"if there is none, try again in {STALE_AFTER / 60:.0f} minutes",
                )

    def _heal(self) -> None:
        """Put back what was set aside when the job has nothing better; remove it when the job has all of it."""
        try:
            is_directory = stat.S_ISDIR(filesystem.lstat(self.aside).st_mode)
        except FileNotFoundError:
            return
        if not os.path.lexists(self.final):
            filesystem.rename(self.aside, self.final)
        elif not is_directory:
            filesystem.unlink(self.aside)
        elif (self.final / self.done_name).exists():
            if not self._has_all_that_is_aside():
                raise DamagedFailure(
                    f"{self.aside} has files that {self.final} lacks",
                    "look at both, and remove one",
                )
            self.remove_aside()
        elif self.final.is_symlink() and (self.aside / self.done_name).exists():
            self.put_back()  # the folder that the link leads to is not there

    def _has_all_that_is_aside(self) -> bool:
        kept = Path(os.path.realpath(self.final))
        return compare_jobs(kept, self.aside, self.job.script_name).is_part


def _exchange(first: Path, second: Path) -> bool:
    """Let two names change places; False where the system cannot do that."""
    try:
        filesystem.exchange(first, second)
    except OSError as error:
        if error.errno not in filesystem.UNSUPPORTED:
            raise
        return False
    return True


class MoveOut:
    """One job of the workspace that is about to become a link. It is locked from the start, so that nobody recovers it.

    Args:
        workspace: Where the job is a directory.
        job: The job.
        shared: Whether other hosts may write there whose locks we cannot see.

    Raises:
        BusyFailure: Somebody else writes this job.
        DamagedFailure: An earlier move left files that are nowhere else.
        OSError: The lock cannot be taken, or be looked at.
    """

    def __init__(self, workspace: Layout, job: JobId, *, shared: bool) -> None:
        self.place = JobSlot(workspace, job, shared=shared)
        self.place.take()
        try:
            # The file system's own clock, from before anything is copied.
            self._began = filesystem.lstat(self.place.lock.path).st_mtime_ns
        except OSError:
            self.release()
            raise

    def swap(self, target: Path) -> str:
        """Let a link take the directory's place; the directory is aside afterwards.

        Args:
            target: The copy: whole, checked and durable.

        Returns:
            Why the directory must stay where it is; empty when the link is there.

        Raises:
            BusyFailure: Somebody changes the job.
            OSError: It cannot be done; the directory is where it was.
        """
        if target.samefile(self.place.final):
            raise DamagedFailure(f"{target} is the job itself", "name another folder")
        obstacle = _obstacle(self.place.final, target, self.place.job.script_name)
        if obstacle:
            return obstacle
        self.place.set_aside_for_link(target)
        try:
            changed = changed_since(
                self.place.aside, target, self.place.job.script_name, self._began
            )
        except OSError:
            self.place.put_back()
            raise
        if changed is not None:
            self.place.put_back()
            raise BusyFailure(f"{changed} of {self.place.job} changed while it was moved")
        return ""

    def finish(self) -> None:
        """Remove the directory that is aside.

        Raises:
            OSError: Something cannot be removed.
        """
        self.place.remove_aside()

    def release(self) -> None:
        """Let go of the lock."""
        self.place.discard()


def _obstacle(directory: Path, target: Path, name: str) -> str:
    """Name what would be lost, or would lead elsewhere, if the directory were gone; empty when there is nothing."""
    for path, entry in job_entries(directory, name):
        if entry.is_symlink():
            if _would_break(entry.path, directory / path, target / path):
                return f"{path} is a link that would not lead to the same any more"
        elif not entry.is_file(follow_symlinks=False):
            return f"{path} is no file and cannot be copied"
    return ""


def _would_break(link: str, here: Path, there: Path) -> bool:
    """Tell whether a relative link leads somewhere from here, and would not from there."""
    return not filesystem.readlink(link).startswith("/") and here.exists() and not there.exists()


class Sweeper:
    """Clears up the jobs of a task in a workspace or folder, once each.

    Args:
        layout: The workspace or folder.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._swept: set[str] = set()

    def sweep(self, tasks: Iterable[str]) -> None:
        """Clear up beside the jobs of these tasks; what cannot be cleared up waits for the next time."""
        for task in tasks:
            if task not in self._swept:
                self._swept.add(task)
                with contextlib.suppress(OSError):
                    self._sweep(task)

    def _sweep(self, task: str) -> None:
        leftovers = self._leftovers(task)
        if not leftovers:
            return
        shared = not mounts.belongs_to_one_host(self._layout.root)
        for job_hash in leftovers:
            place = JobSlot(self._layout, JobId(task, job_hash), shared=shared)
            with contextlib.suppress(OSError, WorkspaceFailure):
                place.take()
                place.discard()

    def _leftovers(self, task: str) -> list[str]:
        with filesystem.scan(self._layout.jobs / task) as entries:
            names = {_hash_of(entry.name) for entry in entries}
        return sorted(name for name in names if is_name(name))


def _hash_of(name: str) -> str:
    """Give the hash of the job that a leftover belongs to; empty for any other name."""
    if not name.startswith(STAGING_PREFIX):
        return ""
    rest = name[len(STAGING_PREFIX) :]
    for suffix in (LOCK_SUFFIX, ASIDE_SUFFIX):
        if rest.endswith(suffix):
            return rest[: -len(suffix)]
    return rest


def discard_job(layout: Layout, job: JobId) -> None:
    """Remove the directory of a job; no link is followed, and no process of the job can start meanwhile.

    Whether the job is needed, or runs on another host, is for the caller to know.

    Raises:
        BusyFailure: It runs here, or somebody else writes it, or it is no directory.
        DamagedFailure: Not all of it could be removed; what is left lies beside its place, under no job's name.
        OSError: It cannot be taken away; it is as it was.
    """
    parent = layout.job(job).parent
    # Through the descriptor, for somebody could put a link in the place of the directory.
    with _opened(parent) as task:
        place = JobSlot(layout, job, shared=not mounts.belongs_to_one_host(parent))
        place.take()
        try:
            with holding(layout.job_files(job).lock):
                if not stat.S_ISDIR(filesystem.lstat(job.hash, dir_fd=task).st_mode):
                    raise BusyFailure(f"{place.final} is no directory but a link or a file")
                filesystem.rename(job.hash, place.staged.name, src_dir_fd=task, dst_dir_fd=task)
            try:
                remove(place.staged, place.done_name)
            except OSError as error:
                left = explain(error, place.staged)
                raise DamagedFailure(f"{left}; what is left is in {place.staged}") from None
        finally:
            place.lock.release()


@contextlib.contextmanager
def _opened(directory: Path) -> Iterator[int]:
    """Open a directory that is no link, so that what is done in it is done there and nowhere else."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = filesystem.open_file(directory, flags)
    try:
        yield descriptor
    finally:
        filesystem.close(descriptor)
