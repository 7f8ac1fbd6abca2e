"""Waiting with a limit."""

from __future__ import annotations

import asyncio

import pytest

from xpm_remote.waiting import wait_within

LONG = 60.0


async def test_result() -> None:
    """What comes in time is given."""

    async def give() -> int:
        await asyncio.sleep(0)
        return 7

    assert await wait_within(give(), LONG) == 7


async def test_error() -> None:
    """What fails in time fails."""

    async def fail() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await wait_within(fail(), LONG)


async def test_limit() -> None:
    """What comes too late is cancelled, and has ended by then."""
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
    """Whoever is cancelled in the moment in which the result comes is cancelled."""
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
    """At every moment around the result, a cancellation is not lost, and no error is left to complain about."""

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
