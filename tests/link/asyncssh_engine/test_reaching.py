"""What is done for a connection while the SSH library is being imported."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from xpm_remote.errors import OptionError, UnreachableError
from xpm_remote.link import host
from xpm_remote.link.asyncssh_engine.reaching import Reached, reach
from xpm_remote.link.host import HostLink
from xpm_remote.link.observer import UNOBSERVED
from xpm_remote.link.options.connect_options import parse_ssh_options
from xpm_remote.link.prompts import RefusingPrompter
from xpm_remote.link.ssh_config import reader
from xpm_remote.link.waits import DEFAULT_LIMITS

LIMIT = 30.0
"""Seconds for what takes a moment, on a machine that runs other tests, too."""


class Listener:
    """A server that accepts, and says nothing.

    Attributes:
        port: Its port.
        accepted: Is set when a connection was made.
        closed: Is set when the client has closed it.
    """

    def __init__(self) -> None:
        self.port = 0
        self.accepted = asyncio.Event()
        self.closed = asyncio.Event()

    async def serve(self, stream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read to the end."""
        self.accepted.set()
        await stream.read()
        self.closed.set()
        writer.close()


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    """A server on loopback."""
    made = Listener()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()


async def reached(*options: str) -> Reached:
    """Reach this machine."""
    parsed = parse_ssh_options("127.0.0.1", ["-F none", *options])
    return await asyncio.wait_for(reach(parsed, UNOBSERVED, DEFAULT_LIMITS), LIMIT)


async def test_tcp_while_the_library_is_imported(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host is reached before the library is there; without it the connection is closed."""

    async def load() -> None:
        await asyncio.wait_for(listener.accepted.wait(), LIMIT)
        raise ImportError("no library")

    monkeypatch.setattr(host, "load_library", load)
    link = HostLink(parse_ssh_options("127.0.0.1", ["-F none", f"-p {listener.port}"]))
    with pytest.raises(ImportError):
        await asyncio.wait_for(link.open_process("true", RefusingPrompter("")), LIMIT)
    await asyncio.wait_for(listener.closed.wait(), LIMIT)


async def test_tcp_is_taken_once(listener: Listener) -> None:
    """The connection is handed over once; a second attempt makes its own."""
    found = await reached(f"-p {listener.port}", "-o AddressFamily=inet -o ConnectTimeout=0")
    tcp = found.take_tcp()
    assert tcp is not None
    assert found.take_tcp() is None
    assert found.reading is not None
    assert found.reading.dump["port"] == (str(listener.port),)
    found.close()
    tcp.sock.close()
    await asyncio.wait_for(listener.closed.wait(), LIMIT)


@pytest.mark.parametrize(
    "option", ["-J other", "-o ProxyCommand='exit 1'", "-o BindAddress=127.0.0.1"]
)
async def test_what_something_else_carries(option: str, listener: Listener) -> None:
    """By a jump host, a command, or from an address of the user's, TCP is left to the library."""
    found = await reached(f"-p {listener.port}", option)
    assert found.take_tcp() is None
    assert found.reading is not None
    assert not listener.accepted.is_set()


async def test_without_the_program_ssh(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where nothing but the library can read the config files, it is waited for."""
    monkeypatch.setattr(reader, "PROGRAM", str(tmp_path / "ssh"))
    found = await reached(f"-p {listener.port}")
    assert (found.reading, found.take_tcp()) == (None, None)


async def test_a_host_that_cannot_be_reached(listener: Listener) -> None:
    """Errors are those of the connection itself."""
    with pytest.raises(UnreachableError, match=r"cannot connect to 127\.0\.0\.1 port 1"):
        await reached("-p 1", "-o ConnectTimeout=5")
    with pytest.raises(OptionError, match="nonsense"):
        await reached("-o Ciphers=nonsense")
    assert not listener.accepted.is_set()
