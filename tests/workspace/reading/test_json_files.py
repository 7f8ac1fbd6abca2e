"""Reading JSON files with any content."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.effort import examples
from xpm_remote.workspace.reading import json_files
from xpm_remote.workspace.reading.json_files import (
    SMALL_LIMIT,
    Problems,
    bounded,
    number_of,
    parse_time,
    read_lines,
    read_object,
    read_value,
    text_of,
    whole_of,
)

LIMIT = 1000


@pytest.fixture
def problems() -> Problems:
    """The problems of reading."""
    return Problems()


def test_reads_an_object(tmp_path: Path, problems: Problems) -> None:
    """A file with an object is read, and no problem is reported."""
    path = tmp_path / "a.json"
    path.write_text('{"a": [1, "é"]}')
    assert read_object(str(path), LIMIT, problems) == {"a": [1, "é"]}
    assert not problems


def test_missing_file_is_no_problem(tmp_path: Path, problems: Problems) -> None:
    """A missing file, also below a file, is no problem."""
    (tmp_path / "file").touch()
    assert read_object(str(tmp_path / "none.json"), LIMIT, problems) is None
    assert read_object(str(tmp_path / "file" / "a.json"), LIMIT, problems) is None
    assert list(read_lines(str(tmp_path / "none.jsonl"), problems)) == []
    assert not problems


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is no JSON"),
        (b"{", "is no JSON"),
        (b"[1]", "holds no JSON object"),
        (b"[" * 500_000, "is nested too deeply"),
        (b"x" * (SMALL_LIMIT + 1), f"has {SMALL_LIMIT + 1} bytes; at most {SMALL_LIMIT} are read"),
    ],
)
def test_broken_file_is_noted(tmp_path: Path, problems: Problems, content: bytes, why: str) -> None:
    """A file with other content is reported with the cause."""
    path = tmp_path / "a.json"
    path.write_bytes(content)
    assert read_object(str(path), SMALL_LIMIT, problems) is None
    assert [each[:2] for each in problems] == [(str(path), why)]


def test_fifo_is_not_waited_for(tmp_path: Path, problems: Problems) -> None:
    """A FIFO and a directory in the place of a file are reported, at once."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "directory").mkdir()
    for name in ("fifo", "directory"):
        assert read_object(str(tmp_path / name), LIMIT, problems) is None
        assert list(read_lines(str(tmp_path / name), problems)) == []
    found = {(each.why, each.error) for each in problems}
    assert found == {("is no regular file", ""), ("Is a directory", "EISDIR")}


def test_link_loop_is_noted(tmp_path: Path, problems: Problems) -> None:
    """A link to itself is reported."""
    (tmp_path / "loop").symlink_to("loop")
    assert read_object(str(tmp_path / "loop"), LIMIT, problems) is None
    assert list(read_lines(str(tmp_path / "loop"), problems)) == []
    assert len(problems) == 1


def test_gigabyte_is_refused_unread(tmp_path: Path, problems: Problems) -> None:
    """A file of a gigabyte is refused by its size; of a file of lines a bounded part is read."""
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    assert read_object(str(path), LIMIT, problems) is None
    assert list(read_lines(str(path), problems)) == []
    assert [each.why for each in problems] == ["has a line of more than 1048576 bytes"]


def test_file_is_whole_again(tmp_path: Path, problems: Problems) -> None:
    """A problem is dropped when the file can be read."""
    path = tmp_path / "a.json"
    path.write_text("{")
    assert read_object(str(path), LIMIT, problems) is None
    path.write_text("{}")
    assert read_object(str(path), LIMIT, problems) == {}
    assert not problems


