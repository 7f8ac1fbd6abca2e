"""Directory trees of jobs: removed, measured and listed, and what all work on files here shares."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import Iterator, NamedTuple

from xpm_remote.workspace import filesystem
from xpm_remote.workspace.failures import path_of
from xpm_remote.workspace.filesystem import AnyPath

NAMED_AT_MOST = 5
"""How many names a message lists; a tree may have any number of sockets."""

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""How a directory is opened in which something is done: a link in its place is refused."""

_ON_THE_WAY = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""How a directory is opened that is only passed: one that may not be listed is no obstacle where the system allows."""


def close_read(descriptor: int) -> None:
    """Close what was only read: an error at that loses nothing."""
    try:  # noqa: SIM105  (suppress() takes five times as long)
        filesystem.close(descriptor)
    except OSError:
        pass


def open_below(top: int, path: str) -> int:
    """Open a directory below an open one. At no part of the path is a link followed, whatever takes a place meanwhile.

    Args:
        top: The open directory.
        path: The path in it; empty for the directory itself, which gets a second descriptor.

    Raises:
        OSError: A part cannot be opened, or is no directory.
    """
    opened = top
    parts = path.split("/") if path else ["."]
    try:
        for number, part in enumerate(parts, 1):
            flags = DIRECTORY if number == len(parts) else _ON_THE_WAY
            inner = filesystem.open_file(part, flags, dir_fd=opened)
            if opened != top:
                close_read(opened)
            opened = inner
    except BaseException:
        if opened != top:
            close_read(opened)
        raise
    return opened


class Below:
    """A directory below an open one, opened as by ``open_below``; a context manager of its descriptor.

    For an empty path that is the open one's, which stays open.
    """

    __slots__ = ("_descriptor", "_top")

    def __init__(self, top: int, path: str) -> None:
        self._top = top
        self._descriptor = open_below(top, path) if path else top

    def __enter__(self) -> int:
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        if self._descriptor != self._top:
            close_read(self._descriptor)


class Tree:
    """A directory with all below it; a context manager that opens it, so that it stays the same whatever is renamed.

    Args:
        path: The directory; no link.
        directory: The open directory that has it. By default it is opened from the root down, by its real path now: a
            link that takes the place of a directory above it after that is not followed.

    Raises:
        OSError: On entering: it cannot be opened, or is no directory.
    """

    def __init__(self, path: Path, directory: int | None = None) -> None:
        self.path = os.fspath(path)
        self._name = path.name
        self._above = os.fspath(path.parent)
        self._directory = directory
        self.top = -1

    def __enter__(self) -> Tree:
        with naming(self.path):
            if self._directory is not None:
                self.top = filesystem.open_file(self._name, DIRECTORY, dir_fd=self._directory)
                return self
            with Opened("/", _ON_THE_WAY) as root:
                try:
                    self.top = open_below(root, self.path.lstrip("/"))
                except OSError as error:
                    real = join(os.path.realpath(self._above), self._name)
                    if error.errno not in (errno.ELOOP, errno.ENOTDIR) or real == self.path:
                        raise
                    self.top = open_below(root, real.lstrip("/"))
        return self

    def __exit__(self, *_: object) -> None:
        close_read(self.top)

    def below(self, path: str) -> Below:
        """Return a directory in it, as a context manager of its descriptor."""
        return Below(self.top, path)


def remove(path: Path, directory: int, first: str = "") -> None:
    """Remove a file, a link (not its target) or a tree; what is absent, or disappears meanwhile, is no error.

    Each directory is entered from the one above it, so that nothing outside is removed where a link takes the place of
    one. What is mounted in the tree is another file system's, and is left.

    Args:
        path: What to remove; its name counts.
        directory: The open directory that has it.
        first: The name of the file in the tree whose absence marks the tree as not whole: it is removed first.

    Raises:
        OSError: Something cannot be removed.
    """
    with naming(os.fspath(path)), contextlib.suppress(FileNotFoundError):
        if stat.S_ISDIR(filesystem.lstat(path.name, dir_fd=directory).st_mode):
            _TreeRemoval(path, directory).run(first)
        else:
            filesystem.unlink(path.name, dir_fd=directory)


class _TreeRemoval:
    """One removal of one tree; the arguments are those of ``remove``."""

    def __init__(self, path: Path, directory: int) -> None:
        self._path = path
        self._directory = directory
        self._top = -1
        self._device = 0

    def run(self, first: str) -> None:
        """Empty each directory, parents before children; then remove them, children before parents."""
        self._top = _enter(self._path.name, self._directory)
        try:
            self._device = filesystem.stat_open(self._top).st_dev
            if first:
                with contextlib.suppress(IsADirectoryError):  # removed as what is in the tree
                    _unlink(first, self._top)
            pending, emptied = self._empty(self._top, ""), []
            while pending:
                inner = pending.pop()
                with naming(f"{self._path}/{inner}"):
                    found = self._empty_inner(*split(inner))
                if found is not None:
                    emptied.append(inner)
                    pending += found
            for inner in reversed(emptied):
                with naming(f"{self._path}/{inner}"), contextlib.suppress(FileNotFoundError):
                    above, name = split(inner)
                    with Below(self._top, above) as parent:
                        filesystem.rmdir(name, dir_fd=parent)
        finally:
            close_read(self._top)
        filesystem.rmdir(self._path.name, dir_fd=self._directory)

    def _empty_inner(self, above: str, name: str) -> list[str] | None:
        """Empty a directory in the tree, and return those in it; None if it is none any more."""
        with contextlib.suppress(FileNotFoundError), Below(self._top, above) as parent:
            try:
                opened = _enter(name, parent)
            except OSError as error:
                if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                    raise
                _unlink(name, parent)
                return None
            try:
                return self._empty(opened, join(above, name))
            finally:
                close_read(opened)
        return None

    def _empty(self, opened: int, path: str) -> list[str]:
        """Remove everything but directories, and return the paths of those."""
        if filesystem.stat_open(opened).st_dev != self._device:
            raise OSError(errno.EXDEV, "another file system is mounted there")
        inner = []
        with filesystem.scan(opened) as entries:
            for entry in list(entries):
                if entry.is_dir(follow_symlinks=False):
                    inner.append(join(path, entry.name))
                else:
                    _unlink(entry.name, opened)
        return inner


def _enter(name: str, directory: int) -> int:
    """Open a directory in which something is to be removed; it is made readable where it is not."""
    try:
        return filesystem.open_file(name, DIRECTORY, dir_fd=directory)
    except PermissionError:
        filesystem.chmod_directory(name, stat.S_IRWXU, dir_fd=directory)
        return filesystem.open_file(name, DIRECTORY, dir_fd=directory)


def _unlink(name: str, directory: int) -> None:
    """Remove a name from a directory, which is made writable where it is not."""
    with contextlib.suppress(FileNotFoundError):
        try:
            filesystem.unlink(name, dir_fd=directory)
        except PermissionError:
            filesystem.chmod_open(directory, stat.S_IRWXU)
            filesystem.unlink(name, dir_fd=directory)


def measure(directory: Path) -> tuple[int, int]:
    """Return the bytes of a job's files, and the number of its files, links and directories, itself included.

    What cannot be read is not counted.
    """
    size, files = 0, 0
    pending = [os.fspath(directory)]
    while pending:
        files += 1
        with contextlib.suppress(OSError), filesystem.scan(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                    continue
                files += 1
                with contextlib.suppress(OSError):
                    if entry.is_file(follow_symlinks=False):
                        size += entry.stat(follow_symlinks=False).st_size
    return size, files


def own_top_names(name: str) -> frozenset[str]:
    """Return what is not copied at the top of a job: its own lock and pid, and the scheduler's directory."""
    return frozenset({f"{name}.lock", f"{name}.pid", ".scheduler"})


