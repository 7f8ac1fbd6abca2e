"""Bytes to and from a remote process, from the end of its start to its shutdown in steps."""

from __future__ import annotations

import zlib

from xpm_remote.errors import LinkLostError, ProtocolError, StartError, XpmRemoteError
from xpm_remote.link.course import Course
from xpm_remote.link.host import HostLink
from xpm_remote.link.observer import UNOBSERVED, Observer
from xpm_remote.link.process import RemoteProcess
from xpm_remote.link.prompts import Prompter
from xpm_remote.link.remote.agent import PLAIN, Greeting
from xpm_remote.link.remote.bundle import Bundle
from xpm_remote.link.remote.startup import RemoteClock, RemoteExit, StartPhase, StartReader, Startup
from xpm_remote.link.sharing import First
from xpm_remote.link.waits import Wait

EOF_GRACE = 2.0
"""Seconds for the server to end by itself after its stdin was closed; the reference one takes 0.1."""

TERM_GRACE = 1.0
"""Seconds for it to end after SIGTERM, before the channel is closed under it."""


class Transport:
    """The stdio of one remote process. Use ``open_transport`` to get one.

    Attributes:
        process: The process.
        clock: The remote's clock; None if it could not be read.
    """

    def __init__(self, process: RemoteProcess, clock: RemoteClock | None) -> None:
        self.process = process
        self.clock = clock

    @property
    def exit(self) -> RemoteExit:
        """The end of the process; meaningful once ``receive`` has returned ``b""``."""
        return self.process.exit

    async def receive(self) -> bytes:
        """Wait for bytes and return them; ``b""`` once the process has ended."""
        return await self.process.receive()

    def send(self, data: bytes) -> None:
        """Send bytes to the process; without effect once it has ended."""
        self.process.send(data)

    async def aclose(self, *, finish: float = 0.0) -> None:
        """End the process and the connection: close its stdin, then signal it, then close the channel.

        Args:
            finish: Seconds that the process gets, besides the usual ones, to finish its work.
        """
        self.process.close_stdin()
        if not await self.process.wait_ended(EOF_GRACE + finish):
            self.process.terminate()
            await self.process.wait_ended(TERM_GRACE)
        await self.process.aclose()


async def open_transport(
    link: HostLink,
    command: str,
    *,
    workspace: str,
    first: First | None = None,
    prompter: Prompter | None = None,
    observer: Observer = UNOBSERVED,
) -> Transport:
    """Connect to the host and start the server there.

    Args:
        link: The connection to the host.
        command: The whole remote command line, from ``link.remote.command``.
        workspace: The remote directory, for messages.
        first: Returns what the command reads first: sent with it, unless login files there read what is not theirs.
        prompter: Answers the host's questions; None: the terminal.
        observer: Receives the steps and what is waited for.

    Returns:
        A transport whose next byte is the server's first.

    Raises:
        OptionError: An option cannot be used.
        LinkError: The connection failed.
        RemoteError: The remote shell, its ``shell_init`` or the directory failed.
    """
    early = None if link.reads_input else first
    process = await link.open_process(command, prompter, observer, early)
    try:
        clock = await _await_start(process, workspace, link, observer, command)
        if first is not None and early is None:
            process.send(await first())
    except BaseException:
        # By force: the process has ended, or there is no time to wait for it.
        await process.aclose(by_force=True)
        raise
    return Transport(process, clock)


async def _await_start(
    process: RemoteProcess, workspace: str, link: HostLink, observer: Observer, command: str
) -> RemoteClock | None:
    """Read the marks of the remote command, and put back the bytes after them."""
    course = Course(
        observer, link.options.host, link.limits, lambda: startup.said(process.exit.stderr)
    )
    startup = Startup(lambda phase: enter_phase(course, phase), command=command)
    rest = await course.carry(_read_start(process, startup))
    if rest is None:
        raise ended_before_start(process.exit, startup, workspace)
    process.put_back(rest)
    return startup.clock


