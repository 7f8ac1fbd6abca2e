"""Progress over time: estimates of the end, jobs that stop to advance, and gaps."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.model.builders import epoch, known_job
from xpm_remote.model.entities import Job
from xpm_remote.model.samples import KEPT, STOPPED_LEAST, Progression, Samples
from xpm_remote.workspace.states import Progress, State


def samples(*points: tuple[float, float]) -> Samples:
    """Make samples of a job."""
    found = Samples(0.0)
    for at, fraction in points:
        found.add(at, fraction)
    return found


STEADY = [(60.0 * number, number / 20) for number in range(11)]


def test_steady_progress() -> None:
    """A job at half of its way after ten minutes takes ten more, less what has passed since."""
    found = samples(*STEADY)
    estimate = found.estimate(600.0)
    assert estimate is not None
    assert estimate.least == pytest.approx(600.0)
    assert estimate.most == pytest.approx(600.0)
    later = found.estimate(630.0)
    assert later is not None
    assert later.least == pytest.approx(570.0)


def test_uneven_progress_is_a_range() -> None:
    """Where the latest steps differ, the end is a range, which one step that is far off does not move."""
    even = [(0, 0.0), (60, 0.1), (120, 0.2), (200, 0.3), (260, 0.4)]
    found = samples(*even).estimate(260)
    assert found is not None
    assert 340 < found.least < found.most < 480
    burst = samples(*even, (261, 0.6)).estimate(261)
    assert burst is not None
    assert burst.most > 200


def test_only_the_latest_count() -> None:
    """A job that has become slower is judged by its latest samples."""
    fast = [(float(number), number / 100) for number in range(30)]
    slow = [(29.0 + 60 * number, 0.29 + number / 100) for number in range(1, 7)]
    found = samples(*fast, *slow).estimate(29.0 + 360)
    assert found is not None
    assert found.least > 3000


def test_no_estimate_from_few() -> None:
    """Fewer than five samples tell nothing; an equal fraction, or one without a later time, is none."""
    few = samples(*STEADY[:4], (180.0, 0.9), (190.0, STEADY[3][1]))
    assert few.fractions == [fraction for _, fraction in STEADY[:4]]
    assert few.estimate(300.0) is None
    assert few.stopped_for(1e9) is None


def test_no_progress() -> None:
    """A job that told its progress each minute and has not for forty has stopped; then its end is not estimated."""
    found = samples(*STEADY)
    assert found.stopped_for(600.0 + STOPPED_LEAST - 1) is None
    assert found.stopped_for(600.0 + 2400) == 2400
    assert found.estimate(600.0 + 2400) is None


def test_rare_progress_is_no_stop() -> None:
    """A job that tells its progress once an hour has not stopped after two."""
    hourly = samples(*((3600.0 * number, number / 20) for number in range(6)))
    assert hourly.stopped_for(5 * 3600 + 7200) is None


def test_rate_and_slowdown() -> None:
    """A job that has become half as fast says since when; its rate and end are by its latest samples."""
    fast = [(10.0 * number, number / 100) for number in range(21)]
    slow = [(200.0 + 20.0 * number, 0.2 + number / 100) for number in range(1, 7)]
    found = samples(*fast, *slow)
    assert found.rate == pytest.approx(0.0005)
    assert found.expected_end == pytest.approx(320 + 0.74 / 0.0005)
    assert found.slowdown is not None
    assert found.slowdown.times == pytest.approx(2.0)
    assert found.slowdown.since == 240.0
    assert samples(*STEADY).slowdown is None
    few = samples(*STEADY[:4])
    assert (few.rate, few.expected_end, few.slowdown) == (None, None, None)
    assert samples(*STEADY[:7]).slowdown is None


def test_gaps() -> None:
    """After a gap, or where samples were lost, what was before does not count; nor does it in another try."""
    assert samples(*STEADY, (600.0 + 3600, 0.6)).fractions == [0.6]
    assert samples(*STEADY, (601.0, 0.1)).fractions == [0.1]
    assert samples(*STEADY[:2], (60.0 + 3600, 0.6)).fractions == [0.0, 0.05, 0.6]
    found = samples(*STEADY)
    found.interrupt()
    assert found.fractions == []


@given(st.lists(st.tuples(st.integers(0, 5000), st.floats(0, 1)), max_size=200))
def test_bounds(points: list[tuple[int, float]]) -> None:
    """Whatever is told, few samples are kept, and an estimate is a range of time to come."""
    found = samples(*((float(at), fraction) for at, fraction in points))
    assert len(found.fractions) <= KEPT
    estimate = found.estimate(6000.0)
    assert estimate is None or 0 <= estimate.least <= estimate.most


def running(fraction: float | None, started: float = 0.0) -> Job:
    """Make a job that runs."""
    progress = () if fraction is None else (Progress(0, fraction),)
    return known_job(State.RUNNING, started=started, progress=progress)


def test_jobs_that_run() -> None:
    """Jobs have samples while they run, by their latest try; what was told before they were seen has no time."""
    found = Progression()
    half, key = running(0.5), running(0.5).key
    found.note(None, half, epoch(1))
    found.note(running(None), known_job(State.RUNNING, started=0), epoch(1))
    assert found.of(key) is None
    found.note(running(0.4), half, epoch(2))
    found.note(half, running(0.6), epoch(3))
    kept = found.of(key)
    assert kept is not None
    assert kept.fractions == [0.5, 0.6]
    found.note(half, msgspec.structs.replace(half, exit_code=1), epoch(4))
    found.note(half, known_job(State.RUNNING, progress=(Progress(0, None),)), epoch(4))
    found.note(running(0.1, 5), running(0.7, 5), epoch(6))
    again = found.of(key)
    assert again is not None
    assert again.fractions == [0.7]
    found.interrupt()
    assert again.fractions == []
    found.note(half, known_job(State.DONE), epoch(7))
    assert found.of(key) is None
    found.note(half, None, epoch(8))
