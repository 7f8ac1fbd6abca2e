"""How fast the jobs of an experiment come to their ends, and when the last one will. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nlargest
from itertools import pairwise
from statistics import median

from xpm_remote.model.samples import FEWEST, GAP, LATEST, STOPPED_LEAST, Estimate

KEPT = 1_000
"""Ends that count, the latest."""


class Pace:
    """The times at which jobs ended.

    Args:
        ends: The times, in epoch seconds.
    """

    def __init__(self, ends: Iterable[float]) -> None:
        found = sorted(nlargest(KEPT, ends))
        pauses = [after - before for before, after in pairwise(found)]
        # At once come the ends of jobs that needed the same one.
        usual = median(pauses) if pauses else 0.0
        self._gap = max(STOPPED_LEAST, GAP * usual)
        begin = next((at + 1 for at in range(len(pauses))[::-1] if pauses[at] >= self._gap), 0)
        self._ends = found[begin:]

    def estimate(self, left: int, now: float) -> Estimate | None:
        """Return how long the jobs that are left will take; None while few have ended, or none for long.

        The range is that of the rates of the latest fifth of the ends, of two fifths, and of all since the last gap.

        Args:
            left: How many jobs there are still to do.
            now: The time by the same clock.
        """
        number = len(self._ends)
        if number < FEWEST or not left or now - self._ends[-1] >= self._gap:
            return None
        counts = {min(number, max(FEWEST, part * number // LATEST)) for part in (1, 2, LATEST)}
        spans = [(count - 1, max(1.0, now - self._ends[-count])) for count in counts]
        rates = [ended / seconds for ended, seconds in spans]
        return Estimate(left / max(rates), left / min(rates))
