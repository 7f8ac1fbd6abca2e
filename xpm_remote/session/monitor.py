"""A workspace under observation: its store, the state of the link to it, and those who want to know."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable

from xpm_remote.errors import XpmRemoteError
from xpm_remote.link.host import HostLink
from xpm_remote.link.prompts import Unattended
from xpm_remote.model.agent_rows import AgentRows
from xpm_remote.model.entities import Change, in_time_order, net
from xpm_remote.model.store import Store
from xpm_remote.rpc.client import REQUEST_TIMEOUT
from xpm_remote.session.choosing import Chooser
from xpm_remote.session.reconnect import (
    AskPerson,
    Backoff,
    CallPerson,
    GiveUp,
    Reconnect,
    no_person,
)
from xpm_remote.session.serving import Needs
from xpm_remote.session.session import RECONCILE_INTERVAL, Session
from xpm_remote.session.state import Digest, LinkState, Phase, Picture, Update
from xpm_remote.session.target import LocalTarget, Target
from xpm_remote.waiting import wait_within

Listener = Callable[[Update], None]


class Monitor:
    """Observes one workspace.

    Args:
        target: The workspace.
        timeout: Seconds without an answer after which a request has failed.
        interval: Seconds between two reconciliations.
        backoff: When to try again; None: with a growing delay and a limit of attempts.
    """

    def __init__(
        self,
        target: Target | LocalTarget,
        *,
        timeout: float = REQUEST_TIMEOUT,
        interval: float = RECONCILE_INTERVAL,
        backoff: Backoff | None = None,
    ) -> None:
        self.target = target
        self.store = Store()
        self._timeout = timeout
        self._interval = interval
        self._listeners: list[Listener] = []
        self._link = LinkState(Phase.CONNECTING, time.time(), is_asking=True)
        # Before anything was seen, whoever started us is at the terminal, if there is one.
        self._unattended: Unattended | None = None
        # A passphrase is asked for once: the link comes back without anybody. Passwords and codes are not ours to keep.
        self._host: HostLink | None = None
        if not isinstance(target, LocalTarget):
            self._host = HostLink(target.options, target.engine)
        self._chooser = Chooser(target)
        self._rows = AgentRows()
        self._session = self._new_session()
        self._heard: float | None = None
        self._was_live = False
        self._gap: list[Change] = []
        self._reconnect = Reconnect(backoff or Backoff(random.random))
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
            served_by=self._chooser.choice,
            messages=self._rows.messages,
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

    async def run(self, call_person: CallPerson = no_person) -> None:
        """Observe until told to stop: once seen, a workspace is come back to whenever the link is lost.

        Args:
            call_person: Is awaited when the link can be restored only by a person who answers what the host asks.

        Raises:
            XpmRemoteError: The first attempt failed, or a later one for a cause that does not pass.
        """
        while True:
            try:
                await self._session.run(self._interval)
            except XpmRemoteError as error:
                if not await self._can_go_on(error, call_person):
                    self._end(error)
                    raise
            self._heard = self._session.heard or self._heard
            self._session = self._new_session()

    async def _can_go_on(self, error: XpmRemoteError, call_person: CallPerson) -> bool:
        """Wait until it makes sense to connect again; return whether it ever does."""
        if not self._was_live:
            return False
        decision = self._reconnect.decide(error, asyncio.get_running_loop().time())
        if isinstance(decision, AskPerson):
            self._unattended = None
            self._set_link(self._link.stuck(time.time(), str(error), decision.asked))
            return await call_person(decision.asked)
        if isinstance(decision, GiveUp):
            return False
        await self._wait_for_retry(error, decision.at - asyncio.get_running_loop().time())
        self._unattended = Unattended()
        return True

    def _new_session(self) -> Session:
        needs = Needs(
            store=self.store,
            publish=self._publish,
            timeout=self._timeout,
            prompter=self._unattended,
            rows=self._rows,
            link=self._host,
        )
        return Session(self._chooser, needs, self._enter)

    async def _wait_for_retry(self, error: XpmRemoteError, delay: float) -> None:
        now = time.time()
        self._retry_wanted.clear()
        self._set_link(self._link.lost(now, str(error), self.picture.heard, now + delay))
        with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
            await wait_within(self._retry_wanted.wait(), delay)

    def _enter(self, phase: Phase) -> None:
        """Take note of a phase that the session has reached."""
        now = time.time()
        if phase is not Phase.LIVE:
            is_asking = phase is Phase.CONNECTING and self._unattended is None
            self._set_link(self._link.reached(phase, now, is_asking=is_asking))
            return
        away = now - (self._link.stale_since or now)
        changes = in_time_order(net(self._gap))
        self._gap.clear()
        digest = Digest.of(changes, away) if self._was_live else None
        self._was_live = True
        self._reconnect.succeeded()
        self._set_link(LinkState(phase, now, digest=digest))
        if changes:
            self._tell(Update(tuple(changes), recovered=True))

    def _end(self, error: XpmRemoteError) -> None:
        self._set_link(self._link.ended(time.time(), str(error)))

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
