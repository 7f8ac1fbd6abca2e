"""Keeping a store in step with an agent, which sends runs first, then jobs in pages, then changes.

What the agent sends of a job is its judgement of all the files, and is applied as it is. One task applies the pages in
their order, and yields to other tasks after each; while too much waits for it, nothing more is read from the agent.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import msgspec

from xpm_remote.errors import ProtocolError
from xpm_remote.model.agent_rows import (
    AgentRows,
    GonePage,
    JobsPage,
    ListedPage,
    Page,
    RunsPage,
    UnreadablePage,
    WaitingPage,
    decode_page,
)
from xpm_remote.model.entities import Change, net
from xpm_remote.model.store import Store
from xpm_remote.rpc.protocol import Asked, Notification
from xpm_remote.session.agent_client import AgentClient
from xpm_remote.session.state import Update
from xpm_remote.waiting import race

log = logging.getLogger(__name__)

SUBSCRIBE = "subscribe"
"""The request for everything, or for what has changed since a time, and for all that changes then."""

LIST_LOAD = 0.2
"""The share of time that may be spent on lists of experiments while more pages arrive."""

QUEUE_SIZE = 8 * 1024 * 1024
"""Bytes of pages that may wait to be applied: the jobs of a large workspace, compressed on the way to a tenth."""

PING_INTERVAL = 10.0
"""Seconds between two pings during the snapshot."""


class AgentSync:
    """Keeps a store in step with an agent.

    Args:
        rows: What agents have sent so far; it outlives each of them.
        store: The store.
        publish: Called with every change.
    """

    def __init__(self, rows: AgentRows, store: Store, publish: Callable[[Update], None]) -> None:
        self._rows = rows
        self._store = store
        store.has_doubts = False
        self._publish = publish
        self._client: AgentClient | None = None
        self._pages: asyncio.Queue[tuple[Page | ProtocolError, int]] = asyncio.Queue()
        self._queued = 0
        self._has_room = asyncio.Event()
        self._has_news = False
        self._is_loaded = False
        self._is_live = False
        self._listed_at = self._listing_took = 0.0

    @property
    def asked(self) -> Asked:
        """What ``snapshot`` will ask first, for the command that starts the agent."""
        return ((SUBSCRIBE, {"since": self._rows.mark}),)

    def serve(self, client: AgentClient) -> None:
        """Set the agent; its handshake is done."""
        self._client = client
        self._rows.root = client.workspace.rstrip("/")

    def hear(self, notification: Notification) -> asyncio.Event | None:
        """Queue a notification of the agent; return what to wait for before another is read."""
        page: Page | ProtocolError | None
        try:
            page = decode_page(notification.method, notification.params)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning("%s cannot be read: %s", notification.method, error)
            if bytes(notification.params) != b"null":
                return None
            what = (
                f"what the agent sent as {notification.method} is too large, or nested too deeply"
            )
            page = ProtocolError(what, "try again")
        if page is None:
            return None
        size = len(notification.params)
        self._pages.put_nowait((page, size))
        self._queued += size
        if self._queued <= QUEUE_SIZE:
            return None
        self._has_room.clear()
        return self._has_room

    async def snapshot(self) -> None:
        """Request everything, or what changed since the last agent was heard; publish it as it arrives.

        Raises:
            ProtocolError: A page is too large, or nested too deeply.
            XpmRemoteError: The agent has ended, or does not answer.
        """
        self._rows.begin()
        await self._ask(SUBSCRIBE, since=self._rows.mark)
        await race(self._take_pages(until_loaded=True), self._ping(PING_INTERVAL))

    def catch_up(self) -> None:
        """Publish what arrives from now on as happening now, not as recovered."""
        self._is_live = True

    async def follow(self, interval: float) -> None:
        """Keep the store in step until cancelled.

        Args:
            interval: Seconds between two pings: without changes the agent sends nothing.
        """
        await race(self._take_pages(until_loaded=False), self._ping(interval))

    async def _take_pages(self, *, until_loaded: bool) -> None:
        while not (until_loaded and self._is_loaded):
            page, size = await self._pages.get()
            self._queued -= size
            if self._queued <= QUEUE_SIZE:
                self._has_room.set()
            if isinstance(page, ProtocolError):
                raise page
            self._take(page)
            if self._pages.empty() and (
                self._is_loaded
                or time.monotonic() - self._listed_at > self._listing_took / LIST_LOAD
            ):
                self._list()
            await asyncio.sleep(0)

    async def _ping(self, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            await self._ask("ping")

    async def _ask(self, method: str, **params: object) -> None:
        if self._client is not None:
            await self._client.call(method, params)

    def _take(self, page: Page) -> None:
        if isinstance(page, WaitingPage):
            self._rows.waiting = None if page.path is None else page
            return
        if isinstance(page, JobsPage):
            records = self._rows.jobs(page)
            # At once with what lists them: a scheduler's word alone may be that of an earlier run.
            self._tell(net([*self._listed(), *self._store.apply_judged(records)]))
        elif isinstance(page, RunsPage):
            self._rows.take_runs(page)
            self._has_news = True
        elif isinstance(page, ListedPage):
            self._rows.take_listed(page)
            self._has_news = True
        elif isinstance(page, GonePage):
            self._rows.take_gone(page)
            self._has_news = True
        elif isinstance(page, UnreadablePage):
            self._rows.unreadable = page
            self._publish(Update())
        else:
            self._list()
            self._is_loaded = True
        if self._is_loaded:
            self._rows.mark = page.mark

    def _list(self) -> None:
        self._tell(self._listed())

    def _listed(self) -> list[Change]:
        """Apply the experiments with their jobs, if a page has changed them; once loaded, only judged jobs."""
        if not self._has_news:
            return []
        began = time.monotonic()
        # What is left out now is listed when it is judged.
        self._has_news = self._is_loaded and self._rows.has_unjudged()
        records = self._rows.experiments(judged_only=self._is_loaded)
        changes = self._store.apply_experiments(records)
        self._listed_at = time.monotonic()
        self._listing_took = self._listed_at - began
        return changes

    def _tell(self, changes: list[Change]) -> None:
        if changes:
            self._publish(Update(tuple(changes), recovered=not self._is_live))
