"""Directory trees of jobs: removed, measured and listed, and what all work on files here shares."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import Iterator

from xpm_remote.workspace import filesystem
from xpm_remote.workspace.failures import path_of
from xpm_remote.workspace.filesystem import AnyPath

NAMED_AT_MOST = 5
"""How many names a message lists; a tree may have any number of sockets."""

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""How a directory is opened in which something is done: a link in its place is refused."""


def remove(path: Path, first: str = "") -> None:
    """Remove a file, a link (not its target) or a tree; what is absent, or disappears meanwhile, is no error.

    Args:
        path: What to remove.
        first: The name of the file in the tree whose absence marks the tree as not whole: it is removed first.

    Raises:
        OSError: Something cannot be removed.
    """
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISDIR(filesystem.lstat(path).st_mode):
            filesystem.unlink(path)
            return
        if first:
            _remove_first(path, first)
        _remove_tree(os.fspath(path))


def _remove_first(path: Path, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        try:
            filesystem.unlink(path / name)
        except PermissionError:
            filesystem.chmod(path, stat.S_IRWXU)
            filesystem.unlink(path / name)


def _remove_tree(root: str) -> None:
    """Empty each directory, parents before children; then remove them, children before parents."""
    pending, emptied = [root], []
    while pending:
        directory = pending.pop()
        emptied.append(directory)
        try:
            pending += _empty(directory)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM):
                raise
            # A directory of ours that its owner may not write.
            filesystem.chmod(directory, stat.S_IRWXU)
            pending += _empty(directory)
    for directory in reversed(emptied):
        with contextlib.suppress(FileNotFoundError):
            filesystem.rmdir(directory)


def _empty(directory: str) -> list[str]:
    """Remove everything but directories, and return the paths of those."""
    inner = []
    with Opened(directory, DIRECTORY) as descriptor, filesystem.scan(descriptor) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                inner.append(f"{directory}/{entry.name}")
                continue
            with contextlib.suppress(FileNotFoundError):
                filesystem.unlink(entry.name, dir_fd=descriptor)
    return inner


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


def job_entries(directory: Path, name: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield what a job contains but directories, at any depth, each with its path in the job. Links are not followed.

    Args:
        directory: The job's directory.
        name: The job's script name.

    Raises:
        OSError: Something cannot be read.
    """
    root, skipped = os.fspath(directory), own_top_names(name)
    pending = [""]
    while pending:
        inner = pending.pop()
        with filesystem.scan(join(root, inner)) as entries:
            for entry in entries:
                path = join(inner, entry.name)
                if not inner and entry.name in skipped:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    pending.append(path)
                else:
                    yield path, entry


def join(directory: str, name: str) -> str:
    """Join two parts of a path, either of which may be empty."""
    return f"{directory}/{name}" if directory and name else directory or name


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
