"""Files of events that grow line by line while a job runs: of each, only what was added is read again.

A job that tells its progress has up to 1280 events in a file, and the last few say all. What earlier events of progress
said is left out where later ones replace it, so that the rest means the same.
"""

from __future__ import annotations

from typing import NamedTuple

from xpm_remote.workspace.reading import disk
from xpm_remote.workspace.reading.json_files import (
    JsonObject,
    Problems,
    UnfitFileError,
    decode,
    number_of,
    open_regular,
)

FILES_KEPT = 4_000
"""Files whose events are kept: those of the jobs that run, a kilobyte each."""

GROWTH_LIMIT = 1 << 20
"""Bytes that are read at once; a file that has more of them is read line by line."""

TAIL = 64
"""Bytes before the end that have to be the same in a file that has only grown: they hold the time of an event."""

_PROGRESS = "JobProgressEvent"


class _Known(NamedTuple):
    inode: int
    size: int
    tail: bytes
    events: list[JsonObject]


class GrowingFiles:
    """The files of events that were read before."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def read(self, path: str, problems: Problems) -> list[JsonObject] | None:
        """Return the events of a file; None where it has to be read line by line, as one that is missing or broken.

        Args:
            path: The file.
            problems: Where it is noted that the file can be read.
        """
        known = self._known.pop(path, None)
        try:
            handle = open_regular(path)
            if handle is None:
                return None
            try:
                found, rest = _read_on(handle, path, known)
            finally:
                disk.close(handle)
        except (OSError, UnfitFileError):
            return None
        self._known[path] = found
        if len(self._known) > FILES_KEPT:
            del self._known[next(iter(self._known))]
        problems.clear(path)
        return [*found.events, *rest]


def _read_on(handle: int, path: str, known: _Known | None) -> tuple[_Known, list[JsonObject]]:
    """Return what is known of a file after what was added, and the event of a last line that may not be complete.

    Raises:
        OSError: It cannot be read.
        UnfitFileError: It has a line that is no event, or too many bytes.
    """
    status = disk.stat_open(handle, path)
    if known is None or not _has_only_grown(handle, path, known, status.st_ino, status.st_size):
        known = _Known(status.st_ino, 0, b"", [])
    data = disk.read_at(handle, GROWTH_LIMIT, known.size, path)
    if len(data) == GROWTH_LIMIT:
        raise UnfitFileError("is too large")
    whole, newline, partial = data.rpartition(b"\n")
    whole += newline
    events = list(known.events)
    for line in whole.splitlines():
        if line.strip():
            _append(events, _object(line))
    try:
        rest = [_object(partial)] if partial.strip() else []
    except UnfitFileError:
        rest = []  # it is being written
    tail = (known.tail + whole)[-TAIL:]
    return _Known(status.st_ino, known.size + len(whole), tail, events), rest


def _has_only_grown(handle: int, path: str, known: _Known, inode: int, size: int) -> bool:
    if inode != known.inode or size < known.size:
        return False
    start = known.size - len(known.tail)
    return disk.read_at(handle, len(known.tail), start, path) == known.tail


def _object(line: bytes) -> JsonObject:
    value = decode(line)
    if not isinstance(value, dict):
        raise UnfitFileError("has a line that is no JSON object")
    return value


def _append(events: list[JsonObject], event: JsonObject) -> None:
    """Append an event; one of progress goes that two later ones of its level follow, each another than the one before.

    Not the one before the last: whether the last said something new depends on it.
    """
    if len(events) >= 2:
        first, second = events[-2:]
        is_level = _level(first) == _level(second) == _level(event) != ""
        is_news = _said(first) != _said(second) != _said(event)
        if is_level and is_news and _time(first) <= _time(second) <= _time(event):
            del events[-2]
    events.append(event)


def _level(event: JsonObject) -> object:
    """Return the level of an event of progress; empty for another event."""
    return event.get("level") if event.get("event_type") == _PROGRESS else ""


def _said(event: JsonObject) -> tuple[object, object]:
    return event.get("progress"), event.get("desc")


def _time(event: JsonObject) -> float:
    return number_of(event.get("timestamp")) or 0.0
