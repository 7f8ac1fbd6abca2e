"""Steps of asynchronous work, and the signals that end them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Iterator

import pytest
from click.exceptions import Exit

from xpm_remote.cli.remote_loop import StepLoop


@pytest.fixture
def loop() -> Iterator[StepLoop]:
    """A loop, closed in the end."""
    made = StepLoop()
    yield made
    made.close()


async def send(number: int) -> str:
    """Send a signal to ourselves, and have nothing more to wait for."""
    os.kill(os.getpid(), number)
    return "done"


async def rest() -> None:
    """Have nothing to do."""
    await asyncio.sleep(0)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_in_a_step(loop: StepLoop, number: int, status: int) -> None:
    """A signal ends the step, whose work can put down what it has in hand."""
    put_down = []

    async def work() -> None:
        try:
            await send(number)
            await asyncio.Event().wait()
        finally:
            put_down.append(True)

    with pytest.raises(Exit) as raised:
        loop.run(work())
    assert (raised.value.exit_code, put_down) == (status, [True])
    loop.run(rest())


def test_signal_at_the_end_of_a_step(loop: StepLoop) -> None:
    """A signal that comes with the result of a step ends the next one; the result counts, and nothing is forgotten."""
    assert loop.run(send(signal.SIGINT)) == "done"
    with pytest.raises(Exit) as raised:
        loop.run(asyncio.Event().wait())
    assert raised.value.exit_code == 130
    loop.run(rest())


def test_signal_while_results_stream(loop: StepLoop) -> None:
    """However fast results come, a signal ends them."""

    async def results() -> AsyncGenerator[int, None]:
        for number in range(10_000):
            if number == 5:
                os.kill(os.getpid(), signal.SIGINT)
            yield number

    got: list[int] = []
    with pytest.raises(Exit):
        got.extend(loop.each(results()))
    assert loop._caught == []


def test_signal_before_the_end(loop: StepLoop) -> None:
    """A signal that came with the last result is no obstacle to closing."""
    assert loop.run(send(signal.SIGINT)) == "done"


def test_cancelled_by_itself(loop: StepLoop) -> None:
    """Work that is cancelled without a signal says so."""

    async def work() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        loop.run(work())
