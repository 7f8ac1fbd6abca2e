"""Asynchronous work done step by step from code that waits for each step; a signal ends it in order."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator, Coroutine, Generator
from typing import Any, TypeVar

from click.exceptions import Exit

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_BY_SIGNAL = 128
"""What a shell adds to the number of the signal that ended a command."""


class StepLoop:
    """An event loop that runs while a step is waited for, and rests between two."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[Any] | None = None
        self._caught: list[int] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do a step.

        Raises:
            Exit: A signal came; the work was cancelled, and the exit status says which signal.
        """
        if self._caught:  # at the end of the step before, whose result counted
            work.close()
            raise self._exit()
        task = self._loop.create_task(work)
        self._task = task
        for number in _SIGNALS:
            self._loop.add_signal_handler(number, self._stop, number)
        try:
            return self._loop.run_until_complete(task)
        except asyncio.CancelledError:
            if not self._caught:
                raise
            raise self._exit() from None
        finally:
            for number in _SIGNALS:
                self._loop.remove_signal_handler(number)

    def each(self, work: AsyncGenerator[T, None]) -> Generator[T, None, None]:
        """Give what comes, one step each; closing it closes the work."""
        try:
            while True:
                try:
                    item = self.run(_next(work))
                except StopAsyncIteration:
                    return
                yield item
        finally:
            self.run(work.aclose())

    def _stop(self, number: int) -> None:
        """Note a signal. That it came may be told only in the step after: then that is the one to be ended."""
        self._caught.append(number)
        if self._task is not None:
            self._task.cancel()

    def _exit(self) -> Exit:
        first, *_ = self._caught
        self._caught.clear()
        return Exit(_BY_SIGNAL + first)

    def close(self) -> None:
        """End what is left; a signal that came with the last result ends nothing any more."""
        self._caught.clear()
        with contextlib.suppress(Exit):
            self.run(self._loop.shutdown_asyncgens())
        self.run(_end_tasks())
        self._loop.close()


async def _next(work: AsyncGenerator[T, None]) -> T:
    return await work.__anext__()


async def _end_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
