"""Connections to the test server: every way of naming it, of logging in, and of getting there."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.proxy import Proxy
from tests.support.server import Server
from xpm_remote.errors import OptionError, ResolveError, UnreachableError
from xpm_remote.link.connection import describe_connection, open_connection
from xpm_remote.link.ssh_options import parse_ssh_options
from xpm_remote.link.tcp import open_tcp
from xpm_remote.link.transport import open_transport

AGENT_LIMIT = 10.0
"""Seconds for ssh-agent to start and to take a key."""


async def whoami(host: str, *options: str) -> str:
    """Log in and ask who we are."""
    connection = await open_connection(parse_ssh_options(host, options))
    try:
        done = await connection.ssh.run("id -un", check=True)
    finally:
        await connection.aclose()
    return str(done.stdout).strip()


@pytest.fixture
def account(server: Server) -> str:
    """The account of alice."""
    return server.account("alice")


@pytest.fixture
def known(server: Server) -> str:
    """The option that names the pinned host key."""
    return f"-F none -o UserKnownHostsFile={server.known_hosts}"


class TestSpellings:
    """The same connection, spelled as people spell it."""

    @pytest.fixture
    def spellings(self, server: Server, account: str) -> list[tuple[str, ...]]:
        """Hosts and options that all mean alice on the test server."""
        host, port, key = server.host, server.port, server.login("alice").key
        kh = f"UserKnownHostsFile={server.known_hosts}"
        return [
            (f"{account}@{host}", f"-p {port}", f"-i {key}", f"-o {kh}"),
            (f"{account}@{host}", f"-p{port} -i{key} -o{kh}"),
            (f"ssh://{account}@{host}:{port}", "-i", str(key), "-o", kh),
            (host, "-l", account, "-p", str(port), f"IdentityFile={key}", kh),
            (host, f"-4Cp{port} -l{account}", f'-o "IdentityFile {key}"', f"-o '{kh}'"),
            (host, f"Port {port}", f"User={account}", f"-i '{key}'", kh, "IdentitiesOnly=yes"),
        ]

    async def test_all_connect(self, spellings: list[tuple[str, ...]], account: str) -> None:
        """Each spelling logs in."""
        for host, *options in spellings:
            assert await whoami(host, "-F none", *options) == account

    async def test_alias_of_a_config_file(
        self, server: Server, account: str, tmp_path: Path
    ) -> None:
        """-F names a file in which the host is an alias."""
        config = tmp_path / "config"
        config.write_text(
            f"Host cluster\n  HostName {server.host}\n  Port {server.port}\n  User {account}\n"
            f"  IdentityFile {server.login('alice').key}\n"
            f"  IdentityFile {tmp_path}/missing-is-no-matter\n"
            f"  UserKnownHostsFile {server.known_hosts}\n"
        )
        assert await whoami("cluster", f"-F {config}") == account

    async def test_own_config_file(
        self, server: Server, account: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without -F, the person's own ~/.ssh/config counts, and what is given counts before it."""
        monkeypatch.setenv("HOME", str(tmp_path))
        ssh = tmp_path / ".ssh"
        ssh.mkdir()
        (ssh / "config").write_text(
            f"Host cluster\n  HostName {server.host}\n  Port 1\n  User nobody\n"
            f"  IdentityFile {server.login('alice').key}\n"
            f"  UserKnownHostsFile {server.known_hosts}\n  ConnectTimeout 7\n"
        )
        assert await whoami("cluster", f"-p {server.port}", f"-l {account}") == account
        described = await describe_connection(parse_ssh_options("cluster", ["-p 2"]))
        assert (described["host"], described["port"], described["user"]) == (
            server.host,
            2,
            "nobody",
        )


