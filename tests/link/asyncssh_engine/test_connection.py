"""Connections to the test server: every notation for them and every method of logging in."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import secrets
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from tests.link.asyncssh_engine.logging_in import whoami
from tests.link.ssh_judge import with_default_config
from tests.support.server import Server
from xpm_remote.errors import (
    AuthenticationError,
    HostKeyError,
    OptionError,
    ResolveError,
    UnreachableError,
)
from xpm_remote.link.asyncssh_engine.connection import describe_connection
from xpm_remote.link.asyncssh_engine.sockets import open_tcp
from xpm_remote.link.course import Course
from xpm_remote.link.host import HostLink
from xpm_remote.link.observer import UNOBSERVED
from xpm_remote.link.options.connect_options import parse_ssh_options
from xpm_remote.link.transport import open_transport
from xpm_remote.link.waits import DEFAULT_LIMITS

AGENT_LIMIT = 10.0
"""Seconds for ssh-agent to start and to take a key."""

SOON = 10.0
"""Seconds for what takes one, on a machine that runs other tests, too; less than any limit of a wait."""


def course() -> Course:
    """Follow the waits with the usual limits."""
    return Course(UNOBSERVED, "host", DEFAULT_LIMITS)


class TestSpellings:
    """The same connection in several notations."""

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
        """Without -F, the user's own config counts, and options take precedence over it."""
        config = tmp_path / "config"
        config.write_text(
            f"Host cluster\n  HostName {server.host}\n  Port 1\n  User nobody\n"
            f"  IdentityFile {server.login('alice').key}\n"
            f"  UserKnownHostsFile {server.known_hosts}\n  ConnectTimeout 7\n"
        )
        monkeypatch.setenv("PATH", with_default_config(tmp_path, config)["PATH"])
        assert await whoami("cluster", f"-p {server.port}", f"-l {account}") == account
        described = await describe_connection(parse_ssh_options("cluster", ["-p 2"]))
        assert (described["host"], described["port"], described["user"]) == (
            server.host,
            2,
            "nobody",
        )


class TestLogins:
    """Methods of authentication."""

    async def test_certificate(self, server: Server, account: str, known: str) -> None:
        """A certificate logs in where the key alone is unknown."""
        login = server.certificate("alice")
        options = (known, f"-p {server.port}", f"-i {login.key}")
        assert await whoami(f"{login.user}@{server.host}", *options) == account

    @pytest.fixture
    def agent(self, server: Server, tmp_path: Path) -> Iterator[str]:
        """An ssh-agent that holds alice's key; the path of its socket."""
        # Short, since a socket's path may have 108 bytes; new, since an agent that ends takes its time to remove it.
        path = f"/tmp/xpm-agent-{secrets.token_hex(8)}"
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

    @pytest.mark.parametrize("only", [False, True])
    async def test_agent_of_a_file(
        self, server: Server, account: str, agent: str, tmp_path: Path, *, only: bool
    ) -> None:
        """IdentityAgent of a config file names the agent; a public key file selects one of its keys."""
        login = server.login("alice")
        keygen = ["ssh-keygen", "-y", "-f", str(login.key)]
        done = await asyncio.to_thread(subprocess.run, keygen, capture_output=True, check=True)
        (tmp_path / "chosen.pub").write_bytes(done.stdout)
        config = tmp_path / "config"
        config.write_text(
            f"Host c\n  HostName {server.host}\n  Port {server.port}\n  User {account}\n"
            f"  UserKnownHostsFile {server.known_hosts}\n  IdentityAgent {agent}\n"
            f"  IdentityFile {tmp_path}/chosen\n  IdentitiesOnly {'yes' if only else 'no'}\n"
        )
        assert await whoami("c", f"-F {config}") == account
        (tmp_path / "chosen.pub").unlink()
        if only:
            with pytest.raises(AuthenticationError):
                await whoami("c", f"-F {config}")

    async def test_agent_opens_what_a_passphrase_locks(
        self, server: Server, account: str, known: str, agent: str, tmp_path: Path
    ) -> None:
        """A key file with a passphrase is usable when an agent holds the key."""
        key = tmp_path / "locked"
        key.write_bytes(server.login("alice").key.read_bytes())
        key.chmod(0o600)
        lock = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", str(key)]
        await asyncio.to_thread(subprocess.run, lock, check=True)
        options = (known, f"-p {server.port}", f"-i {key}", f"-o IdentityAgent={agent}")
        assert await whoami(f"{account}@{server.host}", *options) == account


