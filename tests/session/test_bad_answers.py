"""Answers that are none: each ends with what it is, within the timeout, with both engines and both remote sides."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import re
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from xpm_remote.errors import ProtocolError, RemoteTimeoutError, XpmRemoteError
from xpm_remote.jobs.reliable_agent import ReliableAgent
from xpm_remote.link.options.connect_options import parse_ssh_options
from xpm_remote.link.remote.command import RemoteExperimaestro
from xpm_remote.link.remote.startup import MARK
from xpm_remote.rpc import protocol
from xpm_remote.session.agent_client import open_agent
from xpm_remote.session.monitor import Monitor
from xpm_remote.session.target import Target
from xpm_remote.settings.schema import Backend, SshEngine

pytestmark = pytest.mark.slow

HOST = "127.0.0.1"
LIMIT = 30.0
"""Seconds for any of this, on a machine that runs other tests, too."""
TIMEOUT = 20.0
SHORT_TIMEOUT = 1.5
PAUSE = 0.05
"""Seconds between two bytes of an answer that trickles."""
STARTED = f"\n{MARK} init\n\n{MARK} ready 1795358688 +0000 UTC\n"
SAID = {
    "get_sync_info": {"protocol_version": "2.0", "workspace_path": "/d", "agent": {"python": "3"}},
    "ping": {},
}

DEEP = b'{"jsonrpc":"2.0","id":%d,"result":' + b"[" * 5000 + b"]" * 5000 + b"}\n"
LARGE = b'{"jsonrpc":"2.0","id":%d,"result":["' + b"y" * 100_000 + b'"]}\n'
CUT = b'{"jsonrpc":"2.0","id":%d,"result":[{"a":\n'
DRIPPING = b'{"jsonrpc":"2.0","id":%d,"result":["' + b"y" * 10_000

ANSWERS = [
    pytest.param(DEEP, ProtocolError, "nested more deeply than", id="deep"),
    pytest.param(LARGE, ProtocolError, "larger than", id="large"),
    pytest.param(CUT, ProtocolError, "no message of JSON-RPC", id="cut"),
    pytest.param(DRIPPING, RemoteTimeoutError, "answers too slowly", id="dripping"),
]


class Host:
    """What a host says: the greeting of an agent, if it is one, and the same answer to all but the handshake.

    Args:
        answer: The answer, in which the id is put.
        greeting: What comes before the first answer.
        packed: Whether all after the greeting is a deflate stream.

    Attributes:
        timeout: The limit of a request that suits the answer.
    """

    def __init__(self, answer: bytes, greeting: str = "", *, packed: bool = False) -> None:
        self._answer = answer
        self._greeting = greeting
        self._pack = zlib.compressobj() if packed else None
        self._turn = asyncio.Lock()
        self.timeout = TIMEOUT if answer.endswith(b"\n") else SHORT_TIMEOUT

    async def serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """Serve one command."""
        process.stdout.write((STARTED + self._greeting).encode())
        # The first requests to an agent are on its command line.
        asked = re.search(r"\[\{.*?\}\]", process.command or "")
        requests = json.loads(asked[0]) if asked else []
        replies = [asyncio.create_task(self._reply(process, each)) for each in requests]
        with contextlib.suppress(asyncssh.BreakReceived, asyncssh.TerminalSizeChanged, OSError):
            while line := await process.stdin.readline():
                start = line.find(b'{"jsonrpc"')
                if start >= 0:  # and not the agent
                    request = json.loads(line[start:])
                    replies.append(asyncio.create_task(self._reply(process, request)))
        for reply in replies:
            reply.cancel()
        process.exit(0)

    async def _reply(self, process: asyncssh.SSHServerProcess[bytes], request: Any) -> None:
        async with self._turn:
            said = SAID.get(request["method"])
            if said is not None:
                whole = {"jsonrpc": "2.0", "id": request["id"], "result": said}
                self._write(process, json.dumps(whole).encode() + b"\n")
                return
            answer = self._answer.replace(b"%d", str(request["id"]).encode())
            if answer.endswith(b"\n"):
                self._write(process, answer)
                return
            for byte in answer:
                self._write(process, bytes([byte]))
                await asyncio.sleep(PAUSE)

    def _write(self, process: asyncssh.SSHServerProcess[bytes], data: bytes) -> None:
        if self._pack is not None:
            data = self._pack.compress(data) + self._pack.flush(zlib.Z_SYNC_FLUSH)
        process.stdout.write(data)


@asynccontextmanager
async def serving(host: Host, engine: SshEngine, backend: Backend) -> AsyncIterator[Target]:
    """Serve a host; yield a workspace there."""
    server = await asyncssh.listen(
        HOST,
        0,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        server_factory=_Open,
        encoding=None,
        process_factory=host.serve,
    )
    async with server:
        options = [
            f"-F none -p {server.get_port()} -o StrictHostKeyChecking=no",
            "-o UserKnownHostsFile=/dev/null -o GlobalKnownHostsFile=/dev/null",
        ]
        yield Target(
            name=HOST,
            workspace="/d",
            options=parse_ssh_options(HOST, options, engine),
            remote=RemoteExperimaestro(),
            engine=engine,
            backend=backend,
        )


class _Open(asyncssh.SSHServer):
    """Lets everyone in."""

    def begin_auth(self, username: str) -> bool:
        """Ask for no login."""
        return False


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let few bytes be too many, and no key be found."""
    monkeypatch.setattr(protocol, "MAX_LINE", 50_000)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize("engine", [SshEngine.ASYNCSSH, SshEngine.OPENSSH])
