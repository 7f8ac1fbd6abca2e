"""Every route to the test server: through jump hosts, by a command, and with the hops of config files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.link.asyncssh_engine.logging_in import whoami
from tests.link.ssh_judge import without_ssh
from tests.support.proxy import Proxy
from tests.support.server import Server
from xpm_remote.errors import HostKeyError, OptionError, UnreachableError

RELAY = """\
import socket, sys, threading
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def up():
    while data := sys.stdin.buffer.raw.read(65536): s.sendall(data)
threading.Thread(target=up, daemon=True).start()
while data := s.recv(65536):
    sys.stdout.buffer.write(data); sys.stdout.buffer.flush()
"""
"""What carries a connection as a ProxyCommand."""


def _quoted(command: str) -> str:
    return command.replace("'", "'\\''")


class TestWays:
    """Routes to the server."""

    def config(self, server: Server, account: str, folder: Path, extra: str = "") -> Path:
        """Write a config file that has the server as seen from outside (jump) and from inside (inner)."""
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
        """Jump hosts that refer to one another are an error."""
        config = tmp_path / "config"
        config.write_text("Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n")
        with pytest.raises(OptionError, match="circle"):
            await whoami("a", f"-F {config}")

    async def test_jump_cannot_reach(self, server: Server, account: str, tmp_path: Path) -> None:
        """A target that the jump host cannot reach is distinguished from a jump host that we cannot reach."""
        config = self.config(server, account, tmp_path)
        with pytest.raises(UnreachableError, match=r"the jump host \S+ cannot reach"):
            await whoami("inner", f"-F {config}", "-J jump", "-p 9")

    async def test_proxy_command(self, server: Server, account: str, tmp_path: Path) -> None:
        """A ProxyCommand carries the connection."""
        config = self.config(server, account, tmp_path)
        script = tmp_path / "connect.py"
        script.write_text(RELAY)
        command = f"ProxyCommand=python3 {script} %h %p"
        assert await whoami("jump", f"-F {config}", "-o", command) == account

    async def test_jump_chain_by_aliases(
        self, server: Server, account: str, tmp_path: Path
    ) -> None:
        """Jump hosts are aliases with their own configuration, and their own route."""
        inner_host, inner_port = server.inner
        config = tmp_path / "config"
        config.write_text(
            f"Host inner\n  HostName {inner_host}\n  Port {inner_port}\n  ProxyJump middle\n"
            f"Host middle\n  HostName {inner_host}\n  Port {inner_port}\n  ProxyJump nobody@outer\n"
            f"Host outer\n  HostName {server.host}\n  Port {server.port}\n"
            f"Match host outer,{server.host} user nobody\n  HostKeyAlias never-known\n"
            f"Host *\n  User {account}\n  IdentityFile {server.login('alice').key}\n"
            f"  UserKnownHostsFile {server.known_hosts}\n"
        )
        # The user of the jump host counts, and its own configuration, which ends the route.
        with pytest.raises(HostKeyError, match="never-known"):
            await whoami("inner", f"-F {config}", "-o BatchMode=yes")
        config.write_text(config.read_text().replace("nobody@", f"{account}@"))
        assert await whoami("inner", f"-F {config}") == account

    async def test_proxy_command_of_a_file(
        self, server: Server, account: str, tmp_path: Path
    ) -> None:
        """A command of a config file carries the connection, with tokens and quotes as in ssh."""
        said = tmp_path / "it's said"
        command = f'echo "%n %h %p %r %%" > "{said}"; exec nc %h %p'
        config = self.config(server, account, tmp_path)
        relay = tmp_path / "relay.py"
        relay.write_text(RELAY)
        command = command.replace("nc %h", f"{sys.executable} {relay} %h")
        config.write_text(
            f"Host jump\n  ProxyCommand sh -c '{_quoted(command)}'\n{config.read_text()}"
        )
        assert await whoami("jump", f"-F {config}") == account
        assert said.read_text() == f"jump {server.host} {server.port} {account} %\n"

    async def test_host_key_alias_of_a_file(
        self, server: Server, account: str, tmp_path: Path
    ) -> None:
        """The host's key is looked up by its alias alone, at any port."""
        config = self.config(server, account, tmp_path)
        key = server.known_hosts.read_text().split("\n")[0].partition(" ")[2]
        known = tmp_path / "known"
        known.write_text(f"the-alias {key}\n")
        head = f"UserKnownHostsFile {known}\nHost jump\n  HostKeyAlias "
        rest = config.read_text()
        config.write_text(f"{head}the-alias\n{rest}")
        assert await whoami("jump", f"-F {config}", "-o BatchMode=yes") == account
        config.write_text(f"{head}another\n{rest}")
        with pytest.raises(HostKeyError, match="key of another is unknown"):
            await whoami("jump", f"-F {config}", "-o BatchMode=yes")

    async def test_keepalive_in_minutes(self, server: Server, account: str, tmp_path: Path) -> None:
        """A time with a unit is read."""
        config = self.config(server, account, tmp_path)
        config.write_text(f"ServerAliveInterval 1m\n{config.read_text()}")
        assert await whoami("jump", f"-F {config}") == account

    async def test_without_the_program_ssh(
        self, server: Server, account: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without the program ssh, the library reads the file, jump hosts included."""
        config = self.config(server, account, tmp_path, "  ProxyJump jump\n")
        monkeypatch.setenv("PATH", without_ssh(tmp_path)["PATH"])
        assert await whoami("inner", f"-F {config}") == account

    async def test_slow_network(self, server: Server, account: str, known: str) -> None:
        """A delay of 150 ms in each direction causes no failure."""
        with Proxy(server.host, server.port) as proxy:
            proxy.delay(150, 150)
            alias = f"-o 'HostKeyAlias=[{server.host}]:{server.port}'"
            options = (known, alias, f"-p {proxy.port}", f"-i {server.login('alice').key}")
            assert await whoami(f"{account}@{proxy.host}", *options) == account