def test_half_written_file_is_read_again(
    tmp_path: Path, problems: Problems, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that was being written is read once more."""
    path = tmp_path / "a.json"
    path.write_text('{"a": 1}')
    whole = json_files.read_bytes
    parts = iter([b'{"a"', None])
    monkeypatch.setattr(
        json_files, "read_bytes", lambda name, limit: next(parts) or whole(name, limit)
    )
    assert read_object(str(path), LIMIT, problems) == {"a": 1}
    assert not problems


def test_problems_are_bounded(tmp_path: Path, problems: Problems) -> None:
    """A bounded number of problems is kept by name; the others are counted."""
    for k in range(json_files.PROBLEM_LIMIT + 5):
        problems.note(f"/a/{k}", "is no JSON")
        problems.note("/a/0", "is no JSON")
    assert len(list(problems)) == json_files.PROBLEM_LIMIT
    assert len(problems) == json_files.PROBLEM_LIMIT + 5


def test_problem_paths_can_be_sent(problems: Problems) -> None:
    """A path that is no UTF-8 becomes valid text."""
    problems.note(os.fsdecode(b"/a/\xff"), "is no JSON")
    assert [each.path for each in problems] == ["/a/\\xff"]
    problems.clear(os.fsdecode(b"/a/\xff"))
    assert not problems


def test_lines(tmp_path: Path, problems: Problems) -> None:
    """Lines that are no objects are left out and reported; an unfinished last line is only left out."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n\n{"a": 2}\n{"a"')
    assert list(read_lines(str(path), problems)) == [{"a": 1}, {"a": 2}]
    assert not problems
    path.write_text('{"a": 1}\n{"a"\n[]\n{"a": 3}')
    assert list(read_lines(str(path), problems)) == [{"a": 1}, {"a": 3}]
    assert len(problems) == 1


def test_lines_beyond_the_limit_are_left_out(tmp_path: Path, problems: Problems) -> None:
    """Of a file of lines, a limited number of bytes is read, to the end of a line."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n' * 10)
    assert len(list(read_lines(str(path), problems, limit=20))) == 3
    assert [each.why for each in problems] == ["has more than 20 bytes"]


def test_values_can_be_sent_on(tmp_path: Path, problems: Problems) -> None:
    """Values on which JSON readers differ are replaced: NaN, infinities, numbers past 64 bits, surrogates, no UTF-8."""
    path = tmp_path / "a.json"
    path.write_bytes(
        b'{"a": [NaN, Infinity, -Infinity, 1e999], "b": '
        + b"9" * 400
        + b', "c": 123456789012345678901, "d": "\\ud800x", "e": "\xff", "\\udfff": "\\ud83d\\ude00"}'
    )
    value = read_object(str(path), LIMIT, problems)
    assert value == {
        "a": [None, None, None, None],
        "b": None,
        "c": 1.2345678901234568e20,
        "d": "\ufffdx",
        "e": "\ufffd",
        "\ufffd": "\U0001f600",
    }
    assert msgspec.json.decode(json.dumps(value)) == value


def test_fields() -> None:
    """Fields of another type are None; texts are truncated."""
    assert (text_of(1), text_of("a" * 5000)) == (None, "a" * 4096)
    assert [number_of(each) for each in (1, 1.5, True, "1", None, 1e300)] == [1, 1.5, *[None] * 4]
    assert [whole_of(each) for each in (1, 1.5, True, "1", 2**60)] == [1, None, None, None, None]


def test_deep_values_are_not_passed_on() -> None:
    """A deeply nested value is None."""
    value: object = 1
    for _ in range(40):
        value = [value]
    assert bounded(value) is None
    assert bounded({"a": value}) is None
    assert bounded({"a": [1, {"b": 2}]}) == {"a": [1, {"b": 2}]}


@settings(deadline=None, max_examples=examples(50, 200))
@given(
    data=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: json.dumps(text).encode())
)
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Any file is read as a value that can be sent, or none."""
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(data)
    value = read_value(str(path), LIMIT, Problems())
    lines = list(read_lines(str(path), Problems()))
    assert msgspec.json.decode(json.dumps([value, lines])) == [value, lines]


@pytest.fixture(autouse=True)
def paris(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A host in Paris."""
    monkeypatch.setenv("TZ", "Europe/Paris")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-15T12:00:00", 1768474800.0),
        ("2026-07-15T12:00:00.250000", 1784109600.25),
        ("2026-07-15T12:00:00+00:00", 1784116800.0),
        ("2026-07-15T12:00:00Z", 1784116800.0),
        (1784116800.5, 1784116800.5),
    ],
)
def test_parse_time(text: object, seconds: float) -> None:
    """Naive text is in this host's zone, summer or winter; an offset counts, and so do epoch seconds."""
    assert parse_time(text) == seconds


@pytest.mark.parametrize(
    "value", [None, "", "yesterday", [], True, float("nan"), 10**30, "0001-01-01T00:00:00\x00"]
)
def test_no_time(value: object) -> None:
    """Malformed times are None."""
    assert parse_time(value) is None


def test_first_and_last_years() -> None:
    """The ends of the calendar are times, or None, and no error."""
    for text in ("0001-01-01T00:00:00", "9999-12-31T23:59:59"):
        seconds = parse_time(text)
        assert seconds is None or isinstance(seconds, float)


def test_hour_that_comes_twice() -> None:
    """When clocks are set back, a time is the first of the two, unless that is before its lower bound."""
    assert parse_time("2026-10-25T02:20:00") == 1792887600.0  # 00:20 UTC
    started = parse_time("2026-10-25T02:50:00")
    assert started is not None
    ended = parse_time("2026-10-25T02:10:00", started)
    assert ended is not None
    assert ended - started == 20 * 60


def test_unambiguous_time_before_the_bound_stays() -> None:
    """An unambiguous time is not changed, also when it is before its lower bound."""
    assert parse_time("2026-07-15T12:00:00", 1e10) == 1784109600.0
