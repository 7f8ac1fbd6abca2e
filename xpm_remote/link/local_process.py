"""The agent as a child process: the workspaces of this machine are served as those of others, without SSH."""

from __future__ import annotations

import asyncio
import contextlib
import sys

from xpm_remote.errors import StartError
from xpm_remote.link.remote.bootstrap import LOADER, Bundle
from xpm_remote.link.remote_exit import STDERR_KEPT, RemoteExit
from xpm_remote.link.remote_process import RemoteProcess

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
        """How it ended; the status is None when a signal ended it."""
        status = self._child.returncode
        stderr = self._stderr.decode("utf-8", "backslashreplace")
        return RemoteExit(status if status is None or status >= 0 else None, stderr, None)

    def send(self, data: bytes) -> None:
        """Send bytes to it; without effect once it has ended."""
        stdin = self._child.stdin
        if stdin is not None and not stdin.is_closing():
            stdin.write(data)

    def close_stdin(self) -> None:
        """Tell it that nothing more is sent."""
        if self._child.stdin is not None:
            self._child.stdin.close()

    def terminate(self) -> None:
        """Have it end, without waiting for it."""
        with contextlib.suppress(ProcessLookupError):
            self._child.terminate()

    async def aclose(self, *, by_force: bool = False) -> None:
        """End what is left of it."""
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
        """Read what it says until it has ended and said all."""
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
    bundle: Bundle, workspace: str, *, python: str = sys.executable
) -> LocalProcess:
    """Start an agent for a workspace of this machine; its bundle is still to be sent.

    Args:
        bundle: The agent.
        workspace: The directory of the workspace.
        python: The interpreter.

    Raises:
        StartError: It cannot be started.
    """
    flags = ("-I", "-B", "-S", "-X", "utf8")
    words = (*flags, "-c", LOADER, *bundle.arguments, workspace, "plain")
    pipe = asyncio.subprocess.PIPE
    try:
        child = await asyncio.create_subprocess_exec(
            python, *words, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
    except OSError as error:
        raise StartError(f"the interpreter {python} cannot be started: {error}") from error
    return LocalProcess(child)
