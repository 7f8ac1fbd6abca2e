"""Logs: their last lines, additions, rotation, truncation, reconnecting; bounded for any content."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xpm_remote.workspace.failures import WorkspaceFailure
from xpm_remote.workspace.layout import JobFiles
from xpm_remote.workspace.watching.logs import (
    BLOCK,
    PIECE,
    TAIL_LIMIT,
    Log,
    LogPosition,
    Piece,
    wire_text,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a log that does not exist yet."""
    return tmp_path / "learn.err"


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """That log."""
    return Log(JobFiles(tmp_path, "learn"), "err")


def read_on(log: Log, position: LogPosition | None) -> tuple[str, list[str], LogPosition | None]:
    """Read all that there is; return the text, the notes, and the new position."""
    text, notes = "", []
    for _ in range(10_000):
        piece = log.after(position)
        position = piece.position
        text += piece.text
        if piece.note:
            notes.append(piece.note)
        if not piece.more:
            return text, notes, position
    raise AssertionError(position)


@pytest.mark.parametrize(
    ("content", "lines", "expected"),
    [
        ("", 3, ""),
        ("a\n", 3, "a\n"),
        ("a\nb\nc\n", 2, "b\nc\n"),
        ("a\nb\nc", 2, "b\nc"),
        ("a\nb\n\n", 2, "b\n\n"),
        ("\n\n\n", 2, "\n\n"),
        ("a\nb\n", 0, ""),
        ("a\nb\n", -1, ""),
        ("é" * BLOCK + "\nend\n", 1, "end\n"),
        ("x" * (BLOCK - 1) + "\n" + "y" * (3 * BLOCK) + "\n", 1, "y" * (3 * BLOCK) + "\n"),
    ],
)
def test_last_lines(content: str, lines: int, expected: str, log: Log, path: Path) -> None:
    """The last lines are returned, and the position behind them; a final end of line begins no further line."""
    path.write_text(content)
    piece = log.last(lines)
    assert piece == Piece(expected, LogPosition(path.stat().st_ino, len(content.encode())))


