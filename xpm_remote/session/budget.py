"""How much may be asked of a server at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Budget:
    """Shares out a size among those who ask for a part of it, in their order.

    Args:
        size: What may be spent at the same time; who asks for more gets all of it.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._left = size
        self._order = asyncio.Lock()
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def spend(self, cost: int) -> AsyncIterator[None]:
        """Hold a part of it, as soon as there is enough."""
        cost = min(cost, self._size)
        async with self._order:
            while self._left < cost:
                self._freed.clear()
                await self._freed.wait()
            self._left -= cost
        try:
            yield
        finally:
            self._left += cost
            self._freed.set()
