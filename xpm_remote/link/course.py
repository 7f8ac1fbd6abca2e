"""Following the waits of a connection: each ends at its limit, and is told when it lasts."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from xpm_remote.link.observer import Observer
from xpm_remote.link.waits import WAIT_SHOWN, CurrentWait, Limits, Said, Wait, nothing_said

_Result = TypeVar("_Result")


class Course:
    """The waits of one host, of which one follows another.

    Args:
        observer: Receives them.
        where: The host, for messages.
        limits: The seconds of each.
        said: Returns what the host has printed last.

    Attributes:
        said: The same; it counts for the waits that begin after it was set.
    """

    def __init__(
        self, observer: Observer, where: str, limits: Limits, said: Said = nothing_said
    ) -> None:
        self._observer = observer
        self._where = where
        self._limits = limits
        self.said = said
        self._until: asyncio.TimerHandle | None = None
        self._late: asyncio.Event = asyncio.Event()
        self._current: tuple[CurrentWait, float] | None = None

    def enter(
        self, wait: Wait, limit: float | None = None, where: str = "", grace: float = 0.0
    ) -> None:
        """Begin to wait for something; what was waited for before has come.

        Args:
            wait: What is waited for.
            limit: Its seconds instead of the usual ones.
            where: The host as it is named for this wait.
            grace: Seconds after the limit in which what has a limit of its own may tell its end itself.
        """
        self.leave()
        seconds = self._limits.of(wait) if limit is None else limit
        current = CurrentWait(wait, where or self._where, time.time(), self.said)
        self._current = current, seconds
        if seconds < math.inf:
            self._until = asyncio.get_running_loop().call_later(seconds + grace, self._late.set)
        self._observer.wait_for(current)

    def leave(self) -> None:
        """Stop waiting, without a limit for what follows: a person takes part, or it is done."""
        if self._until is not None:
            self._until.cancel()
        self._until = self._current = None
        self._observer.wait_for(None)

    async def carry(self, work: Awaitable[_Result]) -> _Result:
        """Wait for a result as long as no wait reaches its limit, and return it.

        Raises:
            XpmRemoteError: One has; the error names it.
        """
        task = asyncio.ensure_future(work)
        late = asyncio.create_task(self._late.wait(), name="limit")
        try:
            await asyncio.wait({task, late}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done() and self._current is not None:
                current, seconds = self._current
                raise current.late(seconds)
            return await task
        finally:
            self.leave()
            for each in (task, late):
                each.cancel()
            await asyncio.wait({task, late})
            if not task.cancelled():
                task.exception()  # retrieved, so that asyncio does not log it


class LastWait(Observer):
    """Records what is waited for.

    Attributes:
        current: What is waited for now; None: nothing of the host's.
    """

    def __init__(self) -> None:
        self.current: CurrentWait | None = None

    def wait_for(self, current: CurrentWait | None) -> None:
        """Record it."""
        self.current = current


class SlowWaits(Observer):
    """Tells what is waited for, once a wait has lasted.

    Args:
        tell: Called with a line for each wait that lasts.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._timer: asyncio.TimerHandle | None = None

    def wait_for(self, current: CurrentWait | None) -> None:
        """Begin to count the seconds of a wait."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if current is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(WAIT_SHOWN, self._tell_wait, current)

    def _tell_wait(self, current: CurrentWait) -> None:
        self._tell(f"waiting for {current.words}")


class WaitsOnly(Observer):
    """Passes on what is waited for, but not the steps, which have been recorded before.

    Args:
        observer: Receives it.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def wait_for(self, current: CurrentWait | None) -> None:
        """Pass it on."""
        self._observer.wait_for(current)
