"""Hosts of many kinds, as a site has them: gates, second factors, closed ones, and another server than OpenSSH's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.commands import Commands, Finished
from tests.cli.terminals import Terminal
from tests.support import guests
from tests.support.container import ContainerServer
from tests.support.passwords import PASSWORD, code
from tests.support.polling import wait_until
from tests.support.server import Server
from xpm_remote.settings.schema import SshEngine

pytestmark = pytest.mark.slow

ECHO_LIMIT = 20.0
"""Seconds for a prompt that has appeared to turn the echo off or on."""
GATES = (guests.GATE, guests.HOP, guests.WALL, guests.VERA)
JUMP = """
Host {name}
    HostName 127.0.0.1
    Port {port}
    User {name}
    IdentityFile {key}
"""
"""A gate, in a config file: options are those of the target alone."""


@pytest.fixture
def host(server: Server) -> ContainerServer:
    """The test server with all its users."""
    guests.require_guests(server)
    assert isinstance(server, ContainerServer)
    return server


Words = Callable[..., tuple[str, ...]]
Watch = Callable[..., Finished]


@pytest.fixture
def words(host: ContainerServer, engine: SshEngine, tmp_path: Path) -> Words:
    """Return what follows ``ssh-monitor`` to watch an empty workspace once, by each engine."""
    config = tmp_path / "config"
    config.write_text(
        f"Host *\n    UserKnownHostsFile {host.known_hosts}\n    IdentitiesOnly yes\n"
        + "".join(
            JUMP.format(
                name=name, key=host.login(name).key, port=22 if name == guests.HOP else host.port
            )
            for name in GATES
        )
    )

    def words_for(user: str, *options: str, port: int = host.port) -> tuple[str, ...]:
        workspace = host.home(user) + "/watched"
        host.run(user, f"mkdir -p {workspace}; touch {workspace}/.__experimaestro__")
        flags = f"-F {config} -l {user} -i {host.login(user).key} -p {port}"
        given = [word for option in (flags, *options) for word in ("-o", option)]
        ours = ("--once", "--backend", "agent", "--ssh-engine", engine.value)
        return (host.host, workspace, *ours, *given)

    return words_for


@pytest.fixture
def watch(words: Words, commands: Commands) -> Watch:
    """Run the command to its end, without a terminal."""

    def watching(user: str, *options: str, **port: int) -> Finished:
        return commands.run_process("experiments", "ssh-monitor", *words(user, *options, **port))

    return watching


@pytest.mark.parametrize("jumps", [guests.GATE, f"{guests.GATE},{guests.HOP}"])
def test_gates(watch: Watch, jumps: str) -> None:
    """One or two hosts that only forward, each with a user and a key of its own, lead to the host."""
    done = watch("alice", f"-J {jumps}", port=22)
    assert done.status == 0, done.stderr


def test_gate_that_does_not_forward(watch: Watch) -> None:
    """It is named, with what it refuses."""
    done = watch("alice", f"-J {guests.WALL}", port=22)
    assert done.status == 11
    assert "the jump host wall does not forward to 127.0.0.1 port 22" in done.stderr


def test_gate_with_a_second_factor(watch: Watch) -> None:
    """Without a terminal, it is the gate that refuses, for want of an answer."""
    done = watch("alice", f"-J {guests.VERA}", port=22)
    assert done.status == 13
    assert "an interactive login, but there is no terminal to ask on" in done.stderr


def test_gate_as_the_host(watch: Watch) -> None:
    """A host that only forwards says so in its own words."""
    done = watch(guests.GATE)
    assert done.status == 21
    assert "This host only forwards." in done.stderr


def test_second_factor(watch: Watch) -> None:
    """A host that accepts the key and then asks for a code is told as that."""
    done = watch(guests.VERA)
    assert done.status == 13
    assert "accepts the key, and then asks for an interactive login, but there is no" in done.error
    assert "ControlMaster" in done.error


@pytest.mark.parametrize("is_gate", [False, True])
def test_second_factor_at_a_terminal(commands: Commands, words: Words, *, is_gate: bool) -> None:
    """After the key the two questions are asked, of a gate too; the second one is echoed."""
    asked = words("alice", f"-J {guests.VERA}", port=22) if is_gate else words(guests.VERA)
    with Terminal(commands, *asked) as terminal:
        terminal.child.expect("assword: ")
        wait_until(lambda: not terminal.is_as_usual, ECHO_LIMIT, "the echo to be off")
        terminal.type(PASSWORD)
        assert PASSWORD not in terminal.see("Verification code: ")
        wait_until(lambda: terminal.is_as_usual, ECHO_LIMIT, "the echo to be on")
        terminal.type(code())
        assert terminal.finish()[0] == 0


def test_nologin(watch: Watch) -> None:
    """What a closed host says is in the error, and it may be tried again."""
    done = watch(guests.CLOSED)
    assert done.status == 11
    assert "ends the login: The cluster is closed until noon." in done.error


def test_expired_account(watch: Watch) -> None:
    """An account that has expired is refused."""
    done = watch(guests.GONE)
    assert done.status == 13
    assert "Your account has expired" in done.error
    assert "try again" not in done.error


def test_expired_password(watch: Watch) -> None:
    """A password that must be changed is told, with how that is done."""
    done = watch(guests.STALE)
    assert done.status == 21
    assert "Your password has expired." in done.error
    assert "the password must be changed first, in a terminal: ssh HOST" in done.error


def test_dropbear(watch: Watch, host: ContainerServer) -> None:
    """Dropbear serves as well."""
    done = watch(guests.DORA, port=host.dropbear)
    assert done.status == 0, done.stderr
