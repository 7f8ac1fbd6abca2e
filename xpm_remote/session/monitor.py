"""A workspace under observation: its store, the state of the link to it, and those who want to know."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any

from xpm_remote.errors import XpmRemoteError
from xpm_remote.model.store import Store
from xpm_remote.rpc.client import REQUEST_TIMEOUT
from xpm_remote.session.session import RECONCILE_INTERVAL, Session
from xpm_remote.session.state import LinkState, Phase, Picture, Update
from xpm_remote.session.target import Target

Listener = Callable[[Update], None]


class Monitor:
    """Observes one workspace.

    Args:
        target: The workspace.
        timeout: Seconds of silence after which a request has failed.
        interval: Seconds between two reconciliations.
    """

    def __init__(
        self,
        target: Target,
        *,
        timeout: float = REQUEST_TIMEOUT,
        interval: float = RECONCILE_INTERVAL,
    ) -> None:
        self.target = target
        self.store = Store()
        self._interval = interval
        self._listeners: list[Listener] = []
        self._link = LinkState(Phase.CONNECTING, time.time())
        self._session = Session(
            target, self.store, publish=self._publish, enter=self._enter, timeout=timeout
        )

    @property
    def picture(self) -> Picture:
        """All that is to be seen at this moment."""
        return Picture(
            host=self.target.name,
            workspace=self.target.workspace,
            link=self._link,
            heard=self._session.heard,
            skew=self._session.skew,
            store=self.store,
        )

    def subscribe(self, listener: Listener) -> None:
        """Have a function called with every update; one with no changes and no notice: the link's state changed."""
        self._listeners.append(listener)

    async def snapshot(self) -> None:
        """Learn everything once.

        Raises:
            XpmRemoteError: Any of its kinds: this did not succeed.
        """
        await self._ending(self._session.snapshot)

    async def run(self) -> None:
        """Observe until the link ends.

        Raises:
            XpmRemoteError: Any of its kinds: why it ended.
        """

        async def run() -> None:
            await self._session.run(self._interval)

        await self._ending(run)

    async def _ending(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except XpmRemoteError as error:
            self._link = LinkState(Phase.ENDED, time.time(), str(error))
            self._publish(Update())
            raise

    def _enter(self, phase: Phase) -> None:
        self._link = LinkState(phase, time.time())
        self._publish(Update())

    def _publish(self, update: Update) -> None:
        for listener in self._listeners:
            listener(update)
