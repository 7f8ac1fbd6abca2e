"""Looks at a workspace, which tell what is absent from what cannot be read.

A file server that fails, a disk that is not mounted, a file handle that has gone stale: none of that means that a job
is gone. An entry is absent only if the system says so of the entry itself, while its directory is there and the
workspace's marker is. A link that dangles is absent only if the directory that it leads into is there.
"""

# ruff: noqa: PTH118, PTH120  (paths are plain text here, as in the modules that read very many jobs)

from __future__ import annotations

import errno
import os
import stat

from xpm_remote.workspace.failures import UnreadFile
from xpm_remote.workspace.layout import MARKER
from xpm_remote.workspace.reading import disk
from xpm_remote.workspace.reading.json_files import NO_ENTRY, Problems, printable, unread_file

LOST = frozenset({errno.ESTALE, errno.EIO, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN})
"""Errors that say that a file server is lost; others only say that it does not know the question."""

LOOKS_AT_WHAT_APPEARS = 20
"""Readings of an entity whose entries appear during each of them, after which it counts as unreadable."""

LINKS = 40
"""Links that are followed one after the other, as by Linux."""


class Look(Problems):
    """One look at an entity of a workspace, such as a run or a job. Its findings count only after ``settle``.

    Args:
        root: The workspace, absolute.
        problems: Where broken files are noted.

    Attributes:
        unread: The first thing that could not be read; None while all could.
        is_overtaken: Whether it failed only because an entry appeared during the look.
    """

    def __init__(self, root: str, problems: Problems) -> None:
        super().__init__()
        self._root = root
        self._problems = problems
        # By path: whether it may yet be a dangling link.
        self._missing: dict[str, bool] = {}
        self._checked: set[str] = set()
        self.unread: UnreadFile | None = None
        self.is_overtaken = False

    def note(self, path: str, why: str) -> None:
        """Record a problem."""
        self._problems.note(path, why)

    def clear(self, path: str) -> None:
        """Remove the problem of a file that can be read again."""
        self._problems.clear(path)

    def fail(self, path: str, error: OSError) -> None:
        """Record that something may be there and cannot be read."""
        self._problems.fail(path, error)
        if self.unread is None:
            self.unread = unread_file(path, error)

    def missing(self, path: str) -> None:
        """Record that the system knows no such entry, to be checked by ``settle``."""
        self._missing[path] = True

    def forgive(self, path: str) -> None:
        """Forget that an entry is missing: it need not be there, and may be a dangling link."""
        self._missing.pop(path, None)

    def stat(self, path: str) -> os.stat_result | None:
        """Return the status of what a path leads to; None when it is missing or cannot be read."""
        return self._status(path, follow=True)

    def stat_again(self, path: str) -> os.stat_result | None:
        """Return the same of a file that has been read: what is wrong with its content stays recorded."""
        return self._status(path, follow=True, is_read=True)

    def find(self, path: str) -> os.stat_result | None:
        """Return the same as ``stat_again``, by one call for what is a file, or missing: ``settle`` asks no more of it.

        An entry that appears during the look is missed: the caller calls it again.
        """
        try:
            found = disk.lstat(path)
        except OSError as error:
            if error.errno in NO_ENTRY:
                self._missing[path] = False
            elif error.errno != errno.ENAMETOOLONG:
                self.fail(path, error)
            return None
        except ValueError:
            return None
        return self.stat_again(path) if stat.S_ISLNK(found.st_mode) else found

    def lstat(self, path: str) -> os.stat_result | None:
        """Return the status of a path itself; None when it is missing or cannot be read."""
        return self._status(path, follow=False)

    def is_directory(self, path: str) -> bool:
        """Return whether a path leads to a directory; False when it is missing or cannot be read."""
        found = self.stat(path)
        return found is not None and stat.S_ISDIR(found.st_mode)

    def _status(self, path: str, *, follow: bool, is_read: bool = False) -> os.stat_result | None:
        try:
            found = disk.stat(path) if follow else disk.lstat(path)
        except OSError as error:
            if error.errno in NO_ENTRY:
                self.missing(path)
            elif error.errno != errno.ENAMETOOLONG:  # no entry can have that name
                self.fail(path, error)
            return None
        except ValueError:  # nor that one
            return None
        if not is_read:
            self.clear(path)
        return found

    def ask_server(self, path: str) -> None:
        """Wait for an answer of the server of a path's file system, which no cache of this host can give."""
        try:
            disk.ask_server(path)
        except OSError as error:
            if error.errno in LOST:
                self.fail(path, error)

    def link_target(self, path: str) -> str | None:
        """Return where a link leads; None when it is missing, no link, or cannot be read."""
        try:
            return disk.read_link(path)
        except OSError as error:
            if error.errno in NO_ENTRY:
                self.missing(path)
            elif error.errno != errno.EINVAL:  # no link
                self.fail(path, error)
        except ValueError:
            pass
        return None

    def entries(self, path: str) -> list[os.DirEntry[str]]:
        """Return the entries of a directory; none when it is missing or cannot be read."""
        try:
            found = disk.scan(path)
        except OSError as error:
            if error.errno in NO_ENTRY:
                self.missing(path)
            else:
                self.fail(path, error)
            return []
        self.clear(path)
        return found

    def settle(self) -> UnreadFile | None:
        """Check that what was missing is absent; return what could not be read."""
        missing, self._missing = self._missing, {}
        for path, may_be_link in missing.items():
            if self.unread is not None:
                break
            if may_be_link:
                self._confirm(path)
            else:
                self._confirm_directory(os.path.dirname(path))
        if missing and self.unread is None:
            self.check_marker()
        return self.unread

    def check_marker(self) -> None:
        """Record a failure unless the workspace's marker is there: without it, its disk is not mounted."""
        path = f"{self._root}/{MARKER}"
        try:
            disk.lstat(path)
        except OSError as error:
            why = "is not there: perhaps the disk of the workspace is not mounted"
            self.fail(path, OSError(error.errno, why) if error.errno in NO_ENTRY else error)
        else:
            self.clear(path)

    def _confirm(self, path: str) -> None:
        """Record a failure unless a path is absent for certain."""
        try:
            target = _end_of_links(path)
        except FileExistsError as error:
            self.is_overtaken = True
            self.fail(path, error)
            return
        except OSError as error:
            self.fail(path, error)
            return
        directory = os.path.dirname(target)
        if target == path and directory != self._root:
            self._confirm_directory(directory)
        elif target != path:
            self._confirm_elsewhere(path, directory)

    def _confirm_directory(self, directory: str) -> None:
        """Check a directory of the workspace in which something is missing."""
        if directory in self._checked:
            return
        self._checked.add(directory)
        try:
            disk.stat(directory)
        except OSError as error:
            if error.errno in NO_ENTRY and directory.startswith(f"{self._root}/"):
                self._confirm(directory)
            else:
                self.fail(directory, error)

    def _confirm_elsewhere(self, link: str, directory: str) -> None:
        """Check the directory into which a dangling link leads."""
        try:
            disk.stat(directory)
        except OSError as error:
            why = f"leads into {printable(directory)}, which is not there"
            self.fail(link, OSError(error.errno, why) if error.errno in NO_ENTRY else error)


def _end_of_links(path: str) -> str:
    """Return the absent path to which links lead from a path that is missing; the path itself if it is no link.

    Raises:
        FileExistsError: It is there after all.
        OSError: That cannot be read.
    """
    for _ in range(LINKS):
        try:
            found = disk.lstat(path)
        except OSError as error:
            if error.errno in NO_ENTRY:
                return path
            raise
        if not stat.S_ISLNK(found.st_mode):
            raise FileExistsError(errno.EEXIST, "was missing a moment ago")
        path = os.path.join(os.path.dirname(path), disk.read_link(path))
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
