"""Linux's inotify through ctypes; where there is none, opening it fails and the caller polls."""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

from xpm_remote.workspace.optional import ctypes

MODIFY = 0x2
CLOSE_WRITE = 0x8
MOVED_FROM = 0x40
MOVED_TO = 0x80
CREATE = 0x100
DELETE = 0x200
DELETE_SELF = 0x400
MOVE_SELF = 0x800
OVERFLOW = 0x4000
IGNORED = 0x8000

ENTRIES = CREATE | DELETE | MOVED_FROM | MOVED_TO
"""A name appeared in a directory, or disappeared."""

_ONLYDIR = 0x1000000
_DONT_FOLLOW = 0x2000000
_EXCL_UNLINK = 0x4000000

_HEADER = struct.Struct("iIII")

_READ_SIZE = 64 * 1024
"""Bytes read at once: some thousand events."""


class RawEvent(NamedTuple):
    """An event of the kernel: the watch, what happened, and the name in the directory (decoded as a file name)."""

    watch: int
    mask: int
    name: str


class Inotify:
    """An inotify instance of directories.

    Raises:
        OSError: This system has none, or the user has too many.
    """

    def __init__(self) -> None:
        if ctypes is None:
            message = "this python has no ctypes"
            raise OSError(message)
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            self._add, self._remove = libc.inotify_add_watch, libc.inotify_rm_watch
            opened = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        except AttributeError as error:
            message = "this system has no inotify"
            raise OSError(message) from error
        self._fd: int = _checked(opened)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when there are events."""
        return self._fd

    def add(self, directory: str, mask: int) -> int:
        """Watch a directory, but not through a symlink; return the watch's number.

        Raises:
            OSError: It is not a directory, may not be read, or the user's watches are used up.
        """
        flags = mask | _ONLYDIR | _DONT_FOLLOW | _EXCL_UNLINK
        return _checked(self._add(self._fd, os.fsencode(directory), flags))

    def remove(self, watch: int) -> None:
        """End a watch; one that the kernel has ended already is ignored."""
        self._remove(self._fd, watch)

    def read(self) -> list[RawEvent]:
        """Return the events that have come, without waiting."""
        events: list[RawEvent] = []
        while True:
            try:
                data = os.read(self._fd, _READ_SIZE)
            except BlockingIOError:
                return events
            events += _parse(data)

    def close(self) -> None:
        """End all watches."""
        os.close(self._fd)


def _parse(data: bytes) -> list[RawEvent]:
    events, position = [], 0
    while position < len(data):
        watch, mask, _, length = _HEADER.unpack_from(data, position)
        position += _HEADER.size
        name = data[position : position + length].rstrip(b"\0")
        position += length
        events.append(RawEvent(watch, mask, os.fsdecode(name)))
    return events


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