class TestHostKeys:
    """known_hosts files as users have them."""

    async def test_line_that_is_no_entry(
        self, server: Server, account: str, tmp_path: Path
    ) -> None:
        """A malformed line is ignored, as by ssh."""
        known = tmp_path / "known"
        known.write_text(f"<<<<<<< HEAD\nhost ssh-rsa\n{server.known_hosts.read_text()}")
        options = ("-F none", f"-p {server.port}", f"UserKnownHostsFile={known}")
        key = f"-i {server.login('alice').key}"
        assert await whoami(f"{account}@{server.host}", *options, key) == account

    async def test_changed_key_without_checking(
        self, server: Server, account: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """With StrictHostKeyChecking=no there is a warning; a host with another key gets no password."""
        other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
        known = tmp_path / "known"
        known.write_text(f"[{server.host}]:{server.port} {other}")
        options = ("-F none", f"-p {server.port}", f"UserKnownHostsFile={known}")
        host, key = f"{account}@{server.host}", f"-i {server.login('alice').key}"
        assert await whoami(host, *options, key, "StrictHostKeyChecking=no") == account
        assert "has changed" in caplog.text
        assert known.read_text() == f"[{server.host}]:{server.port} {other}"
        with pytest.raises(HostKeyError, match="has changed"):
            await whoami(host, *options, key, "StrictHostKeyChecking=accept-new")


class TestOptions:
    """Options that we honour."""

    @pytest.mark.parametrize(
        ("flag", "level"),
        [("-q", logging.CRITICAL), ("-v", logging.DEBUG), ("LogLevel=ERROR", logging.ERROR)],
    )
    async def test_log_level(self, flag: str, level: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """-v, -q and LogLevel determine how much the library logs."""
        logger = logging.getLogger("asyncssh")
        monkeypatch.setattr(logger, "level", logging.NOTSET)
        with pytest.raises(ResolveError):
            await whoami("no-such-host.invalid", "-F none", flag)
        assert logger.level == level

    async def test_gssapi_needs_its_package(self) -> None:
        """GSSAPI options, which the library ignores without the package gssapi, are an error."""
        with pytest.raises(OptionError, match=r"GSSAPIAuthentication.*gssapi"):
            await whoami("no-such-host.invalid", "-F none", "GSSAPIAuthentication=yes")

    async def test_config_that_cannot_be_read(self, tmp_path: Path) -> None:
        """A mistake in a config file is reported with its line."""
        config = tmp_path / "config"
        config.write_text("Host *\n  Port many\n")
        with pytest.raises(OptionError, match=r"config line 2.*many"):
            await whoami("h", f"-F {config}")
        with pytest.raises(OptionError, match="missing"):
            await whoami("h", f"-F {tmp_path}/missing")


class TestTcp:
    """TCP alone."""

    async def test_greeting_is_left_to_the_reader(self) -> None:
        """The server's greeting is left for the reader."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            opening = asyncio.create_task(open_tcp("127.0.0.1", port, course=course()))
            accepted, _ = await asyncio.to_thread(listener.accept)
            with accepted:
                accepted.sendall(b"SSH-2.0-test\r\n")
                tcp = await opening
                with tcp.sock:
                    assert tcp.sock.recv(4) == b"SSH-"
                    assert 0 <= tcp.round_trip < 1

    async def test_all_addresses_are_tried(self) -> None:
        """A host of several addresses is reached at the first that answers."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            with pytest.raises(UnreachableError, match="refused"):
                await open_tcp("127.0.0.2", port, course=course(), attempts=2)

    async def test_name_without_address(self) -> None:
        """A name that does not resolve has an error of its own."""
        with pytest.raises(ResolveError):
            await open_tcp("no-such-host.invalid", 22, course=course())

    async def test_local_address(self, server: Server) -> None:
        """A bind address of another machine cannot be used."""
        local = ("192.0.2.1", 0)
        with pytest.raises(UnreachableError, match="assign"):
            await open_tcp(server.host, server.port, course=course(), local_address=local)

    async def test_dead_address_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An address that does not answer delays those after it by a moment only, and not by its limit."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            answered = socket.getaddrinfo("127.0.0.1", port, type=socket.SOCK_STREAM)
            # A queue that is full: what does not fit into it gets no answer.
            with socket.socket() as full, contextlib.ExitStack() as waiting:
                full.bind(("127.0.0.2", 0))
                full.listen(0)
                for _ in range(3):
                    each = waiting.enter_context(socket.socket())
                    each.setblocking(False)
                    each.connect_ex(full.getsockname())
                dead = [(*answered[0][:4], full.getsockname())]
                monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: dead * 3 + answered)
                tcp = await asyncio.wait_for(open_tcp("both", port, course=course()), SOON)
                with tcp.sock:
                    assert tcp.sock.getpeername() == ("127.0.0.1", port)


async def test_transport_gives_the_first_byte_of_the_server(
    server: Server, account: str, known: str
) -> None:
    """Data right behind the marks is not lost, and the clock of the host is known."""
    server.write("alice", "first/.__experimaestro__", "")
    command = "printf '\\n@xpm-remote ready 1795358688 +0530 \\n{\"a\"'; printf ':1}\\n'"
    options = parse_ssh_options(
        f"{account}@{server.host}", [known, f"-p {server.port}", f"-i {server.login('alice').key}"]
    )
    transport = await open_transport(HostLink(options), command, workspace="first")
    received = b""
    while data := await transport.receive():
        received += data
    await transport.aclose()
    assert received == b'{"a":1}\n'
    assert transport.exit.status == 0
    assert transport.clock is not None
    assert transport.clock.epoch == 1795358688
