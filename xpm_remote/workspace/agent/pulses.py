"""A death leaves no trace on disk: what lives is looked at in turn, at a bounded rate."""

from __future__ import annotations

from itertools import islice
from typing import Callable, Iterator

from xpm_remote.workspace.watching.watch import Subject

PULSE_INTERVAL = 5.0
"""Seconds within which the death of every process is noticed, as far as ``PULSES_PER_SECOND`` permits."""

PULSES_PER_SECOND = 40
"""Jobs and runs that are checked each second for signs of life: under one percent of a core."""


class Pulses:
    """Chooses what is to be checked for signs of life.

    Args:
        living: Returns everything that lives, as far as is known.
        clock: Seconds that never go back.
    """

    def __init__(self, living: Callable[[], list[Subject]], clock: Callable[[], float]) -> None:
        self._living = living
        self._clock = clock
        self._round: Iterator[Subject] = iter(())
        self._began = self._last = clock()

    def wait_time(self) -> float:
        """Return the seconds until the next are due."""
        return max(0.0, self._last + 1.0 - self._clock())

    def due(self) -> list[Subject]:
        """Return what is to be checked now."""
        now = self._clock()
        count = int((now - self._last) * PULSES_PER_SECOND)
        if count < 1:
            return []
        self._last = now
        found = list(islice(self._round, min(count, PULSES_PER_SECOND)))
        if not found and now - self._began >= PULSE_INTERVAL:
            self._round, self._began = iter(self._living()), now
        return found
