"""The client of our agent: starting it here or on a host, the handshake, calls and notifications."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
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
from xpm_remote.link.remote.bundle import Bundle, agent_bundle
from xpm_remote.link.remote.startup import RemoteClock
from xpm_remote.link.transport import AgentTransport, Transport, greet_agent, open_transport
from xpm_remote.link.waits import DEFAULT_LIMITS, Wait
from xpm_remote.rpc.client import Listener, RpcClient
from xpm_remote.rpc.protocol import REQUEST_TIMEOUT, Asked, Notification, first_requests
from xpm_remote.session.target import LocalTarget, Target
from xpm_remote.settings.schema import Off
from xpm_remote.workspace.rows import ASK_INTERVAL

HANDSHAKE = "get_sync_info"
"""The first request to every agent; see ``handshake_of``."""

PING_INTERVAL = 10.0
"""Seconds between two pings while an answer is awaited: only they tell long work from a dead link."""

FINISH_TIME = 3600.0
"""Seconds for the agent to finish an action, such as a copy of one large job, when we end while the link stands."""


_packing = threading.Lock()


async def packed_bundle() -> Bundle:
    """Return the agent as it is sent, packed in another thread: that takes some 40 ms."""
    return await asyncio.to_thread(_pack)


async def _payload() -> bytes:
    return (await packed_bundle()).payload


def _pack() -> Bundle:
    with _packing:  # once for all that need it at the same time
        return agent_bundle()


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


def handshake_of(target: Target | LocalTarget) -> Asked:
    """Return the first request, which has how often SLURM is asked where that is not the default; null is never."""
    interval = target.slurm_interval
    if interval == ASK_INTERVAL:
        return ((HANDSHAKE, {}),)
    return ((HANDSHAKE, {"slurm_interval": None if isinstance(interval, Off) else interval}),)


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
        asked: The requests that were sent with the command.
    """

    def __init__(
        self, transport: AgentTransport, *, listener: Listener, timeout: float, asked: Asked = ()
    ) -> None:
        # Before the reader's task begins: where tasks are eager, as Textual makes them on Python 3.12, that is at once.
        self._hear_other = listener
        self._first = dict(asked).get(HANDSHAKE)
        self._ping_interval = min(PING_INTERVAL, timeout / 3)
        self.stdio = transport
        self.clock = transport.clock
        self.about = AgentInfo()
        self.workspace = ""
        super().__init__(transport, command=None, listener=self._hear, timeout=timeout, asked=asked)

    async def handshake(self) -> None:
        """Read what the agent tells of itself; must be called first.

        Raises:
            ProtocolError: It is not our agent.
            RemoteTimeoutError: It does not answer, or too slowly.
            XpmRemoteError: As ``call``.
        """
        try:
            raw = await super().call(HANDSHAKE, self._first)
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

    def _hear(self, notification: Notification) -> asyncio.Event | None:
        """Send the modules that were not sent at first, when the agent needs one; pass anything else on."""
        if notification.method != "notification.modules_needed":
            return self._hear_other(notification)
        is_packed = b"true" in bytes(notification.params)
        self.stdio.send(self._rpc.request("modules", agent_bundle().other_modules(is_packed))[1])
        return None

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
    asked: Asked = (),
) -> AgentClient:
    """Connect to a host and start an agent for the workspace there.

    Args:
        target: The workspace.
        link: The link to its host; None: a new one.
        prompter: Answers what the host asks; None: the person at the terminal.
        timeout: Seconds without any answer after which a call fails.
        listener: Called with each notification.
        observer: Receives what is waited for until the agent answers.
        asked: Calls that will follow; they are sent with the command, so that no round trip is waited for.

    Raises:
        OptionError: An option cannot be used.
        LinkError: The connection failed.
        RemoteError: The remote shell, its ``shell_init``, the directory or the agent failed.
    """
    link = link or HostLink(target.options, target.engine, target.limits)
    asked = (*handshake_of(target), *asked)
    transport = await open_transport(
        link,
        target.agent_command(first_requests(asked)),
        workspace=target.workspace,
        first=_payload,
        prompter=prompter,
        observer=observer,
    )
    course = Course(observer, target.name, target.limits)
    client = await greet(transport, timeout=timeout, listener=listener, course=course, asked=asked)
    link.reads_input |= client.stdio.greeting.was_lost
    return client


async def open_local_agent(
    target: LocalTarget,
    *,
    timeout: float = REQUEST_TIMEOUT,
    listener: Listener = ignore,
    asked: Asked = (),
) -> AgentClient:
    """Start an agent for a workspace of this machine, as a child process.

    Args:
        target: The workspace.
        timeout: Seconds without any answer after which a call fails.
        listener: Called with each notification.
        asked: Calls that will follow.

    Raises:
        RemoteError: The agent failed.
    """
    asked = (*handshake_of(target), *asked)
    directory = target.workspace
    bundle = await packed_bundle()
    process = await start_local_agent(bundle, directory, asked=first_requests(asked))
    zone = datetime.now().astimezone().tzinfo
    clock = None if zone is None else RemoteClock(time.time(), zone)
    return await greet(Transport(process, clock), timeout=timeout, listener=listener, asked=asked)


async def greet(
    transport: Transport,
    *,
    timeout: float = REQUEST_TIMEOUT,
    listener: Listener = ignore,
    course: Course | None = None,
    asked: Asked = (),
) -> AgentClient:
    """Wait for the greeting of an agent that was sent, and do the handshake.

    Args:
        transport: The stdio of its interpreter; closed on failure.
        timeout: Seconds without any answer after which a call fails.
        listener: Called with each notification.
        course: Follows the wait for its answer; None: nothing of it is told.
        asked: The requests that were sent with the command.

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
    client = AgentClient(greeted, listener=listener, timeout=timeout, asked=asked)
    try:
        course.enter(Wait.ANSWER, math.inf)  # the client's own limit tells more
        await course.carry(client.handshake())
    except BaseException:
        await client.aclose()
        raise
    return client
