"""Our agent at the other end: started, greeted, shaken hands with; then calls and notifications."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import datetime
from typing import Any

import msgspec

from xpm_remote.errors import ProtocolError, XpmRemoteError
from xpm_remote.link.host import HostLink
from xpm_remote.link.process import start_local_agent
from xpm_remote.link.prompts import Prompter
from xpm_remote.link.remote.agent import agent_bundle
from xpm_remote.link.remote.startup import RemoteClock
from xpm_remote.link.transport import AgentTransport, Transport, greet_agent, open_transport
from xpm_remote.rpc.client import Listener, RpcClient
from xpm_remote.rpc.protocol import REQUEST_TIMEOUT, Notification
from xpm_remote.session.target import Target

PING_INTERVAL = 10.0
"""Seconds between two pings while an answer is awaited: long work says nothing by itself, and a dead link neither."""

FINISH_TIME = 3600.0
"""Seconds for the action in hand, such as a copy of one large job, when we end while the link stands."""


class AgentInfo(msgspec.Struct, frozen=True):
    """What the agent says of itself.

    Attributes:
        version: Of its requests.
        instance: Tells this agent from every other.
        python: The version of its interpreter.
        host: The name of its host.
        pid: Its process there.
        capabilities: What may be asked for.
    """

    version: int = 0
    instance: str = ""
    python: str = ""
    host: str = ""
    pid: int = 0
    capabilities: tuple[str, ...] = ()


class _Handshake(msgspec.Struct):
    agent: AgentInfo
    workspace_path: str = ""


def ignore(_: Notification) -> None:
    """Hear nothing."""


class AgentClient:
    """Calls to an agent. Use ``open_agent`` or ``open_local_agent`` to get one.

    Attributes:
        about: What the agent says of itself.
        workspace: The absolute path of the workspace there.

    Args:
        transport: Its stdio, greeted.
        listener: Is given each notification, in order, from the reader's task.
        timeout: Seconds without any answer, pings included, after which a call fails.
    """

    def __init__(self, transport: AgentTransport, *, listener: Listener, timeout: float) -> None:
        self._transport = transport
        self._ping_interval = min(PING_INTERVAL, timeout / 3)
        self.rpc = RpcClient(transport, command=None, listener=listener, timeout=timeout)
        self.about = AgentInfo()
        self.workspace = ""

    @property
    def clock(self) -> RemoteClock | None:
        """The clock of the host, where that said."""
        return self._transport.clock

    @property
    def received(self) -> int:
        """Bytes that came, as they were on the way."""
        return self._transport.received

    @property
    def last_heard(self) -> float:
        """When anything last came from the agent, in local epoch seconds."""
        return self.rpc.last_heard

    async def handshake(self) -> None:
        """Learn who is there; must come first.

        Raises:
            ProtocolError: It is not our agent.
            XpmRemoteError: As ``call``.
        """
        raw = await self.rpc.call("get_sync_info")
        try:
            answer = msgspec.json.decode(raw, type=_Handshake)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ProtocolError(
                f"the handshake of the agent cannot be read: {error}", "try again"
            ) from error
        self.about, self.workspace = answer.agent, answer.workspace_path

    async def call(self, method: str, params: dict[str, Any] | None = None) -> msgspec.Raw:
        """Send a request and wait for its answer, for as long as the agent answers pings.

        Raises:
            RequestError: The agent refused, for no reason of the workspace.
            WorkspaceError, JobsError: It refused, and said why: the errors of local commands.
            RemoteTimeoutError: It is alive and says nothing.
            XpmRemoteError: It or the connection ended.
        """
        pinging = asyncio.create_task(self._ping(), name="agent-ping")
        try:
            return await self.rpc.call(method, params)
        finally:
            pinging.cancel()

    async def wait_ended(self) -> XpmRemoteError:
        """Wait until the agent or the connection has ended; give the error that says how."""
        return await self.rpc.wait_ended()

    async def aclose(self, *, finish: float = 0.0) -> None:
        """End the conversation, the agent and the connection.

        Args:
            finish: Seconds for the agent to bring the action in hand to its end; ``FINISH_TIME`` where it may have one.
        """
        await self.rpc.aclose(finish=finish)

    async def _ping(self) -> None:
        # A failure is told by the call that is waited for.
        with contextlib.suppress(XpmRemoteError):
            while True:
                await asyncio.sleep(self._ping_interval)
                await self.rpc.call("ping")


async def open_agent(
    target: Target,
    link: HostLink | None = None,
    *,
    prompter: Prompter | None = None,
    timeout: float = REQUEST_TIMEOUT,
    listener: Listener = ignore,
) -> AgentClient:
    """Connect to a host and start an agent for the workspace there.

    Args:
        target: The workspace.
        link: The way to its host; None: a new one.
        prompter: Who answers what the host asks; None: the person at the terminal.
        timeout: Seconds without any answer after which a call fails.
        listener: Is given each notification.

    Raises:
        OptionError: An option cannot be used.
        LinkError: The connection failed.
        RemoteError: The remote shell, its ``shell_init``, the directory or the agent failed.
    """
    transport = await open_transport(
        link or HostLink(target.options, target.engine),
        target.agent_command(agent_bundle()),
        workspace=target.workspace,
        has_init=target.has_init,
        prompter=prompter,
    )
    return await greet(transport, timeout=timeout, listener=listener)


async def open_local_agent(
    directory: str, *, timeout: float = REQUEST_TIMEOUT, listener: Listener = ignore
) -> AgentClient:
    """Start an agent for a workspace of this machine, as a child process.

    Args:
        directory: The workspace.
        timeout: Seconds without any answer after which a call fails.
        listener: Is given each notification.

    Raises:
        RemoteError: The agent failed.
    """
    process = await start_local_agent(agent_bundle(), directory)
    zone = datetime.now().astimezone().tzinfo
    clock = None if zone is None else RemoteClock(time.time(), zone)
    return await greet(Transport(process, clock), timeout=timeout, listener=listener)


async def greet(
    transport: Transport, *, timeout: float = REQUEST_TIMEOUT, listener: Listener = ignore
) -> AgentClient:
    """Send the agent to an interpreter that waits for it, and shake hands.

    Args:
        transport: The stdio of the command that waits; closed where this fails.
        timeout: Seconds without any answer after which a call fails.
        listener: Is given each notification.

    Raises:
        LinkError: The connection failed.
        RemoteError: The agent failed.
    """
    try:
        greeted = await greet_agent(transport, agent_bundle())
    except BaseException:
        await transport.aclose()
        raise
    client = AgentClient(greeted, listener=listener, timeout=timeout)
    try:
        await client.handshake()
    except BaseException:
        await client.aclose()
        raise
    return client
