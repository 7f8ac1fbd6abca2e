"""One connection's life: connect, handshake, snapshot, stream, until it ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import msgspec

from xpm_remote.link.prompts import Prompter
from xpm_remote.link.transport import Transport, open_transport
from xpm_remote.model.events import OtherEvent, decode_event
from xpm_remote.model.store import Store
from xpm_remote.rpc.client import REQUEST_TIMEOUT, RpcClient
from xpm_remote.rpc.protocol import Notification
from xpm_remote.rpc.server_api import MonitorServer
from xpm_remote.session.state import Phase, Update
from xpm_remote.session.sync import Sync
from xpm_remote.session.target import Target

log = logging.getLogger(__name__)

RECONCILE_INTERVAL = 10.0
"""Seconds between two reconciliations: what an announcement did not tell is seen this much later."""


class Session:
    """One connection to a target, feeding a store.

    Args:
        target: What to connect to.
        store: What is kept true.
        publish: Is told of everything that changed.
        enter: Is told of each phase that is reached.
        timeout: Seconds without an answer after which a request has failed.
        prompter: Who answers what the host asks; None: the person at the terminal.
    """

    def __init__(
        self,
        target: Target,
        store: Store,
        *,
        publish: Callable[[Update], None],
        enter: Callable[[Phase], None],
        timeout: float = REQUEST_TIMEOUT,
        prompter: Prompter | None = None,
    ) -> None:
        self._target = target
        self._store = store
        self._publish = publish
        self._enter = enter
        self._timeout = timeout
        self._prompter = prompter
        self._sync: Sync | None = None
        self._client: RpcClient | None = None
        self.skew = 0.0

    @property
    def heard(self) -> float | None:
        """When the remote side was last heard, in local epoch seconds; None before it was."""
        return None if self._client is None else self._client.last_heard

    async def snapshot(self) -> None:
        """Connect, learn everything once, and end.

        Raises:
            XpmRemoteError: Any of its kinds: this did not succeed.
        """
        client, sync = await self._open()
        try:
            await sync.snapshot()
            sync.catch_up()
            self._enter(Phase.LIVE)
        finally:
            await client.aclose()

    async def run(self, interval: float = RECONCILE_INTERVAL) -> None:
        """Connect and keep the store true until the link ends, which it always does by an error.

        Args:
            interval: Seconds between two reconciliations.

        Raises:
            XpmRemoteError: Any of its kinds: why the link ended.
        """
        client, sync = await self._open()
        try:
            await sync.snapshot()
            self._enter(Phase.LIVE)
            sync.catch_up()
            await _first_failure(client, sync, interval)
        finally:
            await client.aclose()

    async def _open(self) -> tuple[RpcClient, Sync]:
        target = self._target
        self._enter(Phase.CONNECTING)
        transport = await open_transport(
            target.options,
            target.command,
            workspace=target.workspace,
            has_init=target.has_init,
            prompter=self._prompter,
        )
        self._set_clock(transport)
        client = self._client = RpcClient(
            transport,
            command=target.server_command,
            listener=self._hear,
            timeout=self._timeout,
        )
        try:
            server = MonitorServer(client)
            sync = self._sync = Sync(server, self._store, self._publish)
            await server.handshake()
        except BaseException:
            await client.aclose()
            raise
        self._enter(Phase.LOADING)
        return client, sync

    def _set_clock(self, transport: Transport) -> None:
        if transport.clock is not None:
            self._store.zone = transport.clock.zone
            self.skew = transport.clock.epoch - time.time()

    def _hear(self, notification: Notification) -> None:
        if self._sync is None or notification.method != "notification.state_event":
            return
        try:
            event = decode_event(notification.params)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning("an announcement cannot be read: %s", error)
            event = OtherEvent("unreadable")
        self._sync.hear(event)


async def _first_failure(client: RpcClient, sync: Sync, interval: float) -> None:
    """Follow until the link or the server ends, or a question fails."""
    following = asyncio.create_task(sync.follow(interval), name="follow")
    ended = asyncio.create_task(client.wait_ended(), name="wait-ended")
    try:
        await asyncio.wait({following, ended}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            raise ended.result()
        await following
    finally:
        following.cancel()
        ended.cancel()
        await asyncio.wait({following, ended})