class JobDirectory(NamedTuple):
    """A directory of a job.

    Attributes:
        path: Its path in the job; empty for the job's own.
        opened: Its descriptor.
        entries: What it contains but directories.
    """

    path: str
    opened: int
    entries: list[os.DirEntry[str]]


def job_directories(job: Tree, name: str) -> Iterator[JobDirectory]:
    """Yield the directories of a job, each while it is open. Links are not followed.

    Args:
        job: The job's directory.
        name: The job's script name.

    Raises:
        OSError: Something cannot be read.
    """
    skipped = own_top_names(name)
    pending = [""]
    while pending:
        inner = pending.pop()
        with naming(join(job.path, inner)), job.below(inner) as opened:
            found = []
            with filesystem.scan(opened) as entries:
                for entry in entries:
                    if not inner and entry.name in skipped:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(join(inner, entry.name))
                    else:
                        found.append(entry)
            yield JobDirectory(inner, opened, found)


def join(directory: str, name: str) -> str:
    """Join two parts of a path, either of which may be empty."""
    return f"{directory}/{name}" if directory and name else directory or name


def split(path: str) -> tuple[str, str]:
    """Split a path into the directory, which may be empty, and the name in it."""
    directory, _, name = path.rpartition("/")
    return directory, name


class Opened:
    """An open file or directory; a context manager of its descriptor. A generator would cost a fifth of the copying.

    Raises:
        OSError: It cannot be opened.
    """

    __slots__ = ("_descriptor",)

    def __init__(
        self, path: AnyPath, flags: int, mode: int = 0o666, *, dir_fd: int | None = None
    ) -> None:
        self._descriptor = filesystem.open_file(path, flags, mode, dir_fd=dir_fd)

    def __enter__(self) -> int:
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        filesystem.close(self._descriptor)


@contextlib.contextmanager
def tolerating(numbers: frozenset[int]) -> Iterator[None]:
    """Suppress an ``OSError`` with one of these numbers."""
    try:
        yield
    except OSError as error:
        if error.errno not in numbers:
            raise


@contextlib.contextmanager
def naming(path: str) -> Iterator[None]:
    """Let a system error have the path at which it happened, unless it has one."""
    try:
        yield
    except OSError as error:
        if not path_of(error):
            error.filename = path
        raise
