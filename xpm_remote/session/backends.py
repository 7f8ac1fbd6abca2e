"""What serves a workspace, experimaestro or our agent: chosen, connected, and how the store is kept true to it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from xpm_remote.errors import ProtocolError, RemoteTimeoutError, StartError, XpmRemoteError
from xpm_remote.link.host import HostLink, describe_link
from xpm_remote.link.prompts import Prompter
from xpm_remote.link.remote.agent import agent_bundle
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
from xpm_remote.session.server_sync import ServerSync
from xpm_remote.session.state import BackendChoice, Update
from xpm_remote.session.target import LocalTarget, Target
from xpm_remote.settings.schema import Backend

log = logging.getLogger(__name__)

Publish = Callable[[Update], None]

CANNOT_SERVE = (StartError, ProtocolError, RemoteTimeoutError)
"""The failures of a remote experimaestro that our agent need not share."""


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
class ServingSide:
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
class BackendContext:
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


async def open_experimaestro(
    target: Target, context: BackendContext, *, needs_current: bool
) -> ServingSide:
    """Connect, and start the experimaestro of the host.

    Args:
        target: What to connect to.
        context: What else is needed.
        needs_current: Whether one that is older than we support will not do.

    Raises:
        XpmRemoteError: Any of its kinds.
    """
    transport = await open_transport(
        context.link or HostLink(target.options, target.engine),
        target.command,
        workspace=target.workspace,
        has_init=target.has_init,
        prompter=context.prompter,
    )
    announcements = _Announcements()
    client = RpcClient(
        transport,
        command=target.server_command,
        listener=announcements.hear,
        timeout=context.timeout,
    )
    try:
        server = MonitorServer(client, needs_current=needs_current)
        sync = announcements.sync = ServerSync(server, context.store, context.publish)
        await server.handshake()
    except BaseException:
        await client.aclose()
        raise
    return ServingSide(client, sync, transport.clock)


async def open_by_agent(target: Target | LocalTarget, context: BackendContext) -> ServingSide:
    """Connect, and start our agent; on this machine without connecting.

    Raises:
        XpmRemoteError: Any of its kinds.
    """
    sync = AgentSync(context.rows, context.store, context.publish)
    if isinstance(target, LocalTarget):
        client = await open_local_agent(
            target.workspace, timeout=context.timeout, listener=sync.hear
        )
    else:
        client = await open_agent(
            target,
            context.link,
            prompter=context.prompter,
            timeout=context.timeout,
            listener=sync.hear,
        )
    sync.serve(client)
    return ServingSide(client, sync, client.clock)


class _Announcements:
    """Announcements of a server, decoded for who is to hear them."""

    def __init__(self) -> None:
        self.sync: ServerSync | None = None

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


class BackendChooser:
    """Opens the remote side of a target, and remembers which one that is.

    Args:
        target: The workspace.
    """

    def __init__(self, target: Target | LocalTarget) -> None:
        self._target = target
        self._failure: XpmRemoteError | None = None
        self._is_settled = True
        if isinstance(target, LocalTarget):
            self.choice = BackendChoice(Backend.AGENT, "the workspace is on this machine")
        elif target.backend is Backend.AUTO:
            self.choice = BackendChoice(Backend.EXPERIMAESTRO, "it can be started on the host")
            self._is_settled = False
        else:
            self.choice = BackendChoice(target.backend, "it is asked for")

    async def open(self, context: BackendContext) -> ServingSide:
        """Open the side that is chosen.

        Raises:
            XpmRemoteError: Any of its kinds: this did not succeed.
        """
        target = self._target
        if isinstance(target, LocalTarget) or self.choice.backend is Backend.AGENT:
            return await self._open_agent(context)
        return await open_experimaestro(target, context, needs_current=not self._is_settled)

    def settle(self) -> None:
        """Keep the choice: everything has been learnt from that side."""
        if not self._is_settled:
            log.debug("served by %s: %s", self.choice.backend.value, self.choice.why)
        self._is_settled = True
        self._failure = None

    def has_other(self, error: XpmRemoteError) -> bool:
        """Choose the other side, if this one failed by itself and nothing is settled; tell whether there is one."""
        is_first = not self._is_settled and self.choice.backend is Backend.EXPERIMAESTRO
        if not is_first or not isinstance(error, CANNOT_SERVE):
            return False
        self._failure = error
        self.choice = BackendChoice(Backend.AGENT, error.what, is_fallback=True)
        log.info("%s is served by our agent: %s", self._target.name, error.what)
        return True

    async def _open_agent(self, context: BackendContext) -> ServingSide:
        try:
            return await open_by_agent(self._target, context)
        except StartError as error:
            first = self._failure
            if first is None:
                raise
            raise StartError(f"{first.what}; and by the agent: {error.what}", first.hint) from error


async def describe_target(target: Target) -> tuple[dict[str, Any], dict[str, str]]:
    """Return where SSH would connect to, and what would serve the workspace there, with its whole command line.

    What would be run if that fails has ``or`` before its name. Nothing is connected to.

    Raises:
        OptionError: An SSH option, a config file, or a word of the command holds something that cannot be used.
    """
    link = await describe_link(target.options, target.engine)
    bundle = agent_bundle()
    size, digest = bundle.arguments
    by_agent = {
        "server": target.agent_start(bundle),
        "command": target.agent_command(bundle),
        "stdin": f"our agent: {size} bytes with the SHA-256 {digest}, then requests",
    }
    served = {"backend": target.backend.value}
    if target.backend is Backend.AGENT:
        return link, {**served, **by_agent}
    served |= {"server": target.server_command, "command": target.command}
    if target.backend is Backend.AUTO:
        served |= {f"or {name}": value for name, value in by_agent.items()}
    return link, served
