"""A link that only the user can restore: reported, waited for, and restored by answering prompts."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.commands import Commands
from tests.cli.terminals import Terminal
from tests.support.fakes import install_fake_monitor
from tests.support.passwords import KIM, PASSWORD, PAT, code, require_passwords
from tests.support.polling import wait_until
from tests.support.proxy import Proxy
from tests.support.server import Server

SCENARIO = {"generate": {"experiments": 1, "jobs": 2, "states": ["running"]}}
QUESTION = r"Password of \S+: |\S+'s password: "
"""Our prompt and ssh's, each with its end, which the same words in the picture do not have."""
TICKS = 2
"""Pictures, one a second, during which nothing is tried."""
END_LIMIT = 20.0
"""Seconds for the command to end by itself."""


@dataclass(frozen=True)
class Way:
    """A connection to a user of the server, through a proxy.

    Attributes:
        proxy: The proxy.
        arguments: Those of ``ssh-monitor``.
        known_hosts: Where the server's key is.
    """

    proxy: Proxy
    arguments: tuple[str, ...]
    known_hosts: Path


def way(server: Server, proxy: Proxy, name: str, folder: Path, *options: str) -> Way:
    """Make a connection to a user's workspace; the user's key, if there is one, is an option."""
    fake = install_fake_monitor(server, SCENARIO, name)
    known_hosts = folder / "known"
    known_hosts.write_text(server.known_hosts.read_text())
    flags = (
        f"-F none -p {proxy.port} -l {server.account(name)} -o UserKnownHostsFile={known_hosts}"
        f" -o HostKeyAlias=[{server.host}]:{server.port} -o HashKnownHosts=no"
    )
    words = [word for option in (flags, *options) for word in ("-o", option)]
    return Way(
        proxy, (proxy.host, fake.workspace, "--remote-xpm", fake.xpm_path, *words), known_hosts
    )


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """A proxy in front of the server."""
    with Proxy(server.host, server.port) as started:
        yield started


@pytest.fixture
def pat(server: Server, proxy: Proxy, tmp_path: Path) -> Way:
    """The connection of a user with a password."""
    require_passwords(server)
    return way(server, proxy, PAT, tmp_path, "-o PubkeyAuthentication=no")


@pytest.fixture
def key(server: Server, tmp_path: Path) -> Path:
    """A copy of alice's key."""
    copy = tmp_path / "key"
    copy.write_bytes(server.login("alice").key.read_bytes())
    copy.chmod(0o600)
    return copy


@pytest.fixture
def alice(server: Server, proxy: Proxy, tmp_path: Path, key: Path) -> Way:
    """The connection of a user with a key."""
    return way(server, proxy, "alice", tmp_path, f"-i {key} -o IdentitiesOnly=yes")


def log_in(terminal: Terminal, password: str = PASSWORD) -> None:
    """Type the password at its prompt."""
    terminal.child.expect(QUESTION)
    terminal.type(password)


class TestDashboard:
    """A user at the dashboard."""

    def test_password(self, by_engine: Commands, pat: Way) -> None:
        """A lost link that takes a password is reported, not retried, and prompts after a key press."""
        with Terminal(by_engine, *pat.arguments) as terminal:
            log_in(terminal)
            terminal.see("live")
            pat.proxy.cut()
            terminal.see("only a person can answer")
            terminal.see("log in")
            tried = pat.proxy.connections
            for _ in range(TICKS):
                terminal.see("needs-person")
            assert pat.proxy.connections == tried
            assert not terminal.is_as_usual
            terminal.press("r")
            log_in(terminal)
            terminal.see("live")
            terminal.press("q")
            status, shown = terminal.finish()
            assert status == 0
            assert PASSWORD not in shown
            assert terminal.is_as_usual

    def test_wrong_password(self, by_engine: Commands, pat: Way) -> None:
        """After wrong answers the user may try again, and the host is not contacted meanwhile."""
        with Terminal(by_engine, *pat.arguments, "-o", "NumberOfPasswordPrompts=1") as terminal:
            log_in(terminal)
            terminal.see("live")
            pat.proxy.cut()
            terminal.see("log in")
            terminal.press("r")
            log_in(terminal, "wrong")
            terminal.see("only a person can answer")
            terminal.see("log in")
            terminal.press("r")
            log_in(terminal)
            terminal.see("live")
            terminal.child.sendintr()
            assert terminal.finish()[0] == 130

    def test_unknown_host_key(self, by_engine: Commands, alice: Way) -> None:
        """A host key that is no longer known needs confirmation, and is recorded."""
        with Terminal(by_engine, *alice.arguments) as terminal:
            terminal.see("live")
            known = alice.known_hosts.read_text()
            alice.known_hosts.write_text("")
            alice.proxy.cut()
            terminal.see("only a person can answer")
            terminal.see("log in")
            terminal.press("r")
            terminal.child.expect("yes.*no.*fingerprint")
            terminal.type("yes")
            terminal.see("live")
            terminal.press("q")
            assert terminal.finish()[0] == 0
        recorded = alice.known_hosts.read_text().split()[1:3]
        assert " ".join(recorded) in known

    def test_changed_host_key(
        self, server: Server, commands: Commands, alice: Way, tmp_path: Path
    ) -> None:
        """A changed host key after a lost link ends it."""
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")]
        subprocess.run(make, check=True)
        with Terminal(commands, *alice.arguments) as terminal:
            terminal.see("live")
            other = (tmp_path / "other.pub").read_text()
            alice.known_hosts.write_text(f"[{server.host}]:{server.port} {other}")
            alice.proxy.cut()
            status, shown = terminal.finish()
            assert status == 12
            assert "has changed" in shown
            assert terminal.is_as_usual


