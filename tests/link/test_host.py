"""The connection to a host: the choice of the engine, and a connection that is kept for another command."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh
import pytest

from tests.link.asyncssh_engine.both import HOST, open_server
from xpm_remote.errors import LinkLostError, NegotiationError
from xpm_remote.link.asyncssh_engine import resolution
from xpm_remote.link.asyncssh_engine.algorithms import library_abilities
from xpm_remote.link.asyncssh_engine.connection import open_connection
from xpm_remote.link.asyncssh_engine.session import AsyncsshConnection
from xpm_remote.link.host import HostLink, is_agreed_by_openssh, needed_by_config, needed_by_options
from xpm_remote.link.options.connect_options import ConnectOptions, parse_ssh_options
from xpm_remote.link.options.keywords import NEEDS_GSSAPI
from xpm_remote.link.process import RemoteProcess
from xpm_remote.link.prompts import RefusingPrompter
from xpm_remote.link.ssh_config.effective import Abilities
from xpm_remote.link.ssh_config.unsupported import UnsupportedSetting
from xpm_remote.settings.schema import SshEngine

NOTHING = frozenset[str]()


@pytest.mark.parametrize(
    ("options", "lacking", "named"),
    [
        (["-p 22"], NEEDS_GSSAPI, None),
        (["-p 22", "ControlMaster=auto", "-L 1:h:2"], NOTHING, "ControlMaster, -L (LocalForward)"),
        (["GSSAPIAuthentication=yes"], NEEDS_GSSAPI, "GSSAPIAuthentication"),
        (["GSSAPIAuthentication=yes"], NOTHING, None),
        (["GSSAPIAuthentication=no"], NEEDS_GSSAPI, None),
    ],
)
def test_options(options: list[str], lacking: frozenset[str], named: str | None) -> None:
    """Options that the library cannot honour are named."""
    parsed = parse_ssh_options("host", options, SshEngine.AUTO)
    why = needed_by_options(parsed, lacking)
    assert why is None if named is None else named in (why or "")


def test_config() -> None:
    """Of unsupported settings of the config files, those count which a host may need; their lines are reported."""
    shown = UnsupportedSetting("VisualHostKey", "yes", "/config:1", "why", False, True)
    bound = UnsupportedSetting("BindInterface", "eth0", "/config:2", "why", True, True)
    size = UnsupportedSetting("RequiredRSASize", "3072", "/config:3", "why", True, True)
    assert needed_by_config([]) is None
    assert needed_by_config([shown]) is None
    assert needed_by_config([shown, bound, size, bound]) == (
        "asyncssh cannot honour BindInterface (/config:2), RequiredRSASize (/config:3)"
    )


LIMIT = 30.0
"""Seconds for what takes a moment, on a machine that runs other tests, too."""


class Host(asyncssh.SSHServer):
    """Accepts every client.

    Args:
        connections: Collects the connections.
    """

    def __init__(self, connections: list[asyncssh.SSHServerConnection]) -> None:
        self._connections = connections

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Keep the connection."""
        self._connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        """Require no authentication."""
        return False


