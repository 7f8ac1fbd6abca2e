"""Searching logs: every line that matches once, whatever its length; in parts, and never stuck."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from xpm_remote.workspace.failures import UsageFailure, WorkspaceFailure
from xpm_remote.workspace.inspecting import scanning, searching
from xpm_remote.workspace.inspecting.answers import LogMatch, LogSearch
from xpm_remote.workspace.inspecting.searching import SearchRequest, search_part

WANTED = 100


def search(path: Path, request: SearchRequest) -> tuple[list[LogMatch], int, int]:
    """Search to the end; return the matches, their number, and the number of parts."""
    matches: list[LogMatch] = []
    total = parts = 0
    request = request._replace(wanted=request.wanted or WANTED)
    while True:
        found = search_part(str(path), request)
        assert found is not None
        matches += found.matches
        total, parts = total + found.total, parts + 1
        if found.is_over:
            return matches, total, parts
        request = request._replace(start=found.reached, wanted=request.wanted - len(found.matches))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log."""
    path = tmp_path / "learn.err"
    path.write_bytes(
        b"epoch 1 loss 0.5\nepoch 2 Loss nan\n\ncaf\xc3\xa9 \xff x1\r\nloss loss\nloss"
    )
    return path


@pytest.mark.parametrize("is_regex", [False, True])
def test_lines_that_match(log: Path, is_regex: bool) -> None:
    """Each line that matches is found once, at its first match, with its offset and text."""
    matches, total, parts = search(log, SearchRequest("loss", is_regex))
    assert matches == [
        LogMatch(8, 0, "epoch 1 loss 0.5"),
        LogMatch(47, 47, "loss loss"),
        LogMatch(57, 57, "loss"),
    ]
    assert (total, parts) == (3, 1)
    assert search(log, SearchRequest("loss", is_regex, ignore_case=True))[1] == 4
    assert search(log, SearchRequest("loss", is_regex, wanted=1))[:2] == (matches[:1], 3)
    assert search(log, SearchRequest("zebra", is_regex))[:2] == ([], 0)


@pytest.mark.parametrize(
    ("pattern", "offsets"),
    [(r"x\d$", [43]), ("^$", [34]), (r"é .*x", [38]), (r"[^a]*nan", [17]), (r"\s\Z", [])],
)
def test_regular_expressions_stay_in_a_line(log: Path, pattern: str, offsets: list[int]) -> None:
    """A regular expression sees one line as text, without its end."""
    assert [
        each.offset for each in search(log, SearchRequest(pattern, is_regex=True))[0]
    ] == offsets


@given(
    st.lists(st.sampled_from([b"ab", b"a", b"b", b"\n", b"xxx"]), max_size=60),
    st.integers(3, 20),
    st.sampled_from([b"ab", b"aab", b"b\xc3"]),
)
def test_blocks_cut_no_match(pieces: list[bytes], block: int, text: bytes) -> None:
    """The lines that are found do not depend on where blocks end, nor on where a part does."""
    data = b"".join(pieces)
    expected = [line for line in data.split(b"\n") if text in line]
    found, start, parts = [], 0, 0
    while start < len(data):
        scan = scanning.Scan(
            lambda offset, count: data[offset : offset + min(count, block)],
            len(data),
            scanning.text_hits(text),
            len(text) - 1,
        )
        scan.run(start, WANTED, 0.0, lambda: None)
        assert scan.reached > start
        found += scan.found
        start, parts = scan.reached, parts + 1
    assert [data[line:].split(b"\n")[0] for _, line, _ in found] == expected
    assert all(data[offset:].startswith(text) for offset, _, _ in found)


def test_long_lines(tmp_path: Path) -> None:
    """A line of many blocks counts once, and only a part of it around the match is returned."""
    path = tmp_path / "learn.err"
    line = b"x" * (scanning.BLOCK * 2 - 3) + b"needle" + b"x" * scanning.BLOCK + b"needle"
    path.write_bytes(b"first\n" + line + b"\nneedle\n")
    for is_regex in (False, True):
        matches, total, _ = search(path, SearchRequest("needle", is_regex))
        if is_regex:  # pieces of such a line stand for themselves
            assert total >= 2
            continue
        assert [(each.offset, each.line) for each in matches] == [
            (6 + scanning.BLOCK * 2 - 3, 6),
            (6 + len(line) + 1, 6 + len(line) + 1),
        ]
        assert len(matches[0].text) == scanning.SHOWN
        assert "needle" in matches[0].text
        assert total == 2


@pytest.mark.parametrize("is_regex", [False, True])
def test_of_a_progress_bar_one_state_is_shown(tmp_path: Path, is_regex: bool) -> None:
    """Of a line with carriage returns, the part between two of them is returned, as a terminal had it."""
    path = tmp_path / "learn.err"
    path.write_bytes(b"bar\n 1% loss 1\r 2% loss nan\r 3% loss 3\r\nbar\r\n")
    assert search(path, SearchRequest("nan", is_regex))[0] == [LogMatch(24, 4, " 2% loss nan")]
    assert [each.text for each in search(path, SearchRequest("bar", is_regex))[0]] == ["bar", "bar"]


