"""What cannot be read in a tracked workspace: since when, and when it is tried again."""

from __future__ import annotations

import time
from typing import Callable, NamedTuple

from xpm_remote.workspace.failures import UnreadFile
from xpm_remote.workspace.watching.watch import Subject

FIRST_RETRY = 1.0
"""Seconds until what could not be read is tried again: a stale handle or a signal's error is over by then."""

LAST_RETRY = 30.0
"""Seconds between two attempts at what cannot be read for long: healing is seen this much later."""

RETRIES = 40
"""Subjects that are tried again at a time, so that what can be read is not kept waiting by what cannot."""

NAMED = 100
"""Files that are told by name; beyond that they are only counted."""


class Unread(NamedTuple):
    """A file or directory that cannot be read; ``since`` is in epoch seconds."""

    file: UnreadFile
    since: float


class _Attempts:
    def __init__(self, file: UnreadFile, since: float) -> None:
        self.file = file
        self.since = since
        self.delay = FIRST_RETRY
        self.due = 0.0


class UnreadSubjects:
    """The subjects that could not be read when they were last tried.

    Args:
        clock: Seconds that never go back.
        now: Returns epoch seconds.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, now: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._now = now
        self._by_subject: dict[Subject, _Attempts] = {}
        self._told: tuple[list[Unread], int] | None = None

    def take(self, subject: Subject, file: UnreadFile | None) -> bool:
        """Record what could not be read of a subject, or that all could; return whether all could."""
        if file is None:
            if self._by_subject.pop(subject, None) is not None:
                self._hurry()
            return True
        attempts = self._by_subject.get(subject)
        if attempts is None:
            attempts = self._by_subject[subject] = _Attempts(file, self._now())
        else:
            attempts.delay = min(attempts.delay * 2, LAST_RETRY)
        attempts.file = file
        attempts.due = self._clock() + attempts.delay
        return False

    def forget(self, subject: Subject) -> None:
        """Forget a subject that is gone."""
        self._by_subject.pop(subject, None)

    def due(self) -> set[Subject]:
        """Return the subjects that are to be tried again now."""
        now = self._clock()
        found = [each for each, attempts in self._by_subject.items() if attempts.due <= now]
        for each in found[:RETRIES]:
            self._by_subject[each].due = now + self._by_subject[each].delay
        return set(found[:RETRIES])

    def wait_time(self) -> float:
        """Return the seconds until a subject is due; infinite where all could be read."""
        if not self._by_subject:
            return float("inf")
        return max(0.0, min(each.due for each in self._by_subject.values()) - self._clock())

    def news(self) -> tuple[list[Unread], int] | None:
        """Return the files that cannot be read, and how many more; None if the last call returned the same."""
        since: dict[str, Unread] = {}
        for each in self._by_subject.values():
            known = since.get(each.file.path)
            if known is None or each.since < known.since:
                since[each.file.path] = Unread(each.file, each.since)
        files = sorted(since.values())
        told = (files[:NAMED], len(files[NAMED:]))
        if told == self._told:
            return None
        self._told = told
        return told

    def _hurry(self) -> None:
        """Try all others soon: what ails one subject mostly ails many."""
        now = self._clock()
        for each in self._by_subject.values():
            each.due = min(each.due, now)
