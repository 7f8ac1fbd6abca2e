"""Threads that wait for changes, and make a step when there is one."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from typing import Callable

from xpm_remote.workspace.optional import select

SETTLE_TIME = 0.03
"""Seconds between the first sign of a change and reading it: what is written at once is read once."""

MAX_LOAD = 0.5
"""The share of its time that a thread may work while changes keep coming."""

LONGEST_REST = 1.0
"""Seconds of rest after a step, at most, however long that took."""

LONGEST_WAIT = 3600.0
"""Seconds of one wait, since the system takes no endless ones together with a limit."""


class _Bell:
    """Wakes the thread that waits for it."""

    def __init__(self) -> None:
        self._rung = threading.Event()

    def ring(self) -> None:
        """End a wait, or the next one."""
        self._rung.set()

    def wait(self, seconds: float) -> bool:
        """Wait for it; return whether something else ended the wait."""
        self._rung.wait(seconds)
        return False

    def rest(self, seconds: float) -> None:
        """Wait for it alone."""
        self._rung.wait(seconds)

    def silence(self) -> None:
        """End what ``ring`` began."""
        self._rung.clear()


class _PollingBell(_Bell):
    """One beside a descriptor, whose being readable ends a wait, too."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._woken, self._waker = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._waker, False)

    def ring(self) -> None:
        with contextlib.suppress(BlockingIOError):  # it is full: the thread will wake up
            os.write(self._waker, b".")

    def wait(self, seconds: float) -> bool:
        return self._descriptor in self._poll(seconds, self._descriptor, self._woken)

    def rest(self, seconds: float) -> None:
        self._poll(seconds, self._woken)

    def silence(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, select.PIPE_BUF)

    def _poll(self, seconds: float, *descriptors: int) -> set[int]:
        poll = select.poll()
        for each in descriptors:
            poll.register(each, select.POLLIN)
        return {each for each, _ in poll.poll(1000 * seconds)}


class Loop(threading.Thread):
    """A thread that makes a step whenever one is due or its descriptor is readable.

    Args:
        name: The thread's name, as tracebacks show it.
        descriptor: Is readable when there is something to do; None when steps are due by time only.
        wait_time: Returns the seconds until a step is due.
        step: Makes it.
    """

    def __init__(
        self,
        name: str,
        descriptor: int | None,
        wait_time: Callable[[], float],
        step: Callable[[], None],
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._wait_time = wait_time
        self._step = step
        self._calls: deque[Callable[[], None]] = deque()
        self._bell = _Bell() if descriptor is None else _PollingBell(descriptor)

    def call(self, function: Callable[[], None]) -> None:
        """Call a function in the thread, before its next step."""
        self._calls.append(function)
        self._bell.ring()

    def run(self) -> None:
        """Make steps until the process ends."""
        while True:
            if self._bell.wait(min(self._wait_time(), LONGEST_WAIT)):
                self._bell.rest(SETTLE_TIME)
            self._bell.silence()
            began = time.monotonic()
            while self._calls:
                self._calls.popleft()()
            self._step()
            busy = time.monotonic() - began
            self._bell.rest(min(busy / MAX_LOAD - busy, LONGEST_REST))
