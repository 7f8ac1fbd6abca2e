"""Waiting with a limit or until a signal; a cancellation is never lost."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Iterator
from typing import Any, TypeVar

from xpm_remote.errors import StoppedBySignal

_Result = TypeVar("_Result")

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def handled_signals(handle: Callable[[int], None]) -> Iterator[Callable[[int], None]]:
    """Call a handler on SIGINT, SIGTERM and SIGHUP, without an event loop; in the main thread only.

    Args:
        handle: Is called with the number of the signal.

    Yields:
        What restores the handler that a signal had before, as all are restored at the end.
    """
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def restore(number: int) -> None:
        signal.signal(number, before[signal.Signals(number)])

    for number in _SIGNALS:
        signal.signal(number, lambda caught, _: handle(caught))
    try:
        yield restore
    finally:
        for number in _SIGNALS:
            restore(number)


async def wait_within(awaitable: Awaitable[_Result], seconds: float | None) -> _Result:
    """Wait for a result, for at most a number of seconds, and return it.

    ``asyncio.wait_for`` before Python 3.12 loses a cancellation that arrives together with the result: the task that
    cancelled would wait for ever.

    Args:
        awaitable: Cancelled when the time is over, or when the caller is cancelled.
        seconds: The limit; None: there is none.

    Raises:
        asyncio.TimeoutError: The time is over.
    """
    task = asyncio.ensure_future(awaitable)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if task.done():
            return task.result()
    finally:
        await _end(task)
    raise asyncio.TimeoutError


async def _end(task: asyncio.Future[_Result]) -> None:
    if not task.done():
        task.cancel()
        await asyncio.wait({task})
    if not task.cancelled():
        task.exception()  # retrieved, so that asyncio does not log it


async def race(*works: Coroutine[Any, Any, object]) -> None:
    """Wait until one of several coroutines ends; cancel the others; raise what that one raised.

    Of several that have ended at once, the first argument counts.
    """
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task in done:
                task.result()
                return
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


_TAKEN: dict[int, Callable[[], object]] = {}


@contextlib.contextmanager
def taken(take: Callable[[], object], *numbers: int) -> Iterator[None]:
    """Call a function for signals of the terminal, which do not end the whole meanwhile.

    Args:
        take: The function.
        numbers: The signals.
    """
    _TAKEN.update(dict.fromkeys(numbers, take))
    try:
        yield
    finally:
        for number in numbers:
            del _TAKEN[number]


@contextlib.contextmanager
def _signals_to(loop: asyncio.AbstractEventLoop, stop: Callable[[int], None]) -> Iterator[None]:
    """Call a function in a loop for each of the signals, once.

    The loop alone loses one that comes while its pipe is full of calls of other threads, as when much is typed.
    """
    caught: deque[int] = deque()

    def take() -> None:
        while caught:
            stop(caught.popleft())

    def note(number: int, _frame: object) -> None:
        caught.append(number)
        loop.call_soon_threadsafe(take)

    for number in _SIGNALS:
        loop.add_signal_handler(
            number, take
        )  # so that the loop wakes, whichever thread gets the signal
        signal.signal(number, note)
    signal.set_wakeup_fd(signal.set_wakeup_fd(-1), warn_on_full_buffer=False)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
        take()


def run_until_signal(work: Coroutine[Any, Any, None]) -> int:
    """Run a coroutine to its end, or until SIGINT, SIGTERM or SIGHUP; return the exit status."""
    # What was imported stays: looking through it for garbage would block the loop again and again.
    gc.freeze()
    return asyncio.run(_run_until_signal(work))


async def _run_until_signal(work: Coroutine[Any, Any, None]) -> int:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    caught: list[int] = []

    def stop(number: int) -> None:
        if number in _TAKEN:
            _TAKEN[number]()
            return
        # A second signal cancels the clean-up that the first has begun.
        caught.append(number)
        task.cancel()

    with _signals_to(loop, stop):
        try:
            await task
        except asyncio.CancelledError:
            if not caught:
                raise
            return StoppedBySignal(caught[0]).exit_code
    return 0


class StepLoop:
    """An event loop that runs only while a step is waited for."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[Any] | None = None
        self._caught: list[int] = []

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Run a step and return its result.

        Raises:
            StoppedBySignal: A signal came; the work was cancelled.
        """
        if self._caught:  # at the end of the previous step, which returned its result
            work.close()
            raise self._stopped()
        with contextlib.ExitStack() as handling:
            try:
                handling.enter_context(_signals_to(self._loop, self._stop))
            except BaseException:  # Ctrl-C, before there was a handler
                work.close()
                raise
            task = self._loop.create_task(work)
            self._task = task
            try:
                return self._loop.run_until_complete(task)
            except asyncio.CancelledError:
                if not self._caught:
                    raise
                raise self._stopped() from None

    def each(self, work: AsyncGenerator[_Result, None]) -> Generator[_Result, None, None]:
        """Yield the items of an asynchronous generator, one step each; closing this closes that."""
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
        """Note a signal and cancel the present step, which may be the one after that in which it came."""
        self._caught.append(number)
        if self._task is not None:
            self._task.cancel()

    def _stopped(self) -> StoppedBySignal:
        first, *_ = self._caught
        self._caught.clear()
        return StoppedBySignal(first)

    def close(self) -> None:
        """End the remaining tasks and the loop; a signal that came with the last result is ignored."""
        for end in (self._loop.shutdown_asyncgens, _end_tasks):
            self._caught.clear()
            with contextlib.suppress(StoppedBySignal):
                self.run(end())
        self._loop.close()


async def _next(work: AsyncGenerator[_Result, None]) -> _Result:
    return await work.__anext__()


async def _end_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
