"""Changes on disk: by inotify where it reports them, by polling where it does not.

On a network file system inotify reports this host's writes only, so neither the name of the file system nor one good
event shows that it will report the next. And nothing may be written to try it out. So polling decides: every watched
path is polled. As long as inotify reported all of its changes before polling found them, it is polled rarely; from the
first change that polling finds by itself, it is polled at its pace, until inotify has reported again.

Polling costs one ``stat`` a path; there are at most ``LOOKS_PER_SECOND``, whatever the size of the workspace.
"""

from __future__ import annotations

import errno
import heapq
import stat
import time
from typing import Callable, Hashable, NamedTuple, Optional, Tuple

from xpm_remote.workspace.reading import disk
from xpm_remote.workspace.watching import inotify
from xpm_remote.workspace.watching.inotify import Inotify, RawEvent

Subject = Hashable
Signature = Optional[Tuple[int, ...]]

LOOKS_PER_SECOND = 200
"""Most ``stat`` calls a second: half a percent of a core, and little for a busy metadata server."""

GRAIN = 0.2
"""Least seconds between two rounds of polling: waking up for each path by itself would cost more than ``stat``."""

HOT_TIME = 60.0
"""Seconds after a change during which a path is polled at its quickest."""


class Pace(NamedTuple):
    """Seconds between two polls of a path: ``hot`` after a change, ``cold`` at most, ``told`` where inotify reports."""

    hot: float
    cold: float
    told: float


LIVE = Pace(hot=1.0, cold=4.0, told=32.0)
"""For what runs: its changes are seen after a second where inotify reports nothing."""

REST = Pace(hot=4.0, cold=256.0, told=256.0)
"""For what rests, such as finished runs and the list of all jobs."""


class _Spot:
    """A path that is polled."""

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
    """A directory whose entries inotify reports."""

    def __init__(self, path: str, resolve: Callable[[str], Subject | None]) -> None:
        self.path = path
        self.resolve = resolve


def signature(path: str) -> Signature:
    """Return values of a file or directory that change with its content; None when it cannot be seen."""
    try:
        found = disk.lstat(path)
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
        look: Returns the signature of a path.
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
        """Return a descriptor that is readable when inotify has events; None where there is no inotify."""
        return None if self._inotify is None else self._inotify.fileno()

    @property
    def paths(self) -> int:
        """The number of paths that are polled."""
        return len(self._spots)

    def add(self, path: str, subject: Subject, pace: Pace) -> None:
        """Poll a file or directory from now on; one that is polled already only takes the pace.

        A file whose directory inotify reports (see ``tell``) is polled rarely once it has reported a change.
        """
        spot = self._spots.get(path)
        if spot is not None and spot.subject == subject:
            self._set_pace(spot, pace)
            return
        spot = self._spots[path] = _Spot(path, subject, pace)
        spot.signature = self._look(path)
        self._plan(spot, self._clock())

    def tell(
        self, directory: str, resolve: Callable[[str], Subject | None], *, contents: bool = False
    ) -> None:
        """Make inotify report a directory's entries; without effect where it cannot.

        Args:
            directory: Its path.
            resolve: Returns the subject of an entry by its name; None for entries of no interest.
            contents: Whether each write to a file counts, and not only its closing.
        """
        if self._inotify is None or directory in self._numbers:
            return
        mask = inotify.ENTRIES | inotify.CLOSE_WRITE | inotify.DELETE_SELF | inotify.MOVE_SELF
        try:
            mask |= inotify.MODIFY if contents else 0
            number = disk.call(directory, self._inotify.add, directory, mask)
        except OSError as error:
            if error.errno == errno.ENOSPC:  # the user's watches are used up; polling goes on
                self.refused += 1
            return
        self._numbers[directory] = number
        self._listings[number] = _Listing(directory, resolve)

    def forget(self, path: str) -> None:
        """Stop watching a file or directory."""
        self._spots.pop(path, None)
        number = self._numbers.pop(path, None)
        if number is not None and self._inotify is not None:
            self._listings.pop(number, None)
            self._inotify.remove(number)

    def collect(self) -> set[Subject]:
        """Return the subjects that changed since the last call, without waiting."""
        self._hear()
        self._look_around()
        found, self._pending = self._pending, set()
        return found

    def due(self) -> float:
        """Return the seconds until the next poll; infinite when there is none."""
        now = self._clock()
        self._grant(now)
        while self._agenda and self._is_stale(self._agenda[0]):
            heapq.heappop(self._agenda)
        if not self._agenda:
            return float("inf")
        short = max(0.0, 1.0 - self._allowance) / LOOKS_PER_SECOND
        return max(0.0, self._agenda[0][0] - now, short, self._looked + GRAIN - now)

    def close(self) -> None:
        """Close inotify."""
        if self._inotify is not None:
            self._inotify.close()

    def _hear(self) -> None:
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
        """Take the loss of a directory, removed or moved: its path has changed."""
        if event.mask & inotify.IGNORED:
            self._listings.pop(event.watch, None)
            if self._numbers.get(listing.path) == event.watch:
                del self._numbers[listing.path]
        spot = self._mark_told(listing.path)
        if spot is not None:
            self._pending.add(spot.subject)

    def _doubt_all(self) -> None:
        """Poll everything as soon as the allowance permits, since events were lost."""
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
            self._hear()  # inotify may have reported the change since we last read its events
            spot.signature = found
            spot.proven = spot.told
            spot.changed = now
            # Also when inotify reported it: another host may have written again since.
            self._pending.add(spot.subject)
        spot.told = False
        self._plan(spot, now)

    def _plan(self, spot: _Spot, now: float, interval: float | None = None) -> None:
        """Plan the next poll of a path."""
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
        """Return whether an entry of the agenda was replaced by a later one, or its path is not watched any more."""
        spot = self._spots.get(entry[1])
        return spot is None or spot.serial != entry[2]

    def _grant(self, now: float) -> None:
        earned = (now - self._counted) * LOOKS_PER_SECOND
        self._allowance = min(self._allowance + earned, float(LOOKS_PER_SECOND))
        self._counted = now
