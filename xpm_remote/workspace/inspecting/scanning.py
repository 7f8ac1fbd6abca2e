"""Finding lines of a file that match a text or a regular expression, whatever its size and the length of its lines.

This module imports nothing of the package: for a regular expression its text is run in a process of its own, which
reads the file on its stdin (``searching`` starts it, and kills it when a line takes too long).
"""

from __future__ import annotations

import json
import os
import re
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


def text_hits(text: bytes) -> Hits:
    """Return what finds a text."""

    def hits(data: bytes) -> Iterator[int]:
        at = data.find(text)
        while at >= 0:
            yield at
            end = data.find(b"\n", at)
            at = -1 if end < 0 else data.find(text, end)

    return hits


def regex_hits(pattern: str, flags: int) -> Hits:
    """Return what finds a regular expression; neither it nor its ``$`` sees the end of the line."""
    search = re.compile(pattern, flags).search

    def hits(data: bytes) -> Iterator[int]:
        begin = 0
        for line in data.split(b"\n"):
            for start in range(0, max(len(line), 1), PIECE):
                piece = line[start : start + PIECE].rstrip(b"\r").decode("utf-8", "surrogateescape")
                found = search(piece)
                if found:
                    before = piece[: found.start()].encode("utf-8", "surrogateescape")
                    yield begin + start + len(before)
                    break
            begin += len(line) + 1

    return hits


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
        begin = max(line - offset, at - SHOWN // 2, 0)
        end = data.find(b"\n", at, begin + SHOWN)
        shown = data[begin : end if end >= 0 else begin + SHOWN]
        self.found.append((offset + at, line, shown.decode("utf-8", "replace")))


def main() -> None:
    """Search the file on stdin as the argument says; write a dot for each block, and then the result."""
    asked = json.loads(sys.argv[1])
    hits = regex_hits(asked["pattern"], asked["flags"])
    scan = Scan(lambda offset, count: os.pread(0, count, offset), asked["size"], hits)

    def tick() -> None:
        sys.stdout.write(".\n")
        sys.stdout.flush()

    tick()
    scan.run(asked["start"], asked["wanted"], time.monotonic() + asked["seconds"], tick)
    sys.stdout.write(json.dumps([scan.found, scan.count, scan.reached]))


if __name__ == "__main__":
    main()