class TestEvents:
    """The events viewer."""

    def test_at_a_terminal(self, commands: Commands, pat: Way) -> None:
        """At a terminal it waits for Enter before it connects, and then prompts."""
        with Terminal(commands, "--events-viewer", *pat.arguments) as terminal:
            log_in(terminal)
            terminal.see("live: 1 experiment,")
            pat.proxy.cut()
            terminal.see("needs-person")
            terminal.see("Press Enter to log in: ")
            tried = pat.proxy.connections
            terminal.type("")
            log_in(terminal)
            terminal.see("live: 1 experiment,")
            assert pat.proxy.connections == tried + 1
            terminal.child.sendintr()
            assert terminal.finish()[0] == 130

    def test_no_terminal(self, by_engine: Commands, alice: Way, key: Path) -> None:
        """Without a terminal it ends with the status of the prompt."""
        with by_engine.events(*alice.arguments) as events:
            events.wait_live()
            lock = ["ssh-keygen", "-q", "-p", "-P", "", "-N", PASSWORD, "-f", str(key)]
            subprocess.run(lock, check=True)
            key.with_name("key.pub").unlink(missing_ok=True)
            alice.proxy.cut()
            phases = [event for event in events if event["event"] == "link"]
            finished = events.finish()
        assert finished.status == 13
        assert "passphrase" in finished.error
        assert [event["phase"] for event in phases][-2:] == ["needs-person", "ended"]
        assert "passphrase" in phases[-2]["asked"].lower()

    def test_batch_mode(self, commands: Commands, alice: Way, key: Path) -> None:
        """With BatchMode=yes it waits for no user, also at a terminal."""
        given = (*alice.arguments, "-o", "BatchMode=yes")
        with Terminal(commands, "--events-viewer", *given) as terminal:
            terminal.see("live: 1 experiment,")
            lock = ["ssh-keygen", "-q", "-p", "-P", "", "-N", PASSWORD, "-f", str(key)]
            subprocess.run(lock, check=True)
            alice.proxy.cut()
            status, shown = terminal.finish()
        assert status == 13
        assert "needs-person" not in shown


class TestInterview:
    """OpenSSH's server with two questions of PAM."""

    def test_two_questions(self, commands: Commands, server: Server, tmp_path: Path) -> None:
        """The password is not echoed, the code is; both together log in."""
        require_passwords(server)
        with Proxy(server.host, server.port) as proxy:
            kim = way(server, proxy, KIM, tmp_path, "-o PubkeyAuthentication=no")
            with Terminal(commands, *kim.arguments) as terminal:
                terminal.child.expect("assword: ")
                wait_until(lambda: not terminal.is_as_usual, END_LIMIT, "the echo to be off")
                terminal.type(PASSWORD)
                assert PASSWORD not in terminal.see("Verification code: ")
                number = code()
                terminal.type(number)
                assert number in terminal.see("live")
                terminal.press("q")
                assert terminal.finish()[0] == 0
