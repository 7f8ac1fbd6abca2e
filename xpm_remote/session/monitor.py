"""The monitor of one workspace: its store, the state of its link, reconnecting, and the listeners."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any

from xpm_remote.errors import LinkError, StalledError, XpmRemoteError
from xpm_remote.link.course import LastWait
from xpm_remote.link.prompts import RefusingPrompter, Unattended
from xpm_remote.link.waits import Wait
from xpm_remote.model.agent_rows import AgentRows
from xpm_remote.model.entities import Change, Net, effective, in_time_order, moment, sliced
from xpm_remote.model.store import Store
from xpm_remote.rpc.client import RpcClient
from xpm_remote.rpc.protocol import REQUEST_TIMEOUT
from xpm_remote.session.agent_client import AgentClient
from xpm_remote.session.backends import ASKED_ALREADY, BackendChooser, BackendContext, ServingSide
from xpm_remote.session.hosts import Host, Hosts
from xpm_remote.session.reconnect import (
    AskPerson,
    Backoff,
    CallPerson,
    GiveUp,
    Reconnect,
    is_down,
    no_person,
)
from xpm_remote.session.state import (
    RECONCILE_INTERVAL,
    Digest,
    LinkState,
    Phase,
    Picture,
    Stall,
    Update,
)
from xpm_remote.session.target import LocalTarget, Target
from xpm_remote.waiting import race, wait_within

Listener = Callable[[Update], None]

SLICE = 500
"""Changes of a gap that are published at once: a millisecond of work, and some more for those who are told."""


NOT_YET = "a workspace among several asks in its turn only"
"""Why no question is asked in a first attempt."""

STALL_SHOWN = 5.0
"""Seconds without an answer of the remote experimaestro from which on they are shown."""

STALL_LOOK = 0.5
"""Seconds between two looks at what is waited for."""


class Session:
    """One connection to a workspace, which keeps a store in step.

    Args:
        chooser: Opens the remote side.
        context: The store, and what opening needs.
        enter: Called with each phase that is reached before the snapshot is complete.
        go_live: Awaited when it is.

    Attributes:
        skew: Seconds by which the remote's clock is ahead of ours.
    """

    def __init__(
        self,
        chooser: BackendChooser,
        context: BackendContext,
        enter: Callable[[Phase], None],
        go_live: Callable[[], Awaitable[None]],
    ) -> None:
        self._chooser = chooser
        self._starting = LastWait()
        self._context = replace(context, observer=self._starting)
        self._enter = enter
        self._go_live = go_live
        self._client: RpcClient | None = None
        self._stall_limit: float | None = None
        self.skew = 0.0

    @property
    def stall(self) -> Stall | None:
        """What is waited for although the connection stands; None while the workspace is read."""
        waiting = self._context.rows.waiting
        if waiting is not None:
            why = "the file server does not answer"
            return Stall(waiting.since - self.skew, why, waiting.path or "")
        stall = self._slow_start() if self._client is None else self._slow_answer(self._client)
        return None if stall is None or time.time() - stall.since < STALL_SHOWN else stall

    def _slow_start(self) -> Stall | None:
        current = self._starting.current
        if current is None:
            return None
        if current.wait is Wait.WORKSPACE:
            why = "the host has not found the workspace"
            return Stall(current.since, why, self._chooser.workspace)
        return Stall(current.since, current.wait.why, current.words)

    def _slow_answer(self, client: RpcClient) -> Stall | None:
        # An agent tells by itself what it waits for.
        request = None if isinstance(client, AgentClient) else client.oldest_request
        if request is None:
            return None
        return Stall(request[1], "experimaestro does not answer", request[0])

    @property
    def heard(self) -> float | None:
        """When the remote side was last heard, in local epoch seconds; None before it was."""
        return None if self._client is None else self._client.last_heard

    async def snapshot(self, then: Callable[[], None] = lambda: None) -> None:
        """Connect, fetch everything once, and disconnect.

        Args:
            then: Called before that: to close a far link takes a while.

        Raises:
            XpmRemoteError: The snapshot failed.
        """
        self._stall_limit = self._context.timeout
        async with self._serving() as side:
            side.feed.catch_up()
            await self._go_live()
            then()

    async def run(self, interval: float = RECONCILE_INTERVAL) -> None:
        """Connect and keep the store in step until the link ends, always by an error.

        Args:
            interval: Seconds between two reconciliations.

        Raises:
            XpmRemoteError: Why the link ended.
        """
        async with self._serving() as side:
            await self._go_live()
            side.feed.catch_up()
            await race(side.client.raise_ended(), side.feed.follow(interval), self._watch_stall())

    @contextlib.asynccontextmanager
    async def _serving(self) -> AsyncIterator[ServingSide]:
        """Connect and take the snapshot; close everything in the end."""
        side = await self._start()
        try:
            yield side
        finally:
            await side.aclose()

    async def _start(self) -> ServingSide:
        """Connect and take the snapshot, by the other side where the first one cannot serve."""
        context = self._context
        try:
            return await self._try(context)
        except XpmRemoteError as error:
            if not self._chooser.has_other(error):
                raise
            return await self._try_other(context, error)

    async def _watch_stall(self) -> None:
        """Publish that a wait has begun, changed or ended; a single look at a workspace does not wait for ever."""
        told = None
        while True:
            await asyncio.sleep(STALL_LOOK)
            stall = self.stall
            if stall != told:
                self._context.publish(Update())
            told = stall
            if stall is None or self._stall_limit is None or self._has_own_limit:
                continue
            lasted = time.time() - stall.since
            if lasted >= self._stall_limit:
                raise StalledError(
                    f"{stall.why}: {stall.waits_for} has been waited for for {lasted:.0f} s",
                    "look at that file system on the host, or try again later",
                )

    @property
    def _has_own_limit(self) -> bool:
        """Whether what is waited for ends by itself: the connection does, and so does a shell, which may be slow."""
        current = self._starting.current
        if self._client is not None or current is None:
            return False
        return current.wait is not Wait.WORKSPACE

    async def _try_other(self, context: BackendContext, first: XpmRemoteError) -> ServingSide:
        # Where the connection cannot be kept this is another login: questions are not asked again.
        prompter = context.prompter or RefusingPrompter(ASKED_ALREADY)
        try:
            return await self._try(replace(context, prompter=prompter))
        except LinkError as error:
            if context.prompter is not None or not error.unanswered:
                raise
            other = self._chooser.choice.backend.value
            hint = f"{first.hint}; or take the other side at once: --backend {other}"
            raise type(first)(first.what, hint.removeprefix("; or ")) from error

    async def _try(self, context: BackendContext) -> ServingSide:
        self._enter(Phase.CONNECTING)
        opened: list[ServingSide] = []

        async def open_side() -> None:
            opened.append(await self._chooser.open(context))

        try:
            await race(open_side(), self._watch_stall())
        except BaseException:
            for side in opened:
                await side.client.aclose()
            raise
        side = opened[0]
        try:
            self._client = side.client
            if side.clock is not None:
                self._context.store.zone = side.clock.zone
                self.skew = side.clock.epoch - time.time()
            self._enter(Phase.LOADING)
            await race(side.feed.snapshot(), side.client.raise_ended(), self._watch_stall())
        except BaseException:
            await side.aclose()
            raise
        self._chooser.settle()
        return side


class Monitor:
    """Keeps the store of one workspace in step, and reconnects after a lost link.

    Args:
        target: The workspace.
        timeout: Seconds without an answer after which a request has failed.
        interval: Seconds between two reconciliations.
        backoff: The delays before attempts; None: those of ``Backoff`` with real jitter.
        is_patient: Whether the first attempt is like those after a loss: no question is asked before a person is
            called, and a host that is down is tried again. Else it asks at once, and its failure is the end.
        hosts: What has the login to the host in common with others; None: it is ours alone.

    Attributes:
        store: The experiments and jobs.
        error: Why the link was lost, or the last attempt failed; None while the link is live.
        was_live: Whether the link has been live.
    """

    def __init__(
        self,
        target: Target | LocalTarget,
        *,
        timeout: float = REQUEST_TIMEOUT,
        interval: float = RECONCILE_INTERVAL,
        backoff: Backoff | None = None,
        is_patient: bool = False,
        hosts: Hosts | None = None,
    ) -> None:
        self.target = target
        self.store = Store()
        self.error: XpmRemoteError | None = None
        self.was_live = False
        self._timeout = timeout
        self._interval = interval
        self._listeners: list[Listener] = []
        self._is_patient = is_patient
        self._link = LinkState(Phase.CONNECTING, time.time(), is_asking=not is_patient)
        # Alone, the first attempt may ask at the terminal: the person has just started us.
        self._unattended = Unattended(NOT_YET) if is_patient else None
        # It keeps the keys that a passphrase opened, so the link is restored without a prompt; no passwords or codes.
        self._host: Host | None = None
        if not isinstance(target, LocalTarget):
            self._host = (hosts or Hosts()).at(target)
        self._shares_delays = hosts is not None and backoff is None
        self._chooser = BackendChooser(target)
        self._rows = AgentRows()
        self._session = self._new_session()
        self._heard: float | None = None
        self._gap = Net()
        self._reconnect = Reconnect(backoff or Backoff(random.random))
        self._retry_wanted = asyncio.Event()

    @property
    def picture(self) -> Picture:
        """What to show at this moment."""
        return Picture(
            host=self.target.name,
            workspace=self.target.workspace,
            link=self._link,
            heard=self._session.heard or self._heard,
            skew=self._session.skew,
            store=self.store,
            served_by=self._chooser.choice,
            messages=self._rows.messages,
            unreadable=self._rows.unreadable,
            stall=self._session.stall,
        )

    def subscribe(self, listener: Listener) -> None:
        """Call a function with every update; an empty update means that the link's state changed."""
        self._listeners.append(listener)

    def retry_now(self) -> None:
        """Cut short the wait for the next attempt."""
        self._retry_wanted.set()

    async def snapshot(
        self, call_person: CallPerson = no_person, then: Callable[[], None] = lambda: None
    ) -> None:
        """Fetch everything once.

        Args:
            call_person: Awaited by a patient monitor before the host may ask; the first attempt of others may.
            then: Called when everything is there, before the link is closed.

        Raises:
            XpmRemoteError: The snapshot failed.
        """
        async with self._keeping():
            while True:
                try:
                    await self._session.snapshot(then)
                except XpmRemoteError as error:
                    if not await self._can_ask(error, call_person):
                        self.end(error)
                        raise
                    self._session = self._new_session()
                else:
                    return

    async def run(self, call_person: CallPerson = no_person) -> None:
        """Keep the store in step until cancelled, and reconnect whenever the link is lost.

        Args:
            call_person: Awaited when the link can be restored only by a person who answers what the host asks.

        Raises:
            XpmRemoteError: The first attempt failed, or a later one for a cause that is not transient.
        """
        if self._link.phase is Phase.ENDED:  # it is started again
            self._unattended = Unattended()
            self._session = self._new_session()
        async with self._keeping():
            while True:
                try:
                    await self._session.run(self._interval)
                except XpmRemoteError as error:
                    if not await self._can_go_on(error, call_person):
                        self.end(error)
                        raise
                self._heard = self._session.heard or self._heard
                self._session = self._new_session()

    def _keeping(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Keep the connection also while nothing runs there: a side that has died is replaced without another login."""
        return contextlib.nullcontext() if self._host is None else self._host.link.keeping()

    async def _can_go_on(self, error: XpmRemoteError, call_person: CallPerson) -> bool:
        """Wait for the time, or the person, of the next attempt; return False if there is none."""
        self.error = error
        if not (self.was_live or self._is_patient):
            return False
        now = asyncio.get_running_loop().time()
        # On a connection that stands it is our own affair; else all who wait for the host try together.
        host = None if self._host is None or self._host.link.is_connected else self._host
        backoff = host.backoff if host is not None and self._shares_delays else None
        decision = self._reconnect.decide(error, now, backoff=backoff)
        if isinstance(decision, AskPerson):
            return await self._call(decision.asked, error, call_person)
        if isinstance(decision, GiveUp) or not (self.was_live or is_down(error)):
            return False
        await self._wait_for_retry(error, decision.at - now, host)
        self._unattended = Unattended()
        return True

    async def _can_ask(self, error: XpmRemoteError, call_person: CallPerson) -> bool:
        """Wait for a person who answers what a look could not ask; return False if it failed for another cause."""
        if not self._is_patient:
            return False
        decision = self._reconnect.decide(error, asyncio.get_running_loop().time())
        return isinstance(decision, AskPerson) and await self._call(
            decision.asked, error, call_person
        )

    async def _call(self, asked: str, error: XpmRemoteError, call_person: CallPerson) -> bool:
        """Wait until a person wants to answer, or one has answered the same questions for another workspace."""
        self._set_link(self._link.stuck(time.time(), str(error), asked))
        if self._host is None:
            is_there: bool | None = await call_person(asked)
        else:
            is_there = await self._host.wait_for_person(asked, call_person)
        self._unattended = None if is_there else Unattended()
        return is_there is not False

    def _new_session(self) -> Session:
        context = BackendContext(
            store=self.store,
            publish=self._publish,
            timeout=self._timeout,
            prompter=self._unattended,
            rows=self._rows,
            link=None if self._host is None else self._host.link,
        )
        return Session(self._chooser, context, self._enter, self._go_live)

    async def _wait_for_retry(self, error: XpmRemoteError, delay: float, host: Host | None) -> None:
        """Wait for the time of the next attempt, or until another workspace has restored the connection."""
        now, stall = time.time(), self._session.stall
        # A host that answers while its file server does not keeps nothing up to date.
        known = self.picture.heard if stall is None else stall.since
        self._retry_wanted.clear()
        lost = self._link.lost(now, str(error), known, now + delay)
        # Of what has never been seen, nothing can be stale.
        self._set_link(lost if self.was_live else replace(lost, stale_since=None))
        waits: list[Coroutine[Any, Any, object]] = [self._retry_wanted.wait()]
        if host is not None:
            waits.append(host.link.wait_connected())
        with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
            await wait_within(race(*waits), delay)

    def _enter(self, phase: Phase) -> None:
        """Update the link's state for a phase before the snapshot is complete."""
        is_asking = phase is Phase.CONNECTING and self._unattended is None
        self._set_link(self._link.reached(phase, time.time(), is_asking=is_asking))

    async def _go_live(self) -> None:
        """Update the link's state, and publish what the snapshot after a gap has found, in slices."""
        digest = Digest(time.time() - (self._link.stale_since or time.time()))
        parts: list[list[Change]] = []
        while self._gap:
            for part in sliced(self._gap.take(), SLICE):
                parts.append(in_time_order(effective(part)))
                digest = digest.with_changes(parts[-1])
                await asyncio.sleep(0)
        is_back, self.was_live, self.error = self.was_live, True, None
        self._reconnect.succeeded()
        if self._host is not None:
            self._host.backoff.reset()
        self._set_link(LinkState(Phase.LIVE, time.time(), digest=digest if is_back else None))
        for changes in sliced(heapq.merge(*parts, key=moment), SLICE):
            self._tell(Update(tuple(changes), recovered=True))
            await asyncio.sleep(0)

    def end(self, error: XpmRemoteError) -> None:
        """Show that the link is given up, and why."""
        self.error = error
        self._set_link(self._link.ended(time.time(), str(error)))

    def _set_link(self, link: LinkState) -> None:
        self._link = link
        self._tell(Update())

    def _publish(self, update: Update) -> None:
        """Pass an update on; after a gap, keep changes until the snapshot is complete."""
        if self.was_live and self._link.phase is not Phase.LIVE:
            self._gap.add(update.changes)
            update = Update(notice=update.notice)
        self._tell(update)

    def _tell(self, update: Update) -> None:
        for listener in self._listeners:
            listener(update)
