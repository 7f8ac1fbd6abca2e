"""A tree copied with all that belongs to it, and each file of the copy read back and compared.

Kept: contents, permissions, times, symbolic links as they are, holes, hard links within the tree, extended attributes
and owners where we may set them. Files on one device share their blocks where the file system can do that, or are
copied by the kernel. Memory does not depend on the size of a file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import Callable, Iterator

from xpm_remote.workspace import filesystem
from xpm_remote.workspace.failures import DamagedFailure
from xpm_remote.workspace.folders import contents
from xpm_remote.workspace.folders.trees import NAMED_AT_MOST, join

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SOURCE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_TARGET = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

# An attribute that this user, or that file system, may not have is no reason not to copy the data.
_NO_ATTRIBUTES = filesystem.UNSUPPORTED | {errno.EACCES, errno.ENODATA}
_NOT_OURS_TO_GIVE = frozenset({errno.EPERM, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP})


class CopyReport:
    """What a copy took along, and what it could not.

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
        """Note what cannot be copied."""
        self.special_count += 1
        if len(self.special) < NAMED_AT_MOST:
            self.special.append(name)


class TreeCopy:
    """One copy of one tree.

    Args:
        source: The directory to copy; a link to it is not followed.
        target: The copy's directory, which does not exist, unless ``fill``.
        excluded: Names at the top of the tree that are left out.
        sync: Whether each file is made durable by itself.
        told: Called with the bytes and files that came with each step.
        fill: Add what the target lacks, and leave what it has.

    Raises:
        DamagedFailure: From ``run``: a file changed while it was copied, or its copy is not what was read.
        OSError: From ``run``: something cannot be read or written; its ``filename`` says what.
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
        """Copy everything; directories get their permissions and times when nothing is written to them any more."""
        while self._pending:
            self._copy_directory(self._pending.pop())
        for name, status in reversed(self._directories):
            self._finish_directory(name, status)
        return self._report

    def _copy_directory(self, name: str) -> None:
        source = filesystem.open_file(join(self._source, name), _DIRECTORY)
        try:
            target_path = join(self._target, name)
            if self._make_directory(target_path):
                self._directories.append((name, filesystem.stat_open(source)))
            target = filesystem.open_file(target_path, _DIRECTORY)
            try:
                self._count(0)
                self._copy_entries(name, source, target)
            finally:
                filesystem.close(target)
        finally:
            filesystem.close(source)

    def _make_directory(self, path: str) -> bool:
        try:
            filesystem.mkdir(path, 0o700)
        except FileExistsError:
            if not self._fill:
                raise
            return False
        return True

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
        self._count(0)

    def _copy_file(self, name: str, path: str, source: int, target: int) -> None:
        from_file = filesystem.open_file(name, _SOURCE, dir_fd=source)
        try:
            status = filesystem.stat_open(from_file)
            if status.st_nlink > 1 and self._link_again(status, name, path, target):
                return
            to_file = filesystem.open_file(name, _TARGET, 0o600, dir_fd=target)
            try:
                contents.copy_checked(from_file, to_file, status, self._tell_bytes)
                give_attributes(from_file, to_file, status)
                if self._sync:
                    filesystem.fsync(to_file)
            finally:
                filesystem.close(to_file)
        finally:
            filesystem.close(from_file)
        self._count(0)

    def _link_again(self, status: os.stat_result, name: str, path: str, target: int) -> bool:
        """Make another name of a file that the copy has; False when this is the first of its names."""
        first = self._linked.setdefault((status.st_dev, status.st_ino), path)
        if first == path:
            return False
        filesystem.link(join(self._target, first), name, dst_dir_fd=target, follow_symlinks=False)
        self._count(0)
        return True

    def _finish_directory(self, name: str, status: os.stat_result) -> None:
        source = filesystem.open_file(join(self._source, name), _DIRECTORY)
        try:
            target = filesystem.open_file(join(self._target, name), _DIRECTORY)
            try:
                give_attributes(source, target, status)
                if self._sync:
                    filesystem.fsync(target)
            finally:
                filesystem.close(target)
            if filesystem.stat_open(source).st_mtime_ns != status.st_mtime_ns:
                raise DamagedFailure(
                    f"a directory changed while it was copied: {join(self._source, name)}",
                    "try again when it is finished",
                )
        finally:
            filesystem.close(source)

    def _tell_bytes(self, size: int) -> None:
        self._report.size += size
        self._told(size, 0)

    def _count(self, size: int) -> None:
        self._report.files += 1
        self._told(size, 1)


def give_attributes(source: int, target: int, status: os.stat_result) -> None:
    """Give an open file or directory what its source has: owner, attributes, permissions and, last, times."""
    if status.st_uid != os.geteuid() or status.st_gid != os.getegid():
        with tolerating(_NOT_OURS_TO_GIVE):
            filesystem.chown_open(target, status.st_uid, status.st_gid)
    for name in _attributes(source):
        with tolerating(_NO_ATTRIBUTES):
            filesystem.copy_attribute(source, target, name)
    filesystem.chmod_open(target, stat.S_IMODE(status.st_mode))
    filesystem.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _attributes(source: int) -> list[str]:
    try:
        return filesystem.list_attributes(source)
    except OSError as error:
        if error.errno in _NO_ATTRIBUTES:
            return []
        raise


@contextlib.contextmanager
def tolerating(numbers: frozenset[int]) -> Iterator[None]:
    """Let calls fail for reasons that do not matter here."""
    try:
        yield
    except OSError as error:
        if error.errno not in numbers:
            raise
