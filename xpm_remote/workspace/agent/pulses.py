"""A death leaves no trace on disk: what lives is looked at in turn, at a bounded rate."""

from __future__ import annotations

from itertools import chain, islice
from typing import Callable, Iterator

from xpm_remote.workspace.watching.watch import Subject

PULSE_INTERVAL = 5.0
"""Seconds within which the death of every process is noticed, as far as ``PULSES_PER_SECOND`` permits."""

PULSES_PER_SECOND = 40
"""Jobs and runs that are checked each second for signs of life."""

READINGS_PER_SECOND = 10
"""Those that are read again each second, since that alone shows whether they live: some thousandths of a core."""


class Pulses:
    """Chooses what is to be read again, since nothing shows that it lives.

    Args:
        living: Returns everything that lives, as far as is known.
        has_pulse: Returns whether something certainly lives, at little cost.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        living: Callable[[], list[Subject]],
        has_pulse: Callable[[Subject], bool],
        clock: Callable[[], float],
    ) -> None:
        self._living = living
        self._has_pulse = has_pulse
        self._clock = clock
        self._round: Iterator[Subject] = iter(())
        self._began = self._last = clock()

    def wait_time(self) -> float:
        """Return the seconds until the next are due."""
        return max(0.0, self._last + 1.0 - self._clock())

    def due(self) -> list[Subject]:
        """Return what is to be read now."""
        now = self._clock()
        if now - self._last < 1.0:
            return []
        self._last = now
        found: list[Subject] = []
        checked = islice(self._round, PULSES_PER_SECOND)
        first = next(checked, None)
        if first is None:
            if now - self._began >= PULSE_INTERVAL:
                self._round, self._began = iter(self._living()), now
            return []
        for subject in chain([first], checked):
            if not self._has_pulse(subject):
                found.append(subject)
            if len(found) == READINGS_PER_SECOND:
                break
        return found
