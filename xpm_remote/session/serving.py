"""The remote side of a session: connected, shaken hands with, and how the store is kept true to it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from xpm_remote.errors import XpmRemoteError
from xpm_remote.link.host import HostLink
from xpm_remote.link.prompts import Prompter
from xpm_remote.link.remote.startup import RemoteClock
from xpm_remote.link.transport import open_transport
from xpm_remote.model.agent_rows import AgentRows
from xpm_remote.model.records import OtherEvent, decode_event
from xpm_remote.model.store import Store
from xpm_remote.rpc.client import RpcClient
from xpm_remote.rpc.protocol import Notification
from xpm_remote.rpc.server_api import MonitorServer
from xpm_remote.session.agent_client import open_agent, open_local_agent
from xpm_remote.session.agent_sync import AgentSync
from xpm_remote.session.state import Update
from xpm_remote.session.sync import Sync
from xpm_remote.session.target import LocalTarget, Target

log = logging.getLogger(__name__)

Publish = Callable[[Update], None]


class Client(Protocol):
    """The conversation with a remote side."""

    @property
    def last_heard(self) -> float:
        """When anything last came, in local epoch seconds."""

    async def wait_ended(self) -> XpmRemoteError:
        """Wait until it has ended; give the error that says how."""

    async def aclose(self) -> None:
        """End it."""


class Feed(Protocol):
    """What keeps a store true to a remote side."""

    async def snapshot(self) -> None:
        """Learn everything, and publish it as it comes."""

    def catch_up(self) -> None:
        """Take what was announced while the snapshot was made; from now on announcements count at once."""

    async def follow(self, interval: float) -> None:
        """Keep the store true until cancelled; ``interval`` is the longest silence in seconds."""


@dataclass(frozen=True)
class RemoteSide:
    """A remote side that has shaken hands.

    Attributes:
        client: The conversation with it.
        feed: What keeps the store true to it.
        clock: The clock of its host, where that said.
    """

    client: Client
    feed: Feed
    clock: RemoteClock | None


@dataclass(frozen=True)
class Needs:
    """What is needed to open a remote side.

    Attributes:
        store: What is kept true.
        publish: Is told of everything that changed.
        timeout: Seconds without an answer after which a request has failed.
        prompter: Who answers what the host asks; None: the person at the terminal.
        rows: What agents have told before.
        link: The way to the host, with what it keeps of one connection for the next; None: a new one.
    """

    store: Store
    publish: Publish
    timeout: float
    prompter: Prompter | None
    rows: AgentRows
    link: HostLink | None = None


async def open_experimaestro(target: Target, needs: Needs, *, needs_current: bool) -> RemoteSide:
    """Connect, and start the experimaestro of the host.

    Args:
        target: What to connect to.
        needs: What else is needed.
        needs_current: Whether one that is older than we support will not do.

    Raises:
        XpmRemoteError: Any of its kinds.
    """
    transport = await open_transport(
        needs.link or HostLink(target.options, target.engine),
        target.command,
        workspace=target.workspace,
        has_init=target.has_init,
        prompter=needs.prompter,
    )
    announcements = _Announcements()
    client = RpcClient(
        transport,
        command=target.server_command,
        listener=announcements.hear,
        timeout=needs.timeout,
    )
    try:
        server = MonitorServer(client, needs_current=needs_current)
        sync = announcements.sync = Sync(server, needs.store, needs.publish)
        await server.handshake()
    except BaseException:
        await client.aclose()
        raise
    return RemoteSide(client, sync, transport.clock)


async def open_by_agent(target: Target | LocalTarget, needs: Needs) -> RemoteSide:
    """Connect, and start our agent; on this machine without connecting.

    Raises:
        XpmRemoteError: Any of its kinds.
    """
    sync = AgentSync(needs.rows, needs.store, needs.publish)
    if isinstance(target, LocalTarget):
        client = await open_local_agent(target.workspace, timeout=needs.timeout, listener=sync.hear)
    else:
        client = await open_agent(
            target,
            needs.link,
            prompter=needs.prompter,
            timeout=needs.timeout,
            listener=sync.hear,
        )
    sync.serve(client)
    return RemoteSide(client, sync, client.clock)


class _Announcements:
    """Announcements of a server, decoded for who is to hear them."""

    def __init__(self) -> None:
        self.sync: Sync | None = None

    def hear(self, notification: Notification) -> None:
        """Pass one on."""
        if self.sync is None or notification.method != "notification.state_event":
            return
        try:
            event = decode_event(notification.params)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning("an announcement cannot be read: %s", error)
            event = OtherEvent("unreadable")
        self.sync.hear(event)
