"""Waiting with a limit, such that being told to stop is never missed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

_Result = TypeVar("_Result")


async def wait_within(awaitable: Awaitable[_Result], seconds: float | None) -> _Result:
    """Wait for a result, no longer than so many seconds.

    ``asyncio.wait_for`` before Python 3.12 forgets a cancellation that comes together with the result, and whoever
    cancelled would wait for ever.

    Args:
        awaitable: What is cancelled when the time is over, or when we are.
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
        task.exception()  # looked at, so that nobody complains that it was not
