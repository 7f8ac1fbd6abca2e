"""A command on a host, run by the library asyncssh."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import asyncssh

from xpm_remote.errors import LinkLostError, StartError
from xpm_remote.link.asyncssh_engine.connection import (
    CLOSE_TIMEOUT,
    Connection,
    KeptConnection,
    open_connection,
)
from xpm_remote.link.asyncssh_engine.keys import OpenedKeys
from xpm_remote.link.course import Course
from xpm_remote.link.observer import UNOBSERVED, Observer, Step
from xpm_remote.link.options.connect_options import ConnectOptions
from xpm_remote.link.process import DRAIN_TIME, RemoteProcess
from xpm_remote.link.prompts import Prompter
from xpm_remote.link.remote.startup import STDERR_KEPT, RemoteExit
from xpm_remote.link.waits import DEFAULT_LIMITS, Limits, Wait
from xpm_remote.waiting import wait_within

log = logging.getLogger(__name__)

REUSE_TIMEOUT = 15.0
"""Seconds for a kept connection to run another command: several round trips of a slow one; it may be dead."""


class AsyncsshSession(RemoteProcess, asyncssh.SSHClientSession[bytes]):
    """A process whose output the library delivers.

    Args:
        connection: The connection, released with the session.
        first: Sent with the command.
    """

    def __init__(self, connection: Connection, first: bytes = b"") -> None:
        super().__init__()
        self._connection = connection
        self._first = first
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._stderr = bytearray()
        self._status: int | None = None
        self._signalled = False
        self._lost: str | None = None
        self._is_closed = False

    @property
    def exit(self) -> RemoteExit:
        """The end of the process."""
        stderr = self._stderr.decode("utf-8", "backslashreplace")
        return RemoteExit(self._status, stderr, self._lost)

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        """Store the channel, and send what comes first as soon as the library has sent the command."""
        self._channel = chan
        if self._first:
            # It does so in this turn of the loop; a server drops what arrives before the command.
            asyncio.get_running_loop().call_soon(self.send, self._first)

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        """Store output."""
        if datatype == asyncssh.EXTENDED_DATA_STDERR:
            self._stderr += data
            del self._stderr[:-STDERR_KEPT]
        else:
            self._take(data)

    def eof_received(self) -> bool:
        """Keep the channel open: the exit status comes later."""
        return True

    def exit_status_received(self, status: int) -> None:
        """Store the exit status."""
        self._status = status
        asyncio.get_running_loop().call_later(DRAIN_TIME, self._end)

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        """Store the signal that ended the process."""
        self._signalled = True
        self._stderr += f"\nended by signal {signal} {msg}".encode()
        asyncio.get_running_loop().call_later(DRAIN_TIME, self._end)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the process with its channel."""
        if exc is not None:
            self._lost = str(exc) or type(exc).__name__
        elif self._status is None and not self._signalled:
            self._lost = "the host closed it"
        self._end()

    def send(self, data: bytes) -> None:
        """Send bytes to the process."""
        if self._channel is not None and not self._channel.is_closing():
            # The end of the process, which says more, is about to arrive.
            with contextlib.suppress(BrokenPipeError):
                self._channel.write(data)

    def close_stdin(self) -> None:
        """Send the end of the input."""
        if self._channel is not None and not self._channel.is_closing():
            with contextlib.suppress(BrokenPipeError):
                self._channel.write_eof()

    def terminate(self) -> None:
        """Ask the host to send SIGTERM."""
        if self._channel is not None:
            with contextlib.suppress(OSError):
                self._channel.terminate()

    async def aclose(self, *, by_force: bool = False) -> None:
        """Close the channel, and the connection unless it is kept for another command."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._connection.is_shared and self._channel is not None:
            self._channel.abort()
            # Some hosts allow one channel at a time.
            with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
                await wait_within(self._channel.wait_closed(), CLOSE_TIMEOUT)
        await self._connection.aclose(by_force=by_force)

    def _pause(self) -> None:
        if self._channel is not None:
            self._channel.pause_reading()

    def _resume(self) -> None:
        if self._channel is not None:
            self._channel.resume_reading()


async def start_by_asyncssh(
    options: ConnectOptions,
    command: str,
    prompter: Prompter | None,
    observer: Observer = UNOBSERVED,
    opened: OpenedKeys | None = None,
    kept: KeptConnection | None = None,
    limits: Limits = DEFAULT_LIMITS,
    first: bytes = b"",
) -> AsyncsshSession:
    """Connect, log in and run a command.

    Args:
        options: The host and the options of the connection.
        command: The remote command line.
        prompter: Answers the host's questions.
        observer: Receives the steps.
        opened: Keys that a person has unlocked; those that are unlocked now are added.
        kept: A connection to the same host, used if it is open; else it keeps the new one.
        limits: The seconds of each wait.
        first: Sent with the command.

    Raises:
        OptionError: An option cannot be used.
        LinkError: The connection failed.
        StartError: The host runs no commands.
    """
    standing = None if kept is None else kept.standing
    if standing is not None:
        try:
            return await wait_within(_start(standing, command, first), REUSE_TIMEOUT)
        except (StartError, LinkLostError, TimeoutError, asyncio.TimeoutError) as error:
            log.debug("the kept connection runs no other command: %r", error)
    connection = await open_connection(options, prompter, observer, opened, limits)
    try:
        observer.enter(Step.SHELL, options.host)
        course = Course(observer, options.host, limits)
        course.enter(Wait.COMMAND)
        session = await course.carry(_start(connection, command, first))
        if kept is not None:
            await kept.keep(connection)
    finally:
        await connection.aclose(by_force=True)
    return session


async def _start(connection: Connection, command: str, first: bytes) -> AsyncsshSession:
    """Run a command on a connection, of which its session becomes a holder."""
    connection.hold()
    session = AsyncsshSession(connection, first)
    try:
        await connection.ssh.create_session(
            lambda: session, command, encoding=None, request_pty=False, x11_forwarding=False
        )
    except BaseException as error:
        await connection.aclose(by_force=True)
        if isinstance(error, asyncssh.ChannelOpenError):
            raise StartError(f"the host refuses to run a command: {error.reason}") from error
        if isinstance(error, (asyncssh.Error, OSError)):
            raise LinkLostError(f"the connection broke before the command ran: {error}") from error
        raise
    return session