@pytest.mark.parametrize("is_regex", [False, True])
def test_a_search_comes_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_regex: bool
) -> None:
    """A large log is searched in parts, each soon answered, and of each only blocks are in memory."""
    monkeypatch.setattr(searching, "PART_TIME", 0.0)
    path = tmp_path / "learn.err"
    with path.open("wb") as file:
        for number in range(4):
            file.write(b"line\n" * (scanning.BLOCK // 5) + b"needle %d\n" % number)
    matches, total, parts = search(path, SearchRequest("needle", is_regex))
    assert [each.text for each in matches] == [f"needle {number}" for number in range(4)]
    assert total == 4
    assert parts >= 4


def test_a_log_that_becomes_shorter_ends_the_search(log: Path) -> None:
    """A log that is cut meanwhile is searched as far as it goes."""
    scan = scanning.Scan(lambda *_: b"", 100, scanning.text_hits(b"x"))
    scan.run(0, 1, 0.0, lambda: None)
    assert (scan.count, scan.reached) == (0, 100)
    found = search_part(str(log), SearchRequest("loss", start=1000, wanted=1))
    assert found == LogSearch((), 0, 1000, 61, is_over=True)


def test_a_stuck_pattern_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A regular expression that would take for ever is ended, and that is told."""
    monkeypatch.setattr(searching, "STUCK_TIME", 1.0)
    path = tmp_path / "learn.err"
    path.write_text("a" * 100 + "!\n")
    with pytest.raises(WorkspaceFailure, match="takes too long at a line after byte 0"):
        search(path, SearchRequest("(a+)+$", is_regex=True))


def test_a_stuck_process_ends_by_itself(tmp_path: Path) -> None:
    """What matches a regular expression ends in time also where the agent that started it is gone."""
    path = tmp_path / "learn.err"
    path.write_text("a" * 100 + "!\n")
    asked = {"pattern": "(a+)+$", "flags": 0, "size": 102, "start": 0, "wanted": 1, "seconds": 1}
    words = [sys.executable, "-c", Path(scanning.__file__).read_text()]
    with path.open("rb") as file:
        done = subprocess.run(
            [*words, json.dumps({**asked, "stuck": 0.2})],
            stdin=file,
            stdout=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert done.returncode == -signal.SIGALRM


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (SearchRequest(""), "the pattern is empty"),
        (SearchRequest("a\nb"), "several lines"),
        (SearchRequest("a" * 2000), "longer than 1000"),
        (SearchRequest("(", is_regex=True), "no regular expression: missing"),
        (SearchRequest("(" * 500 + ")" * 500, is_regex=True), "."),
    ],
)
def test_bad_patterns_are_refused(log: Path, request_: SearchRequest, why: str) -> None:
    """A pattern that cannot be searched for is refused with a reason."""
    with pytest.raises(UsageFailure, match=why):
        search(log, request_)


def test_without_a_log_there_is_nothing(tmp_path: Path) -> None:
    """A log that is missing is None."""
    assert search_part(str(tmp_path / "none.err"), SearchRequest("x")) is None


def test_a_process_that_cannot_be_started_is_told(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without another process, a regular expression is refused."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(WorkspaceFailure, match="cannot be started: No such file"):
        search(log, SearchRequest("x", is_regex=True))


def test_flags_are_plain_numbers() -> None:
    """The process gets numbers, not names."""
    hits = scanning.Regex("X", int(re.IGNORECASE)).hits
    assert list(hits(b"a\nx\nxx")) == [2, 4]


@given(
    st.lists(
        st.sampled_from(
            [b"ab", b"a", b"b1", b"\n", b"\n\n", b" ", "é".encode(), b"\xff", b"\r", b"\r\n"]
        ),
        max_size=40,
    ),
    st.sampled_from(
        [
            *(
                "ab",
                "a.*b",
                "^a",
                "b$",
                "^$",
                "a|b",
                "(a)(b)",
                "[ab]+1",
                "a\\b",
                "\\d",
                ".",
                "é",
                "a{2}",
                "a.?b",
            ),
            *("[^a]b", "a\\s", "\\Aa", "b\\Z", "(?<!b)a", "(?!a)b", "a\\W", "x*"),
        ]
    ),
)
@example([b"ab", b"\n"], "^$")
@example([b"ab"], "$")
def test_each_line_is_searched_by_itself(pieces: list[bytes], pattern: str) -> None:
    """Whatever the pattern, what is found is what a search of each line, or of its parts, finds."""
    data = b"".join(pieces)
    expected, begin = [], 0
    for line in data.split(b"\n"):
        at = begin
        for segment in (line[:-1] if line.endswith(b"\r") else line).split(b"\r"):
            text = segment.decode("utf-8", "surrogateescape")
            found = re.search(pattern, text)
            if found and begin < len(data):
                expected.append(at + len(text[: found.start()].encode("utf-8", "surrogateescape")))
                break
            at += len(segment) + 1
        begin += len(line) + 1
    assert list(scanning.Regex(pattern, 0).hits(data)) == expected


def test_case_beyond_ascii(tmp_path: Path) -> None:
    """Upper and lower case are the same for letters of other alphabets, too."""
    path = tmp_path / "learn.err"
    path.write_text("École\nEPOCH\n")
    assert search(path, SearchRequest("éCOLE", ignore_case=True))[1] == 1
    assert search(path, SearchRequest("epoch", ignore_case=True))[1] == 1
