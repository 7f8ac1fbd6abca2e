"""Moving a job out of the workspace: a link takes the place of its directory, which is removed if it is unchanged."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from xpm_remote.workspace import filesystem
from xpm_remote.workspace.failures import BusyFailure, DamagedFailure
from xpm_remote.workspace.folders.comparing import changed_since
from xpm_remote.workspace.folders.staging import JobSlot
from xpm_remote.workspace.folders.trees import Tree, job_directories, join, naming
from xpm_remote.workspace.layout import JobId, Layout

READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
"""Error numbers of a workspace in which a job cannot be replaced by a link."""


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
            self._began = filesystem.lstat(
                self.slot.lock.path.name, dir_fd=self.slot.directory
            ).st_mtime_ns
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
        with Tree(self.slot.final, self.slot.directory) as directory:
            obstacle = _obstacle(directory, target, self.slot.job.script_name)
        obstacle = obstacle or _try_link(self.slot, target)
        if obstacle:
            return obstacle
        self.slot.set_aside_for_link(target)
        obstacle = _why_not_followed(self.slot, self.slot.final, target)
        if obstacle:
            self.slot.put_back()
        return obstacle

    def check(self, copy: JobSlot) -> None:
        """Put the directory back unless the copy, to which the link leads, has all of it at this moment.

        Args:
            copy: The place of the copy.

        Raises:
            BusyFailure: The job changed meanwhile, or another directory is in the copy's place; it is put back.
            OSError: Something cannot be read, and it is put back; or it cannot be put back.
        """
        try:
            changed = self._find_change(copy)
        except OSError:
            self.slot.put_back()
            raise
        if changed:
            self.slot.put_back()
            raise BusyFailure(changed)

    def _find_change(self, copy: JobSlot) -> str:
        with Tree(self.slot.aside, self.slot.directory) as original, Tree(
            copy.final, copy.directory
        ) as made:
            linked = filesystem.stat_or_none(self.slot.final)
            if linked is None or not os.path.samestat(linked, filesystem.stat_open(made.top)):
                return f"{copy.final} was replaced while {self.slot.job} was moved"
            changed = changed_since(original, made, self.slot.job.script_name, self._began)
        return f"{changed} of {self.slot.job} changed while it was moved" if changed else ""


def _obstacle(directory: Tree, target: Path, name: str) -> str:
    """Return what would be lost, or would lead elsewhere, without the directory; empty if there is nothing."""
    for inner, opened, entries in job_directories(directory, name):
        for entry in entries:
            path = join(inner, entry.name)
            if entry.is_symlink():
                text = filesystem.readlink(entry.name, dir_fd=opened)
                leads_somewhere = filesystem.stat_or_none(f"{directory.path}/{path}") is not None
                would_lead = filesystem.stat_or_none(target / path) is not None
                if not text.startswith("/") and leads_somewhere and not would_lead:
                    return f"{path} is a link that would not lead to the same any more"
            elif not entry.is_file(follow_symlinks=False):
                return f"{path} is no file and cannot be copied"
    return ""


def _try_link(slot: JobSlot, target: Path) -> str:
    """Return why a link here would not lead to a copy; empty if it would. One is made beside the job, and removed.

    Raises:
        OSError: It cannot be made or removed.
    """
    with naming(os.fspath(slot.aside)):
        filesystem.symlink(target, slot.aside.name, dir_fd=slot.directory)
        try:
            return _why_not_followed(slot, slot.aside, target)
        finally:
            filesystem.unlink(slot.aside.name, dir_fd=slot.directory)


def _why_not_followed(slot: JobSlot, link: Path, target: Path) -> str:
    """Return why a link does not lead to a copy, as on a file system that refuses some; empty if it does."""
    try:
        found = filesystem.lstat(link / slot.done_name)
        is_same = os.path.samestat(found, filesystem.lstat(target / slot.done_name))
    except OSError as error:
        return f"a link to the folder cannot be followed there ({error.strerror})"
    return "" if is_same else "a link to the folder would lead elsewhere there"
