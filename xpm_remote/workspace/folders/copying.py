"""Copying a tree with all that belongs to it; each file of the copy is read back and compared.

Kept: contents, permissions, times, symbolic links as they are, holes, hard links within the tree, extended attributes
and owners where we may set them. Files on one device share their blocks where the file system can do that, or are
copied by the kernel. Memory does not depend on the size of a file.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Callable

from xpm_remote.workspace import filesystem
from xpm_remote.workspace.failures import DamagedFailure
from xpm_remote.workspace.folders import contents
from xpm_remote.workspace.folders.trees import DIRECTORY, NAMED_AT_MOST, Opened, join, tolerating

_SOURCE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_TARGET = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

# An attribute that this user, or that file system, may not have is no reason not to copy the data.
_NO_ATTRIBUTES = filesystem.UNSUPPORTED | {errno.EACCES, errno.ENODATA}
_NOT_OURS_TO_GIVE = frozenset({errno.EPERM, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP})


class CopyReport:
    """What was copied, and what could not be.

    Attributes:
        size: Bytes of files.
        files: Files, links and directories.
        special: Names of FIFOs, sockets and devices, which are not copied; the first few of ``special_count``.
    """

    def __init__(self) -> None:
        self.size = 0
        self.files = 0
        self.special: list[str] = []
        self.special_count = 0

    def add_special(self, name: str) -> None:
        """Record the name of what cannot be copied."""
        self.special_count += 1
        if len(self.special) < NAMED_AT_MOST:
            self.special.append(name)

    @property
    def left_out(self) -> str:
        """A message about what could not be copied; empty if there is nothing."""
        if not self.special:
            return ""
        more = ", …" if self.special_count > len(self.special) else ""
        return f"not copied, since these are no files: {', '.join(self.special)}{more}"


class TreeCopy:
    """One copy of one tree.

    Args:
        source: The directory to copy; a link to it is not followed.
        target: The copy's directory, which does not exist, unless ``fill``.
        excluded: Names at the top of the tree that are left out.
        sync: Whether each file is made durable by itself.
        told: Called with the bytes and files of each step.
        fill: Whether to add what the target lacks, and leave what it has.

    Raises:
        DamagedFailure: From ``run``: a file changed while it was copied, or its copy is not what was read.
        OSError: From ``run``: something cannot be read or written; its ``filename`` names it.
    """

    def __init__(
        self,
        source: Path,
        target: Path,
        *,
        excluded: frozenset[str],
        sync: bool,
        told: Callable[[int, int], None],
        fill: bool = False,
    ) -> None:
        self._source = os.fspath(source)
        self._target = os.fspath(target)
        self._excluded = excluded
        self._sync = sync
        self._told = told
        self._fill = fill
        self._report = CopyReport()
        self._linked: dict[tuple[int, int], str] = {}
        self._pending = [""]
        self._directories: list[tuple[str, os.stat_result]] = []

    def run(self) -> CopyReport:
        """Copy the tree. Directories get their permissions and times last, when nothing is written to them any more."""
        while self._pending:
            self._copy_directory(self._pending.pop())
        for name, status in reversed(self._directories):
            self._finish_directory(name, status)
        return self._report

    def _copy_directory(self, name: str) -> None:
        with Opened(join(self._source, name), DIRECTORY) as source:
            target_path = join(self._target, name)
            try:
                filesystem.mkdir(target_path, 0o700)
            except FileExistsError:
                if not self._fill:
                    raise
            else:
                self._directories.append((name, filesystem.stat_open(source)))
            with Opened(target_path, DIRECTORY) as target:
                self._count_entry()
                self._copy_entries(name, source, target)

    def _copy_entries(self, directory: str, source: int, target: int) -> None:
        with filesystem.scan(source) as entries:
            for entry in entries:
                name = join(directory, entry.name)
                if not directory and entry.name in self._excluded:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    self._pending.append(name)
                    continue
                try:
                    self._copy_entry(entry, name, source, target)
                except OSError as error:
                    if self._fill and isinstance(error, FileExistsError):
                        continue
                    error.filename = join(self._source, name)  # not just its last part
                    raise
                except DamagedFailure as failure:
                    raise DamagedFailure(
                        f"{failure.what}: {join(self._source, name)}", failure.hint
                    ) from None

    def _copy_entry(self, entry: os.DirEntry[str], name: str, source: int, target: int) -> None:
        if entry.is_symlink():
            self._copy_link(entry, name, source, target)
        elif entry.is_file(follow_symlinks=False):
            self._copy_file(entry.name, name, source, target)
        else:
            self._report.add_special(name)

    def _copy_link(self, entry: os.DirEntry[str], name: str, source: int, target: int) -> None:
        text = filesystem.readlink(entry.name, dir_fd=source)
        filesystem.symlink(text, entry.name, dir_fd=target)
        status = entry.stat(follow_symlinks=False)
        with tolerating(_NOT_OURS_TO_GIVE):
            times = (status.st_atime_ns, status.st_mtime_ns)
            filesystem.utime(entry.name, ns=times, dir_fd=target, follow_symlinks=False)
        self._count_entry()

    def _copy_file(self, name: str, path: str, source: int, target: int) -> None:
        # Without context managers: for small files they are a tenth of the time.
        from_file = filesystem.open_file(name, _SOURCE, dir_fd=source)
        try:
            status = filesystem.stat_open(from_file)
            if status.st_nlink > 1 and self._link_again(status, name, path, target):
                return
            to_file = filesystem.open_file(name, _TARGET, 0o600, dir_fd=target)
            try:
                contents.copy_checked(from_file, to_file, status, self._count_bytes)
                self._finish(from_file, to_file, status)
            finally:
                filesystem.close(to_file)
        finally:
            filesystem.close(from_file)
        self._count_entry()

    def _link_again(self, status: os.stat_result, name: str, path: str, target: int) -> bool:
        """Link to the copy of a file with several names; return False for the first of its names."""
        first = self._linked.setdefault((status.st_dev, status.st_ino), path)
        if first == path:
            return False
        filesystem.link(join(self._target, first), name, dst_dir_fd=target, follow_symlinks=False)
        self._count_entry()
        return True

    def _finish_directory(self, name: str, status: os.stat_result) -> None:
        path = join(self._source, name)
        with Opened(path, DIRECTORY) as source:
            with Opened(join(self._target, name), DIRECTORY) as target:
                self._finish(source, target, status)
            if filesystem.stat_open(source).st_mtime_ns != status.st_mtime_ns:
                raise DamagedFailure(
                    f"a directory changed while it was copied: {path}",
                    "try again when it is finished",
                )

    def _finish(self, source: int, target: int, status: os.stat_result) -> None:
        _copy_attributes(source, target, status)
        if self._sync:
            filesystem.fsync(target)

    def _count_bytes(self, size: int) -> None:
        self._report.size += size
        self._told(size, 0)

    def _count_entry(self) -> None:
        self._report.files += 1
        self._told(0, 1)


def _copy_attributes(source: int, target: int, status: os.stat_result) -> None:
    """Copy owner, extended attributes, permissions and, last, times to an open file or directory."""
    if status.st_uid != os.geteuid() or status.st_gid != os.getegid():
        with tolerating(_NOT_OURS_TO_GIVE):
            filesystem.chown_open(target, status.st_uid, status.st_gid)
    try:
        names = filesystem.list_attributes(source)
    except OSError as error:
        if error.errno not in _NO_ATTRIBUTES:
            raise
        names = []
    for name in names:
        with tolerating(_NO_ATTRIBUTES):
            filesystem.copy_attribute(source, target, name)
    filesystem.chmod_open(target, stat.S_IMODE(status.st_mode))
    filesystem.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
