"""Telling that the file server of the workspace does not answer: the thread that waits for it cannot."""

from __future__ import annotations

import threading
import time
from typing import Any, Callable

from xpm_remote.workspace.agent.wire import Notify
from xpm_remote.workspace.reading import disk
from xpm_remote.workspace.reading.json_files import printable

STALL = 4.0
"""Seconds without an answer from which on they are told: a busy server takes less for one call."""

LOOK_INTERVAL = 1.0
"""Seconds between two looks at how long a call has lasted."""


class Watchdog:
    """Sends ``notification.waiting`` when a call that reads the workspace lasts, and once more when it has ended.

    Args:
        notify: Sends a notification.
        clock: Seconds that never go back.
        now: Returns epoch seconds.
    """

    def __init__(
        self,
        notify: Notify,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._notify = notify
        self._clock = clock
        self._now = now
        self._told: str | None = None

    def start(self) -> None:
        """Look from now on, in one thread of its own."""
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(LOOK_INTERVAL)
            self.look()

    def look(self) -> None:
        """Send what is waited for if that is news."""
        found = self.waiting()
        path = None if found is None else found["path"]
        if path != self._told:
            self._told = path
            self._notify("notification.waiting", found or {"path": None})

    def waiting(self) -> dict[str, Any] | None:
        """Return the path that is waited for, and since when; None while the workspace is read."""
        wait = disk.longest_wait()
        lasted = 0.0 if wait is None else self._clock() - wait.began
        if wait is None or lasted < STALL:
            return None
        return {"path": printable(wait.path), "since": round(self._now() - lasted, 3)}
