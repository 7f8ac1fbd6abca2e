"""What changed on disk: inotify where it tells, polling where it does not.

On a network file system inotify tells of this host's writes only, so neither the name of the file system nor one good
event shows that it will tell of the next. And nothing may be written to try it out. So polling is the judge: every
watched path is looked at. As long as its changes were all told before polling saw them, it is looked at rarely; from
the first change that polling finds by itself, it is polled at its pace, until inotify has told again.

Looking costs one ``stat``; there are at most ``LOOKS_PER_SECOND`` of them, whatever the size of the workspace.
"""

from __future__ import annotations

import errno
import heapq
import os
import stat
import time
from typing import Callable, Hashable, NamedTuple, Optional, Tuple

from xpm_remote.workspace.watching import inotify
from xpm_remote.workspace.watching.inotify import Inotify, RawEvent

Subject = Hashable
Signature = Optional[Tuple[int, ...]]

LOOKS_PER_SECOND = 400
"""``stat`` calls a second, at most: under one percent of a core, and what a busy metadata server does not feel."""

GRAIN = 0.2
"""Seconds between two rounds of looks, at least: waking up for each path by itself would cost more than the looks."""

HOT_TIME = 60.0
"""Seconds after a change during which a path is looked at at its quickest."""


class Pace(NamedTuple):
    """Seconds between two looks at a path: ``hot`` after a change, ``cold`` at most, ``told`` where inotify tells."""

    hot: float
    cold: float
    told: float


LIVE = Pace(hot=1.0, cold=4.0, told=32.0)
"""For what runs: its changes are seen after a second where inotify is blind."""

REST = Pace(hot=4.0, cold=256.0, told=256.0)
"""For what rests, such as finished runs and the list of all jobs."""


class _Spot:
    """A path that is looked at."""

    def __init__(self, path: str, subject: Subject, pace: Pace) -> None:
        self.path = path
        self.subject = subject
        self.pace = pace
        self.signature: Signature = None
        self.changed = float("-inf")
        self.interval = pace.hot
        self.told = False
        self.proven = False
        self.serial = 0


class _Listing:
    """A directory whose entries inotify tells of."""

    def __init__(self, path: str, resolve: Callable[[str], Subject | None]) -> None:
        self.path = path
        self.resolve = resolve


