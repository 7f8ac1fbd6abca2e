"""When the last job of an experiment will end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xpm_remote.model.pace import KEPT, Pace


def test_steady() -> None:
    """Jobs that end every minute take as many more minutes as there are left, as a narrow range."""
    found = Pace(60.0 * number for number in range(21)).estimate(30, 1230)
    assert found is not None
    assert found.least == pytest.approx(1845)
    assert found.most == pytest.approx(2025)


def test_slower_than_before() -> None:
    """Where the latest ends are farther apart, the range is wide."""
    ends = [*range(0, 100, 5), *range(160, 700, 60)]
    found = Pace(ends).estimate(10, 700)
    assert found is not None
    assert found.most >= 3 * found.least


def test_too_little_is_known() -> None:
    """Nothing is told from few ends, where nothing is left, or after a long silence."""
    ends = [60.0 * number for number in range(10)]
    assert Pace(ends[:4]).estimate(5, 200) is None
    assert Pace([]).estimate(5, 200) is None
    assert Pace(ends).estimate(0, 600) is None
    assert Pace(ends).estimate(5, 540 + 600) is None
    assert Pace([5.0] * 9).estimate(3, 5.0) is not None


def test_a_night_between() -> None:
    """What was before a gap does not count."""
    before = [60.0 * number for number in range(100)]
    after = [50_000 + 120.0 * number for number in range(10)]
    found = Pace([*after, *before]).estimate(10, 51_080)
    assert found is not None
    assert found.most <= 10 * 120 * 9 / 4
    assert Pace([*before, *after[:4]]).estimate(10, 50_400) is None


@given(st.lists(st.floats(0, 1e6), max_size=60), st.integers(0, 10_000), st.floats(0, 2e6))
def test_bounds(ends: list[float], left: int, now: float) -> None:
    """Whatever the times are, what is told is a range of time to come."""
    found = Pace(ends).estimate(left, now)
    assert found is None or 0 <= found.least <= found.most


def test_very_many() -> None:
    """Of very many ends the latest count."""
    assert len(Pace(range(3 * KEPT))._ends) == KEPT