class Bench:
    """A host whose commands print their name and wait for the end of their stdin.

    Attributes:
        connections: Those that were made to it.
        running: How many commands run.
    """

    def __init__(self, folder: Path) -> None:
        self._known = folder / "known"
        self._key = asyncssh.generate_private_key("ssh-ed25519")
        self._port = 0
        self.connections: list[asyncssh.SSHServerConnection] = []
        self.running = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Bench]:
        """Listen until the context ends."""
        async with asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[self._key],
            server_factory=lambda: Host(self.connections),
            process_factory=self._serve,
            encoding=None,
        ) as server:
            self._port = server.get_port()
            public = self._key.export_public_key("openssh").decode()
            self._known.write_text(f"[127.0.0.1]:{self._port} {public}")
            yield self
            for connection in self.connections:
                connection.abort()
                await connection.wait_closed()

    @property
    def options(self) -> ConnectOptions:
        """The options that lead to it."""
        known = f"UserKnownHostsFile={self._known}"
        return parse_ssh_options("me@127.0.0.1", ["-F none", f"-p {self._port}", known])

    @property
    def link(self) -> HostLink:
        """Return a connection to it."""
        return HostLink(self.options)

    async def start(self, command: str, link: HostLink | None = None) -> RemoteProcess:
        """Run a command, without prompts."""
        started = (link or self.link).open_process(command, RefusingPrompter(""))
        return await asyncio.wait_for(started, LIMIT)

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        self.running += 1
        process.stdout.write((process.command or "").encode())
        await process.stdin.read()
        self.running -= 1
        process.exit(0)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A host."""
    async with Bench(tmp_path).listening() as made:
        yield made


async def close(session: RemoteProcess) -> None:
    """Close a session, within a limit."""
    await asyncio.wait_for(session.aclose(), LIMIT)


def standing_of(link: HostLink) -> AsyncsshConnection | None:
    """Return the connection that is kept, if it stands."""
    kept = link._kept
    assert kept is None or isinstance(kept, AsyncsshConnection)
    return kept if kept is not None and kept.is_open else None


async def test_two_commands(bench: Bench) -> None:
    """The command after the first runs on its connection, which outlives the keeping, as the command does."""
    link = bench.link
    async with link.keeping():
        first = await bench.start("first", link)
        assert await first.receive() == b"first"
        await close(first)
        second = await bench.start("second", link)
        connection = standing_of(link)
    assert connection is not None
    assert await second.receive() == b"second"
    assert len(bench.connections) == 1
    await close(second)
    assert connection.ssh.is_closed()


async def test_first_has_ended(bench: Bench) -> None:
    """Closing a command ends it there although its connection is kept: a host may allow one at a time."""
    link = bench.link
    async with link.keeping():
        first = await bench.start("first", link)
        await first.receive()
        assert bench.running == 1
        await close(first)
        second = await bench.start("second", link)
        await second.receive()
        assert bench.running == 1
        await close(second)


async def test_closed_twice(bench: Bench) -> None:
    """A command that is closed twice releases its connection once."""
    link = bench.link
    async with link.keeping():
        first = await bench.start("first", link)
        await close(first)
        await close(first)
        assert standing_of(link) is not None


async def test_nothing_is_left(bench: Bench) -> None:
    """Without a running command, the end of the keeping closes the connection, after an error too."""
    link = bench.link
    async with link.keeping():
        await close(await bench.start("first", link))
        one = standing_of(link)
    with pytest.raises(LinkLostError, match="as it happens"):  # noqa: PT012 - the context is what is tested
        async with link.keeping():
            await close(await bench.start("first", link))
            other = standing_of(link)
            raise LinkLostError("as it happens")
    assert one is not None
    assert one.ssh.is_closed()
    assert other is not None
    assert other.ssh.is_closed()


async def test_lost_meanwhile(bench: Bench) -> None:
    """A connection that was lost meanwhile is made anew, and the new one is kept."""
    link = bench.link
    async with link.keeping():
        await close(await bench.start("first", link))
        bench.connections[0].abort()
        standing = standing_of(link)
        assert standing is not None
        await asyncio.wait_for(standing.ssh.wait_closed(), LIMIT)
        assert standing is not standing_of(link)
        await close(await bench.start("second", link))
        await close(await bench.start("third", link))
    assert len(bench.connections) == 2


async def test_refuses_another(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that runs one command for each connection is connected to anew."""
    link = bench.link
    async with link.keeping():
        await close(await bench.start("first", link))
        standing = standing_of(link)
        assert standing is not None

        async def refuse(*_: object, **__: object) -> None:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "one only")

        monkeypatch.setattr(standing.ssh, "create_session", refuse)
        second = await bench.start("second", link)
        assert await second.receive() == b"second"
        assert standing_of(link) is not standing
        assert standing.ssh.is_closed()
        await close(second)
    assert len(bench.connections) == 2


async def test_not_kept(bench: Bench) -> None:
    """Without keeping, a connection ends with its command."""
    session = await bench.start("first")
    await close(session)
    await asyncio.wait_for(bench.connections[0].wait_closed(), LIMIT)


async def test_holders(bench: Bench) -> None:
    """A connection is kept until all its holders have closed it."""
    connection = await open_connection(bench.options, RefusingPrompter(""))
    seen = [(connection.is_shared, connection.ssh.is_closed())]
    connection.hold()
    seen.append((connection.is_shared, connection.ssh.is_closed()))
    await connection.aclose(by_force=True)
    seen.append((connection.is_shared, connection.ssh.is_closed()))
    await connection.aclose()
    seen.append((connection.is_shared, connection.ssh.is_closed()))
    assert seen == [(False, False), (True, False), (False, False), (False, True)]


class TestNegotiation:
    """A host with which asyncssh has no algorithm in common."""

    @pytest.fixture(autouse=True)
    def _little_library(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The library has another key exchange only."""
        able = library_abilities()
        few = {**able.algorithms, "KexAlgorithms": frozenset({"ecdh-sha2-nistp521"})}
        monkeypatch.setattr(resolution, "library_abilities", lambda: Abilities(few, able.lacking))

    async def open(self, engine: SshEngine, **server: list[str]) -> HostLink:
        """Run a command on a host that offers what the server's options say; return its link."""
        key = asyncssh.generate_private_key("ssh-ed25519")
        async with open_server(server_host_keys=[key], **server) as port:
            options = parse_ssh_options(
                f"me@{HOST}",
                [f"-F none -p {port}", "UserKnownHostsFile=/dev/null", "StrictHostKeyChecking=no"],
                engine,
            )
            link = HostLink(options, engine)
            for _ in range(2):
                process = await link.open_process("true", RefusingPrompter(""))
                await process.aclose(by_force=True)
        return link

    async def test_auto_takes_ssh(self) -> None:
        """With auto, the program ssh connects where it can, the next time at once."""
        link = await self.open(SshEngine.AUTO, kex_algs=["ecdh-sha2-nistp256"])
        assert link._forced is not None
        assert link._forced.engine is SshEngine.OPENSSH
        assert link._forced.why == "asyncssh has no key exchange of the host's"

    async def test_ssh_is_named(self) -> None:
        """With the library, the error names the engine that can connect."""
        with pytest.raises(NegotiationError, match="--ssh-engine openssh"):
            await self.open(SshEngine.ASYNCSSH, kex_algs=["ecdh-sha2-nistp256"])

    async def test_ssh_can_neither(self) -> None:
        """Where ssh has no common algorithm either, nothing is tried again."""
        with pytest.raises(NegotiationError, match=r"KexAlgorithms=\+diffie-hellman-group14-sha1"):
            await self.open(SshEngine.AUTO, kex_algs=["diffie-hellman-group14-sha1"])
        assert not await is_agreed_by_openssh(parse_ssh_options(HOST, []), NegotiationError("x"))