@pytest.mark.parametrize(("answer", "error", "words"), ANSWERS)
async def test_experimaestro(
    answer: bytes, error: type[XpmRemoteError], words: str, engine: SshEngine
) -> None:
    """A monitor of a remote experimaestro ends with what is wrong with the answer, and its method."""
    host = Host(answer)
    async with serving(host, engine, Backend.EXPERIMAESTRO) as target:
        monitor = Monitor(target, timeout=host.timeout)
        with pytest.raises(error, match=words) as caught:
            await asyncio.wait_for(monitor.snapshot(), LIMIT)
    assert "get_experiments" in str(caught.value)


@pytest.mark.parametrize("engine", [SshEngine.ASYNCSSH, SshEngine.OPENSSH])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "deflate"])
@pytest.mark.parametrize(("answer", "error", "words"), ANSWERS)
async def test_agent(
    answer: bytes, error: type[XpmRemoteError], words: str, packed: bool, engine: SshEngine
) -> None:
    """A monitor by the agent ends with what is wrong with the answer, compressed or not."""
    greeting = f"\n{MARK} agent {'deflate' if packed else 'plain'}\n"
    host = Host(answer, greeting, packed=packed)
    async with serving(host, engine, Backend.AGENT) as target:
        monitor = Monitor(target, timeout=host.timeout)
        with pytest.raises(error, match=words) as caught:
            await asyncio.wait_for(monitor.snapshot(), LIMIT)
    assert "subscribe" in str(caught.value)


@pytest.mark.parametrize("engine", [SshEngine.ASYNCSSH, SshEngine.OPENSSH])
@pytest.mark.parametrize(("answer", "error", "words"), ANSWERS[:3])
async def test_jobs(
    answer: bytes, error: type[XpmRemoteError], words: str, engine: SshEngine
) -> None:
    """A question of a command on jobs ends so, too, and is not sent again."""
    told: list[str] = []
    host = Host(answer, f"\n{MARK} agent plain\n")
    async with serving(host, engine, Backend.AGENT) as target:
        agent = ReliableAgent(functools.partial(open_agent, target), told.append)
        await asyncio.wait_for(agent.open(), LIMIT)
        with pytest.raises(error, match=f"list_jobs.*{words}"):
            await asyncio.wait_for(agent.ask("list_jobs", {"experiment": None}), LIMIT)
        await agent.aclose()
    assert told == []


@pytest.mark.parametrize("engine", [SshEngine.ASYNCSSH, SshEngine.OPENSSH])
async def test_broken_deflate_stream(engine: SshEngine) -> None:
    """A stream that is not what the greeting promised is an error of its own."""
    host = Host(b"", f"\n{MARK} agent deflate\n")
    async with serving(host, engine, Backend.AGENT) as target:
        with pytest.raises(ProtocolError, match="cannot be unpacked"):
            await asyncio.wait_for(Monitor(target, timeout=TIMEOUT).snapshot(), LIMIT)


async def test_handshake_that_trickles(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first answer ends at its limit, too, with the same words."""
    monkeypatch.delitem(SAID, "get_sync_info")
    host = Host(DRIPPING, f"\n{MARK} agent plain\n")
    async with serving(host, SshEngine.ASYNCSSH, Backend.AGENT) as target:
        with pytest.raises(RemoteTimeoutError, match="answers too slowly") as caught:
            await asyncio.wait_for(Monitor(target, timeout=host.timeout).snapshot(), LIMIT)
    assert caught.value.at_start
