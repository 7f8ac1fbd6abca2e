"""Answers that are none: each ends with what it is, within the timeout, with both engines and both remote sides."""

from __future__ import annotations

import asyncio
import functools
from pathlib import Path

import pytest

from tests.support.scripted_host import Host, serving
from xpm_remote.errors import ProtocolError, RemoteTimeoutError, XpmRemoteError
from xpm_remote.jobs.reliable_agent import ReliableAgent
from xpm_remote.link.remote.startup import MARK
from xpm_remote.rpc import protocol
from xpm_remote.session.agent_client import open_agent
from xpm_remote.session.monitor import Monitor
from xpm_remote.settings.schema import Backend, SshEngine

pytestmark = pytest.mark.slow

LIMIT = 30.0
"""Seconds for any of this, on a machine that runs other tests, too."""
TIMEOUT = 20.0
SHORT_TIMEOUT = 1.5

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


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let few bytes be too many, and no key be found."""
    monkeypatch.setattr(protocol, "MAX_LINE", 50_000)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def timeout_of(answer: bytes) -> float:
    """Return a limit for requests: a short one for an answer that reaches it."""
    return SHORT_TIMEOUT if answer is DRIPPING else TIMEOUT


@pytest.mark.parametrize("engine", [SshEngine.ASYNCSSH, SshEngine.OPENSSH])
@pytest.mark.parametrize(("answer", "error", "words"), ANSWERS)
async def test_experimaestro(
    answer: bytes, error: type[XpmRemoteError], words: str, engine: SshEngine
) -> None:
    """A monitor of a remote experimaestro ends with what is wrong with the answer, and its method."""
    host = Host(answer)
    async with serving(host, engine, Backend.EXPERIMAESTRO) as target:
        monitor = Monitor(target, timeout=timeout_of(answer))
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
        monitor = Monitor(target, timeout=timeout_of(answer))
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


async def test_handshake_that_trickles() -> None:
    """The first answer ends at its limit, too, with the same words."""
    host = Host(DRIPPING, f"\n{MARK} agent plain\n")
    del host.said["get_sync_info"]
    async with serving(host, SshEngine.ASYNCSSH, Backend.AGENT) as target:
        with pytest.raises(RemoteTimeoutError, match="answers too slowly") as caught:
            await asyncio.wait_for(Monitor(target, timeout=SHORT_TIMEOUT).snapshot(), LIMIT)
    assert caught.value.at_start
