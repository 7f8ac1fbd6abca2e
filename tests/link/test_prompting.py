"""Prompts to the user: our command in a real terminal, against servers that prompt."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pexpect
import pytest

from tests.link.asking import CODE, HOST, PASSWORD, WELCOME, Asking
from tests.link.remote_shells import make_workspace
from tests.support import forked
from tests.support.fakes import install_fake_monitor
from tests.support.proxy import Proxy
from tests.support.server import Server

pytestmark = pytest.mark.slow

SCREEN_LIMIT = 30
"""Seconds for something to appear in the terminal."""


def spawn(home: Path, host: str, *options: str, path: str = "/d", xpm: str = "xpm") -> Any:
    """Start our command in a terminal, with a home of its own and no agent."""
    words = ["experiments", "ssh-monitor", "--inline", host, path]
    words += ["--remote-xpm", xpm]
    words += [word for option in options for word in ("-o", option)]
    environment = {**os.environ, "HOME": str(home), "PYTHONWARNINGS": "error", "TERM": "xterm"}
    # A process that imports readline has the size of another terminal in its environment.
    for name in ("SSH_AUTH_SOCK", "COLUMNS", "LINES"):
        environment.pop(name, None)
    return forked.spawn(words, environment, size=(30, 200), limit=SCREEN_LIMIT)


def connect(server: Asking, *options: str) -> Any:
    """Start our command in a terminal, for a server that prompts."""
    return spawn(server.home, f"me@{HOST}", *server.options, *options)


def finish(child: Any) -> tuple[int, str]:
    """Wait for the end; return the exit status and what was shown since the last expectation."""
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus, str(child.before)


@pytest.fixture
def asking(tmp_path: Path) -> Callable[..., Any]:
    """Start a server that prompts as configured, whose key is known."""

    @contextmanager
    def start(*methods: str, patience: float = 60, runs: bool = False) -> Iterator[Asking]:
        with Asking(tmp_path, *methods, patience=patience, runs=runs) as server:
            server.know()
            yield server

    return start


class TestPassword:
    """A host that accepts passwords."""

    @pytest.mark.parametrize("options", [(), ("-vvv",)])
    def test_right(self, asking: Callable[..., Any], options: tuple[str, ...]) -> None:
        """The right password logs in, and is never shown, at any log level."""
        with asking("password") as server:
            child = connect(server, *options)
            child.expect("Password of me@127.0.0.1: ")
            child.sendline(PASSWORD)
            status, shown = finish(child)
        assert status == 21
        assert WELCOME in shown
        assert PASSWORD not in shown

    def test_agent_takes_over(self, asking: Callable[..., Any], tmp_path: Path) -> None:
        """Where experimaestro cannot be started, the agent is, on the same connection: one password serves both."""
        workspace = make_workspace(tmp_path / "workspace")
        with asking("password", runs=True) as server:
            child = spawn(server.home, f"me@{HOST}", *server.options, path=str(workspace))
            child.expect("Password of me@127.0.0.1: ")
            child.sendline(PASSWORD)
            child.expect("by our agent: the remote shell cannot run xpm")
            child.send("q")
            status, shown = finish(child)
            assert len(server.connections) == 1
        assert status == 0
        assert "Password of" not in shown

    def test_second_attempt(self, asking: Callable[..., Any]) -> None:
        """After a wrong one there is another prompt."""
        with asking("password") as server:
            child = connect(server)
            child.expect("Password of")
            child.sendline("wrong")
            child.expect("try again")
            child.expect("Password of")
            child.sendline(PASSWORD)
            assert WELCOME in finish(child)[1]

    @pytest.mark.parametrize(("options", "number"), [((), 3), (("NumberOfPasswordPrompts=1",), 1)])
    def test_number_of_prompts(
        self, asking: Callable[..., Any], options: tuple[str, ...], number: int
    ) -> None:
        """There are three prompts, or as many as NumberOfPasswordPrompts."""
        with asking("password") as server:
            child = connect(server, *options)
            for _ in range(number):
                child.expect("Password of")
                child.sendline("wrong")
            status, shown = finish(child)
        assert status == 13
        assert "Password of" not in shown
        assert "what you typed" in shown
        assert "wrong" not in shown

    def test_end_of_input(self, asking: Callable[..., Any]) -> None:
        """Ctrl-D is no answer."""
        with asking("password") as server:
            child = connect(server)
            child.expect("Password of")
            child.sendeof()
            status, shown = finish(child)
        assert status == 13
        assert "the input ended" in shown

    def test_interrupt(self, asking: Callable[..., Any], tmp_path: Path) -> None:
        """Ctrl-C ends it at once, and the terminal echoes again."""
        with asking("password") as server:
            script = tmp_path / "run.sh"
            command = (
                f"{sys.executable} -m xpm_remote experiments ssh-monitor me@127.0.0.1 /d"
                f" -o '-F none -p {server.port} -o UserKnownHostsFile={server.known_hosts}'"
            )
            script.write_text(f"trap : INT\n{command}\necho status $?\nstty -a\n")
            environment = {**os.environ, "HOME": str(tmp_path)}
            environment.pop("SSH_AUTH_SOCK", None)
            child = pexpect.spawn(
                "bash", [str(script)], env=environment, encoding="utf-8", timeout=SCREEN_LIMIT
            )
            child.expect("Password of")
            child.sendintr()
            _, shown = finish(child)
        assert "status 130" in shown
        assert re.search(r"\s-echo\b", shown) is None
        assert re.search(r"\secho\b", shown) is not None

    def test_host_loses_patience(self, asking: Callable[..., Any]) -> None:
        """When the host ends the connection meanwhile, the prompt ends with it."""
        with asking("password", patience=1) as server:
            child = connect(server)
            child.expect("Password of")
            status, shown = finish(child)
        assert status == 11
        assert "dropped the connection" in shown

    def test_batch_mode(self, asking: Callable[..., Any]) -> None:
        """With BatchMode=yes there is no prompt, and the error has the question."""
        with asking("password") as server:
            status, shown = finish(connect(server, "BatchMode=yes"))
        assert status == 13
        assert "a password" in shown
        assert "BatchMode=yes" in shown


class TestInterview:
    """A host that prompts with several questions."""

    def test_two_questions(self, asking: Callable[..., Any]) -> None:
        """The host's text is shown, escaped; a secret is not echoed, a code is."""
        with asking("interview") as server:
            child = connect(server)
            child.expect("Two steps")
            child.expect(re.escape("Your card\\x1b[2J shows a code."))
            child.expect(re.escape("(me@127.0.0.1) Secret: "))
            child.sendline(PASSWORD)
            child.expect(re.escape("(me@127.0.0.1) Code: "))
            assert PASSWORD not in child.before
            child.sendline(CODE)
            status, shown = finish(child)
        assert status == 21
        assert CODE in shown
        assert WELCOME in shown

    def test_wrong_answers(self, asking: Callable[..., Any]) -> None:
        """After three wrong interviews it is over."""
        with asking("interview") as server:
            child = connect(server)
            for _ in range(3):
                child.expect("Secret: ")
                child.sendline("wrong")
                child.expect("Code: ")
                child.sendline(CODE)
            assert finish(child)[0] == 13