_WAITS = {
    StartPhase.LOGIN: Wait.LOGIN_FILES,
    StartPhase.SHELL_INIT: Wait.SHELL_INIT,
    StartPhase.WORKSPACE: Wait.WORKSPACE,
}


def enter_phase(course: Course, phase: StartPhase) -> None:
    """Begin the wait of a phase of the start."""
    if phase is StartPhase.READY:
        course.leave()
    else:
        course.enter(_WAITS[phase])


async def _read_start(source: RemoteProcess | Transport, reader: StartReader) -> bytes | None:
    """Return the bytes after the last mark; None if the process ends first."""
    while data := await source.receive():
        rest = reader.feed(data)
        if rest is not None:
            return rest
    return None


def ended_before_start(ended: RemoteExit, startup: Startup, workspace: str) -> XpmRemoteError:
    """Return the error for a remote command that ended before the server started."""
    if ended.is_refused:
        return StartError(f"the host, or ssh, refuses to run a command: {ended.lost}")
    if ended.lost is not None:
        return LinkLostError(f"the connection broke while the remote side started: {ended.lost}")
    return startup.failure(ended.status, ended.stderr, workspace)


UNPACKED_MAX = 8 * 1024 * 1024
"""Bytes unpacked at once: few packed bytes may hold a thousand times as many, and other tasks must run meanwhile."""


class AgentTransport(Transport):
    """The stdio of an agent that has greeted. Use ``greet_agent`` to get one.

    Args:
        transport: The stdio of the agent's process.
        greeting: The agent's greeting.
        rest: The bytes after it.

    Attributes:
        greeting: The same.
    """

    def __init__(self, transport: Transport, greeting: Greeting, rest: bytes) -> None:
        super().__init__(transport.process, transport.clock)
        self.greeting = greeting
        self._inflate = zlib.decompressobj() if greeting.compressed else None
        self._waiting = rest
        self.received = len(rest)
        """The number of bytes received, before they were unpacked."""

    async def receive(self) -> bytes:
        """Wait for bytes and return them; ``b""`` once the process has ended.

        Raises:
            ProtocolError: The bytes cannot be unpacked.
        """
        while True:
            data, self._waiting = self._waiting, b""
            if not data:
                data = await super().receive()
                self.received += len(data)
                if not data:
                    return b""
            unpacked = self._unpack(data)
            if unpacked:
                return unpacked

    def _unpack(self, data: bytes) -> bytes:
        if self._inflate is None:
            return data
        try:
            unpacked = self._inflate.decompress(data, UNPACKED_MAX)
        except zlib.error as error:
            raise ProtocolError(
                f"what the agent sent cannot be unpacked: {error}", "try again"
            ) from error
        if self._inflate.eof:
            raise ProtocolError("what the agent sent ends before the agent does", "try again")
        self._waiting = self._inflate.unconsumed_tail
        return unpacked


async def greet_agent(transport: Transport, bundle: Bundle, course: Course) -> AgentTransport:
    """Wait for the greeting of an agent that was sent, and send it again where that is asked for.

    Args:
        transport: The stdio of the process that runs ``agent_command``; the bundle's payload has been sent.
        bundle: The agent, the same as in that command.
        course: Follows the wait.

    Raises:
        StartError: No interpreter is suitable, or the agent ended.
        LinkLostError: The connection broke.
        RemoteTimeoutError: The agent does not greet.
    """
    greeting = Greeting()
    course.enter(Wait.ANSWER)
    rest = await course.carry(_read_greeting(transport, greeting, bundle))
    if rest is not None:
        return AgentTransport(transport, greeting, rest)
    ended = transport.exit
    if ended.lost is not None:
        raise LinkLostError(f"the connection broke while the agent started: {ended.lost}")
    raise greeting.failure(ended.status, ended.stderr)


async def _read_greeting(transport: Transport, greeting: Greeting, bundle: Bundle) -> bytes | None:
    rest = await _read_start(transport, greeting)
    while rest is not None and greeting.asks is not None:
        transport.send(bundle.plain if greeting.asks == PLAIN else bundle.payload_again)
        rest = await _read_start(transport, greeting)
    return rest
