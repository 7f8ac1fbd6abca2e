"""Logs of jobs: their last lines at once, then what is added, through rotation and truncation.

A position in a log is a file (by its inode) and an offset in it, so that a client that comes back continues where it
was: also when the file was renamed since, as experimaestro does before it tries a job again. Nothing waits here, and no
call reads more than a bounded number of bytes, however long the log or its lines are.
"""

from __future__ import annotations

import base64
import codecs
import os
import re
from typing import Any, NamedTuple

from xpm_remote.workspace.failures import UnreadableFailure, WorkspaceFailure
from xpm_remote.workspace.layout import JobFiles
from xpm_remote.workspace.reading import disk
from xpm_remote.workspace.reading.json_files import UnfitFileError, open_regular, reason

STDOUT = "out"
STDERR = "err"

BLOCK = 64 * 1024
"""Bytes read at once."""

PIECE = 256 * 1024
"""Bytes of a piece of a log; a longer line comes in several pieces."""

TAIL_LIMIT = 4 * 1024 * 1024
"""Bytes that the last lines of a log may take: what lies before is cut off."""

_ROTATED = re.compile(r"\d{14}")


class LogPosition(NamedTuple):
    """A position in a log: the inode of the file, and the offset of the next byte."""

    inode: int
    offset: int

    @classmethod
    def from_wire(cls, wire: object) -> LogPosition | None:
        """Return the position from its ``to_wire`` form; None when it is not such a form."""
        if not isinstance(wire, list) or len(wire) != 2:
            return None
        if not all(isinstance(each, int) and each >= 0 for each in wire):
            return None
        return cls(*wire)

    def to_wire(self) -> list[int]:
        """Return it as plain JSON types."""
        return list(self)


class Piece(NamedTuple):
    """A part of a log.

    Attributes:
        text: Its text; bytes that are not UTF-8 are in it as ``os.fsencode`` has them (``surrogateescape``).
        position: Where the next part begins; None while there is no log.
        note: ``rotated`` or ``truncated`` when the file before ended so, ``cut`` when lines are
            missing before; else empty.
        more: Whether there is more to read at once.
    """

    text: str = ""
    position: LogPosition | None = None
    note: str = ""
    more: bool = False

    def to_wire(self) -> dict[str, Any]:
        """Return it as plain JSON types; where the bytes are not all UTF-8, ``raw`` has them instead of ``text``."""
        data = self.text.encode("utf-8", "surrogateescape")
        try:
            content = {"text": data.decode("utf-8")}
        except UnicodeDecodeError:
            content = {"raw": base64.b64encode(data).decode("ascii")}
        return {
            **content,
            "position": self.position.to_wire() if self.position else None,
            "note": self.note,
            "more": self.more,
        }


def wire_text(wire: dict[str, Any]) -> str:
    """Return the text of a piece from its ``to_wire`` form; empty where it has none."""
    raw = wire.get("raw")
    if raw is None:
        return str(wire.get("text", ""))
    return base64.b64decode(str(raw)).decode("utf-8", "surrogateescape")


class UnreadLogFailure(UnreadableFailure):
    """The system does not let us read a log; that may pass."""


