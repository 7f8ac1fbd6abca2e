"""Hosts that hang at one point of the way to their first answer."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import asyncssh

from xpm_remote.errors import ExitCode
from xpm_remote.link.openssh_engine import connection as openssh
from xpm_remote.link.remote.startup import MARK
from xpm_remote.link.waits import Limits, Wait

HOST = "127.0.0.1"
SHOWN = 0.1
"""Seconds that stand for ``WAIT_SHOWN`` here."""
SHORT = 0.5
"""Seconds of the one limit that a test reaches."""
SHORT_CONNECT = 1
"""The same for TCP and the greeting: the program ssh takes whole seconds."""
LONG = 60.0
"""Seconds of all other limits, and for the end of anything here: a busy machine is slow."""
READY = f"\n{MARK} init\n\n{MARK} ready 1795358688 +0000 UTC\n"


class OneLimit(Limits):
    """Limits of which that of one wait is short.

    Attributes:
        short: The wait; None: none is.
    """

    short: Wait | None = None

    @property
    def connect(self) -> float:
        """What the program ssh is told."""
        return SHORT_CONNECT if self.short in (Wait.TCP, Wait.GREETING) else LONG

    def of(self, wait: Wait) -> float:
        """Return the limit of a wait."""
        if wait is not self.short:
            return LONG
        return self.connect if wait in (Wait.TCP, Wait.GREETING) else SHORT


def one_limit(short: Wait | None = None) -> OneLimit:
    """Return limits of which that of one wait is short."""
    limits = OneLimit()
    limits.short = short
    return limits


class Point(NamedTuple):
    """A point at which a host hangs.

    Attributes:
        name: Its name.
        wait: What must be told, and ends at its limit.
        code: The exit code.
        ends: What the error must have.
        said: What the command on the host prints before it hangs; None: there is none.
    """

    name: str
    wait: Wait
    code: ExitCode
    ends: str
    said: str | None = None


POINTS = (
    Point("resolve", Wait.RESOLVE, ExitCode.RESOLVE, "cannot be resolved: no answer within"),
    Point("tcp", Wait.TCP, ExitCode.UNREACHABLE, "no answer within 1 s"),
    Point("silent", Wait.GREETING, ExitCode.UNREACHABLE, "within 1 s"),
    Point("tarpit", Wait.GREETING, ExitCode.UNREACHABLE, "within 1 s"),
    Point("greeted", Wait.KEY_EXCHANGE, ExitCode.UNREACHABLE, "has not finished the key"),
    Point("login", Wait.LOGIN, ExitCode.UNREACHABLE, "has not let us log in within 0.5 s"),
    Point("channel", Wait.COMMAND, ExitCode.REMOTE_TIMEOUT, "has not started a command"),
    Point("files", Wait.LOGIN_FILES, ExitCode.REMOTE_TIMEOUT, "Project?", "Hi\nProject? \x1b"),
    Point(
        "init",
        Wait.SHELL_INIT,
        ExitCode.REMOTE_TIMEOUT,
        "loading",
        f"{MARK} shell\n{MARK} going\nloading",
    ),
    Point("directory", Wait.WORKSPACE, ExitCode.STALLED, "has not found", f"{MARK} init\n"),
    Point("answer", Wait.ANSWER, ExitCode.REMOTE_TIMEOUT, "has not answered", READY),
)


class _Server(asyncssh.SSHServer):
    """Lets everyone in, or hangs."""

    def __init__(self, point: Point) -> None:
        self._point = point

    def begin_auth(self, username: str) -> Any:
        """Ask for no login, unless it hangs there."""
        return _forever() if self._point.name == "login" else False

    def session_requested(self) -> Any:
        """Open a channel, unless it hangs there."""
        return _forever() if self._point.name == "channel" else True


async def _forever() -> bool:
    await asyncio.Event().wait()
    return False


@asynccontextmanager
async def hanging(point: Point, port: int = 0) -> AsyncIterator[int]:
    """Serve a host that hangs at a point; yield its port.

    Args:
        point: The point.
        port: Its port; 0: any.
    """
    # However slow the program ssh is, it tells the end of its limit itself; that of OpenSSH 10 is none for a tarpit.
    grace = SHORT if point.name == "tarpit" else LONG
    with mock.patch.object(openssh, "GRACE", grace):
        async with _hanging(point, port) as found:
            yield found


@asynccontextmanager
async def _hanging(point: Point, port: int) -> AsyncIterator[int]:
    if point.name == "tcp":
        with socket.socket() as full, contextlib.ExitStack() as waiting:
            full.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            full.bind((HOST, port))
            full.listen(0)
            for _ in range(3):  # what does not fit into the queue gets no answer
                each = waiting.enter_context(socket.socket())
                each.setblocking(False)
                each.connect_ex(full.getsockname())
            yield full.getsockname()[1]
    elif point.name in ("resolve", "silent", "tarpit", "greeted"):
        silence = _silent_resolver() if point.name == "resolve" else contextlib.nullcontext()
        async with await asyncio.start_server(_listener(point), HOST, port) as plain:
            with silence:
                yield plain.sockets[0].getsockname()[1]
    else:

        async def run(process: asyncssh.SSHServerProcess[bytes]) -> None:
            process.stdout.write((point.said or "").encode())
            await process.wait_closed()

        server = await asyncssh.listen(
            HOST,
            port,
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            server_factory=lambda: _Server(point),
            encoding=None,
            process_factory=None if point.name == "channel" else run,
        )
        async with server:
            yield server.get_port()


def _listener(point: Point) -> Any:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if point.name == "greeted":
            writer.write(b"SSH-2.0-Hanging\r\n")
        dripping = asyncio.create_task(_drip(writer)) if point.name == "tarpit" else None
        with contextlib.suppress(OSError):
            while await reader.read(1024):
                pass
        if dripping is not None:
            dripping.cancel()
        writer.close()

    return serve


async def _drip(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x%x\r\n" % id(writer))
        await asyncio.sleep(SHOWN)


@contextmanager
def hanging_ssh(progress: str = "") -> Iterator[None]:
    """Let the program ssh tell a progress, and no end of its own."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "ssh"
        real = shutil.which("ssh")
        program.write_text(
            f'#!/bin/sh\ncase " $* " in *" -G "*) exec {real} "$@";; esac\n'
            f"printf '{progress}' >&2\nexec cat\n"
        )
        program.chmod(0o755)
        with mock.patch.dict(os.environ, {"PATH": f"{folder}:{os.environ['PATH']}"}):
            yield


@contextmanager
def _silent_resolver() -> Iterator[None]:
    """Let the resolver not answer, for us and for the program ssh."""
    ended = threading.Event()

    def hang(*_: object, **__: object) -> list[Any]:
        ended.wait()
        return []

    with mock.patch.object(socket, "getaddrinfo", hang), hanging_ssh():
        try:
            yield
        finally:
            ended.set()
