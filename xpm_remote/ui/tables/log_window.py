"""The part of a log that is held: whole lines by their offsets, however large the file is. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from xpm_remote.workspace.inspecting.answers import LogPart

HELD = 1024 * 1024
"""Bytes of a log that are held: some thousands of lines, more than is scrolled through without a pause."""

LONGEST = 64 * 1024
"""Bytes from which on a line is shown in pieces: as long a line is no text."""


class LogLine(NamedTuple):
    """A line: where it begins and ends in the file, in bytes, and its bytes."""

    start: int
    end: int
    raw: bytes

    @property
    def text(self) -> str:
        """Its text, as the last carriage return has left it; a bar of progress is one line so."""
        text = self.raw.decode("utf-8", "surrogateescape").rstrip("\r\n")
        return text.rpartition("\r")[2]


class LogWindow:
    """Holds lines of a log that follow each other.

    Args:
        held: Bytes that are held.

    Attributes:
        lines: The lines.
        size: Bytes of the file, when it was looked at last.
        inode: The number of the file.
    """

    def __init__(self, held: int = HELD) -> None:
        self._held = held
        self.lines: list[LogLine] = []
        self.size = 0
        self.inode = 0
        self._start = self._end = 0

    @property
    def start(self) -> int:
        """The offset of the first byte that is held."""
        return self._start

    @property
    def end(self) -> int:
        """The offset after the last one."""
        return self._end

    @property
    def is_at_end(self) -> bool:
        """Whether it holds the end of the file."""
        return self._end >= self.size

    def begin(self, part: LogPart) -> None:
        """Hold a part, and nothing else."""
        self.lines = _lines(_bytes(part), part.start)
        self._start, self._end = part.start, part.end
        self.size, self.inode = part.size, part.inode

    def append(self, part: LogPart) -> bool:
        """Add what follows; return False where it does not, since the file is another or was cut."""
        if part.inode != self.inode or part.start != self._end or part.size < self.size:
            return False
        raw, start = _bytes(part), part.start
        if self.lines and _is_open(self.lines[-1]):
            last = self.lines.pop()
            raw, start = last.raw + raw, last.start
        self.lines += _lines(raw, start)
        self._end, self.size = part.end, part.size
        while len(self.lines) > 1 and self._end - self.lines[1].start >= self._held:
            del self.lines[0]
        self._start = self.lines[0].start if self.lines else self._end
        return True

    def prepend(self, part: LogPart) -> bool:
        """Add what comes before; return False where it does not."""
        if part.inode != self.inode or part.end != self._start:
            return False
        raw = _bytes(part)
        before = _lines(raw, part.start)
        if before and self.lines and _is_open(before[-1]):
            last, first = before.pop(), self.lines.pop(0)
            before += _lines(last.raw + first.raw, last.start)
        self.lines = before + self.lines
        self._start = part.start
        while len(self.lines) > 1 and self.lines[-1].start - self._start >= self._held:
            self._end = self.lines.pop().start
        return True

    def index_at(self, offset: int) -> int:
        """Return the number of the line at an offset, the nearest where it is not held."""
        return index_at(self.lines, offset)


def index_at(lines: Sequence[LogLine], offset: int) -> int:
    """Return the number of the line at an offset, the nearest where there is none."""
    return max(0, bisect_right(lines, offset, key=lambda line: line.start) - 1)


def _bytes(part: LogPart) -> bytes:
    return part.text.encode("utf-8", "surrogateescape")


def _is_open(line: LogLine) -> bool:
    """Return whether what follows belongs to a line."""
    return not line.raw.endswith(b"\n") and len(line.raw) < LONGEST


def _lines(raw: bytes, start: int) -> list[LogLine]:
    lines = []
    for line in raw.split(b"\n"):
        whole = line + b"\n"
        for at in range(0, len(whole), LONGEST):
            piece = whole[at : at + LONGEST]
            lines.append(LogLine(start, start + len(piece), piece))
            start += len(piece)
    # The last one has no line break, or is empty.
    last = lines.pop()
    if last.raw != b"\n":
        lines.append(LogLine(last.start, last.end - 1, last.raw[:-1]))
    return lines