class TestHostKey:
    """A host whose key is not known yet."""

    @pytest.fixture
    def stranger(self, tmp_path: Path) -> Iterator[Asking]:
        """A server with an unknown key."""
        with Asking(tmp_path, "password") as server:
            yield server

    @pytest.mark.parametrize("answer", ["yes", "the fingerprint"])
    def test_accepted(self, stranger: Asking, answer: str) -> None:
        """It is shown with its fingerprint; yes, or the fingerprint typed, records it for the next time."""
        fingerprint = stranger.key.get_fingerprint()
        child = connect(stranger)
        child.expect(re.escape(f"The host [127.0.0.1]:{stranger.port} is not known yet"))
        child.expect(re.escape(fingerprint))
        child.expect("yes / no / its fingerprint")
        child.sendline("perhaps")
        child.expect("Type 'yes', 'no'")
        child.sendline(fingerprint if answer != "yes" else "yes")
        child.expect("Password of")
        assert stranger.known_hosts.read_text() == stranger.entry
        assert stranger.known_hosts.stat().st_mode & 0o777 == 0o600
        assert stranger.known_hosts.parent.stat().st_mode & 0o777 == 0o700
        child.sendline(PASSWORD)
        assert WELCOME in finish(child)[1]
        again = connect(stranger, "StrictHostKeyChecking=yes")
        again.expect("Password of")
        again.close(force=True)

    def test_not_accepted(self, stranger: Asking) -> None:
        """With no, nothing is recorded, and there is no login."""
        child = connect(stranger)
        child.expect("yes / no / its fingerprint")
        child.sendline("no")
        status, shown = finish(child)
        assert status == 12
        assert "was not accepted" in shown
        assert not stranger.known_hosts.exists()

    @pytest.mark.parametrize("option", ["StrictHostKeyChecking=yes", "BatchMode=yes"])
    def test_not_asked(self, stranger: Asking, option: str) -> None:
        """With StrictHostKeyChecking=yes or BatchMode=yes it is refused without a prompt."""
        status, shown = finish(connect(stranger, option))
        assert status == 12
        assert stranger.key.get_fingerprint() in shown
        assert "yes / no" not in shown

    def test_hashed_as_a_config_file_says(self, stranger: Asking, tmp_path: Path) -> None:
        """HashKnownHosts of a config file hides the name; OpenSSH's own tool finds it."""
        config = tmp_path / "config"
        config.write_text(
            f"Host 127.0.0.1\n  HashKnownHosts yes\n  UserKnownHostsFile {stranger.known_hosts}\n"
        )
        child = spawn(tmp_path, "me@127.0.0.1", f"-F {config} -p {stranger.port}")
        child.expect("yes / no / its fingerprint")
        child.sendline("yes")
        child.expect("Password of")
        child.close(force=True)
        assert "127.0.0.1" not in stranger.known_hosts.read_text()
        name = f"[127.0.0.1]:{stranger.port}"
        subprocess.run(
            ["ssh-keygen", "-F", name, "-f", stranger.known_hosts], capture_output=True, check=True
        )

    def test_changed(self, stranger: Asking) -> None:
        """Another key than the known one is refused without a prompt, with both keys and the line of the known one."""
        other = asyncssh.generate_private_key("ssh-ed25519")
        stranger.know()
        name = stranger.entry.split(maxsplit=1)[0]
        public = other.export_public_key("openssh").decode().strip()
        stranger.known_hosts.write_text(f"# first\nelsewhere {public}\n{name} {public}\n")
        status, shown = finish(connect(stranger))
        assert status == 12
        assert "has changed" in shown
        assert other.get_fingerprint() in shown
        assert stranger.key.get_fingerprint() in shown
        assert f"{stranger.known_hosts}:3" in shown


