"""The bytes of a file: copied and checked by reading the copy back, or compared with those of another file.

A system error has the descriptor of the file at fault as its ``filename``.
"""

from __future__ import annotations

import errno
import hashlib
import heapq
import os
from enum import Enum
from typing import Callable, Iterator, TypeVar

from xpm_remote.workspace import filesystem
from xpm_remote.workspace.failures import DamagedFailure

CHUNK = 1 << 20
"""Bytes held in memory at a time: enough that calls cost little beside the copying."""

SMALL = 256 << 10
"""Bytes up to which a file is read at once and its copy is compared byte by byte; a larger one is by digests."""

_STAT_BLOCK = 512

_Result = TypeVar("_Result")


class Match(Enum):
    """How the contents of a copy compare with those of its source."""

    SAME = "same"
    PREFIX = "prefix"
    """The copy is the beginning of the source: it was not finished."""
    DIFFERENT = "different"


def copy_checked(
    source: int, target: int, status: os.stat_result, told: Callable[[int], None]
) -> None:
    """Copy the contents of a file into an empty one, then read them back and compare.

    Args:
        source: An open file.
        target: An empty file, open for reading and writing.
        status: The source's status before the copying.
        told: Called with the bytes of each step.

    Raises:
        DamagedFailure: The source changed meanwhile, or what is read back is not what was read.
        OSError: A file cannot be read or written.
    """
    if status.st_size <= SMALL and not _has_holes(status):
        _copy_small(source, target, status.st_size)
        told(status.st_size)
    else:
        _copy_large(source, target, status, told)
    after = _call(filesystem.stat_open, source)
    if (after.st_size, after.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
        raise _changed()


def compare(source: int, copy: int) -> Match:
    """Compare two open files; a hole equals as many zeros.

    Raises:
        DamagedFailure: A file became shorter meanwhile.
        OSError: A file cannot be read.
    """
    size = _call(filesystem.stat_open, source).st_size
    copied = _call(filesystem.stat_open, copy).st_size
    if copied > size:
        return Match.DIFFERENT
    for offset, length in _both(source, copy, copied):
        if not _is_same_range(source, copy, offset, length):
            return Match.DIFFERENT
    return Match.SAME if copied == size else Match.PREFIX


def _copy_small(source: int, target: int, size: int) -> None:
    data = _call(filesystem.read, source, size + 1)
    if len(data) != size:
        raise _changed()
    _write_all(target, data, 0)
    if _call(filesystem.read_at, target, size + 1, 0) != data:
        raise _not_what_was_read()


def _copy_large(
    source: int, target: int, status: os.stat_result, told: Callable[[int], None]
) -> None:
    size = status.st_size
    same_device = _call(filesystem.stat_open, target).st_dev == status.st_dev
    shared = same_device and _clone(source, target)
    _call(filesystem.truncate, target, size)
    in_kernel = same_device and not shared
    read, written = hashlib.blake2b(), hashlib.blake2b()
    for offset, length in _ranges(source, size):
        for start, data in _chunks(source, offset, length):
            read.update(data)
            if in_kernel:
                in_kernel = _copy_range(source, target, start, len(data))
            if not shared and not in_kernel:
                _write_all(target, data, start)
            told(len(data))
    for offset, length in _ranges(source, size):  # what is a hole there is one here
        for _, data in _chunks(target, offset, length):
            written.update(data)
    if read.digest() != written.digest() or _call(filesystem.stat_open, target).st_size != size:
        raise _not_what_was_read()


def _clone(source: int, target: int) -> bool:
    try:
        _call(lambda copy: filesystem.clone(source, copy), target)
    except OSError as error:
        if error.errno not in filesystem.UNSUPPORTED:
            raise
        return False
    return True


def _copy_range(source: int, target: int, offset: int, count: int) -> bool:
    """Let the kernel copy a range; return False if it cannot, or stops early, so that the range must be written."""
    done = 0
    try:
        while done < count:
            copied = filesystem.copy_range(source, target, count - done, offset + done)
            if copied == 0:
                return False
            done += copied
    except OSError as error:
        error.filename = target  # the source has just been read
        if error.errno not in filesystem.UNSUPPORTED:
            raise
        return False
    return True


def _write_all(target: int, data: bytes, offset: int) -> None:
    rest = memoryview(data)
    while rest:
        count = _call(filesystem.write_at, target, rest, offset)
        rest, offset = rest[count:], offset + count


def _chunks(descriptor: int, offset: int, length: int) -> Iterator[tuple[int, bytes]]:
    end = offset + length
    while offset < end:
        data = _call(filesystem.read_at, descriptor, min(CHUNK, end - offset), offset)
        if not data:
            raise DamagedFailure("a file became shorter while it was read", "try again")
        yield offset, data
        offset += len(data)


def _has_holes(status: os.stat_result) -> bool:
    return status.st_blocks * _STAT_BLOCK < status.st_size


def _data_ranges(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield offset and length of what is not a hole, in order; everything if holes cannot be found."""
    end = 0
    while end < size:
        try:
            start = _call(filesystem.lseek, descriptor, end, os.SEEK_DATA)
            end = min(_call(filesystem.lseek, descriptor, start, os.SEEK_HOLE), size)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                return
            if error.errno not in filesystem.UNSUPPORTED:
                raise
            yield end, size - end
            return
        yield start, end - start


def _both(first: int, second: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges, in order and without overlap, in which either file has data."""
    done = 0
    for offset, length in heapq.merge(_ranges(first, size), _ranges(second, size)):
        start, end = max(offset, done), min(offset + length, size)
        if start < end:
            yield start, end - start
            done = end


def _ranges(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    if _has_holes(_call(filesystem.stat_open, descriptor)):
        return _data_ranges(descriptor, size)
    return iter([(0, size)])


def _is_same_range(first: int, second: int, offset: int, length: int) -> bool:
    for start, data in _chunks(first, offset, length):
        for at, other in _chunks(second, start, len(data)):
            if data[at - start : at - start + len(other)] != other:
                return False
    return True


def _call(function: Callable[..., _Result], descriptor: int, *args: object) -> _Result:
    """Call a function for a file, which an error then names."""
    try:
        return function(descriptor, *args)
    except OSError as error:
        error.filename = descriptor
        raise


def _changed() -> DamagedFailure:
    return DamagedFailure("a file changed while it was copied", "try again when it is finished")


def _not_what_was_read() -> DamagedFailure:
    return DamagedFailure("a copy is not what was read", "the disk may be failing; try again")