class Log:
    """A log of a job.

    Args:
        files: The job's files.
        stream: ``out`` or ``err``.
    """

    def __init__(self, files: JobFiles, stream: str) -> None:
        self.directory = str(files.directory)
        self.path = str(files.stderr if stream == STDERR else files.stdout)
        self._prefix, self._suffix = f"{files.name}.", f".{stream}"

    def last(self, lines: int, *, is_over: bool = False) -> Piece:
        """Return the last lines.

        Args:
            lines: How many.
            is_over: Nothing is read after them: a character that is incomplete at the end counts as read.

        Raises:
            WorkspaceFailure: The log cannot be read.
        """
        handle = self._open(self.path)
        if handle is None:
            return Piece()
        try:
            found = disk.stat_open(handle, self.path)
            start, is_cut = _start_of_last(handle, self.path, found.st_size, lines)
            # At most TAIL_LIMIT bytes: `_start_of_last` goes no further back.
            data = disk.read_at(handle, found.st_size - start, start, self.path)
        except OSError as error:
            raise self._failure(error) from error
        finally:
            disk.close(handle)
        text, used = _decode(data, is_over=is_over)
        return Piece(text, LogPosition(found.st_ino, start + used), "cut" if is_cut else "")

    def after(self, position: LogPosition | None, *, is_over: bool = False) -> Piece:
        """Return what follows a position, or the beginning of the log when it is None; ``is_over`` as for ``last``.

        Raises:
            WorkspaceFailure: The log cannot be read.
        """
        handle = self._open(self.path)
        if handle is None:
            return Piece(position=position)
        try:
            found = disk.stat_open(handle, self.path)
            if position is None or position.inode == found.st_ino:
                start = position or LogPosition(found.st_ino, 0)
                return _next(handle, self.path, start, found.st_size, is_over=is_over)
            rest = self._rest_of_rotated(position)
            return rest or Piece(position=LogPosition(found.st_ino, 0), note="rotated", more=True)
        except OSError as error:
            raise self._failure(error) from error
        finally:
            disk.close(handle)

    def _rest_of_rotated(self, position: LogPosition) -> Piece | None:
        """Return the rest of a file that has another name now; None when there is nothing left."""
        entries = disk.scan(self.directory)
        paths = [each.path for each in entries if self._is_rotated(each, position.inode)]
        handle = self._open(paths[0]) if paths else None
        if handle is None:
            return None
        try:
            size = disk.stat_open(handle, self.path).st_size
            piece = _next(handle, self.path, position, size, is_over=True)
        finally:
            disk.close(handle)
        return piece._replace(more=True) if piece.text else None

    def _is_rotated(self, entry: os.DirEntry[str], inode: int) -> bool:
        name = entry.name
        if not name.startswith(self._prefix) or not name.endswith(self._suffix):
            return False
        middle = name[len(self._prefix) : -len(self._suffix)]
        return bool(_ROTATED.match(middle)) and entry.inode() == inode

    def _open(self, path: str) -> int | None:
        try:
            return open_regular(path)
        except OSError as error:
            raise self._failure(error) from error
        except UnfitFileError as error:
            raise UnreadableFailure(f"the log {path} {error}", "look at it on the host") from error

    def _failure(self, error: OSError) -> WorkspaceFailure:
        return UnreadLogFailure(f"the log {self.path} cannot be read: {reason(error)}")


def _start_of_last(handle: int, path: str, size: int, lines: int) -> tuple[int, bool]:
    """Return where the last lines begin, and whether they were cut at ``TAIL_LIMIT``.

    A line end at the end of the file ends its last line, and does not begin another one.
    """
    limit = max(0, size - TAIL_LIMIT)
    if lines <= 0:
        return size, False
    left, position = lines, size
    end = size - 1 if size and disk.read_at(handle, 1, size - 1, path) == b"\n" else size
    while position > limit:
        start = max(limit, position - BLOCK)
        block = disk.read_at(handle, min(position, end) - start, start, path)
        at = len(block)
        while left and at >= 0:
            at = block.rfind(b"\n", 0, at)
            if at < 0:
                break
            left -= 1
            if not left:
                return start + at + 1, False
        position = start
    return limit, limit > 0


def _next(
    handle: int, path: str, position: LogPosition, size: int, *, is_over: bool = False
) -> Piece:
    """Read on in an open file."""
    offset, note = position.offset, ""
    if offset > size:
        offset, note = 0, "truncated"
    data = disk.read_at(handle, PIECE, offset, path)
    text, used = _decode(data, is_over=is_over and len(data) < PIECE)
    reached = offset + used
    return Piece(text, position._replace(offset=reached), note, more=len(data) == PIECE)


def _decode(data: bytes, *, is_over: bool = False) -> tuple[str, int]:
    """Decode bytes, but for an incomplete character at the end; return the text and how many bytes it is."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    text = decoder.decode(data, is_over)
    waiting = decoder.getstate()[0]
    return text, len(data) - len(waiting)
