"""Works that race: the first end counts, and nobody is left running."""

from __future__ import annotations

import asyncio

import pytest

from xpm_remote.session.racing import race

PATIENCE = 5.0
"""Seconds for what should happen at once; bounds a test that hangs."""


class Work:
    """Work that goes on until it is cancelled, and says so."""

    def __init__(self) -> None:
        self.was_cancelled = False

    async def go_on(self) -> None:
        """Go on."""
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
    """What the first one raised is raised; of two at once, that of the first in order."""
    work = Work()
    with pytest.raises(ValueError, match="one"):
        await asyncio.wait_for(race(work.go_on(), fail("one"), fail("two")), PATIENCE)
    assert work.was_cancelled


async def test_cancelled() -> None:
    """Who is cancelled leaves nobody running."""
    work = Work()
    task = asyncio.ensure_future(race(work.go_on()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.was_cancelled
