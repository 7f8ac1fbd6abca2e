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
import os
import stat
from pathlib import Path

from xpm_remote.workspace import filesystem
from xpm_remote.workspace.failures import BusyFailure, DamagedFailure
from xpm_remote.workspace.folders.comparing import compare_jobs
from xpm_remote.workspace.folders.removal import remove
from xpm_remote.workspace.layout import STAGING_PREFIX, JobId, Layout
from xpm_remote.workspace.locks import STALE_AFTER, StagingLock

LOCK_SUFFIX = ".lock"
ASIDE_SUFFIX = ".aside"


class Place:
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