@given(st.lists(st.integers(0, 3 * BLOCK // 2), max_size=8), st.integers(1, 9), st.booleans())
def test_last_lines_of_any_log(lengths: list[int], lines: int, ended: bool) -> None:
    """For any block boundaries, the last lines are those of splitting the whole."""
    whole = b"\n".join(b"%d" % (number % 10) * length for number, length in enumerate(lengths))
    whole += b"\n" if ended else b""
    expected = b"".join(whole.splitlines(keepends=True)[-lines:])
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "learn.err").write_bytes(whole)
        log = Log(JobFiles(Path(directory), "learn"), "err")
        assert log.last(lines).text.encode() == expected


def test_no_log(log: Log) -> None:
    """A job without output has an empty log, which may be followed."""
    assert log.last(10) == Piece()
    assert log.after(None) == Piece()


def test_both_streams(tmp_path: Path) -> None:
    """Standard output and standard error of a job are two logs."""
    (tmp_path / "learn.out").write_text("printed\n")
    assert Log(JobFiles(tmp_path, "learn"), "out").last(1).text == "printed\n"
    assert Log(JobFiles(tmp_path, "learn"), "err").last(1).text == ""


def test_following(log: Log, path: Path) -> None:
    """Additions are returned once, also when the log begins only later."""
    assert read_on(log, None) == ("", [], None)
    path.write_text("one\ntw")
    text, notes, position = read_on(log, None)
    assert (text, notes) == ("one\ntw", [])
    assert read_on(log, position) == ("", [], position)
    with path.open("a") as file:
        file.write("o\n")
    assert read_on(log, position)[0] == "o\n"


def test_long_line_comes_in_pieces(log: Log, path: Path) -> None:
    """No piece is longer than its limit, and no byte is lost between two."""
    content = "é" * (2 * PIECE)
    path.write_text(content)
    piece = log.after(None)
    assert len(piece.text.encode()) <= PIECE
    assert piece.more
    assert read_on(log, None)[0] == content


def test_character_in_two_writes(log: Log, path: Path) -> None:
    """An incomplete character waits for its rest."""
    path.write_bytes(b"caf\xc3")
    text, _, position = read_on(log, None)
    assert text == "caf"
    with path.open("ab") as file:
        file.write(b"\xa9\n")
    assert read_on(log, position)[0] == "é\n"


def test_bytes_that_are_no_text(log: Log, path: Path) -> None:
    """Bytes that are no UTF-8 are kept, on the wire too, and what follows is read."""
    path.write_bytes(b"a\xff\xfeb\n")
    assert os.fsencode(read_on(log, None)[0]) == b"a\xff\xfeb\n"
    for piece in (log.after(None), log.last(3)):
        assert wire_text(json.loads(json.dumps(piece.to_wire()))) == piece.text


def test_half_a_character_at_the_end(log: Log, path: Path) -> None:
    """What looks like half a character comes where nothing is read after it, and waits else."""
    path.write_bytes(b"caf\xe9")
    assert log.after(None).text == log.last(1).text == "caf"
    for piece in (log.after(None, is_over=True), log.last(1, is_over=True)):
        assert piece.text.encode("utf-8", "surrogateescape") == b"caf\xe9"


@given(st.binary(max_size=40))
def test_all_bytes(data: bytes) -> None:
    """Whatever a log holds, its bytes come back."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "learn.err").write_bytes(data)
        piece = Log(JobFiles(Path(folder), "learn"), "err").after(None, is_over=True)
    assert wire_text(piece.to_wire()).encode("utf-8", "surrogateescape") == data


def test_rotation(log: Log, path: Path) -> None:
    """When a job is tried again, the rest of the old log comes first, then the new one; also after a lost link."""
    path.write_text("first\n")
    position = read_on(log, None)[2]
    with path.open("a") as file:
        file.write("rest of first\n")
    path.rename(path.with_name("learn.20261122081047.err"))
    path.write_text("second\n")
    text, notes, position = read_on(log, position)
    assert (text, notes) == ("rest of first\nsecond\n", ["rotated"])
    assert read_on(log, position) == ("", [], position)


def test_rotated_before_the_new_log_is_there(log: Log, path: Path) -> None:
    """Between the renaming and the new log nothing is lost."""
    path.write_text("first\n")
    position = read_on(log, None)[2]
    with path.open("a") as file:
        file.write("rest\n")
    path.rename(path.with_name("learn.20261122081047.err"))
    assert read_on(log, position)[0] == ""
    path.touch()
    assert read_on(log, position)[:2] == ("rest\n", ["rotated"])


def test_rotated_and_gone(log: Log, path: Path) -> None:
    """When the old log is gone, the new one is returned from its beginning."""
    path.write_text("first\n")
    position = LogPosition(path.stat().st_ino + 10_000, 6)
    assert read_on(log, position)[:2] == ("first\n", ["rotated"])


def test_truncation(log: Log, path: Path) -> None:
    """A truncated log is returned from its beginning, with a note."""
    path.write_text("a long first text\n")
    position = read_on(log, None)[2]
    path.write_text("short\n")
    assert read_on(log, position)[:2] == ("short\n", ["truncated"])


def test_huge_sparse_log(log: Log, path: Path) -> None:
    """Of a log of a gigabyte without an end of line, a bounded part is read, with a note that there is more."""
    with path.open("wb") as file:
        file.truncate(1 << 30)
        file.seek(1 << 30)
        file.write(b"end")
    piece = log.last(10)
    assert len(piece.text) == TAIL_LIMIT
    assert piece.text.endswith("end")
    assert piece.note == "cut"
    assert len(log.after(None).text) == PIECE


def test_what_is_no_log(log: Log, path: Path) -> None:
    """A FIFO or a directory in place of a log is refused at once."""
    os.mkfifo(path)
    with pytest.raises(WorkspaceFailure, match="no regular file"):
        log.last(10)
    with pytest.raises(WorkspaceFailure, match="no regular file"):
        log.after(None)


@pytest.mark.parametrize(
    "wire", [None, 3, [1], [1, 2, 3], [1, -2], [1.5, 2], ["1", 2], {"inode": 1}]
)
def test_position_that_is_none(wire: object) -> None:
    """A malformed position counts as none."""
    assert LogPosition.from_wire(wire) is None


def test_position_travels() -> None:
    """A position is the same after it was sent."""
    assert LogPosition.from_wire(LogPosition(5, 7).to_wire()) == LogPosition(5, 7)
