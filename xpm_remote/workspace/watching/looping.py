"""Threads that wait for changes, and make a step when there is one."""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from typing import Callable

SETTLE_TIME = 0.03
"""Seconds between the first sign of a change and reading it: what is written at once is read once."""

MAX_LOAD = 0.5
"""The share of its time that a thread may work while changes keep coming."""

LONGEST_REST = 1.0
"""Seconds of rest after a step, at most, however long that took."""

LONGEST_WAIT = 3600.0
"""Seconds of one wait, since the system takes no endless ones together with a limit."""


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
        self._descriptor = descriptor
        self._wait_time = wait_time
        self._step = step
        self._calls: deque[Callable[[], None]] = deque()
        self._woken, self._waker = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._waker, False)

    def call(self, function: Callable[[], None]) -> None:
        """Call a function in the thread, before its next step."""
        self._calls.append(function)
        try:
            os.write(self._waker, b".")
        except BlockingIOError:
            return  # it is full: the thread will wake up

    def run(self) -> None:
        """Make steps until the process ends."""
        while True:
            self._wait(self._wait_time())
            began = time.monotonic()
            while self._calls:
                self._calls.popleft()()
            self._step()
            busy = time.monotonic() - began
            self._rest(min(busy / MAX_LOAD - busy, LONGEST_REST))

    def _wait(self, seconds: float) -> None:
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        if self._descriptor is not None:
            poll.register(self._descriptor, select.POLLIN)
        ready = {each for each, _ in poll.poll(1000 * min(seconds, LONGEST_WAIT))}
        if self._descriptor in ready:
            self._rest(SETTLE_TIME)
        if self._woken in ready:
            os.read(self._woken, select.PIPE_BUF)

    def _rest(self, seconds: float) -> None:
        """Wait, unless ``call`` is called."""
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        poll.poll(1000 * seconds)
