"""The client of our agent: starting it here or on a host, the handshake, calls and notifications."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from datetime import datetime
from typing import Any

import msgspec

from xpm_remote.errors import ProtocolError, RemoteTimeoutError, XpmRemoteError
from xpm_remote.link.course import Course
from xpm_remote.link.host import HostLink
from xpm_remote.link.observer import UNOBSERVED, Observer
from xpm_remote.link.process import start_local_agent
from xpm_remote.link.prompts import Prompter
from xpm_remote.link.remote.agent import agent_bundle
from xpm_remote.link.remote.startup import RemoteClock
from xpm_remote.link.transport import AgentTransport, Transport, greet_agent, open_transport
from xpm_remote.link.waits import DEFAULT_LIMITS, Wait
from xpm_remote.rpc.client import Listener, RpcClient
from xpm_remote.rpc.protocol import REQUEST_TIMEOUT, Notification
from xpm_remote.session.target import Target

PING_INTERVAL = 10.0
"""Seconds between two pings while an answer is awaited: only they tell long work from a dead link."""

FINISH_TIME = 3600.0
"""Seconds for the agent to finish an action, such as a copy of one large job, when we end while the link stands."""


class AgentInfo(msgspec.Struct, frozen=True):
    """What the agent tells of itself in the handshake.

    Attributes:
        python: The version of its interpreter.
        capabilities: The names of what can be requested.
    """

    python: str = ""
    capabilities: tuple[str, ...] = ()


class _Handshake(msgspec.Struct):
    agent: AgentInfo
    workspace_path: str = ""


def ignore(_: Notification) -> None:
    """Ignore a notification."""


class AgentClient(RpcClient):
    """Calls to an agent. Use ``open_agent`` or ``open_local_agent`` to get one.

    Attributes:
        about: What the agent told of itself.
        workspace: The absolute path of the workspace there.
        stdio: Its stdio, which counts the bytes received.
        clock: The clock of its host; None where that is unknown.

    Args:
        transport: Its stdio, greeted.
        listener: Called with each notification, in order, from the reader's task.
        timeout: Seconds without any answer, pings included, after which a call fails.
    """

    def __init__(self, transport: AgentTransport, *, listener: Listener, timeout: float) -> None:
        super().__init__(transport, command=None, listener=listener, timeout=timeout)
        self._ping_interval = min(PING_INTERVAL, timeout / 3)
        self.stdio = transport
        self.clock = transport.clock
        self.about = AgentInfo()
        self.workspace = ""

    async def handshake(self) -> None:
        """Read what the agent tells of itself; must be called first.

        Raises:
            ProtocolError: It is not our agent.
            RemoteTimeoutError: It does not answer, or too slowly.
            XpmRemoteError: As ``call``.
        """
        try:
            raw = await super().call("get_sync_info")
        except RemoteTimeoutError as error:
            raise RemoteTimeoutError(error.what, error.hint, at_start=True) from error
        try:
            answer = msgspec.json.decode(raw, type=_Handshake)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ProtocolError(
                f"the handshake of the agent cannot be read: {error}", "try again"
            ) from error
        self.about, self.workspace = answer.agent, answer.workspace_path

    async def call(self, method: str, params: dict[str, Any] | None = None) -> msgspec.Raw:
        """Send a request and wait for its answer, as long as the agent answers pings.

        Raises:
            RequestError: The agent refused, for a reason outside the workspace.
            WorkspaceError, JobsError: It refused; the same errors as those of local commands.
            RemoteTimeoutError: It is alive but does not answer.
            XpmRemoteError: It or the connection ended.
        """
        pinging = asyncio.create_task(self._ping(), name="agent-ping")
        try:
            return await super().call(method, params)
        finally:
            pinging.cancel()

    async def _ping(self) -> None:
        # The awaited call raises the same error.
        with contextlib.suppress(XpmRemoteError):
            while True:
                await asyncio.sleep(self._ping_interval)
                await super().call("ping")


async def open_agent(
    target: Target,
    link: HostLink | None = None,
    *,
    prompter: Prompter | None = None,
    timeout: float = REQUEST_TIMEOUT,
    listener: Listener = ignore,
    observer: Observer = UNOBSERVED,
) -> AgentClient:
    """Connect to a host and start an agent for the workspace there.

    Args:
        target: The workspace.
        link: The link to its host; None: a new one.
        prompter: Answers what the host asks; None: the person at the terminal.
        timeout: Seconds without any answer after which a call fails.
        listener: Called with each notification.
        observer: Receives what is waited for until the agent answers.

    Raises:
        OptionError: An option cannot be used.
        LinkError: The connection failed.
        RemoteError: The remote shell, its ``shell_init``, the directory or the agent failed.
    """
    transport = await open_transport(
        link or HostLink(target.options, target.engine, target.limits),
        target.agent_command(agent_bundle()),
        workspace=target.workspace,
        prompter=prompter,
        observer=observer,
    )
    course = Course(observer, target.name, target.limits)
    return await greet(transport, timeout=timeout, listener=listener, course=course)


async def open_local_agent(
    directory: str, *, timeout: float = REQUEST_TIMEOUT, listener: Listener = ignore
) -> AgentClient:
    """Start an agent for a workspace of this machine, as a child process.

    Args:
        directory: The workspace.
        timeout: Seconds without any answer after which a call fails.
        listener: Called with each notification.

    Raises:
        RemoteError: The agent failed.
    """
    process = await start_local_agent(agent_bundle(), directory)
    zone = datetime.now().astimezone().tzinfo
    clock = None if zone is None else RemoteClock(time.time(), zone)
    return await greet(Transport(process, clock), timeout=timeout, listener=listener)


async def greet(
    transport: Transport,
    *,
    timeout: float = REQUEST_TIMEOUT,
    listener: Listener = ignore,
    course: Course | None = None,
) -> AgentClient:
    """Send the agent to an interpreter that waits for it, and do the handshake.

    Args:
        transport: The stdio of the interpreter; closed on failure.
        timeout: Seconds without any answer after which a call fails.
        listener: Called with each notification.
        course: Follows the wait for its answer; None: nothing of it is told.

    Raises:
        LinkError: The connection failed.
        RemoteError: The agent failed.
    """
    course = course or Course(UNOBSERVED, "this machine", DEFAULT_LIMITS)
    try:
        greeted = await greet_agent(transport, agent_bundle(), course)
    except BaseException:
        await transport.aclose()
        raise
    client = AgentClient(greeted, listener=listener, timeout=timeout)
    try:
        course.enter(Wait.ANSWER, math.inf)  # the client's own limit tells more
        await course.carry(client.handshake())
    except BaseException:
        await client.aclose()
        raise
    return client
