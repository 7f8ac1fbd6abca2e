"""Keeping a store in step with an agent, which sends runs first, then jobs in pages, then changes.

What the agent sends of a job is its judgement of all the files, and is applied as it is. One task applies the pages in
their order, in slices, and yields to other tasks after each; while too much waits for it, nothing more is read from the
agent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

import msgspec

from xpm_remote.errors import ProtocolError
from xpm_remote.model.agent_pages import AgainPage, JobsPage, Page, Sequenced, UnreadablePage
from xpm_remote.model.agent_rows import AgentRows
from xpm_remote.model.entities import Change, net
from xpm_remote.model.store import Store
from xpm_remote.rpc.protocol import Asked, Notification
from xpm_remote.session.agent_client import AgentClient
from xpm_remote.session.state import Update
from xpm_remote.waiting import race

log = logging.getLogger(__name__)

SUBSCRIBE = "subscribe"
"""The request for everything, or for what has changed since a time, and for all that changes then."""

QUEUE_SIZE = 8 * 1024 * 1024
"""Bytes of pages that may wait to be applied: the jobs of a large workspace, compressed on the way to a tenth."""

PING_INTERVAL = 10.0
"""Seconds between two pings during the snapshot."""


def first_question(since: float | None, known: Sequence[str] = ()) -> Asked:
    """Return the request for everything, or for what has changed since a mark; known are the digests of pages."""
    return ((SUBSCRIBE, {"since": since, **({"known": known} if known else {})}),)


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
        # What another kind of remote side has said of a run is replaced once everything is known of it.
        self._has_evidence = store.has_doubts
        store.has_doubts = False
        self._publish = publish
        self._client: AgentClient | None = None
        self._notices: asyncio.Queue[Notification] = asyncio.Queue()
        self._queued = 0
        self._has_room = asyncio.Event()
        self._is_loaded = False
        self._is_live = False

    @property
    def asked(self) -> Asked:
        """What ``snapshot`` will ask first, for the command that starts the agent."""
        return first_question(self._rows.mark, self._rows.kept.digests)

    def serve(self, client: AgentClient) -> None:
        """Set the agent; its handshake is done."""
        self._client = client
        self._rows.root = client.workspace.rstrip("/")

    def hear(self, notification: Notification) -> asyncio.Event | None:
        """Queue a notification of the agent; return what to wait for before another is read."""
        self._notices.put_nowait(notification)
        self._queued += len(notification.params)
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
        for method, params in self.asked:
            await self._ask(method, **params)
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
            notice = await self._notices.get()
            self._queued -= len(notice.params)
            if self._queued <= QUEUE_SIZE:
                self._has_room.set()
            page = self._decoded(notice)
            if page is not None:
                await self._take(page)
            await asyncio.sleep(0)

    async def _ping(self, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            await self._ask("ping")

    async def _ask(self, method: str, **params: object) -> None:
        if self._client is not None:
            await self._client.call(method, params)

    async def _take(self, page: Page) -> None:
        if isinstance(page, JobsPage):
            for records in self._rows.slices(page):
                changes: list[Change] = []
                # At once with what lists them: a scheduler's word alone may be that of an earlier run.
                while self._rows.has_news:
                    changes += self._listed()
                self._tell(net([*changes, *self._store.apply_judged(records)]))
                await asyncio.sleep(0)
        self._rows.take(page)
        while self._rows.has_news:
            self._tell(self._listed())
            await asyncio.sleep(0)
        if isinstance(page, UnreadablePage):
            self._publish(Update())
        elif type(page) is Sequenced:
            self._settle()
            self._rows.kept.settle()
            self._is_loaded = True
        if self._is_loaded and isinstance(page, Sequenced):
            self._rows.mark = page.mark

    def _listed(self) -> list[Change]:
        """Apply a slice of what was listed; once loaded, only judged jobs."""
        return self._store.apply_listing(self._rows.take_news(judged_only=self._is_loaded))

    def _settle(self) -> None:
        """Replace what the store has from another kind of remote side."""
        if self._has_evidence:
            self._has_evidence = False
            self._tell(self._store.apply_experiments(self._rows.experiments()))

    def _tell(self, changes: list[Change]) -> None:
        if changes:
            self._publish(Update(tuple(changes), recovered=not self._is_live))

    def _decoded(self, notice: Notification) -> Page | None:
        """Return the page of a notification; None for one of another kind or shape.

        Raises:
            ProtocolError: The page is too large, nested too deeply, or not known here.
        """
        kept = self._rows.kept
        try:
            page = kept.decode(notice.method, notice.params)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning("%s cannot be read: %s", notice.method, error)
            if bytes(notice.params) != b"null":
                return None
            what = f"what the agent sent as {notice.method} is too large, or nested too deeply"
            raise ProtocolError(what, "try again") from error
        if isinstance(page, AgainPage):
            kept.clear()
            raise ProtocolError("the agent refers to a page that it has not sent", "try again")
        return page
