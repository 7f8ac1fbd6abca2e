"""A tree removed, so that one can tell from what is left that it is not whole any more."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from xpm_remote.workspace import filesystem

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


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
