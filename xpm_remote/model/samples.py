"""The progress of running jobs over time: when they will end, and whether they have stopped to advance. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from xpm_remote.model.entities import Job
from xpm_remote.workspace.states import State

KEPT = 64
"""Samples of one job."""

FEWEST = 5
"""Samples below which nothing is said of the end."""

LATEST = 5
"""Of the samples, every so many-th counts: the last fifth; but never fewer than ``FEWEST``."""

GAP = 4.0
"""A pause of so many usual ones is a gap: the program was away, or the job was; what was before it counts no more."""

STOPPED = 5.0
"""A job that has not advanced for so many of its usual pauses has stopped, if that is ``STOPPED_LEAST`` seconds."""

STOPPED_LEAST = 600.0


SLOWED = 1.5
"""A job that is so many times as slow as before has slowed."""


class Slowdown(NamedTuple):
    """How many times as slow as before a job is, and since when, in epoch seconds of its host."""

    times: float
    since: float


class Estimate(NamedTuple):
    """How many more seconds a job is likely to run: between ``least`` and ``most``."""

    least: float
    most: float


class _Sample(NamedTuple):
    at: float
    fraction: float


class Samples:
    """The samples of one job in one try."""

    def __init__(self, started: float | None) -> None:
        self.started = started
        self._samples: deque[_Sample] = deque(maxlen=KEPT)

    def add(self, at: float, fraction: float) -> None:
        """Add what a job has told: a fraction that is less than before begins anew, an equal one is no progress."""
        if self._samples:
            last = self._samples[-1]
            if fraction < last.fraction:
                self._samples.clear()
            elif fraction == last.fraction or at <= last.at:
                return
            elif self._is_gap(at - last.at):
                self._samples.clear()
        self._samples.append(_Sample(at, fraction))

    def interrupt(self) -> None:
        """Begin anew: samples were lost."""
        self._samples.clear()

    @property
    def fractions(self) -> list[float]:
        """The fractions, the latest last."""
        return [each.fraction for each in self._samples]

    def estimate(self, now: float) -> Estimate | None:
        """Return how much longer the job runs; None while there are few samples, or it has stopped to advance."""
        slopes = self._slopes()
        if len(slopes) < FEWEST - 1 or self.stopped_for(now) is not None:
            return None
        # With fractions and decimals, which no first picture needs.
        from statistics import quantiles  # noqa: PLC0415

        slow, _, fast = quantiles(slopes, n=4)
        last = self._samples[-1]
        left = 1.0 - last.fraction
        passed = now - last.at
        return Estimate(max(0.0, left / fast - passed), max(0.0, left / slow - passed))

    @property
    def rate(self) -> float | None:
        """The part of the whole that the job does in a second by its latest samples; None while there are few."""
        slopes = self._slopes()
        return _median(slopes) if len(slopes) >= FEWEST - 1 else None

    @property
    def slowdown(self) -> Slowdown | None:
        """How much slower the job has become; None if it has not, or there are too few samples from before."""
        latest = self._latest
        earlier = list(self._samples)[: -len(latest) + 1]
        if len(latest) < FEWEST or len(earlier) < FEWEST:
            return None
        times = _median(_slopes_of(earlier)) / _median(_slopes_of(latest))
        return Slowdown(times, latest[0].at) if times >= SLOWED else None

    @property
    def expected_end(self) -> float | None:
        """When the job is likely to end, whether it still advances or not; None while there are few samples."""
        rate = self.rate
        if rate is None:
            return None
        last = self._samples[-1]
        return last.at + (1.0 - last.fraction) / rate

    def stopped_for(self, now: float) -> float | None:
        """Return for how many seconds a job has not advanced that usually does more often; None if it may still."""
        if len(self._samples) < FEWEST:
            return None
        passed = now - self._samples[-1].at
        return passed if passed >= max(STOPPED_LEAST, STOPPED * self._usual_pause()) else None

    def _slopes(self) -> list[float]:
        """Return the slopes from each of the latest samples to the next one; all are positive."""
        return _slopes_of(self._latest)

    @property
    def _latest(self) -> list[_Sample]:
        return list(self._samples)[-max(FEWEST, len(self._samples) // LATEST) :]

    def _usual_pause(self) -> float:
        return _median(after.at - before.at for before, after in pairwise(self._samples))

    def _is_gap(self, pause: float) -> bool:
        if len(self._samples) < FEWEST:
            return False
        return pause >= max(STOPPED_LEAST, GAP * self._usual_pause())


def _slopes_of(samples: list[_Sample]) -> list[float]:
    return [
        (after.fraction - before.fraction) / (after.at - before.at)
        for before, after in pairwise(samples)
    ]


class Progression:
    """The samples of all jobs of a workspace that run."""

    def __init__(self) -> None:
        self._jobs: dict[str, Samples] = {}

    def note(self, before: Job | None, after: Job | None, at: float) -> None:
        """Take a change of a job; what a job had told before it was known to run has no time.

        Args:
            before: The job before; None for a new one.
            after: The job after; None for one that is gone.
            at: When, in epoch seconds.
        """
        if before is None:
            return
        if after is None or after.state is not State.RUNNING:
            self._jobs.pop(before.key, None)
            return
        is_told = before.state is State.RUNNING and after.progress != before.progress
        if not is_told or not after.progress or after.progress[0].fraction is None:
            return
        started = None if after.started is None else after.started.timestamp()
        samples = self._jobs.get(after.key)
        if samples is None or samples.started != started:
            samples = self._jobs[after.key] = Samples(started)
        samples.add(at, after.progress[0].fraction)

    def interrupt(self) -> None:
        """Begin all anew: samples were lost."""
        for samples in self._jobs.values():
            samples.interrupt()

    def of(self, key: str) -> Samples | None:
        """Return the samples of a job that runs; None where it has told no progress."""
        return self._jobs.get(key)


def _median(values: Iterable[float]) -> float:
    ordered = sorted(values)
    half = len(ordered) // 2
    return (ordered[half] + ordered[~half]) / 2
