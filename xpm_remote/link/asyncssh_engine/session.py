"""The commands on a connection of the library asyncssh."""

from __future__ import annotations

import asyncio
import contextlib

import asyncssh

from xpm_remote.errors import LinkLostError
from xpm_remote.link.connection import CLOSE_TIMEOUT, Connection, SessionRefused
from xpm_remote.link.process import DRAIN_TIME, RemoteProcess
from xpm_remote.link.remote.startup import STDERR_KEPT, RemoteExit
from xpm_remote.waiting import wait_within


class AsyncsshSession(RemoteProcess, asyncssh.SSHClientSession[bytes]):
    """A process whose output the library delivers.

    Args:
        connection: The connection, released with the session.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection
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
        """Store the channel."""
        self._channel = chan

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
            try:
                await wait_within(self._channel.wait_closed(), CLOSE_TIMEOUT)
            except (TimeoutError, asyncio.TimeoutError):
                self._connection.is_silent = True
        await self._connection.release_process(by_force=by_force)

    def _pause(self) -> None:
        if self._channel is not None:
            self._channel.pause_reading()

    def _resume(self) -> None:
        if self._channel is not None:
            self._channel.resume_reading()


class AsyncsshConnection(Connection):
    """A connection of the library.

    Args:
        ssh: The connection, logged in.
        resources: What carries it, and closes it.
    """

    def __init__(
        self, ssh: asyncssh.SSHClientConnection, resources: contextlib.AsyncExitStack
    ) -> None:
        super().__init__()
        self.ssh = ssh
        self._resources = resources

    @property
    def _is_alive(self) -> bool:
        return not self.ssh.is_closed()

    async def _run(self, command: str) -> AsyncsshSession:
        session = AsyncsshSession(self)
        try:
            await self.ssh.create_session(
                lambda: session, command, encoding=None, request_pty=False, x11_forwarding=False
            )
        except asyncssh.ChannelOpenError as error:
            raise SessionRefused(error.reason) from error
        except (asyncssh.Error, OSError) as error:
            raise LinkLostError(f"the connection broke before the command ran: {error}") from error
        return session

    async def _close(self, *, by_force: bool) -> None:
        if by_force:
            self.ssh.abort()
        await self._resources.aclose()
