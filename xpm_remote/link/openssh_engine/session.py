"""A running ``ssh``: its output, its end, and the end of what it leaves when we are killed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from typing import cast

from xpm_remote.escaping import safe
from xpm_remote.link.openssh_engine.errors import is_refusal, is_revoked
from xpm_remote.link.openssh_engine.stderr_parser import StderrParser, StepParser
from xpm_remote.link.process import DRAIN_TIME, RemoteProcess
from xpm_remote.link.prompts import Prompter, tell_once
from xpm_remote.link.remote.startup import RemoteExit
from xpm_remote.waiting import wait_within

log = logging.getLogger(__name__)

KILL_TIME = 2.0
"""Seconds for a killed process to end."""

SURVIVAL = 20
"""Seconds for ``ssh`` to end by itself after we were killed, when its stdin and the server's have ended."""

_STDIN, _STDOUT, _STDERR = 0, 1, 2

# The terminal sends its Ctrl-C to all processes: that would end the connection before we can end the remote side, so
# ssh ignores it. Whatever ssh is doing when we are killed (asking, waiting for a dead host), a shell ends it, which
# waits at the end of a pipe that we hold. A line in the pipe reports that ssh has ended by itself. The folder of a
# ControlMaster's socket goes with it.
_GUARD = f"""\
trap '' INT QUIT
ssh=$$ life=$1 folder=$2
shift 2
{{
  read -r word || {{
    n=0
    while [ $n -lt {SURVIVAL} ] && kill -0 $ssh; do sleep 1; n=$((n + 1)); done
    kill $ssh && sleep 5 && kill -9 $ssh
    [ -z "$folder" ] || rm -rf -- "$folder"
  }}
}} <"$life" >/dev/null 2>&1 &
exec "$@"
"""


class OpensshSession(RemoteProcess, asyncio.SubprocessProtocol):
    """A running ``ssh``.

    Args:
        prompter: Shows the host's texts until the login is done.
        steps: Reads the progress of ``ssh``.
        where: Host and port.

    Attributes:
        stderr_parser: Reads the stderr of ``ssh``.
        has_shown: Whether the host has shown something during the login, perhaps where to sign in.
    """

    def __init__(self, prompter: Prompter | None, steps: StepParser, where: str) -> None:
        super().__init__()
        self.stderr_parser = StderrParser()
        self._prompter = prompter
        self._steps = steps
        self._where = where
        self.has_shown = False
        self._process: asyncio.SubprocessTransport | None = None
        self._life: int | None = None
        self._logged_in = asyncio.Event()
        self._has_output = False
        self._is_paused = False
        self._open = {_STDOUT, _STDERR}
        self._exited = asyncio.Event()

    @property
    def exit(self) -> RemoteExit:
        """The end of the process."""
        status = None if self._process is None else self._process.get_returncode()
        return self.stderr_parser.exit(0 if status is None else status)

    async def start(self, program: str, arguments: list[str], folder: str = "") -> None:
        """Start the program, and a shell that ends it, and removes a folder, if we are killed."""
        end, self._life = os.pipe()
        guarded = ("/bin/sh", "-c", _GUARD, "sh", f"/dev/fd/{end}", folder, program, *arguments)
        try:
            await asyncio.get_running_loop().subprocess_exec(
                lambda: self, *guarded, pass_fds=(end,)
            )
        finally:
            os.close(end)

    async def wait_logged_in(self) -> None:
        """Wait until the remote command runs or ``ssh`` has ended."""
        await self._logged_in.wait()

    @property
    def has_begun(self) -> bool:
        """Whether the host, or a ControlMaster, has a channel for the command: its output may be read before stderr."""
        return self.stderr_parser.is_sent or self._has_output

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the process."""
        self._process = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Read output."""
        if fd == _STDOUT:
            self._has_output = True
            self._logged_in.set()
            self._take(data)
            return
        parser = self.stderr_parser
        is_asking = parser.is_asking
        progress, _ = parser.feed(data)
        for line in progress:
            log.debug("%s", safe(line))
            self._steps.take(line)
        shown, parser.shown = parser.shown, []
        if shown and self._prompter is not None:
            if is_asking:
                self._prompter.tell("\n".join(shown))
            else:
                banner = "\n".join(line for line in shown if not is_refusal(line))
                tell_once(self._prompter, self._where, banner)
                if banner.strip() and parser.is_served and not parser.is_logged_in:
                    self.has_shown = True
                    self._steps.shown()
        if not self._logged_in.is_set() and is_revoked(parser.stderr):
            self.terminate()
        elif self.has_begun:
            self._logged_in.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Record the end of an output."""
        self._open.discard(fd)
        self._end_if_drained()

    def process_exited(self) -> None:
        """Record the end of ``ssh``; its last output may still arrive."""
        self._dismiss_guard()
        self._exited.set()
        self._end_if_drained()
        asyncio.get_running_loop().call_later(DRAIN_TIME, self._stop_draining)

    def send(self, data: bytes) -> None:
        """Send bytes to the process."""
        stdin = self._stdin
        if stdin is not None and not stdin.is_closing():
            stdin.write(data)

    def close_stdin(self) -> None:
        """Send the end of the input."""
        stdin = self._stdin
        if stdin is not None:
            stdin.close()

    def terminate(self) -> None:
        """Send SIGTERM to ``ssh``, which ends the channel."""
        self._signal(signal.SIGTERM)

    async def aclose(self, *, by_force: bool = False) -> None:
        """End ``ssh`` if it still runs."""
        if by_force:
            self.terminate()
            await self._wait_exited(KILL_TIME)
        self._signal(signal.SIGKILL)
        await self._wait_exited(KILL_TIME)
        self._dismiss_guard()
        if self._process is not None:
            self._process.close()

    @property
    def _stdin(self) -> asyncio.WriteTransport | None:
        pipe = None if self._process is None else self._process.get_pipe_transport(_STDIN)
        return cast("asyncio.WriteTransport | None", pipe)

    @property
    def _stdout(self) -> asyncio.ReadTransport | None:
        pipe = None if self._process is None else self._process.get_pipe_transport(_STDOUT)
        return cast("asyncio.ReadTransport | None", pipe)

    def _pause(self) -> None:
        if self._stdout is not None and not self._is_paused:
            self._is_paused = True
            self._stdout.pause_reading()

    def _resume(self) -> None:
        if self._stdout is not None and self._is_paused:
            self._is_paused = False
            self._stdout.resume_reading()

    def _end_if_drained(self) -> None:
        if self._exited.is_set() and not self._open:
            self._logged_in.set()
            self._end()

    def _stop_draining(self) -> None:
        """Stop waiting for output, unless we have paused it."""
        if self._is_paused:
            asyncio.get_running_loop().call_later(DRAIN_TIME, self._stop_draining)
            return
        self._open.clear()
        self._end_if_drained()

    def _signal(self, number: int) -> None:
        if self._process is not None and not self._exited.is_set():
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _wait_exited(self, timeout: float) -> None:
        with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
            await wait_within(self._exited.wait(), timeout)

    def _dismiss_guard(self) -> None:
        """Tell the guard that ``ssh`` has ended."""
        if self._life is not None:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._life, b"ended\n")
            os.close(self._life)
            self._life = None
