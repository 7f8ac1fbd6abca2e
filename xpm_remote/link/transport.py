"""Bytes to and from a remote process: its start awaited, the agent greeted, its shutdown a ladder."""

from __future__ import annotations

import asyncio
import zlib

from xpm_remote.errors import LinkLostError, ProtocolError, RemoteTimeoutError, XpmRemoteError
from xpm_remote.link.host import HostLink
from xpm_remote.link.process import RemoteProcess
from xpm_remote.link.prompts import Prompter
from xpm_remote.link.remote.agent import Bundle, Greeting
from xpm_remote.link.remote.startup import RemoteClock, RemoteExit, Startup
from xpm_remote.waiting import wait_within

START_TIMEOUT = 300.0
"""Seconds until the server starts: modules load and file systems mount slowly on a login node."""

EOF_GRACE = 2.0
"""Seconds for the server to end by itself after its stdin was closed; the reference one takes 0.1."""

TERM_GRACE = 1.0
"""Seconds for it to end after SIGTERM, before the channel is closed under it."""


class Transport:
    """The stdio of one remote process. Use ``open_transport`` to get one.

    Attributes:
        clock: What the remote said of its clock.
    """

    def __init__(self, process: RemoteProcess, clock: RemoteClock | None) -> None:
        self._process = process
        self.clock = clock

    @property
    def exit(self) -> RemoteExit:
        """How the process ended; meaningful once ``receive`` gave no more bytes."""
        return self._process.exit

    async def receive(self) -> bytes:
        """Give what has arrived, waiting for at least one byte; ``b""`` once the process has ended."""
        return await self._process.receive()

    def send(self, data: bytes) -> None:
        """Send bytes to the process; without effect once it has ended."""
        self._process.send(data)

    async def aclose(self, *, finish: float = 0.0) -> None:
        """End the process and the connection: close its stdin, then signal it, then leave.

        Args:
            finish: Seconds that it is given, besides the usual ones, to finish what it does.
        """
        process = self._process
        process.close_stdin()
        if not await process.wait_ended(EOF_GRACE + finish):
            process.terminate()
            await process.wait_ended(TERM_GRACE)
        await process.aclose()


async def open_transport(
    link: HostLink,
    command: str,
    *,
    workspace: str,
    has_init: bool,
    prompter: Prompter | None = None,
) -> Transport:
    """Connect to the host and start the server there.

    Args:
        link: The way to the host.
        command: The whole remote command line, as ``link.remote.command`` makes it.
        workspace: The remote directory, for messages.
        has_init: Whether the command begins with a person's ``shell_init``.
        prompter: Answers what the host asks; None: the person at the terminal.

    Returns:
        A transport whose next byte is the server's first.

    Raises:
        OptionError: An option cannot be used.
        LinkError: The connection failed.
        RemoteError: The remote shell, its ``shell_init`` or the directory failed.
    """
    process = await link.open_process(command, prompter)
    try:
        clock = await _await_start(process, workspace, has_init=has_init)
    except BaseException:
        # By force: what we started has ended, or is not ours to wait for.
        await process.aclose(by_force=True)
        raise
    return Transport(process, clock)


async def _await_start(
    process: RemoteProcess, workspace: str, *, has_init: bool
) -> RemoteClock | None:
    """Read the marks of the remote command; what follows them is put back."""
    startup = Startup(has_init=has_init)
    try:
        rest = await wait_within(_read_marks(process, startup), START_TIMEOUT)
    except (TimeoutError, asyncio.TimeoutError):
        raise RemoteTimeoutError(
            f"the remote shell has not come to start the server within {START_TIMEOUT:g} s"
            f" (it is at the stage {startup.phase.value})",
            "look for a command there that waits for an answer",
        ) from None
    if rest is None:
        raise ended_before_start(process.exit, startup, workspace)
    process.put_back(rest)
    return startup.clock


