"""Following logs: several at once, each from a position on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Callable, Dict

from xpm_remote.workspace.failures import WorkspaceFailure
from xpm_remote.workspace.layout import JobFiles, JobId
from xpm_remote.workspace.reading import disk
from xpm_remote.workspace.reading.json_files import NO_ENTRY
from xpm_remote.workspace.reading.reader import WorkspaceReader
from xpm_remote.workspace.states import FINAL
from xpm_remote.workspace.watching.logs import Log, LogPosition, UnreadLogFailure
from xpm_remote.workspace.watching.watch import LIVE, Pace, Watcher

Send = Callable[[str, Dict[str, Any]], None]

FOLLOW_LIMIT = 64
"""Most logs that are followed at once: each costs a ``stat`` a second where inotify reports nothing."""

LOG_PACE = Pace(hot=0.5, cold=2.0, told=LIVE.told)
"""The pace of a log: a person reads it as it grows."""

ROUND_LIMIT = 8
"""Pieces of one log that are sent before the others have their turn."""


FAILING_LIMIT = 60.0
"""Seconds for which a log may be unreadable before that ends following it: file servers fail for moments."""

LIFE_INTERVAL = 2.0
"""Seconds between two checks whether a job still lives: one that is killed leaves no marker."""


class JobLife:
    """Checks whether a job has ended: by its markers, and now and then by whether its process lives.

    Args:
        reader: Reads the workspace.
        files: The job's files.
        job: The job.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        reader: WorkspaceReader,
        files: JobFiles,
        job: JobId,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = reader
        self._files = files
        self._job = job
        self._clock = clock
        self._looked = -LIFE_INTERVAL
        self._was_over = False
        self._answer = False

    def has_ended(self) -> bool:
        """Return whether the job has ended."""
        try:
            is_marked = _is_there(self._files.done) or _is_there(self._files.failed)
        except OSError:
            return self._answer  # what cannot be read has not changed
        if not is_marked and self._clock() - self._looked >= LIFE_INTERVAL:
            self._looked = self._clock()
            facts = self._reader.job(self._job)
            if facts is None or facts.unread is None:
                self._was_over = facts is None or facts.has_died or facts.state in FINAL
        self._answer = is_marked or self._was_over
        return self._answer


def _is_there(path: Path) -> bool:
    try:
        disk.stat(str(path))
    except OSError as error:
        if error.errno in NO_ENTRY:
            return False
        raise
    return True


class _Followed:
    def __init__(self, log: Log, is_over: Callable[[], bool], position: LogPosition | None) -> None:
        self.log = log
        self.is_over = is_over
        self.position = position
        self.has_ended = False
        self.failing_since: float | None = None


class Follower:
    """Sends what is added to logs.

    Args:
        watcher: Watches their files; of this follower alone.
        send: Sends a notification.
        clock: Seconds that never go back.
    """

    def __init__(
        self, watcher: Watcher, send: Send, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._watcher = watcher
        self._send = send
        self._clock = clock
        self._followed: dict[str, _Followed] = {}
        self._ready: set[str] = set()
        self._looked = clock()

    def check_room(self, name: str) -> None:
        """Raise unless one more log can be followed.

        Raises:
            WorkspaceFailure: Too many are followed.
        """
        if len(self._followed) >= FOLLOW_LIMIT and name not in self._followed:
            raise WorkspaceFailure(f"at most {FOLLOW_LIMIT} logs are followed at once")

    def follow(
        self, name: str, log: Log, is_over: Callable[[], bool], position: LogPosition | None
    ) -> None:
        """Follow a log from a position on.

        Args:
            name: The name in its notifications.
            log: The log.
            is_over: Returns whether its job has ended.
            position: Where to begin; None: at the beginning.
        """
        self._followed[name] = _Followed(log, is_over, position)
        self._ready.add(name)
        self._watcher.tell(log.directory, lambda _: log.directory, contents=True)
        self._watcher.add(log.path, log.directory, LOG_PACE)
        self._watcher.add(log.directory, log.directory, LOG_PACE)

    def unfollow(self, name: str) -> None:
        """Stop following a log."""
        followed = self._followed.pop(name, None)
        self._ready.discard(name)
        if followed is None:
            return
        used = {each.log.path for each in self._followed.values()}
        used.update(each.log.directory for each in self._followed.values())
        for path in (followed.log.path, followed.log.directory):
            if path not in used:
                self._watcher.forget(path)

    def wait_time(self) -> float:
        """Return the seconds until the next step is due, if inotify reports nothing before."""
        if self._ready:
            return 0.0
        goes_on = any(not each.has_ended for each in self._followed.values())
        return min(self._watcher.due(), LIFE_INTERVAL) if goes_on else self._watcher.due()

    def step(self) -> None:
        """Send what was added since the last step."""
        changed = self._watcher.collect()
        ready = {
            name for name, each in self._followed.items() if each.log.directory in changed
        } | self._ready
        if self._clock() - self._looked >= LIFE_INTERVAL:
            self._looked = self._clock()
            ready.update(name for name, each in self._followed.items() if not each.has_ended)
        self._ready = set()
        for name in sorted(ready):
            self._advance(name)

    def _advance(self, name: str) -> None:
        followed = self._followed.get(name)
        if followed is None:
            return
        try:
            # Checked before the log is read: a job writes its last output before its marker.
            has_ended = followed.is_over()
            is_more = self._send_pieces(name, followed)
        except (WorkspaceFailure, OSError) as failure:
            if not self._may_pass(followed, failure):
                self._send("notification.log", {"name": name, "error": str(failure)})
                self.unfollow(name)
            return
        followed.failing_since = None
        if is_more:
            self._ready.add(name)
        elif has_ended != followed.has_ended:
            followed.has_ended = has_ended
            self._send("notification.log", {"name": name, "ended": has_ended})

    def _may_pass(self, followed: _Followed, failure: Exception) -> bool:
        """Return whether a failure is one of the file server that has not lasted: the log is read again then."""
        if not isinstance(failure, (UnreadLogFailure, OSError)):
            return False
        if followed.failing_since is None:
            followed.failing_since = self._clock()
        return self._clock() - followed.failing_since < FAILING_LIMIT

    def _send_pieces(self, name: str, followed: _Followed) -> bool:
        """Send up to ``ROUND_LIMIT`` pieces; return whether there are more."""
        for _ in range(ROUND_LIMIT):
            piece = followed.log.after(followed.position)
            followed.position = piece.position
            if piece.text or piece.note:
                self._send("notification.log", {"name": name, **piece.to_wire()})
            if not piece.more:
                return False
        return True
