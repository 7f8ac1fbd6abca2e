"""A host that hangs at each point of the way: what is waited for is told, and the wait ends at its limit, named."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import threading
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import asyncssh
import pytest

from xpm_remote.doctor.examine import examine
from xpm_remote.doctor.stages import Examination, Stage
from xpm_remote.errors import ExitCode, XpmRemoteError
from xpm_remote.link import course
from xpm_remote.link.course import SlowWaits
from xpm_remote.link.host import HostLink
from xpm_remote.link.options.connect_options import parse_ssh_options
from xpm_remote.link.prompts import RefusingPrompter
from xpm_remote.link.remote.command import RemoteExperimaestro
from xpm_remote.link.remote.startup import MARK
from xpm_remote.link.waits import Limits
from xpm_remote.session.agent_client import open_agent
from xpm_remote.session.target import Target
from xpm_remote.settings.schema import Backend, SshEngine

pytestmark = pytest.mark.slow

HOST = "127.0.0.1"
SHOWN = 0.1
"""Seconds that stand for ``WAIT_SHOWN`` here."""
LIMITS = Limits(0.5, 1, 0.5, 0.5, 0.5, 0.5, 0.5)
LIMIT = 20.0
"""Seconds for any of this, on a machine that runs other tests, too."""
READY = f"\n{MARK} init\n\n{MARK} ready 1795358688 +0000 UTC\n"


class Point(NamedTuple):
    """A point at which a host hangs.

    Attributes:
        name: Its name.
        waits_for: What must be told.
        code: The exit code.
        ends: What the error must have.
        said: What the command on the host prints before it hangs; None: there is none.
    """

    name: str
    waits_for: str
    code: ExitCode
    ends: str
    said: str | None = None


POINTS = (
    Point("resolve", "the address of", ExitCode.RESOLVE, "cannot be resolved: no answer within"),
    Point("tcp", "a TCP connection to", ExitCode.UNREACHABLE, "no answer within 1 s"),
    Point("silent", "the SSH greeting of", ExitCode.UNREACHABLE, "within 1 s"),
    Point("tarpit", "the SSH greeting of", ExitCode.UNREACHABLE, "within 1 s"),
    Point("greeted", "the key exchange with", ExitCode.UNREACHABLE, "has not finished the key"),
    Point("login", "the login to", ExitCode.UNREACHABLE, "has not let us log in within 0.5 s"),
    Point(
        "channel", "the start of a command", ExitCode.REMOTE_TIMEOUT, "has not started a command"
    ),
    Point("files", "the login files of", ExitCode.REMOTE_TIMEOUT, "Project?", "Hi\nProject? \x1b"),
    Point(
        "init",
        "shell_init on",
        ExitCode.REMOTE_TIMEOUT,
        "loading",
        f"{MARK} shell\n{MARK} going\nloading",
    ),
    Point("directory", "the workspace on", ExitCode.STALLED, "has not found", f"{MARK} init\n"),
    Point("answer", "the first answer of", ExitCode.REMOTE_TIMEOUT, "has not answered", READY),
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
async def hanging(point: Point) -> AsyncIterator[int]:
    """Serve a host that hangs at a point; yield its port."""
    if point.name == "tcp":
        with socket.socket() as full, contextlib.ExitStack() as waiting:
            full.bind((HOST, 0))
            full.listen(0)
            for _ in range(3):  # what does not fit into the queue gets no answer
                each = waiting.enter_context(socket.socket())
                each.setblocking(False)
                each.connect_ex(full.getsockname())
            yield full.getsockname()[1]
    elif point.name in ("resolve", "silent", "tarpit", "greeted"):
        async with await asyncio.start_server(_listener(point), HOST, 0) as plain:
            yield plain.sockets[0].getsockname()[1]
    else:

        async def run(process: asyncssh.SSHServerProcess[bytes]) -> None:
            process.stdout.write((point.said or "").encode())
            await process.wait_closed()

        server = await asyncssh.listen(
            HOST,
            0,
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


@pytest.fixture(autouse=True)
def prompt_telling(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tell of waits early."""
    monkeypatch.setattr(course, "WAIT_SHOWN", SHOWN)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def no_resolver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Make a resolver that does not answer, for us and for the program ssh."""
    ended = threading.Event()

    def hang() -> None:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: ended.wait() and [])
        program = tmp_path / "ssh"
        real = shutil.which("ssh")
        program.write_text(
            f'#!/bin/sh\ncase " $* " in *" -G "*) exec {real} "$@";; esac\nexec cat\n'
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    yield hang
    ended.set()


def target_at(port: int, engine: SshEngine) -> Target:
    """Return a workspace on the host."""
    options = [
        f"-F none -p {port} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
        "-o GlobalKnownHostsFile=/dev/null",
    ]
    return Target(
        name=HOST,
        workspace="/d",
        options=parse_ssh_options(HOST, options, engine),
        remote=RemoteExperimaestro(),
        engine=engine,
        backend=Backend.AGENT,
        shell_init="true",
        limits=LIMITS,
    )


def within(work: Awaitable[Any]) -> Any:
    """Wait for what must end by itself."""
    return asyncio.wait_for(work, LIMIT)


@pytest.mark.parametrize("engine", [SshEngine.ASYNCSSH, SshEngine.OPENSSH])
@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
async def test_command(point: Point, engine: SshEngine, no_resolver: Any) -> None:
    """A command tells what it waits for, and ends with the stage, its code, and the host's last words."""
    told: list[str] = []
    if point.name == "resolve":
        no_resolver()
    async with hanging(point) as port:
        target = target_at(port, engine)
        link = HostLink(target.options, engine, target.limits)
        prompter = RefusingPrompter("it is night")
        opening = open_agent(target, link, prompter=prompter, observer=SlowWaits(told.append))
        with pytest.raises(XpmRemoteError) as caught:
            await within(opening)
    assert point.ends in str(caught.value)
    assert point.waits_for in " ".join(told)
    assert caught.value.exit_code is point.code


STAGES = {
    "resolve": Stage.RESOLVE,
    "tcp": Stage.TCP,
    "silent": Stage.TCP,
    "tarpit": Stage.TCP,
    "greeted": Stage.HOST_KEY,
    "login": Stage.AUTHENTICATION,
    "channel": Stage.SHELL,
    "files": Stage.SHELL,
    "init": Stage.SHELL_INIT,
}


@pytest.mark.parametrize("engine", [SshEngine.ASYNCSSH, SshEngine.OPENSSH])
@pytest.mark.parametrize(
    "point", [each for each in POINTS if each.name in STAGES], ids=lambda point: point.name
)
async def test_doctor(point: Point, engine: SshEngine, no_resolver: Any) -> None:
    """The doctor tells what it waits for, and fails at the stage that hangs."""
    told: list[str] = []
    if point.name == "resolve":
        no_resolver()
    examination = Examination(asyncio.get_running_loop().time, waits=SlowWaits(told.append))
    async with hanging(point) as port:
        prompter = RefusingPrompter("it is night")
        await within(examine(target_at(port, engine), examination, prompter=prompter))
    assert point.waits_for in " ".join(told)
    assert examination.exit_code is point.code
    failed = next(each for each in examination.results if each.error is not None)
    assert failed.stage is STAGES[point.name]
