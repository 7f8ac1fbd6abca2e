"""Bytes to and from a remote process: its stderr kept, its end known, its shutdown a ladder."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

import asyncssh

from xpm_remote.errors import LinkLostError, RemoteTimeoutError, StartError, XpmRemoteError
from xpm_remote.link.connection import Connection, open_connection
from xpm_remote.link.prompts import Prompter
from xpm_remote.link.ssh_options import ConnectOptions
from xpm_remote.link.startup import RemoteClock, Startup

START_TIMEOUT = 300.0
"""Seconds until the server starts: modules load and file systems mount slowly on a login node."""

STDERR_KEPT = 8192
"""Bytes of the end of stderr that are kept for an error message: a traceback."""

DRAIN_TIME = 0.5
"""Seconds for output to arrive after the exit status: a forgotten background process may hold the pipe for ever."""

EOF_GRACE = 2.0
"""Seconds for the server to end by itself after its stdin was closed; the reference one takes 0.1."""

TERM_GRACE = 1.0
"""Seconds for it to end after SIGTERM, before the channel is closed under it."""

BUFFER_HIGH = 8 * 1024 * 1024
"""Bytes waiting to be read at which the remote is told to pause."""


@dataclass(frozen=True)
class RemoteExit:
    """How a remote process ended.

    Attributes:
        status: Its exit status; None when a signal or the loss of the connection ended it.
        stderr: The last lines that it wrote there.
        lost: Why the connection broke; None when it did not.
    """

    status: int | None
    stderr: str
    lost: str | None


class Transport:
    """The stdio of one remote process. Use ``open_transport`` to get one."""

    def __init__(self, connection: Connection, session: _Session) -> None:
        self._connection = connection
        self._session = session
        self.clock: RemoteClock | None = None

    @property
    def exit(self) -> RemoteExit:
        """How the process ended; meaningful once ``receive`` gave no more bytes."""
        return self._session.exit

    async def receive(self) -> bytes:
        """Give what has arrived, waiting for at least one byte; ``b""`` once the process has ended."""
        return await self._session.receive()

    def send(self, data: bytes) -> None:
        """Send bytes to the process; without effect once it has ended."""
        self._session.send(data)

    async def aclose(self) -> None:
        """End the process and the connection: close its stdin, then signal it, then leave."""
        session = self._session
        session.close_stdin()
        if not await session.wait_ended(EOF_GRACE):
            session.terminate()
            await session.wait_ended(TERM_GRACE)
        await self._connection.aclose()


class _Session(asyncssh.SSHClientSession[bytes]):
    """Collects what the library hands over."""

    def __init__(self) -> None:
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._chunks: list[bytes] = []
        self._size = 0
        self._stderr = bytearray()
        self._status: int | None = None
        self._signalled = False
        self._lost: str | None = None
        self._ended = asyncio.Event()
        self._readable = asyncio.Event()

    @property
    def exit(self) -> RemoteExit:
        stderr = self._stderr.decode("utf-8", "backslashreplace")
        return RemoteExit(self._status, stderr, self._lost)

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self._channel = chan

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if datatype == asyncssh.EXTENDED_DATA_STDERR:
            self._stderr += data
            del self._stderr[:-STDERR_KEPT]
            return
        self._chunks.append(data)
        self._size += len(data)
        self._readable.set()
        if self._size > BUFFER_HIGH and self._channel is not None:
            self._channel.pause_reading()

    def eof_received(self) -> bool:
        return True  # the exit status is still to come

    def exit_status_received(self, status: int) -> None:
        self._status = status
        asyncio.get_running_loop().call_later(DRAIN_TIME, self._end)

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        self._signalled = True
        self._stderr += f"\nended by signal {signal} {msg}".encode()
        asyncio.get_running_loop().call_later(DRAIN_TIME, self._end)

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self._lost = str(exc) or type(exc).__name__
        elif self._status is None and not self._signalled:
            self._lost = "the host closed it"
        self._end()

    async def receive(self) -> bytes:
        await self._readable.wait()
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        if not self._ended.is_set():
            self._readable.clear()
            if self._channel is not None:
                self._channel.resume_reading()
        return data

    def send(self, data: bytes) -> None:
        if self._channel is not None and not self._channel.is_closing():
            # BrokenPipeError: the end of the process is on its way to us and tells more.
            with contextlib.suppress(BrokenPipeError):
                self._channel.write(data)

    def close_stdin(self) -> None:
        if self._channel is not None and not self._channel.is_closing():
            with contextlib.suppress(BrokenPipeError):
                self._channel.write_eof()

    def terminate(self) -> None:
        if self._channel is not None:
            with contextlib.suppress(OSError):
                self._channel.terminate()

    async def wait_ended(self, timeout: float) -> bool:
        """Wait for the end of the process; tell whether it came."""
        try:
            await asyncio.wait_for(self._ended.wait(), timeout)
        except (TimeoutError, asyncio.TimeoutError):
            return False
        return True

    def _end(self) -> None:
        self._ended.set()
        self._readable.set()


async def open_transport(
    options: ConnectOptions,
    command: str,
    *,
    workspace: str,
    has_init: bool,
    prompter: Prompter | None = None,
) -> Transport:
    """Connect to the host and start the server there.

    Args:
        options: Where to connect to, and how.
        command: The whole remote command line, as ``link.command`` makes it.
        workspace: The remote directory, for messages.
        has_init: Whether the command begins with a person's ``shell_init``.
        prompter: Who is asked for what only a person knows; None: whoever is at the terminal.

    Returns:
        A transport whose next byte is the server's first.

    Raises:
        OptionError: An option cannot be used.
        LinkError: The connection failed.
        RemoteError: The remote shell, its ``shell_init`` or the directory failed.
    """
    connection = await open_connection(options, prompter)
    try:
        session = await _start(connection, command)
        transport = Transport(connection, session)
        transport.clock = await _await_start(session, workspace, has_init=has_init)
    except BaseException:
        # By force: what we started has ended, or is not ours to wait for.
        connection.ssh.abort()
        await connection.aclose()
        raise
    return transport


async def _start(connection: Connection, command: str) -> _Session:
    try:
        session = _Session()
        await connection.ssh.create_session(
            lambda: session, command, encoding=None, request_pty=False, x11_forwarding=False
        )
    except asyncssh.ChannelOpenError as error:
        raise StartError(f"the host refuses to run a command: {error.reason}") from error
    except (asyncssh.Error, OSError) as error:
        raise LinkLostError(f"the connection broke before the command ran: {error}") from error
    return session


async def _await_start(session: _Session, workspace: str, *, has_init: bool) -> RemoteClock | None:
    """Read the marks of the remote command; what follows them is put back."""
    startup = Startup(has_init=has_init)
    try:
        rest = await asyncio.wait_for(_read_marks(session, startup), START_TIMEOUT)
    except (TimeoutError, asyncio.TimeoutError):
        raise RemoteTimeoutError(
            f"the remote shell has not come to start the server within {START_TIMEOUT:g} s"
            f" (it is at the stage {startup.stage.value})",
            "look for a command there that waits for an answer",
        ) from None
    if rest is None:
        raise ended_before_start(session.exit, startup, workspace)
    if rest:
        session.data_received(rest, None)
    return startup.clock


async def _read_marks(session: _Session, startup: Startup) -> bytes | None:
    while True:
        data = await session.receive()
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
