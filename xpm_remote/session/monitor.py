"""A workspace under observation: its store, the state of the link to it, and those who want to know."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable

from xpm_remote.errors import XpmRemoteError
from xpm_remote.link.prompts import Prompter, RefusingPrompter
from xpm_remote.model.changes import Change, in_time_order, net
from xpm_remote.model.store import Store
from xpm_remote.rpc.client import REQUEST_TIMEOUT
from xpm_remote.session.retry import Schedule, is_transient
from xpm_remote.session.session import RECONCILE_INTERVAL, Session
from xpm_remote.session.state import Digest, LinkState, Phase, Picture, Update
from xpm_remote.session.target import Target

RECONNECTING = "nobody is asked while a lost link is restored; start again to answer"

Listener = Callable[[Update], None]


class Monitor:
    """Observes one workspace.

    Args:
        target: The workspace.
        timeout: Seconds without an answer after which a request has failed.
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
        self._timeout = timeout
        self._interval = interval
        self._listeners: list[Listener] = []
        self._link = LinkState(Phase.CONNECTING, time.time())
        self._session = self._new_session(prompter=None)
        self._heard: float | None = None
        self._was_live = False
        self._gap: list[Change] = []
        self._schedule = Schedule(random.random)
        self._retry_wanted = asyncio.Event()

    @property
    def picture(self) -> Picture:
        """All that is to be seen at this moment."""
        return Picture(
            host=self.target.name,
            workspace=self.target.workspace,
            link=self._link,
            heard=self._session.heard or self._heard,
            skew=self._session.skew,
            store=self.store,
        )

    def subscribe(self, listener: Listener) -> None:
        """Have a function called with every update; one with no changes and no notice: the link's state changed."""
        self._listeners.append(listener)

    def retry_now(self) -> None:
        """Cut short the wait for the next attempt."""
        self._retry_wanted.set()

    async def snapshot(self) -> None:
        """Learn everything once.

        Raises:
            XpmRemoteError: Any of its kinds: this did not succeed.
        """
        try:
            await self._session.snapshot()
        except XpmRemoteError as error:
            self._end(error)
            raise

    async def run(self) -> None:
        """Observe until told to stop: once seen, a workspace is come back to whenever the link is lost.

        Raises:
            XpmRemoteError: The first attempt failed, or a later one for a cause that does not pass.
        """
        while True:
            try:
                await self._session.run(self._interval)
            except XpmRemoteError as error:
                if not (self._was_live and is_transient(error)):
                    self._end(error)
                    raise
                await self._wait_for_retry(error)
            self._heard = self._session.heard or self._heard
            # Whoever was at the terminal may have left it, and the picture is drawn on it.
            self._session = self._new_session(RefusingPrompter(RECONNECTING))

    def _new_session(self, prompter: Prompter | None) -> Session:
        return Session(
            self.target,
            self.store,
            publish=self._publish,
            enter=self._enter,
            timeout=self._timeout,
            prompter=prompter,
        )

    async def _wait_for_retry(self, error: XpmRemoteError) -> None:
        delay = self._schedule.next_delay(asyncio.get_running_loop().time())
        now = time.time()
        self._retry_wanted.clear()
        self._set_link(
            LinkState(
                Phase.WAITING,
                now,
                detail=str(error),
                stale_since=self._link.stale_since or now,
                retry_at=now + delay,
            )
        )
        with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
            await asyncio.wait_for(self._retry_wanted.wait(), delay)

    def _enter(self, phase: Phase) -> None:
        """Take note of a phase that the session has reached."""
        now = time.time()
        if phase is not Phase.LIVE:
            self._set_link(
                LinkState(phase, now, detail=self._link.detail, stale_since=self._link.stale_since)
            )
            return
        away = now - (self._link.stale_since or now)
        changes = in_time_order(net(self._gap))
        self._gap.clear()
        digest = Digest.of(changes, away) if self._was_live else None
        self._was_live = True
        self._schedule.reset()
        self._set_link(LinkState(phase, now, digest=digest))
        if changes:
            self._tell(Update(tuple(changes), recovered=True))

    def _end(self, error: XpmRemoteError) -> None:
        self._set_link(
            LinkState(
                Phase.ENDED, time.time(), detail=str(error), stale_since=self._link.stale_since
            )
        )

    def _set_link(self, link: LinkState) -> None:
        self._link = link
        self._tell(Update())

    def _publish(self, update: Update) -> None:
        """Pass on what a session found; after a gap, what its snapshot finds is told when that is complete."""
        if self._was_live and self._link.phase is not Phase.LIVE:
            self._gap.extend(update.changes)
            update = Update(notice=update.notice)
        self._tell(update)

    def _tell(self, update: Update) -> None:
        for listener in self._listeners:
            listener(update)
