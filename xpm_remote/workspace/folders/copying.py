"""Copying a tree with all that belongs to it; each file of the copy is read back and compared.

Kept: contents, permissions, times, symbolic links as they are, holes, hard links within the tree, extended attributes
and owners where we may set them. Contents are what matters: where a file system refuses permissions, times or
attributes, the report says so. Files on one device share their blocks where the file system can do that, or are copied
by the kernel. Memory does not depend on the size of a file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import Callable, Iterator

from xpm_remote.workspace import filesystem
from xpm_remote.workspace.failures import DamagedFailure, WorkspaceFailure, path_of
from xpm_remote.workspace.folders import contents
from xpm_remote.workspace.folders.trees import (
    DIRECTORY,
    NAMED_AT_MOST,
    Below,
    Opened,
    Tree,
    close_read,
    join,
    naming,
    split,
    tolerating,
)

_SOURCE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_TARGET = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

# What this user, or that file system, may not have is no reason not to copy the data.
_REFUSED = filesystem.UNSUPPORTED | {errno.EACCES}
_NO_ATTRIBUTES = _REFUSED | {errno.ENODATA}
_NO_HARD_LINKS = _REFUSED | {errno.EMLINK}
_FOLLOWED = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})

_NOWHERE = "/dev/null/nowhere"
"""The target of a link that cannot exist, since it would be in something that is no directory."""

_USERS_ATTRIBUTES = "user."
"""Begins the names of the extended attributes that users set; others belong to a system or a file system."""

PERMISSIONS = "permissions"
TIMES = "times"
LINK_TIMES = "times of links"
HARD_LINKS = "hard links"
ATTRIBUTES = "extended attributes"

_LENDING = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX
_OF_THE_DATA = (_USERS_ATTRIBUTES, "system.posix_acl_")
"""Extended attributes that lend no rights, unlike ``security.capability``."""


class CopyReport:
    """What was copied, and what could not be.

    Attributes:
        size: Bytes of files.
        files: Files, links and directories.
        special: Names of FIFOs, sockets and devices, which are not copied; the first few of ``special_count``.
        not_kept: What the copy's file system refused, though all contents are there, with the reason.
    """

    def __init__(self) -> None:
        self.size = 0
        self.files = 0
        self.special: list[str] = []
        self.special_count = 0
        self.not_kept: dict[str, str] = {}  # in the order in which it was noticed

    def add_special(self, name: str) -> None:
        """Record the name of what cannot be copied."""
        self.special_count += 1
        if len(self.special) < NAMED_AT_MOST:
            self.special.append(name)

    def left_out(self, where: str) -> str:
        """Return a message about what could not be copied, or not be kept by a folder; empty if there is nothing."""
        said = []
        if self.special:
            more = ", …" if self.special_count > len(self.special) else ""
            said.append(f"not copied, since these are no files: {', '.join(self.special)}{more}")
        if self.not_kept:
            lost = ", ".join(f"{what} ({why})" for what, why in self.not_kept.items())
            said.append(f"all contents are copied, but {where} does not keep {lost}")
        return "; ".join(said)


class TreeCopy:
    """One copy of one tree.

    Args:
        source: The directory to copy, open.
        target: The copy's directory, which does not exist, unless ``fill``.
        directory: The open directory that has the copy.
        excluded: Names at the top of the tree that are left out.
        sync: Whether each file is made durable by itself.
        told: Called with the bytes and files of each step.
        fill: Whether to add what the target lacks, and leave what it has.

    Raises:
        WorkspaceFailure: From ``run``: the copy's file system has no links.
        DamagedFailure: From ``run``: a file changed while it was copied, or its copy is not what was read.
        OSError: From ``run``: something cannot be read or written; its ``filename`` is the path, on either side.
    """

    def __init__(
        self,
        source: Tree,
        target: Path,
        directory: int,
        *,
        excluded: frozenset[str],
        sync: bool,
        told: Callable[[int, int], None],
        fill: bool = False,
    ) -> None:
        self._from = source
        self._source = source.path
        self._target = os.fspath(target)
        self._target_name = target.name
        self._directory = directory
        self._excluded = excluded
        self._sync = sync
        self._told = told
        self._fill = fill
        self._report = CopyReport()
        self._linked: dict[tuple[int, int], str] = {}
        self._pending: list[str] = []
        self._directories: list[tuple[str, os.stat_result]] = []
        self._sets_link_times: bool | None = None
        self._top = -1

    def run(self) -> CopyReport:
        """Copy the tree. Directories get their permissions and times last, when nothing is written to them any more."""
        self._make_directory("", self._target_name, self._directory, self._from.top)
        with naming(self._target), Opened(
            self._target_name, DIRECTORY, dir_fd=self._directory
        ) as self._top:
            self._copy_entries("", self._from.top, self._top)
            while self._pending:
                self._copy_directory(self._pending.pop())
            for name, status in reversed(self._directories):
                self._finish_directory(name, status)
        return self._report

    def _copy_directory(self, path: str) -> None:
        above, name = split(path)
        with naming(join(self._source, path)), self._from.below(path) as source:
            with naming(join(self._target, path)), Below(self._top, above) as parent:
                self._make_directory(path, name, parent, source)
                target = filesystem.open_file(name, DIRECTORY, dir_fd=parent)
            try:
                self._copy_entries(path, source, target)
            finally:
                close_read(target)

    def _make_directory(self, path: str, name: str, parent: int, source: int) -> None:
        with naming(join(self._target, path)):
            try:
                filesystem.mkdir(name, 0o700, dir_fd=parent)
            except FileExistsError:
                if not self._fill:
                    raise
            else:
                self._directories.append((path, filesystem.stat_open(source)))
        self._count_entry()

    def _copy_entries(self, directory: str, source: int, target: int) -> None:
        with naming(join(self._source, directory)), filesystem.scan(source) as entries:
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
                    if not path_of(error):
                        error.filename = join(self._source, name)  # not just its last part
                    raise
                except WorkspaceFailure as failure:
                    what = f"{failure.what}: {join(self._source, name)}"
                    raise type(failure)(what, failure.hint) from None

    def _copy_entry(self, entry: os.DirEntry[str], name: str, source: int, target: int) -> None:
        if entry.is_symlink():
            self._copy_link(entry, name, source, target)
        elif entry.is_file(follow_symlinks=False):
            self._copy_file(entry.name, name, source, target)
        else:
            self._report.add_special(name)

    def _copy_link(self, entry: os.DirEntry[str], name: str, source: int, target: int) -> None:
        text = filesystem.readlink(entry.name, dir_fd=source)
        status = entry.stat(follow_symlinks=False)
        times = (status.st_atime_ns, status.st_mtime_ns)
        with naming(join(self._target, name)):
            if self._sets_link_times is None:
                self._sets_link_times = _sets_link_times(entry.name, times, target)
            _make_link(text, entry.name, target)
            if self._sets_link_times:
                filesystem.utime(entry.name, ns=times, dir_fd=target, follow_symlinks=False)
            else:
                self._report.not_kept[LINK_TIMES] = "those of their targets would be set"
        self._count_entry()

    def _copy_file(self, name: str, path: str, source: int, target: int) -> None:
        # Without context managers: for small files they are a tenth of the time.
        from_file = filesystem.open_file(name, _SOURCE, dir_fd=source)
        try:
            status = filesystem.stat_open(from_file)
            if not stat.S_ISREG(status.st_mode):  # as it was when it was listed
                raise DamagedFailure(
                    "a file changed while it was copied", "try again when it is finished"
                )
            if status.st_nlink > 1 and self._link_again(status, name, path, target):
                return
            self._copy_contents(from_file, name, path, target, status)
        finally:
            filesystem.close(from_file)
        self._count_entry()

    def _copy_contents(
        self, from_file: int, name: str, path: str, target: int, status: os.stat_result
    ) -> None:
        try:
            to_file = filesystem.open_file(name, _TARGET, 0o600, dir_fd=target)
            try:
                contents.copy_checked(from_file, to_file, status, self._count_bytes)
                self._finish(from_file, to_file, status)
            finally:
                filesystem.close(to_file)
        except OSError as error:
            is_source = error.filename == from_file
            error.filename = join(self._source if is_source else self._target, path)
            raise

    def _link_again(self, status: os.stat_result, name: str, path: str, target: int) -> bool:
        """Link to the copy of a file with several names; return False where it must be copied."""
        first = self._linked.setdefault((status.st_dev, status.st_ino), path)
        if first == path:
            return False
        above, first_name = split(first)
        try:
            with Below(self._top, above) as directory:
                filesystem.link(
                    first_name, name, src_dir_fd=directory, dst_dir_fd=target, follow_symlinks=False
                )
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                error.filename = join(self._target, path)
                raise
            self._report.not_kept[HARD_LINKS] = str(error.strerror)
            return False
        self._count_entry()
        return True

    def _finish_directory(self, name: str, status: os.stat_result) -> None:
        path = join(self._source, name)
        with naming(path), self._from.below(name) as source:
            with naming(join(self._target, name)), Below(self._top, name) as target:
                self._finish(source, target, status)
            if filesystem.stat_open(source).st_mtime_ns != status.st_mtime_ns:
                raise DamagedFailure(
                    f"a directory changed while it was copied: {path}",
                    "try again when it is finished",
                )

    def _finish(self, source: int, target: int, status: os.stat_result) -> None:
        """Copy owner, extended attributes, permissions and, last, times to an open file or directory.

        As ``cp -p``: what lends the rights of an owner or a group is lost where the copy has another one.
        """
        mode = stat.S_IMODE(status.st_mode)
        is_same_owner = status.st_uid == os.geteuid() and status.st_gid == os.getegid()
        if not is_same_owner or mode & _LENDING:
            with tolerating(_REFUSED):
                filesystem.chown_open(target, status.st_uid, status.st_gid)
            given = filesystem.stat_open(target)
            mode = _without_lent_rights(mode, status, given)
            is_same_owner = (given.st_uid, given.st_gid) == (status.st_uid, status.st_gid)
        self._copy_attributes(source, target, is_same_owner)
        try:
            filesystem.chmod_open(target, mode)
        except OSError as error:
            if stat.S_IMODE(filesystem.stat_open(target).st_mode) != mode:
                self._tolerate(error, PERMISSIONS)
        try:
            filesystem.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
        except OSError as error:
            self._tolerate(error, TIMES)
        if self._sync:
            filesystem.fsync(target)

    def _copy_attributes(self, source: int, target: int, is_same_owner: bool) -> None:
        try:
            names = filesystem.list_attributes(source)
        except OSError as error:
            error.filename = source
            if error.errno not in _NO_ATTRIBUTES:
                raise
            return
        for name in names:
            if not is_same_owner and not name.startswith(_OF_THE_DATA):
                continue
            try:
                filesystem.copy_attribute(source, target, name)
            except OSError as error:
                if error.errno not in _NO_ATTRIBUTES:
                    raise
                if name.startswith(_USERS_ATTRIBUTES):
                    self._report.not_kept[ATTRIBUTES] = str(error.strerror)

    def _tolerate(self, error: OSError, what: str) -> None:
        """Record what the copy's file system refuses.

        Raises:
            OSError: It is no refusal but a failure.
        """
        if error.errno not in _REFUSED:
            raise error
        self._report.not_kept[what] = str(error.strerror)

    def _count_bytes(self, size: int) -> None:
        self._report.size += size
        self._told(size, 0)

    def _count_entry(self) -> None:
        self._report.files += 1
        self._told(0, 1)


def _sets_link_times(name: str, times: tuple[int, int], directory: int) -> bool:
    """Return whether a link's own time can be set in a directory; through sshfs the call would change its target's.

    It is tried with a link that leads nowhere, so that no target is changed.
    """
    with _needing_links():
        filesystem.symlink(_NOWHERE, name, dir_fd=directory)
    try:
        filesystem.utime(name, ns=times, dir_fd=directory, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _REFUSED | _FOLLOWED:
            raise
        return False
    finally:
        filesystem.unlink(name, dir_fd=directory)
    return True


def _make_link(text: str, name: str, directory: int) -> None:
    """Make a link and read it back: sshfs makes links with an absolute target, and then refuses to read them."""
    with _needing_links():
        filesystem.symlink(text, name, dir_fd=directory)
        is_same = filesystem.readlink(name, dir_fd=directory) == text
    if not is_same:
        raise DamagedFailure("a link is not as it was made", "keep jobs with links elsewhere")


@contextlib.contextmanager
def _needing_links() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        raise WorkspaceFailure(
            f"the file system of the copy takes no such link ({error.strerror})",
            "keep jobs with links elsewhere",
        ) from None


def _without_lent_rights(mode: int, source: os.stat_result, copy: os.stat_result) -> int:
    """Return permissions without those that mean another owner or group in a copy than in its source."""
    same_group = source.st_gid == copy.st_gid
    if source.st_uid == copy.st_uid and same_group:
        return mode
    # In a directory the bit of the group lends no rights: what is made in it gets the group.
    kept = stat.S_ISGID if stat.S_ISDIR(source.st_mode) and same_group else 0
    return mode & ~_LENDING | mode & kept
