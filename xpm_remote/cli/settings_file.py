"""Replace the text of the settings file such that at every moment the old one or the new one is there."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import itertools
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from xpm_remote.errors import SettingsError

_WRITING = ".xpm-remote-"
"""Follows the name of the settings file in that of one that is being written; ``mkstemp`` adds eight characters."""


def replace_file(path: Path, old: bytes, new: bytes) -> Path:
    """Write a file anew, and keep what was in it beside it.

    A link stays one: the file that it leads to is written. Its permissions stay as they are.

    Args:
        path: The file.
        old: What it holds.
        new: What it will hold.

    Returns:
        The backup: the file's name with ``.bak`` behind it, and a number where that exists already.

    Raises:
        SettingsError: It cannot be written, or holds something else by now; it is as it was.
    """
    target = path.resolve()
    try:
        status = target.stat()
        with _temporary(target, new, status) as written:
            if target.read_bytes() != old:
                raise SettingsError(f"{target} was changed just now", "try again")
            backup = _write_backup(target, old, status)
            written.replace(target)
    except OSError as error:
        raise SettingsError(f"{target} cannot be written: {error.strerror}") from error
    return backup


@contextlib.contextmanager
def _temporary(target: Path, content: bytes, status: os.stat_result) -> Iterator[Path]:
    """Yield a file beside the target that is removed at the end unless it was renamed."""
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}{_WRITING}")
    path = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # until it has its name: others leave it alone
            _write(file, content, status)
            yield path
    finally:
        path.unlink(missing_ok=True)


def remove_leftovers(path: Path) -> None:
    """Remove the files that earlier processes were writing beside a settings file when they were killed."""
    target = path.resolve()
    with contextlib.suppress(OSError):
        for each in target.parent.glob(f".{glob.escape(target.name)}{_WRITING}????????"):
            with contextlib.suppress(OSError):
                _remove_leftover(each)


def _remove_leftover(path: Path) -> None:
    """Remove a file of ours that no process holds locked."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    finally:
        os.close(descriptor)


def _write_backup(target: Path, content: bytes, status: os.stat_result) -> Path:
    with _temporary(target, content, status) as written:
        for number in itertools.count():
            backup = target.with_name(f"{target.name}.bak{f'.{number}' if number else ''}")
            try:
                os.link(written, backup)  # whole from the first moment on
            except FileExistsError:
                continue
            except OSError:  # a file has one name there
                with contextlib.suppress(FileExistsError):
                    _write_new(backup, content, status)
                    return backup
            else:
                return backup
    raise AssertionError("numbers do not end")


def _write_new(path: Path, content: bytes, status: os.stat_result) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _write(file, content, status)
    except BaseException:
        path.unlink()
        raise


def _write(file: BinaryIO, content: bytes, status: os.stat_result) -> None:
    # No one else may read it before it has the owner and the permissions of the original.
    with contextlib.suppress(PermissionError):
        os.fchown(file.fileno(), status.st_uid, status.st_gid)
    os.fchmod(file.fileno(), status.st_mode & 0o777)
    file.write(content)
    file.flush()
    os.fsync(file.fileno())
