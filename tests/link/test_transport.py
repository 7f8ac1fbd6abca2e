"""An agent behind a transport: greeted, unpacked, ended; as a child process, which needs no SSH."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.link.remote_shells import make_workspace
from xpm_remote.errors import (
    LinkLostError,
    ProtocolError,
    RemotePathError,
    RemoteTimeoutError,
    StartError,
    XpmRemoteError,
)
from xpm_remote.link.course import Course
from xpm_remote.link.observer import UNOBSERVED
from xpm_remote.link.process import LocalProcess, RemoteProcess, start_local_agent
from xpm_remote.link.remote.agent import Greeting
from xpm_remote.link.remote.bundle import agent_bundle
from xpm_remote.link.remote.startup import MARK, RemoteExit
from xpm_remote.link.transport import UNPACKED_MAX, AgentTransport, Transport, greet_agent
from xpm_remote.link.waits import DEFAULT_LIMITS, Limits

pytestmark = pytest.mark.slow

LIMIT = 30.0
"""Seconds for the longest conversation."""


class Scripted(RemoteProcess):
    """A process whose output a test scripts."""

    def __init__(self, ended: RemoteExit | None = None) -> None:
        super().__init__()
        self.ended = ended or RemoteExit(0, "", None)
        self.sent = b""

    @property
    def exit(self) -> RemoteExit:
        """The exit status."""
        return self.ended

    def send(self, data: bytes) -> None:
        """Record what is sent."""
        self.sent += data

    def close_stdin(self) -> None:
        """End at once."""
        self._end()

    def terminate(self) -> None:
        """Do nothing: it has ended."""

    async def aclose(self, *, by_force: bool = False) -> None:
        """Do nothing."""

    def _pause(self) -> None:
        pass

    def _resume(self) -> None:
        pass

    def say(self, *data: bytes) -> Scripted:
        """Write a text."""
        for each in data:
            self._take(each)
        return self

    def finish(self) -> Scripted:
        """End."""
        self._end()
        return self


def course() -> Course:
    """Follow the waits with the usual limits."""
    return Course(UNOBSERVED, "host", DEFAULT_LIMITS)


def hello(how: str) -> bytes:
    """Return a greeting."""
    return f"\n{MARK} agent {how}\n".encode()


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[LocalProcess]:
    """An agent as a child."""
    process = await start_local_agent(agent_bundle(), str(make_workspace(tmp_path / "ws")))
    yield process
    await process.aclose()


async def ask(transport: AgentTransport, method: str) -> Any:
    """Send a request; return the result."""
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"extensions": []}}
    transport.send(json.dumps(request).encode() + b"\n")
    data = b""
    while not data.endswith(b"\n"):
        data += await asyncio.wait_for(transport.receive(), LIMIT)
    return json.loads(data)["result"]


async def test_child(process: LocalProcess) -> None:
    """An agent of this machine greets, answers, and ends when it is closed."""
    transport = await greet_agent(Transport(process, None), agent_bundle(), course())
    info = await ask(transport, "get_sync_info")
    assert info["protocol_version"] == "2.0"
    await transport.aclose()
    while await transport.receive():
        pass
    assert transport.exit == RemoteExit(0, "", None)


async def test_child_that_cannot_start(tmp_path: Path) -> None:
    """An interpreter that is not there is an error that names it."""
    with pytest.raises(StartError, match="no-such-python"):
        await start_local_agent(agent_bundle(), str(tmp_path), python="/no-such-python")


async def test_child_that_ends(tmp_path: Path) -> None:
    """The stderr of an agent that cannot serve is reported."""
    process = await start_local_agent(agent_bundle(), str(tmp_path))
    with pytest.raises(RemotePathError, match="is no experimaestro workspace"):
        await greet_agent(Transport(process, None), agent_bundle(), course())
    await process.aclose()


async def test_child_is_ended_by_force(process: LocalProcess) -> None:
    """A child that ignores its end is killed, which is an end by a signal."""
    await greet_agent(Transport(process, None), agent_bundle(), course())
    await process.aclose()
    assert process.has_ended
    assert process.exit.status is None
    process.send(b"without effect")
    process.terminate()


async def test_unpacking() -> None:
    """A deflate stream is unpacked correctly in any pieces, and in bounded parts."""
    content = b"x" * (3 * UNPACKED_MAX) + b"\nend\n"
    packed = zlib.compressobj()
    data = packed.compress(content) + packed.flush(zlib.Z_SYNC_FLUSH)
    process = Scripted().say(b"motd\n" + hello("deflate") + data[:7], data[7:]).finish()
    transport = await greet_agent(Transport(process, None), agent_bundle(), course())
    assert process.sent == b""
    received = []
    while part := await transport.receive():
        assert len(part) <= UNPACKED_MAX
        received.append(part)
    assert b"".join(received) == content
    assert transport.received == len(data)


async def test_damaged_stream() -> None:
    """Bytes that are no deflate stream are an error, and not passed on."""
    process = Scripted().say(hello("deflate") + b"not packed at all").finish()
    transport = await greet_agent(Transport(process, None), agent_bundle(), course())
    with pytest.raises(ProtocolError, match="cannot be unpacked"):
        await transport.receive()


async def test_stream_that_ends_before_its_agent() -> None:
    """After the end of the deflate stream nothing can be read: that is an error at once, not silence."""
    packed = zlib.compress(b"{}\n")
    process = Scripted().say(hello("deflate") + packed, b"more")
    transport = await greet_agent(Transport(process, None), agent_bundle(), course())
    with pytest.raises(ProtocolError, match="ends before the agent does"):
        await transport.receive()


async def test_plain() -> None:
    """The output of an agent that does not compress is passed on."""
    process = Scripted().say(hello("plain") + b"{}\n").finish()
    transport = await greet_agent(Transport(process, None), agent_bundle(), course())
    assert [await transport.receive(), await transport.receive()] == [b"{}\n", b""]


@pytest.mark.parametrize(
    ("said", "ended", "error", "words"),
    [
        (b"", RemoteExit(None, "", "broken pipe"), LinkLostError, "broken pipe"),
        (b"", RemoteExit(1, "ImportError: x", None), StartError, "ImportError: x"),
        (
            f"{MARK} python, python3 (3.6.8)\n".encode(),
            RemoteExit(69, "", None),
            StartError,
            "python3 (3.6.8)",
        ),
    ],
)
async def test_no_greeting(
    said: bytes, ended: RemoteExit, error: type[XpmRemoteError], words: str
) -> None:
    """An agent that ends before its greeting is reported with the reason."""
    process = Scripted(ended).say(said).finish()
    with pytest.raises(error) as raised:
        await greet_agent(Transport(process, None), agent_bundle(), course())
    assert words in str(raised.value)


async def test_silence() -> None:
    """The wait for a greeting is bounded."""
    short = Course(UNOBSERVED, "host", Limits(answer=0.01))
    with pytest.raises(RemoteTimeoutError, match=r"host has not answered within 0\.01 s"):
        await greet_agent(Transport(Scripted(), None), agent_bundle(), short)


async def test_clock_is_the_transports() -> None:
    """The host's clock is that of the transport below."""
    assert AgentTransport(Transport(Scripted(), None), Greeting(), b"").clock is None