class TestLogins:
    """Ways to prove who we are."""

    async def test_certificate(self, server: Server, account: str, known: str) -> None:
        """A certificate logs in where the key alone is unknown."""
        login = server.certificate("alice")
        options = (known, f"-p {server.port}", f"-i {login.key}")
        assert await whoami(f"{login.user}@{server.host}", *options) == account

    @pytest.fixture
    def agent(self, server: Server, tmp_path: Path) -> Iterator[str]:
        """An ssh-agent that holds alice's key; the path of its socket."""
        path = f"/tmp/xpm-agent-{os.getpid()}"  # short: a socket's path may have 108 bytes
        started = subprocess.run(
            ["ssh-agent", "-s", "-a", path], capture_output=True, text=True, check=True
        )
        pid = re.search(r"SSH_AGENT_PID=(\d+)", started.stdout)
        assert pid is not None
        try:
            subprocess.run(
                ["ssh-add", "-q", server.login("alice").key],
                env={**os.environ, "SSH_AUTH_SOCK": path},
                check=True,
                timeout=AGENT_LIMIT,
            )
            yield path
        finally:
            os.kill(int(pid[1]), 15)

    async def test_agent(
        self, server: Server, account: str, known: str, agent: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without any key file, the agent's keys are tried."""
        monkeypatch.setenv("SSH_AUTH_SOCK", agent)
        assert await whoami(f"{account}@{server.host}", known, f"-p {server.port}") == account

    async def test_agent_opens_what_a_passphrase_locks(
        self, server: Server, account: str, known: str, agent: str, tmp_path: Path
    ) -> None:
        """A key file with a passphrase is no obstacle when an agent holds the key."""
        key = tmp_path / "locked"
        key.write_bytes(server.login("alice").key.read_bytes())
        key.chmod(0o600)
        lock = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", str(key)]
        await asyncio.to_thread(subprocess.run, lock, check=True)
        options = (known, f"-p {server.port}", f"-i {key}", f"-o IdentityAgent={agent}")
        assert await whoami(f"{account}@{server.host}", *options) == account


class TestWays:
    """Ways to get there."""

    def config(self, server: Server, account: str, folder: Path, extra: str = "") -> Path:
        """Write a config file that knows the server from outside (jump) and from inside (inner)."""
        inner_host, inner_port = server.inner
        key = server.login("alice").key
        path = folder / "config"
        path.write_text(
            f"Host jump\n  HostName {server.host}\n  Port {server.port}\n"
            f"Host inner\n  HostName {inner_host}\n  Port {inner_port}\n{extra}"
            f"Host *\n  User {account}\n  IdentityFile {key}\n"
            f"  UserKnownHostsFile {server.known_hosts}\n"
        )
        return path

    async def test_jump_by_option(self, server: Server, account: str, tmp_path: Path) -> None:
        """-J goes through a host of the config file; options for the target are not the jump host's."""
        config = self.config(server, account, tmp_path)
        options = (f"-F {config}", "-J jump", f"-p {server.inner[1]}")
        assert await whoami("inner", *options) == account

    async def test_jump_by_config(self, server: Server, account: str, tmp_path: Path) -> None:
        """ProxyJump of a config file, two hosts in a row."""
        config = self.config(server, account, tmp_path, "  ProxyJump jump,again\n")
        inner_host, inner_port = server.inner
        again = f"Host again\n  HostName {inner_host}\n  Port {inner_port}\n"
        config.write_text(again + config.read_text())
        assert await whoami("inner", f"-F {config}") == account

    async def test_jump_in_a_circle(self, server: Server, account: str, tmp_path: Path) -> None:
        """Jump hosts that lead to one another are an error."""
        config = tmp_path / "config"
        config.write_text("Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n")
        with pytest.raises(OptionError, match="circle"):
            await whoami("a", f"-F {config}")

    async def test_jump_cannot_reach(self, server: Server, account: str, tmp_path: Path) -> None:
        """A target that the jump host cannot reach is told apart from a jump host that we cannot reach."""
        config = self.config(server, account, tmp_path)
        with pytest.raises(UnreachableError, match="jump host cannot reach"):
            await whoami("inner", f"-F {config}", "-J jump", "-p 9")

    async def test_proxy_command(self, server: Server, account: str, tmp_path: Path) -> None:
        """A ProxyCommand carries the connection."""
        config = self.config(server, account, tmp_path)
        script = tmp_path / "connect.py"
        script.write_text(
            "import socket, sys, threading\n"
            "s = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
            "def up():\n"
            "    while data := sys.stdin.buffer.raw.read(65536): s.sendall(data)\n"
            "threading.Thread(target=up, daemon=True).start()\n"
            "while data := s.recv(65536):\n"
            "    sys.stdout.buffer.write(data); sys.stdout.buffer.flush()\n"
        )
        command = f"ProxyCommand=python3 {script} %h %p"
        assert await whoami("jump", f"-F {config}", "-o", command) == account

    async def test_slow_network(self, server: Server, account: str, known: str) -> None:
        """A delay of 150 ms each way does no harm."""
        with Proxy(server.host, server.port) as proxy:
            proxy.delay(150, 150)
            alias = f"-o 'HostKeyAlias=[{server.host}]:{server.port}'"
            options = (known, alias, f"-p {proxy.port}", f"-i {server.login('alice').key}")
            assert await whoami(f"{account}@{proxy.host}", *options) == account


class TestOptions:
    """Options that are ours to honour."""

    @pytest.mark.parametrize(
        ("flag", "level"),
        [("-q", logging.CRITICAL), ("-v", logging.DEBUG), ("LogLevel=ERROR", logging.ERROR)],
    )
    async def test_log_level(self, flag: str, level: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """-v, -q and LogLevel say how much the library logs."""
        logger = logging.getLogger("asyncssh")
        monkeypatch.setattr(logger, "level", logging.NOTSET)
        with pytest.raises(ResolveError):
            await whoami("no-such-host.invalid", "-F none", flag)
        assert logger.level == level

    async def test_gssapi_needs_its_package(self) -> None:
        """What the library would pass over without the package gssapi is an error."""
        with pytest.raises(OptionError, match=r"GSSAPIAuthentication.*gssapi"):
            await whoami("no-such-host.invalid", "-F none", "GSSAPIAuthentication=yes")

    async def test_config_that_cannot_be_read(self, tmp_path: Path) -> None:
        """A mistake in a config file is named with its line."""
        config = tmp_path / "config"
        config.write_text("Host *\n  Port many\n")
        with pytest.raises(OptionError, match=r"config line 2.*many"):
            await whoami("h", f"-F {config}")
        with pytest.raises(OptionError, match="missing"):
            await whoami("h", f"-F {tmp_path}/missing")


class TestTcp:
    """TCP alone."""

    async def test_greeting_is_left_to_the_reader(self) -> None:
        """What the server says first is still there to be read."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            opening = asyncio.create_task(open_tcp("127.0.0.1", port))
            accepted, _ = await asyncio.to_thread(listener.accept)
            with accepted:
                accepted.sendall(b"SSH-2.0-test\r\n")
                tcp = await opening
                with tcp.sock:
                    assert tcp.sock.recv(4) == b"SSH-"
                    assert 0 <= tcp.round_trip < 1

    async def test_all_addresses_are_tried(self) -> None:
        """A host of several addresses is reached at whichever answers."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            with pytest.raises(UnreachableError, match="refused"):
                await open_tcp("127.0.0.2", port, attempts=2)

    async def test_name_without_address(self) -> None:
        """A name that does not resolve is an error of its own."""
        with pytest.raises(ResolveError):
            await open_tcp("no-such-host.invalid", 22)

    async def test_local_address(self, server: Server) -> None:
        """A bind address that is not ours cannot be used."""
        with pytest.raises(UnreachableError, match="assign"):
            await open_tcp(server.host, server.port, local_address=("192.0.2.1", 0))


async def test_transport_gives_the_first_byte_of_the_server(
    server: Server, account: str, known: str
) -> None:
    """What follows the marks at once is not lost, and the clock of the host is known."""
    server.write("alice", "first/.__experimaestro__", "")
    command = "printf '\\n@xpm-remote ready 1795358688 +0530 \\n{\"a\"'; printf ':1}\\n'"
    options = parse_ssh_options(
        f"{account}@{server.host}",
        [known, f"-p {server.port}", f"-i {server.login('alice').key}"],
    )
    transport = await open_transport(options, command, workspace="first", has_init=False)
    received = b""
    while data := await transport.receive():
        received += data
    await transport.aclose()
    assert received == b'{"a":1}\n'
    assert transport.exit.status == 0
    assert transport.clock is not None
    assert transport.clock.epoch == 1795358688
