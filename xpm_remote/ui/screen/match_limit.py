"""A limit for one match of a regular expression: some take for ever, and the keyboard would wait as long."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from xpm_remote.model.filters import Filter, Filterable
from xpm_remote.ui.tables.finding import TooSlowError

TICK = 0.05
"""Seconds of our CPU time; a match that is there at two ticks takes too long: the others take microseconds."""


class MatchLimit:
    """Ends a match that takes too long, in the main thread: while it matches, ``re`` looks for signals.

    There is one timer in a process; it is set while filters are at work only.
    """

    def __init__(self) -> None:
        self._number = 0
        self._seen = 0
        self._is_matching = False
        self._is_set = False
        self._before: Any = None

    def limited(self, matches: Filter) -> Filter:
        """Return a filter that raises ``TooSlowError`` where it would take too long."""

        def is_matched(job: Filterable) -> bool:
            self._number += 1
            if not self._is_set:
                self._set()
            self._is_matching = True
            try:
                return matches(job)
            finally:
                self._is_matching = False

        return is_matched

    def _set(self) -> None:
        self._is_set = True
        self._seen = self._number
        self._before = signal.signal(signal.SIGVTALRM, self._tick)
        signal.setitimer(signal.ITIMER_VIRTUAL, TICK, TICK)

    def _tick(self, _: int, __: FrameType | None) -> None:
        if self._number != self._seen:
            self._seen = self._number
        elif self._is_matching:
            raise TooSlowError
        else:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, self._before)
            self._is_set = False


LIMIT = MatchLimit()
