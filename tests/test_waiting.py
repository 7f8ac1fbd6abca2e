"""Waiting with a limit, or step by step until a signal."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import closing
from types import FrameType
from typing import TYPE_CHECKING

import pytest

from xpm_remote import waiting
from xpm_remote.errors import StoppedBySignal
from xpm_remote.waiting import StepLoop, race, run_until_signal, wait_within

if TYPE_CHECKING:
    from _typeshed import TraceFunction

LONG = 60.0


async def test_result() -> None:
    """A result in time is returned."""

    async def give() -> int:
        await asyncio.sleep(0)
        return 7

    assert await wait_within(give(), LONG) == 7


async def test_error() -> None:
    """A failure in time is raised."""

    async def fail() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await wait_within(fail(), LONG)


async def test_limit() -> None:
    """Work that exceeds the limit is cancelled, and has ended by then."""
    ended = asyncio.Event()

    async def last() -> None:
        try:
            await asyncio.sleep(LONG)
        finally:
            ended.set()

    with pytest.raises(asyncio.TimeoutError):
        await wait_within(last(), 0.0)
    assert ended.is_set()


async def test_cancelled_together_with_the_result() -> None:
    """A cancellation at the moment of the result is a cancellation."""
    event = asyncio.Event()
    task = asyncio.create_task(wait_within(event.wait(), LONG))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    event.set()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("turns", range(5))
async def test_cancelled_at_any_moment(turns: int) -> None:
    """At any moment around the result, a cancellation is not lost, and no error is left unhandled."""

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("nobody looks")

    async def keep_on() -> None:
        while True:
            try:
                await wait_within(fail(), LONG)
            except ValueError:
                await asyncio.sleep(0)

    task = asyncio.create_task(keep_on())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=5)
    assert done
    assert task.cancelled()


@pytest.fixture
def loop() -> Iterator[StepLoop]:
    """A loop, closed in the end."""
    made = StepLoop()
    yield made
    made.close()


async def send(number: int) -> str:
    """Send a signal to ourselves, without anything more to wait for."""
    os.kill(os.getpid(), number)
    return "done"


async def rest() -> None:
    """Do nothing."""
    await asyncio.sleep(0)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_in_a_step(loop: StepLoop, number: int, status: int) -> None:
    """A signal ends the step, which can clean up."""
    put_down = []

    async def work() -> None:
        try:
            await send(number)
            await asyncio.Event().wait()
        finally:
            put_down.append(True)

    with pytest.raises(StoppedBySignal) as raised:
        loop.run(work())
    assert (raised.value.exit_code, put_down) == (status, [True])
    loop.run(rest())


def test_signal_at_the_end_of_a_step(loop: StepLoop) -> None:
    """A signal that comes with the result of a step ends the next one; the result counts."""
    assert loop.run(send(signal.SIGINT)) == "done"
    with pytest.raises(StoppedBySignal) as raised:
        loop.run(asyncio.Event().wait())
    assert raised.value.exit_code == 130
    loop.run(rest())


def interrupted_at(line: int) -> tuple[int, list[int], bool]:
    """Take three results of a stream, with Ctrl-C at one of the lines that are run in ``waiting``.

    Returns:
        How many lines were run, the results until then, and whether that ended the work.
    """
    count = 0
    got: list[int] = []

    async def results() -> AsyncGenerator[int, None]:
        for number in range(3):
            await asyncio.sleep(0)
            yield number

    def trace(frame: FrameType, event: str, _: object) -> TraceFunction | None:
        nonlocal count
        if frame.f_code.co_filename != waiting.__file__:
            return None
        count += event == "line"
        if event == "line" and count == line:
            signal.raise_signal(signal.SIGINT)
        return trace

    loop, before = StepLoop(), sys.gettrace()
    try:
        sys.settrace(trace)
        with closing(loop.each(results())) as stream:
            got.extend(stream)
        loop.run(rest())
    except (StoppedBySignal, KeyboardInterrupt):
        return count, got, True
    finally:
        sys.settrace(before)
        loop.close()
    return count, got, False


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_interrupted_at_any_line() -> None:
    """Whichever line of a step Ctrl-C meets, the work ends by it unless all is done, and no other error comes of it."""
    lines, _, _ = interrupted_at(0)
    assert lines > 50
    for line in range(1, lines + 1):
        _, got, was_stopped = interrupted_at(line)
        assert was_stopped or got == [0, 1, 2], line


def test_signal_while_results_stream(loop: StepLoop) -> None:
    """A signal ends a fast stream of results."""

    async def results() -> AsyncGenerator[int, None]:
        for number in range(10_000):
            if number == 5:
                os.kill(os.getpid(), signal.SIGINT)
            yield number

    got: list[int] = []
    with pytest.raises(StoppedBySignal):
        got.extend(loop.each(results()))
    assert loop._caught == []


def test_signal_before_the_end(loop: StepLoop) -> None:
    """A signal that came with the last result does not prevent closing."""
    assert loop.run(send(signal.SIGINT)) == "done"


def test_cancelled_by_itself(loop: StepLoop) -> None:
    """Work that is cancelled without a signal raises the cancellation."""

    async def work() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        loop.run(work())


PATIENCE = 5.0
"""Seconds for what should happen at once; bounds a test that hangs."""


class Work:
    """Work that runs until it is cancelled, and records that."""

    def __init__(self) -> None:
        self.was_cancelled = False

    async def go_on(self) -> None:
        """Run on."""
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise


async def fail(words: str) -> None:
    """Fail at once."""
    raise ValueError(words)


async def end() -> None:
    """End at once."""


async def test_first_end_ends_all() -> None:
    """When one work has ended, the others are ended, too."""
    work = Work()
    await asyncio.wait_for(race(work.go_on(), end()), PATIENCE)
    assert work.was_cancelled


async def test_failure_is_raised() -> None:
    """The failure of the first one is raised; of two at once, that of the first in order."""
    work = Work()
    with pytest.raises(ValueError, match="one"):
        await asyncio.wait_for(race(work.go_on(), fail("one"), fail("two")), PATIENCE)
    assert work.was_cancelled


async def test_cancelled() -> None:
    """A cancelled call leaves no work running."""
    work = Work()
    task = asyncio.ensure_future(race(work.go_on()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.was_cancelled


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_among_very_many_calls(number: int) -> None:
    """A signal that comes when the pipe of the loop is full of calls of other threads is not lost, and counts once."""
    ended = []

    async def work() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(10_000):
            loop.call_soon_threadsafe(int)
        os.kill(os.getpid(), number)
        try:
            await asyncio.wait_for(asyncio.Event().wait(), LONG)
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)
            ended.append(True)
            raise

    assert (run_until_signal(work()), ended) == (128 + number, [True])
