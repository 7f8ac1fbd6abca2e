"""Which file systems are mounted, which of them belong to this host alone, and which are missing."""

from __future__ import annotations

import contextlib
import functools
import os
import re
from pathlib import Path
from typing import Iterator

OF_ONE_HOST = frozenset(
    {"btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "ramfs", "reiserfs", "tmpfs", "xfs", "zfs"}
)
"""File systems that only one kernel uses: it knows every lock, and ``syncfs`` reaches every block."""

DEVICE_IS_PLAIN = OF_ONE_HOST - {"btrfs", "zfs"}
"""Those whose files have the device number that the kernel's own tables show."""

_MOUNTS = Path("/proc/self/mountinfo")
_TABLE = Path("/etc/fstab")
_OCTAL = re.compile(r"\\([0-7]{3})")


def type_at(path: Path) -> str | None:
    """Return the type of the file system that holds an existing path; None where it is unknown."""
    best, found = -1, None
    real = os.path.realpath(path)
    for point, kind in _mounted():
        if _contains(point, real) and len(point) >= best:  # a later mount hides an earlier one
            best, found = len(point), kind
    return found


def belongs_to_one_host(path: Path) -> bool:
    """Return whether the file system that holds a path is known to be used by this host only."""
    return type_at(path) in OF_ONE_HOST


@functools.lru_cache(maxsize=64)  # asked for each lock; a device keeps its type while it is in use
def is_plain_device(device: int) -> bool:
    """Return whether the kernel's table of locks shows every lock on files of this device, by this number."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in _lines(_MOUNTS):
        words = line.split()
        if len(words) > 2 and words[2] == wanted and "-" in words:
            return words[words.index("-") + 1] in DEVICE_IS_PLAIN
    return False


def unmounted_above(path: Path) -> str | None:
    """Return the mount point in ``/etc/fstab`` that a path lies in while nothing is mounted there; None if none.

    A directory whose disk is missing would be filled without an error, and hidden when the disk comes back.

    Raises:
        OSError: The table cannot be read, and the path may be such a mount point: an empty directory.
    """
    mounted = {point for point, _ in _mounted()}
    if not mounted:
        return None
    real = os.path.realpath(path)
    try:
        expected = _points(_TABLE.read_bytes())
    except FileNotFoundError:
        return None
    except OSError:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            if not any(Path(real).iterdir()):
                raise
        return None
    inside = [point for point in expected if point not in mounted and _contains(point, real)]
    return max(inside, key=len) if inside else None


def mounted_below(path: Path) -> str | None:
    """Return a point in a directory where a file system is mounted, of whatever kind; None if there is none."""
    real = os.path.realpath(path)
    return next((point for point, _ in _mounted() if _contains(real, point)), None)


def _mounted() -> Iterator[tuple[str, str]]:
    """Yield mount point and type of each mounted file system, in the order of mounting."""
    for line in _lines(_MOUNTS):
        words = line.split()
        if len(words) > 4 and "-" in words[:-1]:
            yield _unescape(words[4]), words[words.index("-") + 1]


def _points(table: bytes) -> Iterator[str]:
    """Yield the mount points that a table of the host names."""
    for line in table.decode("utf-8", "surrogateescape").splitlines():
        words = line.split()
        if len(words) > 1 and not words[0].startswith("#") and words[1].startswith("/"):
            yield _unescape(words[1]).rstrip("/") or "/"


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return []


def _contains(point: str, path: str) -> bool:
    return point == "/" or path == point or path.startswith(point + "/")


def _unescape(text: str) -> str:
    """Undo the octal escapes of spaces and the like; what they stand for are bytes of a file name."""
    return _OCTAL.sub(lambda match: chr(int(match.group(1), 8)), text)
