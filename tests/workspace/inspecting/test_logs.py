"""Parts of logs: by offsets, of whole lines, of any attempt; links are not followed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xpm_remote.workspace.failures import WorkspaceFailure
from xpm_remote.workspace.inspecting.answers import Attempt, LogPart
from xpm_remote.workspace.inspecting.logs import PART_LIMIT, attempts_of, log_path, read_part
from xpm_remote.workspace.layout import JobFiles


def part(path: Path, *, size: int, before: int | None = None, after: int | None = None) -> LogPart:
    """Return a part of a log that exists."""
    found = read_part(str(path), before=before, after=after, size=size)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("asked", "text", "start"),
    [
        ({"size": 100}, "one\ntwo\nthree\n", 0),
        ({"size": 7}, "three\n", 8),
        ({"size": 6}, "three\n", 8),
        ({"size": 3}, "ee\n", 11),
        ({"size": 6, "before": 8}, "two\n", 4),
        ({"size": 100, "before": 8}, "one\ntwo\n", 0),
        ({"size": 100, "before": 0}, "", 0),
        ({"size": 100, "before": 999}, "one\ntwo\nthree\n", 0),
        ({"size": 6, "after": 0}, "one\n", 0),
        ({"size": 100, "after": 4}, "two\nthree\n", 4),
        ({"size": 2, "after": 8}, "th", 8),
        ({"size": 9, "after": 14}, "", 14),
        ({"size": 9, "after": 999}, "", 14),
        ({"size": 0, "after": 0}, "o", 0),
    ],
)
def test_a_part_is_of_whole_lines(
    tmp_path: Path, asked: dict[str, int], text: str, start: int
) -> None:
    """A part has whole lines, as many as fit, before or after an offset or at the end; of a long line a piece."""
    path = tmp_path / "learn.err"
    path.write_text("one\ntwo\nthree\n")
    found = part(path, **asked)
    assert found[:4] == (text, start, start + len(text), 14)
    assert found.inode == path.stat().st_ino


@given(
    st.lists(
        st.sampled_from([b"a", "é".encode(), "█".encode(), "😀".encode(), b"\n", b"\xff"]),
        max_size=40,
    ),
    st.integers(4, 12),
)
def test_parts_are_the_log(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], size: int
) -> None:
    """Parts one after the other, forwards and backwards, are the log, and no character is cut."""
    data = b"".join(pieces)
    path = tmp_path_factory.mktemp("log") / "learn.err"
    path.write_bytes(data)
    forwards, at = [], 0
    while at < len(data):
        found = part(path, after=at, size=size)
        assert found.start == at < found.end
        forwards.append(found.text)
        at = found.end
    backwards: list[str] = []
    at = len(data)
    while at > 0:
        found = part(path, before=at, size=size)
        assert found.end == at > found.start
        backwards.insert(0, found.text)
        at = found.start
    whole = data.decode("utf-8", "surrogateescape")
    assert "".join(forwards) == "".join(backwards) == whole
    if b"\xff" not in data:
        assert not any("\udc80" <= char <= "\udcff" for char in "".join(forwards + backwards))


def test_a_part_is_bounded(tmp_path: Path) -> None:
    """However much is asked for, a part has a bounded size."""
    path = tmp_path / "learn.err"
    path.write_bytes(b"x" * (PART_LIMIT + 10))
    assert part(path, after=0, size=1 << 40).end == PART_LIMIT


def test_what_is_no_log_is_told(tmp_path: Path) -> None:
    """A log that is missing is None; one that is a link, a directory or of no attempt is an error with its path."""
    assert read_part(str(tmp_path / "none.err"), size=1) is None
    secret = tmp_path / "secret"
    secret.write_text("secret")
    link = tmp_path / "learn.err"
    link.symlink_to(secret)
    with pytest.raises(WorkspaceFailure, match=r"learn\.err is a link, which is not followed"):
        read_part(str(link), size=1)
    with pytest.raises(WorkspaceFailure, match="directory"):
        read_part(str(tmp_path), size=1)
    with pytest.raises(WorkspaceFailure, match="is not a try of a job"):
        log_path(JobFiles(tmp_path, "learn"), "err", "../../etc/passwd")


def test_attempts(tmp_path: Path) -> None:
    """The tries of a job are known by their logs, the last one last; other files are none."""
    files = JobFiles(tmp_path / "job", "learn")
    assert attempts_of(files) == []
    files.directory.mkdir()
    names = ["learn.20261128165136.err", "learn.20261128165136.1.out", "learn.err", "learn.out"]
    for name in (
        *names,
        "learn.py",
        "learn.x.err",
        "other.err",
        "other.20261128165136.err",
        "learner.err",
    ):
        (files.directory / name).write_text(name)
    assert attempts_of(files) == [
        Attempt("20261128165136", None, 24),
        Attempt("20261128165136.1", 26, None),
        Attempt("", 9, 9),
    ]
    assert log_path(files, "out", "20261128165136.1").endswith("/job/learn.20261128165136.1.out")
    assert log_path(files, "out").endswith("/job/learn.out")
    with pytest.raises(WorkspaceFailure, match="File name too long"):
        attempts_of(JobFiles(tmp_path / ("x" * 300), "learn"))