class TestContainer:
    """OpenSSH's own server."""

    @pytest.fixture
    def locked(self, server: Server, tmp_path: Path) -> Path:
        """Alice's key, encrypted; without its public half beside it."""
        key = tmp_path / "locked"
        key.write_bytes(server.login("alice").key.read_bytes())
        key.chmod(0o600)
        lock = ["ssh-keygen", "-q", "-p", "-P", "", "-N", PASSWORD, "-f", str(key)]
        subprocess.run(lock, check=True)
        return key

    def connect(self, server: Server, home: Path, *options: str) -> Any:
        """Start our command for alice."""
        host = f"{server.account('alice')}@{server.host}"
        return spawn(home, host, f"-F none -p {server.port}", *options)

    def test_passphrase(self, server: Server, tmp_path: Path, locked: Path) -> None:
        """A key is unlocked by its passphrase, at the second attempt too."""
        known = f"UserKnownHostsFile={server.known_hosts}"
        child = self.connect(server, tmp_path, known, f"-i {locked}")
        child.expect(re.escape(f"Passphrase of the key {locked}: "))
        child.sendline("wrong")
        child.expect("not its passphrase")
        child.expect("Passphrase of the key")
        child.sendline(PASSWORD)
        status, shown = finish(child)
        assert status == 22, shown  # /d is not there: the command ran
        assert PASSWORD not in shown

    def test_dashboard_after_the_question(
        self, server: Server, tmp_path: Path, locked: Path
    ) -> None:
        """Nothing is drawn over a prompt; after the answer the dashboard is."""
        fake = install_fake_monitor(server, {"generate": {"experiments": 1, "jobs": 2}})
        host = f"{server.account('alice')}@{server.host}"
        options = f"-F none -p {server.port} -o UserKnownHostsFile={server.known_hosts} -i {locked}"
        child = spawn(tmp_path, host, options, path=fake.workspace, xpm=fake.xpm_path)
        child.expect("Passphrase of the key")
        assert child.before.count("\n") == 1
        assert "connecting to" in child.before
        child.sendline(PASSWORD)
        child.expect("live")
        child.sendintr()
        assert finish(child)[0] == 130

    def test_reconnect_without_prompts(self, server: Server, tmp_path: Path, locked: Path) -> None:
        """A key that was unlocked at the start restores the link after a cut, without a prompt."""
        fake = install_fake_monitor(server, {"generate": {"experiments": 1, "jobs": 2}})
        with Proxy(server.host, server.port) as proxy:
            host = f"{server.account('alice')}@{proxy.host}"
            options = (
                f"-F none -p {proxy.port} -o UserKnownHostsFile={server.known_hosts} -i {locked}"
                f" -o HostKeyAlias=[{server.host}]:{server.port}"
            )
            child = spawn(tmp_path, host, options, path=fake.workspace, xpm=fake.xpm_path)
            child.expect("Passphrase of the key")
            child.sendline(PASSWORD)
            child.expect("● live")
            proxy.cut()
            # What is reported when it is back, or else that a user is needed.
            assert child.expect([r"away \d", "passphrase"]) == 0
            child.sendintr()
            status, shown = finish(child)
        assert status == 130
        assert "Passphrase" not in shown

    def test_three_wrong_passphrases(self, server: Server, tmp_path: Path, locked: Path) -> None:
        """After three wrong ones the key is given up."""
        known = f"UserKnownHostsFile={server.known_hosts}"
        child = self.connect(server, tmp_path, known, f"-i {locked}")
        for _ in range(3):
            child.expect("Passphrase of the key")
            child.sendline("wrong")
        status, shown = finish(child)
        assert status == 13
        assert "Passphrase of the key" not in shown

    def test_key_that_the_host_does_not_want(self, server: Server, tmp_path: Path) -> None:
        """There is no prompt for the passphrase of a key that would not help."""
        key = tmp_path / "stranger"
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", PASSWORD, "-f", str(key)]
        subprocess.run(make, check=True)
        known = f"UserKnownHostsFile={server.known_hosts}"
        status, shown = finish(self.connect(server, tmp_path, known, f"-i {key}"))
        assert status == 13
        assert "Passphrase of" not in shown

    def test_unknown_host(self, server: Server, tmp_path: Path) -> None:
        """Its key is confirmed at a prompt, recorded, and known to OpenSSH from then on."""
        known = tmp_path / ".ssh" / "known_hosts"
        options = (f"-i {server.login('alice').key}", f"UserKnownHostsFile={known}")
        child = self.connect(server, tmp_path, *options)
        child.expect("yes / no / its fingerprint")
        child.sendline("yes")
        assert finish(child)[0] == 22
        entry = " ".join(known.read_text().split()[:3])
        assert entry in server.known_hosts.read_text()
