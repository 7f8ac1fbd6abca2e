"""Times of a workspace: naive text in the zone of the host."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from xpm_remote.workspace.reading.times import parse_time


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
    """Naive text is of this host's zone, summer or winter; an offset counts, and so do epoch seconds."""
    assert parse_time(text) == seconds


@pytest.mark.parametrize(
    "value", [None, "", "yesterday", [], True, float("nan"), 10**30, "0001-01-01T00:00:00\x00"]
)
def test_no_time(value: object) -> None:
    """What is no time is none."""
    assert parse_time(value) is None


def test_first_and_last_years() -> None:
    """The ends of the calendar are times, or none, and no error."""
    for text in ("0001-01-01T00:00:00", "9999-12-31T23:59:59"):
        seconds = parse_time(text)
        assert seconds is None or isinstance(seconds, float)


def test_hour_that_comes_twice() -> None:
    """When clocks are set back, a time is the first of the two, unless that is before what must come before it."""
    assert parse_time("2026-10-25T02:20:00") == 1792887600.0  # 00:20 UTC
    started = parse_time("2026-10-25T02:50:00")
    assert started is not None
    ended = parse_time("2026-10-25T02:10:00", started)
    assert ended is not None
    assert ended - started == 20 * 60


def test_unambiguous_time_before_the_bound_stays() -> None:
    """A time that comes once is what it is, also when the bound says otherwise."""
    assert parse_time("2026-07-15T12:00:00", 1e10) == 1784109600.0