async def _read_marks(process: RemoteProcess, startup: Startup) -> bytes | None:
    while True:
        data = await process.receive()
        if not data:
            return None
        rest = startup.feed(data)
        if rest is not None:
            return rest


def ended_before_start(ended: RemoteExit, startup: Startup, workspace: str) -> XpmRemoteError:
    """Say why the remote command ended before the server started."""
    if ended.lost is not None:
        return LinkLostError(f"the connection broke while the remote side started: {ended.lost}")
    return startup.failure(ended.status, ended.stderr, workspace)


GREETING_TIMEOUT = 60.0
"""Seconds from the bundle to the greeting: it takes a tenth of one, and on a login node whose disks are busy some."""

UNPACKED_MAX = 8 * 1024 * 1024
"""Bytes unpacked at once: a few can stand for a thousand times as many, and other tasks are to have their turn."""


class AgentTransport:
    """As ``Transport``, of an agent that has greeted. Use ``greet_agent`` to get one.

    Args:
        transport: The stdio of its process.
        greeting: What it said.
        rest: What has come behind the greeting.
    """

    def __init__(self, transport: Transport, greeting: Greeting, rest: bytes) -> None:
        self._transport = transport
        self._inflate = zlib.decompressobj() if greeting.compressed else None
        self._waiting = rest
        self.clock = transport.clock
        self.received = len(rest)
        """Bytes that came, before they were unpacked."""

    @property
    def exit(self) -> RemoteExit:
        """How the process ended; meaningful once ``receive`` gave no more bytes."""
        return self._transport.exit

    async def receive(self) -> bytes:
        """Give what has arrived, waiting for at least one byte; ``b""`` once the process has ended.

        Raises:
            ProtocolError: What came cannot be unpacked.
        """
        while True:
            data, self._waiting = self._waiting, b""
            if not data:
                data = await self._transport.receive()
                self.received += len(data)
                if not data:
                    return b""
            unpacked = self._unpack(data)
            if unpacked:
                return unpacked

    def send(self, data: bytes) -> None:
        """Send bytes to the process; without effect once it has ended."""
        self._transport.send(data)

    async def aclose(self, *, finish: float = 0.0) -> None:
        """End the process and the connection.

        Args:
            finish: Seconds that it is given, besides the usual ones, to finish the action in hand.
        """
        await self._transport.aclose(finish=finish)

    def _unpack(self, data: bytes) -> bytes:
        if self._inflate is None:
            return data
        try:
            unpacked = self._inflate.decompress(data, UNPACKED_MAX)
        except zlib.error as error:
            raise ProtocolError(
                f"what the agent sent cannot be unpacked: {error}", "try again"
            ) from error
        self._waiting = self._inflate.unconsumed_tail
        return unpacked


async def greet_agent(transport: Transport, bundle: Bundle) -> AgentTransport:
    """Send the agent to the interpreter that waits for it, and wait for its greeting.

    Args:
        transport: The stdio of the process that ``agent_command`` started.
        bundle: The agent, the same as in that command.

    Raises:
        StartError: No interpreter will do, or the agent ended.
        LinkLostError: The connection broke.
        RemoteTimeoutError: It does not greet.
    """
    transport.send(bundle.payload)
    greeting = Greeting()
    try:
        rest = await wait_within(_read_greeting(transport, greeting), GREETING_TIMEOUT)
    except (TimeoutError, asyncio.TimeoutError):
        raise RemoteTimeoutError(
            f"the agent has not greeted within {GREETING_TIMEOUT:g} s",
            "look at the load of the host",
        ) from None
    return AgentTransport(transport, greeting, rest)


async def _read_greeting(transport: Transport, greeting: Greeting) -> bytes:
    while data := await transport.receive():
        rest = greeting.feed(data)
        if rest is not None:
            return rest
    ended = transport.exit
    if ended.lost is not None:
        raise LinkLostError(f"the connection broke while the agent started: {ended.lost}")
    raise greeting.failure(ended.status, ended.stderr)