def signature(path: str) -> Signature:
    """Give what of a file or directory changes when its content does; None when it is not there or hidden from us."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    if stat.S_ISDIR(found.st_mode):
        return (found.st_ino, found.st_mtime_ns)
    return (found.st_ino, found.st_mtime_ns, found.st_size)


class Watcher:
    """Watches files and directories, each on behalf of a subject.

    Args:
        tells: An inotify instance; None where there is none.
        clock: Seconds that never go back.
        look: What takes the signature of a path.
    """

    def __init__(
        self,
        tells: Inotify | None,
        clock: Callable[[], float] = time.monotonic,
        look: Callable[[str], Signature] = signature,
    ) -> None:
        self._inotify = tells
        self._clock = clock
        self._look = look
        self._spots: dict[str, _Spot] = {}
        self._listings: dict[int, _Listing] = {}
        self._numbers: dict[str, int] = {}
        self._agenda: list[tuple[float, str, int]] = []
        self._allowance = float(LOOKS_PER_SECOND)
        self._counted = clock()
        self._looked = float("-inf")
        self._pending: set[Subject] = set()
        self.refused = 0
        """Directories that inotify could not take any more."""

    def fileno(self) -> int | None:
        """Give a descriptor that is readable when inotify has something to tell; None where there is none."""
        return None if self._inotify is None else self._inotify.fileno()

    @property
    def paths(self) -> int:
        """How many paths are looked at."""
        return len(self._spots)

    def add(self, path: str, subject: Subject, pace: Pace) -> None:
        """Look at a file or directory from now on; known already, it only takes the pace.

        A file that its directory (see ``tell``) covers is looked at rarely once inotify has told of it.
        """
        spot = self._spots.get(path)
        if spot is not None and spot.subject == subject:
            self._set_pace(spot, pace)
            return
        spot = self._spots[path] = _Spot(path, subject, pace)
        spot.signature = self._look(path)
        self._plan(spot, self._clock())

    def tell(
        self,
        directory: str,
        resolve: Callable[[str], Subject | None],
        *,
        contents: bool = False,
    ) -> None:
        """Have inotify tell of a directory's entries; without effect where it cannot.

        Args:
            directory: Its path.
            resolve: Gives the subject of an entry by its name; None for what is of no interest.
            contents: Whether what is written to files counts, too, and not only when they are closed.
        """
        if self._inotify is None or directory in self._numbers:
            return
        mask = inotify.ENTRIES | inotify.CLOSE_WRITE | inotify.DELETE_SELF | inotify.MOVE_SELF
        try:
            number = self._inotify.add(directory, mask | (inotify.MODIFY if contents else 0))
        except OSError as error:
            if error.errno == errno.ENOSPC:  # the person's watches are used up; polling goes on
                self.refused += 1
            return
        self._numbers[directory] = number
        self._listings[number] = _Listing(directory, resolve)

    def forget(self, path: str) -> None:
        """Watch a file or directory no longer."""
        self._spots.pop(path, None)
        number = self._numbers.pop(path, None)
        if number is not None and self._inotify is not None:
            self._listings.pop(number, None)
            self._inotify.remove(number)

    def collect(self) -> set[Subject]:
        """Give the subjects that changed since the last time, without waiting."""
        self._hear()
        self._look_around()
        found, self._pending = self._pending, set()
        return found

    def due(self) -> float:
        """Give the seconds until something is to be looked at; infinite when nothing is."""
        now = self._clock()
        self._grant(now)
        while self._agenda and self._is_stale(self._agenda[0]):
            heapq.heappop(self._agenda)
        if not self._agenda:
            return float("inf")
        short = max(0.0, 1.0 - self._allowance) / LOOKS_PER_SECOND
        return max(0.0, self._agenda[0][0] - now, short, self._looked + GRAIN - now)

    def close(self) -> None:
        """End it."""
        if self._inotify is not None:
            self._inotify.close()

    def _hear(self) -> None:
        """Take what inotify tells."""
        if self._inotify is None:
            return
        for event in self._inotify.read():
            if event.mask & inotify.OVERFLOW:
                self._doubt_all()
            else:
                self._take(event)

    def _take(self, event: RawEvent) -> None:
        listing = self._listings.get(event.watch)
        if listing is None:
            return
        if event.mask & (inotify.IGNORED | inotify.DELETE_SELF | inotify.MOVE_SELF):
            self._lose(event, listing)
            return
        if event.mask & inotify.ENTRIES:
            self._mark_told(listing.path)
        spot = self._mark_told(f"{listing.path}/{event.name}")
        if spot is not None:
            self._pending.add(spot.subject)
        if spot is None or event.mask & inotify.ENTRIES:
            subject = listing.resolve(event.name)
            if subject is not None:
                self._pending.add(subject)

    def _mark_told(self, path: str) -> _Spot | None:
        spot = self._spots.get(path)
        if spot is not None:
            spot.told = True
        return spot

    def _lose(self, event: RawEvent, listing: _Listing) -> None:
        """A directory is gone, or is elsewhere: what is at its path is looked at."""
        if event.mask & inotify.IGNORED:
            self._listings.pop(event.watch, None)
            if self._numbers.get(listing.path) == event.watch:
                del self._numbers[listing.path]
        spot = self._mark_told(listing.path)
        if spot is not None:
            self._pending.add(spot.subject)

    def _doubt_all(self) -> None:
        """Events were lost: everything is looked at as soon as the allowance permits."""
        now = self._clock()
        for spot in self._spots.values():
            spot.proven = False
            self._plan(spot, now, 0.0)

    def _look_around(self) -> None:
        now = self._looked = self._clock()
        self._grant(now)
        while self._agenda and self._agenda[0][0] <= now and self._allowance >= 1.0:
            entry = heapq.heappop(self._agenda)
            if not self._is_stale(entry):
                self._allowance -= 1.0
                self._inspect(self._spots[entry[1]], now)

    def _inspect(self, spot: _Spot, now: float) -> None:
        found = self._look(spot.path)
        if found != spot.signature:
            self._hear()  # what we saw may have been told between our last hearing and our look
            spot.signature = found
            spot.proven = spot.told
            spot.changed = now
            # Also when it was told: another host may have written again since.
            self._pending.add(spot.subject)
        spot.told = False
        self._plan(spot, now)

    def _plan(self, spot: _Spot, now: float, interval: float | None = None) -> None:
        """Say when a path is looked at next."""
        if interval is None:
            interval = self._next_interval(spot, now)
        spot.serial += 1
        heapq.heappush(self._agenda, (now + interval, spot.path, spot.serial))

    def _next_interval(self, spot: _Spot, now: float) -> float:
        if spot.proven:
            return spot.pace.told
        if now - spot.changed <= HOT_TIME:
            spot.interval = spot.pace.hot
        else:
            spot.interval = min(spot.interval * 2, spot.pace.cold)
        return spot.interval

    def _set_pace(self, spot: _Spot, pace: Pace) -> None:
        if spot.pace != pace:
            spot.pace = pace
            spot.interval = pace.hot
            self._plan(spot, self._clock())

    def _is_stale(self, entry: tuple[float, str, int]) -> bool:
        """Tell whether an entry of the agenda was overtaken by a later plan, or its path forgotten."""
        spot = self._spots.get(entry[1])
        return spot is None or spot.serial != entry[2]

    def _grant(self, now: float) -> None:
        earned = (now - self._counted) * LOOKS_PER_SECOND
        self._allowance = min(self._allowance + earned, float(LOOKS_PER_SECOND))
        self._counted = now
