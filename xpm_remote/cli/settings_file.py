"""Replace the text of the settings file such that at every moment the old one or the new one is there."""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from xpm_remote.errors import SettingsError


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
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    path = Path(name)
    try:
        _write(descriptor, content, status)
        yield path
    finally:
        path.unlink(missing_ok=True)


def _write_backup(target: Path, content: bytes, status: os.stat_result) -> Path:
    for number in itertools.count():
        backup = target.with_name(f"{target.name}.bak{f'.{number}' if number else ''}")
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(backup, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                _write(descriptor, content, status)
            except BaseException:
                backup.unlink()
                raise
            return backup
    raise AssertionError("numbers do not end")


def _write(descriptor: int, content: bytes, status: os.stat_result) -> None:
    with os.fdopen(descriptor, "wb") as file:
        # No one else may read it before it has the owner and the permissions of the original.
        with contextlib.suppress(PermissionError):
            os.fchown(descriptor, status.st_uid, status.st_gid)
        os.fchmod(descriptor, status.st_mode & 0o777)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
