"""Finding lines of a file that match a text or a regular expression, whatever its size and the length of its lines.

This module imports nothing of the package: for a regular expression its text is run in a process of its own, which
reads the file on its stdin (``searching`` starts it, and kills it when a line takes too long).
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from typing import Callable, Iterator

BLOCK = 1 << 20
"""Bytes read at once."""

PIECE = 64 * 1024
"""Bytes of a line in which a regular expression is looked for at once; a longer line is searched in pieces."""

SHOWN = 400
"""Bytes of a line that are returned, around the match."""

Hits = Callable[[bytes], Iterator[int]]
"""Yields where the first match of each line in a block begins."""


def text_hits(text: bytes, *, ignore_case: bool = False) -> Hits:
    """Return what finds a text; only ASCII letters are the same in upper and lower case."""
    text = text.lower() if ignore_case else text

    def hits(data: bytes) -> Iterator[int]:
        data = data.lower() if ignore_case else data
        at = data.find(text)
        while at >= 0:
            yield at
            end = data.find(b"\n", at)
            at = -1 if end < 0 else data.find(text, end)

    return hits


# A pattern that cannot match less where more lines follow, and does not run on into them.
_LINE_BOUND = re.compile(r"(?:[^\\\[(\r\n]|\\[dwSbB]|\\[^\w\s]|\[(?!\^)|\((?!\?))*")


class Regex:
    """Finds the lines that match a regular expression; neither it nor its ``$`` sees the end of a line.

    What a carriage return separates is searched by itself, as it is on a terminal.

    Args:
        pattern: The expression.
        flags: Those of ``re``.
    """

    def __init__(self, pattern: str, flags: int) -> None:
        self._search = re.compile(pattern, flags).search
        self._search_all = re.compile(pattern, flags | re.MULTILINE).search
        self._is_bound = _LINE_BOUND.fullmatch(pattern) is not None
        self._has_ends = "^" in pattern or "$" in pattern

    def hits(self, data: bytes) -> Iterator[int]:
        """Yield where each line of a block that matches does so first."""
        is_bound = self._is_bound and not (self._has_ends and b"\r" in data)
        if is_bound and max(map(len, data.split(b"\n"))) <= PIECE:
            return self._of_all(data)
        return self._of_each(data)

    def _of_each(self, data: bytes) -> Iterator[int]:
        begin = 0
        while begin < len(data):
            end = data.find(b"\n", begin)
            end = len(data) if end < 0 else end
            at = self._in_line(data[begin:end])
            if at >= 0:
                yield begin + at
            begin = end + 1

    def _of_all(self, data: bytes) -> Iterator[int]:
        # All lines at once are searched ten times as fast; each that is found is looked at by itself.
        text, at, before = data.decode("utf-8", "surrogateescape"), 0, 0
        found = self._search_all(text)
        while found:
            begin = text.rfind("\n", at, found.start()) + 1 or at
            if begin >= len(text):  # behind the last line
                return
            end = text.find("\n", found.start())
            end = len(text) if end < 0 else end
            before += len(_bytes(text[at:begin]))
            line = _bytes(text[begin:end])
            inside = self._in_line(line)
            if inside >= 0:
                yield before + inside
            before += len(line) + 1
            at = end + 1
            found = self._search_all(text, at)

    def _in_line(self, line: bytes) -> int:
        """Return where a line matches first; -1 if it does not."""
        begin = 0
        segments = (line[:-1] if line.endswith(b"\r") else line).split(b"\r")
        for segment in segments:
            for start in range(0, max(len(segment), 1), PIECE):
                piece = segment[start : start + PIECE].decode("utf-8", "surrogateescape")
                found = self._search(piece)
                if found:
                    return begin + start + len(_bytes(piece[: found.start()]))
            begin += len(segment) + 1
        return -1


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


class Scan:
    """A search of a file from a line on.

    Args:
        read: Returns bytes of the file, by offset and number.
        size: The size of the file.
        hits: Finds matches.
        overlap: Bytes of a match but one, where a match may lie across two blocks of a long line.

    Attributes:
        count: How many lines match.
        found: The first of them: the offsets of match and line, and the text.
        reached: The offset of the line up to which the file has been searched.
    """

    def __init__(
        self, read: Callable[[int, int], bytes], size: int, hits: Hits, overlap: int = 0
    ) -> None:
        self._read = read
        self._size = size
        self._hits = hits
        self._overlap = overlap
        self.count = 0
        self.found: list[tuple[int, int, str]] = []
        self.reached = 0

    def run(self, start: int, wanted: int, until: float, tick: Callable[[], object]) -> None:
        """Search from the offset of a line until a time of ``time.monotonic``, and then to the end of the line.

        Args:
            start: The offset.
            wanted: How many matches are kept.
            until: When to stop.
            tick: Is called after each block.
        """
        offset = line = start
        is_counted = False
        while offset < self._size and (
            offset != line or offset == start or time.monotonic() < until
        ):
            data = self._read(offset, min(BLOCK, self._size - offset))
            end = data.rfind(b"\n") + 1
            if end and offset + len(data) < self._size:
                data = data[:end]
            for at in self._hits(data):
                begin = data.rfind(b"\n", 0, at) + 1
                if begin or not is_counted:
                    self._keep(data, at, offset, offset + begin if begin else line, wanted)
                is_counted = is_counted or not begin
            if not data or offset + len(data) >= self._size:
                offset = line = self._size
            elif end:
                offset = line = offset + end
                is_counted = False
            else:
                offset += max(1, len(data) - self._overlap)
            tick()
        self.reached = line

    def _keep(self, data: bytes, at: int, offset: int, line: int, wanted: int) -> None:
        self.count += 1
        if len(self.found) >= wanted:
            return
        begin = max(line - offset, data.rfind(b"\r", 0, at) + 1, at - SHOWN // 2, 0)
        shown = data[begin : begin + SHOWN]
        ends = (shown.find(end, at - begin) for end in (b"\n", b"\r"))
        shown = shown[: min((end for end in ends if end >= 0), default=SHOWN)]
        self.found.append((offset + at, line, shown.decode("utf-8", "replace")))


def main() -> None:
    """Search the file on stdin as the argument says; write a dot for each block, and then the result."""
    asked = json.loads(sys.argv[1])
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    hits = Regex(asked["pattern"], asked["flags"]).hits
    scan = Scan(lambda offset, count: os.pread(0, count, offset), asked["size"], hits)

    def tick() -> None:
        # What started this process kills it when it is stuck, unless it has ended itself.
        signal.setitimer(signal.ITIMER_REAL, asked["stuck"])
        sys.stdout.write(".\n")
        sys.stdout.flush()

    tick()
    scan.run(asked["start"], asked["wanted"], time.monotonic() + asked["seconds"], tick)
    sys.stdout.write(json.dumps([scan.found, scan.count, scan.reached]))


if __name__ == "__main__":
    main()
