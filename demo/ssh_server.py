"""An SSH server for the demo: no root, no system account, one key that may log in. Needs asyncssh.

It listens on a free loopback port, writes that port as one line to its stdout, and runs commands with
``/bin/sh -c`` as the user who started it, in the home directory that HOME names. It ends when its stdin does, so
it never outlives its parent; a command ends with the connection that requested it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import asyncssh

LOOPBACK = "127.0.0.1"
SHELL = "/bin/sh"

CHUNK = 65536
"""Bytes that are passed on at a time: what a pipe holds."""

DRAIN_LIMIT = 2.0
"""Seconds for the rest of the output after a command's end: something it left behind may hold the pipe."""

HANGUP_GRACE = 2.0
"""Seconds for a command to end after SIGHUP, as when a terminal is closed; then it is killed."""


class _Kept(asyncssh.SSHServer):
    """One connection, kept while it is open: the listener of Python 3.12 and newer waits for the end of all.

    Args:
        open_ones: The connections that are open.
    """

    def __init__(self, open_ones: set[asyncssh.SSHServerConnection]) -> None:
        self._open_ones = open_ones
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Keep the connection."""
        self._connection = conn
        self._open_ones.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        if self._connection is not None:
            self._open_ones.discard(self._connection)


async def serve(host_key: Path, authorized_keys: Path) -> None:
    """Listen until stdin ends or a signal arrives, then end every command and connection."""
    sessions: set[asyncio.Task[None]] = set()
    connections: set[asyncssh.SSHServerConnection] = set()

    async def handle(process: asyncssh.SSHServerProcess[bytes]) -> None:
        task = asyncio.current_task()
        assert task is not None
        sessions.add(task)
        try:
            await run_command(process)
        finally:
            sessions.discard(task)

    acceptor = await asyncssh.listen(
        LOOPBACK,
        0,
        server_host_keys=[str(host_key)],
        authorized_client_keys=str(authorized_keys),
        server_factory=lambda: _Kept(connections),
        process_factory=handle,
        encoding=None,
        allow_pty=False,
        agent_forwarding=False,
    )
    async with acceptor:
        print(acceptor.get_port(), flush=True)
        await told_to_stop()
        running = set(sessions)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        for connection in set(connections):
            connection.abort()


async def told_to_stop() -> None:
    """Return at the end of stdin, or at SIGINT or SIGTERM."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    def read() -> None:
        if not os.read(sys.stdin.fileno(), CHUNK):
            stop.set()

    loop.add_reader(sys.stdin.fileno(), read)
    await stop.wait()
    loop.remove_reader(sys.stdin.fileno())


class _Exit(asyncio.subprocess.SubprocessStreamProtocol):
    """The streams of a command, and its end: asyncio's own wait also waits for what it left behind."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=CHUNK, loop=loop)
        self.event = asyncio.Event()

    def process_exited(self) -> None:
        """Note the end, which comes before that of the pipes."""
        super().process_exited()
        self.event.set()


@dataclass(frozen=True)
class _Child:
    """A running command."""

    transport: asyncio.SubprocessTransport
    exited: asyncio.Event
    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader

    @classmethod
    async def start(cls, command: str | None) -> _Child:
        """Start a command, or a shell that reads commands from its stdin."""
        loop = asyncio.get_running_loop()
        transport, streams = await loop.subprocess_exec(
            lambda: _Exit(loop),
            SHELL,
            *(() if command is None else ("-c", command)),
            cwd=Path.home(),
            # A group of its own: so all of it can be ended at once, and Ctrl-C in a terminal does not reach it.
            start_new_session=True,
        )
        assert streams.stdin is not None
        assert streams.stdout is not None
        assert streams.stderr is not None
        return cls(transport, streams.event, streams.stdin, streams.stdout, streams.stderr)

    @property
    def status(self) -> int:
        """The exit status, or less than 0 for a signal; meaningful after its end."""
        status = self.transport.get_returncode()
        assert status is not None
        return status

    def signal(self, number: int) -> None:
        """Signal the whole process group; no effect when it is empty."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.transport.get_pid(), number)

    async def end(self) -> None:
        """End the command and all that it started, first by SIGHUP, then by SIGKILL."""
        self.signal(signal.SIGHUP)
        with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
            await asyncio.wait_for(self.exited.wait(), HANGUP_GRACE)
        self.signal(signal.SIGKILL)
        await self.exited.wait()
        self.transport.close()


async def run_command(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """Run what the client requested until it ends by itself, or until the client is gone."""
    child = await _Child.start(process.command)
    talk = asyncio.create_task(_talk(process, child), name="talk")
    gone = asyncio.create_task(process.channel.wait_closed(), name="gone")
    try:
        await asyncio.wait({talk, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await child.end()
        talk.cancel()
        gone.cancel()
        await asyncio.wait({talk, gone})
    if not talk.cancelled():
        _exit(process, talk.result())


async def _talk(process: asyncssh.SSHServerProcess[bytes], child: _Child) -> int:
    """Pass everything on until the command has ended and its output is through; return its status."""
    feed = asyncio.create_task(_feed(process, child), name="stdin")
    outputs = {
        asyncio.create_task(_pass_on(child.stdout, process.stdout), name="stdout"),
        asyncio.create_task(_pass_on(child.stderr, process.stderr), name="stderr"),
    }
    try:
        await child.exited.wait()
        await asyncio.wait(outputs, timeout=DRAIN_LIMIT)
        return child.status
    finally:
        for task in (feed, *outputs):
            task.cancel()
        # Each of them raises when the client is gone, which then needs no answer.
        await asyncio.gather(feed, *outputs, return_exceptions=True)


async def _feed(process: asyncssh.SSHServerProcess[bytes], child: _Child) -> None:
    """Pass on stdin, its end, and the client's signals."""
    while True:
        try:
            data = await process.stdin.read(CHUNK)
        except asyncssh.SignalReceived as received:
            name = f"SIG{received.signal}"
            child.signal(signal.Signals.__members__.get(name, signal.SIGTERM))
            continue
        except (asyncssh.BreakReceived, asyncssh.TerminalSizeChanged):
            continue
        if not data:
            break
        try:
            child.stdin.write(data)
            await child.stdin.drain()
        except ConnectionError:
            return  # it reads no further, which is allowed
    child.stdin.close()


async def _pass_on(source: asyncio.StreamReader, target: asyncssh.SSHWriter[bytes]) -> None:
    while data := await source.read(CHUNK):
        target.write(data)
        await target.drain()


def _exit(process: asyncssh.SSHServerProcess[bytes], status: int) -> None:
    """Send the client the exit status or signal of the command."""
    if status < 0:
        process.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))
    else:
        process.exit(status)


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host-key", type=Path, required=True, help="private key of the host")
    parser.add_argument(
        "--authorized-keys", type=Path, required=True, help="public keys that may log in"
    )
    given = parser.parse_args()
    asyncio.run(serve(given.host_key, given.authorized_keys))


if __name__ == "__main__":
    main()
