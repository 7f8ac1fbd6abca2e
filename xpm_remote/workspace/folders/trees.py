"""A tree removed, so that one can tell from what is left that it is not whole any more."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import Iterator

from xpm_remote.workspace import filesystem

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

NAMED_AT_MOST = 5
"""How many names a message lists; a tree may have any number of sockets."""


def remove(path: Path, first: str = "") -> None:
    """Remove a file, a link (not what it leads to) or a tree; what is not there, or goes meanwhile, is fine.

    Args:
        path: What to remove.
        first: The name of the file in the tree whose absence says that the tree is not whole: it goes first.

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
    """Remove what is no directory; give the directories."""
    descriptor = filesystem.open_file(directory, _DIRECTORY)
    try:
        inner = []
        with filesystem.scan(descriptor) as entries:
            for entry in list(entries):
                if entry.is_dir(follow_symlinks=False):
                    inner.append(f"{directory}/{entry.name}")
                    continue
                with contextlib.suppress(FileNotFoundError):
                    filesystem.unlink(entry.name, dir_fd=descriptor)
        return inner
    finally:
        filesystem.close(descriptor)


def measure(directory: Path) -> tuple[int, int]:
    """Give the bytes of a job's files, and how many files, links and directories there are, itself included.

    What cannot be read is not counted.
    """
    size, files = 0, 0
    pending = [os.fspath(directory)]
    while pending:
        files += 1
        try:
            with filesystem.scan(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    else:
                        files += 1
                        size += _size(entry)
        except OSError:
            continue
    return size, files


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return (
            entry.stat(follow_symlinks=False).st_size if entry.is_file(follow_symlinks=False) else 0
        )
    except OSError:
        return 0


def own_top_names(name: str) -> frozenset[str]:
    """Give what is not copied: the job's own lock and pid, and the scheduler's directory, at the top of a job."""
    return frozenset({f"{name}.lock", f"{name}.pid", ".scheduler"})


def job_entries(directory: Path, name: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Give what a job has, at any depth, but directories: each with its path in the job; links are not followed.

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
