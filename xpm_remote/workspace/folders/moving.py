"""The last part of a move: a link takes the place of the job's directory, which is then removed."""

from __future__ import annotations

import errno
from pathlib import Path

from xpm_remote.workspace import filesystem
from xpm_remote.workspace.failures import BusyFailure, DamagedFailure
from xpm_remote.workspace.folders.comparing import changed_since
from xpm_remote.workspace.folders.entries import job_entries
from xpm_remote.workspace.folders.staging import Place
from xpm_remote.workspace.layout import JobId, Layout

READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
"""What a workspace answers in which a job cannot be replaced by a link."""


class Moving:
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
        self.place = Place(workspace, job, shared=shared)
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
