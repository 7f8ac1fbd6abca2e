"""Text for a terminal: escaping, times, sizes and progress, and tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.model.builders import TASK, epoch, moment
from tests.ui.pictures import HOSTILE
from xpm_remote.escaping import safe
from xpm_remote.model.entities import Job
from xpm_remote.ui.text import (
    activity,
    ago,
    count_text,
    duration,
    elapsed,
    left_text,
    percent,
    rate_text,
    short_key,
    size_text,
    span,
    table,
    tags,
)
from xpm_remote.workspace.states import Progress


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("été 漢字 😀", "été 漢字 😀"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("\x9b31m\x07\x7f\x00", "\\x9b31m\\x07\\x7f\\x00"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\u200b\ufeff\u00ad", "\\u200b\\ufeff\\xad"),
        ("\ud800", "\\ud800"),
        ("", ""),
    ],
)
def test_safe(text: str, expected: str) -> None:
    """Printable text is unchanged; what moves the cursor, reverses the line or is invisible is escaped."""
    assert safe(text) == expected


@given(HOSTILE)
def test_safe_is_printable(text: str) -> None:
    """The result prints, can be written as UTF-8, and is not changed by escaping it again."""
    shown = safe(text)
    assert shown.isprintable()
    assert shown.encode().decode() == shown
    assert safe(shown) == shown


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (0.9, "0 s"),
        (42, "42 s"),
        (60, "1 min 0 s"),
        (185, "3 min 5 s"),
        (3599.9, "59 min 59 s"),
        (7800, "2 h 10 min"),
        (86399, "23 h 59 min"),
        (5 * 86400 + 3 * 3600 + 59, "5 d 3 h"),
        (86400, "1 d 0 h"),
        (100 * 86400, "100 d 0 h"),
    ],
)
def test_span(seconds: float, expected: str) -> None:
    """A duration has its two largest units."""
    assert span(seconds) == expected


@given(st.floats(0, 1e9))
def test_span_is_short(seconds: float) -> None:
    """At most two units, of which the first is not zero unless all is."""
    words = span(seconds).split()
    assert len(words) in (2, 4)
    assert words[0] != "0" or seconds < 1


def test_elapsed_and_ago() -> None:
    """The time since a moment is exact or rounded; for an unknown moment it is empty."""
    assert elapsed(moment(0), epoch(185)) == "3 min 5 s"
    assert ago(moment(0), epoch(185)) == "3 min ago"
    assert ago(moment(0), epoch(7)) == "7 s ago"
    assert (elapsed(None, 0), ago(None, 0)) == ("", "")


def test_short_key() -> None:
    """A job has its task and a prefix of its id."""
    assert short_key(Job(task_id=TASK, job_id="0123456789abcdef")) == "demo.task/01234567"
    assert short_key(Job(task_id="\x1b", job_id="a")) == "\\x1b/a"


def test_tags() -> None:
    """Tags are listed by name, with their values unchanged."""
    assert tags({"lr": 0.1, "a": "x y", "n": None}) == "a=x y lr=0.1 n=None"
    assert tags({"a": "\n", "\x1b": 1}) == "\\x1b=1 a=\\n"
    assert tags({}) == ""


def test_progress() -> None:
    """Each level has its share and its description, if it has one, from the outermost inwards."""
    steps = [Progress(0, 0.454, "epoch 5"), Progress(1, 1.0), Progress(2, 0.0, "bat\nch")]
    assert percent(steps) == "45 % > 100 % > 0 %"
    assert activity(steps) == "epoch 5 > bat\\nch"
    assert (percent([]), activity([])) == ("", "")


def test_columns() -> None:
    """Columns are aligned; empty ones are left out, and there are no trailing blanks."""
    rows = [("a", "", "long one", "x"), ("bbb", "", "", "")]
    assert list(table(rows, indent=1)) == [" a    long one  x", " bbb"]
    assert list(table([])) == []


def test_hostile_cells() -> None:
    """A cell cannot move the cursor, and its escapes count as they are displayed."""
    assert list(table([("\x1b[2J", "1"), ("abcdefg", "2")])) == ["\\x1b[2J  1", "abcdefg  2"]


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1000 B"),
        (1024, "1.0 KiB"),
        (10_100, "9.9 KiB"),
        (12_345, "12 KiB"),
        ((1 << 20) - 1, "1.0 MiB"),
        (3 << 39, "1.5 TiB"),
        (10**19, "8882 PiB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    """Sizes have two or three digits and a unit."""
    assert size_text(size) == text


def test_counts() -> None:
    """Counts have a singular and a plural."""
    assert [count_text(n, "job") for n in (0, 1, 1200)] == ["0 jobs", "1 job", "1,200 jobs"]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.00123, "1.23 ms"), (0.09, "90 ms"), (0.5, "0.50 s"), (12.34, "12.3 s"), (-3.0, "-3.00 s")],
)
def test_duration(seconds: float, expected: str) -> None:
    """Durations have a suitable precision."""
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("least", "most", "text"),
    [
        (0, 59, "<1 min"),
        (0, 300, "~0-5 min"),
        (2340, 2400, "~39-40 min"),
        (2400, 2400, "~40 min"),
        (7800, 9000, "~2-3 h"),
        (3000, 9000, "~50 min-3 h"),
        (10, 9000, "~0-3 h"),
        (260_000, 400_000, "~3-5 d"),
    ],
)
def test_time_left(least: float, most: float, text: str) -> None:
    """A range is rounded outwards, in one unit where both ends have the same."""
    assert left_text(least, most) == text


@pytest.mark.parametrize(
    ("rate", "text"), [(0.001, "6 % a min"), (0.00001, "3.6 % a h"), (1e-7, "0.86 % a day")]
)
def test_rate(rate: float, text: str) -> None:
    """A rate is told by the unit of time in which there is at least a hundredth."""
    assert rate_text(rate) == text
