"""The calls that read a workspace: each through its name in ``filesystem``, and known by its path while it lasts.

The name is looked up when the call is made, so that a test can fail any one of them. While a file server does not
answer, a call does not return, and its thread can do nothing more; ``longest_wait`` tells another thread which path it
waits for.
"""

from __future__ import annotations

import io
import os
import time
from _thread import get_ident
from typing import Any, Callable, NamedTuple, TypeVar

from xpm_remote.workspace import filesystem

Result = TypeVar("Result")

BUFFER = 64 * 1024
"""Bytes read at once of a file of lines."""


class Wait(NamedTuple):
    """A call that has not returned.

    Attributes:
        began: When it was made, in seconds of ``time.monotonic``.
        path: What it reads.
    """

    began: float
    path: str


_waits: dict[int, tuple[float, str]] = {}  # by thread; a Wait each, but this is done for each call


def call(path: str, function: Callable[..., Result], *arguments: Any) -> Result:  # noqa: ANN401
    """Call a function that may wait for the disk; meanwhile the path is known to ``longest_wait``."""
    thread = get_ident()
    _waits[thread] = (time.monotonic(), path)
    try:
        return function(*arguments)
    finally:
        del _waits[thread]


def longest_wait() -> Wait | None:
    """Return the call that has lasted longest, of all threads; None while there is none."""
    longest = min(list(_waits.values()), default=None)
    return None if longest is None else Wait(*longest)


def stat(path: str) -> os.stat_result:
    """Return the status of what a path leads to."""
    return call(path, filesystem.stat, path)


def lstat(path: str) -> os.stat_result:
    """Return the status of a path, and not of what a link there leads to."""
    return call(path, filesystem.lstat, path)


def read_link(path: str) -> str:
    """Return where a link leads."""
    target: str = call(path, filesystem.readlink, path)
    return target


def scan(path: str) -> list[os.DirEntry[str]]:
    """Return the entries of a directory."""
    return call(path, _entries, path)


def open_file(path: str, flags: int) -> int:
    """Open a file; return its descriptor."""
    return call(path, filesystem.open_file, path, flags)


def stat_open(handle: int, path: str) -> os.stat_result:
    """Return the status of an open file."""
    return call(path, filesystem.stat_open, handle)


def read(handle: int, size: int, path: str) -> bytes:
    """Read from an open file."""
    return call(path, filesystem.read, handle, size)


def read_at(handle: int, size: int, offset: int, path: str) -> bytes:
    """Read from an open file at an offset."""
    return call(path, filesystem.read_at, handle, size, offset)


def ask_server(path: str) -> None:
    """Wait for an answer of the server of a path's file system, which no cache of this host can give."""
    call(path, filesystem.file_system, path)


def close(handle: int) -> None:
    """Close a file that was only read."""
    filesystem.close(handle)


def buffered(handle: int, path: str) -> io.BufferedReader:
    """Return a file that reads from a descriptor, and closes it."""
    return io.BufferedReader(_RawFile(handle, path), BUFFER)


def _entries(path: str) -> list[os.DirEntry[str]]:
    with filesystem.scan(path) as entries:
        return list(entries)


class _RawFile(io.RawIOBase):
    def __init__(self, handle: int, path: str) -> None:
        super().__init__()
        self._handle = handle
        self._path = path

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:  # noqa: ANN401  (a buffer, which has no type before 3.12)
        data = read(self._handle, len(target), self._path)
        target[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            close(self._handle)
        super().close()
