"""A process and its stdio: the interface that every SSH engine implements, and the agent as a child process."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from abc import ABC, abstractmethod

from xpm_remote.errors import StartError
from xpm_remote.link.remote.agent import FLAGS, LOADER, NOTHING
from xpm_remote.link.remote.bundle import Bundle
from xpm_remote.link.remote.startup import STDERR_KEPT, RemoteExit
from xpm_remote.waiting import wait_within

BUFFER_HIGH = 8 * 1024 * 1024
"""Unread bytes at which the remote is paused."""

DRAIN_TIME = 0.5
"""Seconds for output to arrive after the exit status: a background process may hold the pipe open for ever."""


class RemoteProcess(ABC):
    """A command on a host, and the connection that carries it.

    An engine passes output to ``_take``, and calls ``_end`` after the last.
    """

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._size = 0
        self._ended = asyncio.Event()
        self._readable = asyncio.Event()

    @property
    @abstractmethod
    def exit(self) -> RemoteExit:
        """The end of the process; meaningful once ``receive`` has returned ``b""``."""

    @abstractmethod
    def send(self, data: bytes) -> None:
        """Send bytes to the process; without effect once it has ended.

        The bytes that wait to be sent are not bounded here: requests are few, and each waits for its answer.
        """

    @abstractmethod
    def close_stdin(self) -> None:
        """Send the end of the input."""

    @abstractmethod
    def terminate(self) -> None:
        """Ask the process to end, without waiting for it."""

    @abstractmethod
    async def aclose(self, *, by_force: bool = False) -> None:
        """Close the connection, and end the process if it still runs.

        Args:
            by_force: Whether to do so without waiting for the remote.
        """

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended and its output is complete."""
        return self._ended.is_set()

    async def receive(self) -> bytes:
        """Wait for bytes and return them; ``b""`` once the process has ended."""
        await self._readable.wait()
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        if not self._ended.is_set():
            self._readable.clear()
            self._resume()
        return data

    def put_back(self, data: bytes) -> None:
        """Return bytes to the beginning of what ``receive`` returns next."""
        if data:
            self._chunks.insert(0, data)
            self._size += len(data)
            self._readable.set()

    async def wait_ended(self, timeout: float) -> bool:
        """Wait for the end of the process; return whether it came in time."""
        try:
            await wait_within(self._ended.wait(), timeout)
        except (TimeoutError, asyncio.TimeoutError):
            return False
        return True

    @abstractmethod
    def _pause(self) -> None:
        """Stop reading the output, so that the remote waits."""

    @abstractmethod
    def _resume(self) -> None:
        """Read the output again, if that was stopped."""

    def _take(self, data: bytes) -> None:
        self._chunks.append(data)
        self._size += len(data)
        self._readable.set()
        if self._size > BUFFER_HIGH:
            self._pause()

    def _end(self) -> None:
        self._ended.set()
        self._readable.set()


READ_SIZE = 256 * 1024
"""Bytes read at once."""

KILL_WAIT = 5.0
"""Seconds for the system to end a child after SIGKILL."""


class LocalProcess(RemoteProcess):
    """A child process. Use ``start_local_agent`` to get one.

    Args:
        child: The child, with pipes for its stdio.
    """

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        super().__init__()
        self._child = child
        self._stderr = bytearray()
        self._room = asyncio.Event()
        self._room.set()
        self._reading = asyncio.create_task(self._read_all(), name="agent-output")

    @property
    def exit(self) -> RemoteExit:
        """The end of the child; the status is None if a signal ended it."""
        status = self._child.returncode
        stderr = self._stderr.decode("utf-8", "backslashreplace")
        return RemoteExit(status if status is None or status >= 0 else None, stderr, None)

    def send(self, data: bytes) -> None:
        """Send bytes to the child; without effect once it has ended."""
        stdin = self._child.stdin
        if stdin is not None and not stdin.is_closing():
            stdin.write(data)

    def close_stdin(self) -> None:
        """Close the child's stdin."""
        if self._child.stdin is not None:
            self._child.stdin.close()

    def terminate(self) -> None:
        """Send SIGTERM, without waiting for the end."""
        with contextlib.suppress(ProcessLookupError):
            self._child.terminate()

    async def aclose(self, *, by_force: bool = False) -> None:
        """Kill the child if it still runs, and read its last output."""
        self._resume()
        if self._child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._child.kill()
        await asyncio.wait({self._reading}, timeout=KILL_WAIT)
        self._reading.cancel()

    def _pause(self) -> None:
        self._room.clear()

    def _resume(self) -> None:
        self._room.set()

    async def _read_all(self) -> None:
        errors = asyncio.create_task(self._read_errors(), name="agent-errors")
        try:
            stdout = self._child.stdout
            while stdout is not None and (data := await stdout.read(READ_SIZE)):
                self._take(data)
                await self._room.wait()
            await errors
            await self._child.wait()
        finally:
            errors.cancel()
            self._end()

    async def _read_errors(self) -> None:
        stderr = self._child.stderr
        while stderr is not None and (data := await stderr.read(READ_SIZE)):
            self._stderr += data
            del self._stderr[:-STDERR_KEPT]


async def start_local_agent(
    bundle: Bundle, workspace: str, *, python: str = sys.executable, asked: str = NOTHING
) -> LocalProcess:
    """Start an agent for a workspace of this machine, and send it.

    Args:
        bundle: The agent.
        workspace: The directory of the workspace.
        python: The interpreter.
        asked: Requests that it answers as soon as it runs, a list in JSON.

    Raises:
        StartError: The interpreter cannot be started.
    """
    words = (*FLAGS, "-c", LOADER, workspace, "plain", asked)
    pipe = asyncio.subprocess.PIPE
    try:
        child = await asyncio.create_subprocess_exec(
            python, *words, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
    except OSError as error:
        raise StartError(f"the interpreter {python} cannot be started: {error}") from error
    process = LocalProcess(child)
    process.send(bundle.payload)
    return process
