"""How much may be asked at once."""

from __future__ import annotations

import asyncio
import contextlib

from xpm_remote.session.budget import Budget


class Spending:
    """Spenders of a budget of ten.

    Attributes:
        active: Who holds a part now, in the order in which they got it.
    """

    def __init__(self) -> None:
        self.budget = Budget(10)
        self.active: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def begin(self, **costs: int) -> None:
        """Let some ask for their parts."""
        for name, cost in costs.items():
            self._ends[name] = asyncio.Event()
            self._tasks[name] = asyncio.create_task(self._spend(name, cost))
        await self._settle()

    async def end(self, name: str) -> None:
        """Let one give back what it holds."""
        self._ends[name].set()
        await self._tasks[name]
        await self._settle()

    async def cancel(self, name: str) -> None:
        """Let one go away."""
        self._tasks[name].cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._tasks[name]
        await self._settle()

    async def _spend(self, name: str, cost: int) -> None:
        async with self.budget.spend(cost):
            self.active.append(name)
            await self._ends[name].wait()
            self.active.remove(name)

    async def _settle(self) -> None:
        for _ in range(10):  # turns of the loop: each step of a spender takes one or two
            await asyncio.sleep(0)


async def test_as_many_as_fit() -> None:
    """Small ones go together; who does not fit waits until enough is given back."""
    spending = Spending()
    await spending.begin(a=4, b=6, c=5)
    assert spending.active == ["a", "b"]
    await spending.end("a")
    assert spending.active == ["b"]
    await spending.end("b")
    assert spending.active == ["c"]


async def test_in_order() -> None:
    """Who comes later does not overtake, even if it would fit."""
    spending = Spending()
    await spending.begin(a=6, b=6, c=1)
    assert spending.active == ["a"]
    await spending.end("a")
    assert spending.active == ["b", "c"]


async def test_larger_than_all() -> None:
    """Who asks for more than there is gets all of it, alone; who asks for nothing gets it in its turn."""
    spending = Spending()
    await spending.begin(a=100, b=0)
    assert spending.active == ["a", "b"]
    await spending.begin(c=1)
    assert spending.active == ["a", "b"]
    await spending.end("a")
    assert spending.active == ["b", "c"]


async def test_cancelled() -> None:
    """One that goes away, waiting or holding, keeps nothing from the others."""
    spending = Spending()
    await spending.begin(a=10, b=10, c=10)
    await spending.cancel("b")
    assert spending.active == ["a"]
    await spending.cancel("a")
    assert spending.active[-1] == "c"
