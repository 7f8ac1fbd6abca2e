"""The window of a log."""

from __future__ import annotations

import pytest

from xpm_remote.ui.tables.log_window import LONGEST, LogWindow, index_at
from xpm_remote.workspace.inspecting.answers import LogPart


def part(raw: bytes, start: int = 0, *, size: int = 0, inode: int = 1) -> LogPart:
    """Make a part of a log."""
    end = start + len(raw)
    return LogPart(raw.decode("utf-8", "surrogateescape"), start, end, size or end, inode)


def texts(window: LogWindow) -> list[str]:
    """Return the lines that are held."""
    return [line.text for line in window.lines]


def test_lines_have_their_offsets() -> None:
    """Lines are found by their offsets in bytes, also where the text is not UTF-8."""
    window = LogWindow()
    window.begin(part(b"caf\xe9\n\xc3\xa9\nlast", 10))
    assert texts(window) == ["caf\udce9", "é", "last"]
    assert [(line.start, line.end) for line in window.lines] == [(10, 15), (15, 18), (18, 22)]
    assert (window.start, window.end, window.is_at_end) == (10, 22, True)
    assert [window.index_at(offset) for offset in (0, 10, 14, 15, 21, 99)] == [0, 0, 0, 1, 2, 2]
    assert index_at([], 5) == 0


def test_a_bar_of_progress_is_a_line() -> None:
    """Of a line that was written over, the last state is shown."""
    window = LogWindow()
    window.begin(part(b" 1 %\r 50 %\r100 %\r\nnext\r\n"))
    assert texts(window) == ["100 %", "next"]


def test_what_follows_is_added() -> None:
    """A line that was begun goes on; what does not follow is refused; the first lines leave beyond the limit."""
    window = LogWindow(held=8)
    window.begin(part(b"one\ntw", size=20))
    assert not window.is_at_end
    assert window.append(part(b"o\nthree\n", 6, size=20))
    assert texts(window) == ["two", "three"]
    assert window.start == 4
    assert not window.append(part(b"x", 5, size=20))
    assert not window.append(part(b"x", 14, size=20, inode=2))
    assert not window.append(part(b"x", 14, size=15))
    assert window.append(part(b"", 14, size=20))
    empty = LogWindow()
    empty.begin(part(b""))
    assert empty.append(part(b"", inode=1))
    assert (empty.start, texts(empty)) == (0, [])


def test_what_comes_before_is_added() -> None:
    """Lines before are added, the last ones leave beyond the limit, and a line in two parts is one."""
    window = LogWindow(held=8)
    window.begin(part(b"three\nfour\n", 8))
    assert window.prepend(part(b"one\ntwo\n", 0))
    assert texts(window) == ["one", "two"]
    assert window.end == 8
    whole = LogWindow()
    whole.begin(part(b"ee\nfour\n", 11))
    assert whole.prepend(part(b"one\nthr", 4))
    assert texts(whole) == ["one", "three", "four"]
    assert whole.prepend(part(b"", 4))
    assert not whole.prepend(part(b"x", 0))
    assert not whole.prepend(part(b"x", 3, inode=2))


@pytest.mark.parametrize("ends", [b"", b"\n"])
def test_a_very_long_line_is_shown_in_pieces(ends: bytes) -> None:
    """A line of megabytes is held in pieces, and joined with none."""
    window = LogWindow()
    window.begin(part(b"a" * LONGEST + ends))
    assert [len(line.raw) for line in window.lines] == [LONGEST, len(ends)][: 1 + len(ends)]
    assert window.append(part(b"b\n", window.end))
    assert window.lines[-1].text == "b"
