"""Which SSH engine makes a connection, and that neither leaves anything behind."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.cli.commands import Commands
from tests.link.asking import HOST, PASSWORD, WELCOME, Asking
from tests.support import forked
from tests.support.polling import wait_until
from tests.support.server import Server
from tests.support.workspaces import RealWorkspace

pytestmark = pytest.mark.slow

START_LIMIT = 20.0
"""Seconds for something to be started."""
LEFTOVER_LIMIT = 60.0
"""Seconds after which nothing may be left of a client that was killed."""


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[Asking]:
    """A server that prompts for a password, and whose key is known."""
    folder = tmp_path / "asking"
    folder.mkdir()
    with Asking(folder, "password") as server:
        server.know()
        yield server


@pytest.fixture
def control_path() -> Iterator[Path]:
    """A path for the socket of a ControlMaster; a socket's path must be short."""
    with tempfile.TemporaryDirectory(prefix="xpm-") as folder:
        yield Path(folder) / "master"


@contextmanager
def master(asking: Asking, control_path: Path, folder: Path) -> Iterator[None]:
    """A ControlMaster of a user who has typed the password."""
    answer = folder / "answer"
    answer.write_text(f"#!/bin/sh\necho '{PASSWORD}'\n")
    answer.chmod(0o755)
    words = ["ssh", "-F", "none", "-p", str(asking.port), "-S", str(control_path)]
    known = f"UserKnownHostsFile={asking.known_hosts}"
    environment = {"PATH": "/usr/bin:/bin", "SSH_ASKPASS": str(answer)}
    subprocess.run(
        [*words, "-o", known, "-M", "-f", "-N", f"me@{HOST}"],
        env={**environment, "SSH_ASKPASS_REQUIRE": "force"},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=START_LIMIT,
        check=True,
    )
    try:
        yield
    finally:
        subprocess.run([*words, "-O", "exit", f"me@{HOST}"], capture_output=True, check=False)


def write_config(folder: Path, *lines: str) -> tuple[str, str]:
    """Write a config file for all hosts; return the option that names it."""
    config = folder / "config"
    config.write_text("\n  ".join(["Host *", *lines]) + "\n")
    return "-o", f"-F {config}"


def choice(commands: Commands, *options: str, engine: str = "auto") -> Any:
    """Return the document of --dry-run."""
    given = ("h", "/d", "--ssh-engine", engine, "--dry-run", "--format", "json")
    finished = commands.monitor(*given, *options)
    assert finished.status == 0, finished.stderr
    return finished.document


class TestMaster:
    """A ControlMaster that may lead to the host."""

    def options(self, asking: Asking, control_path: Path, folder: Path) -> tuple[str, ...]:
        """Return the options that lead to the server, with a config file that shares connections."""
        known = f"UserKnownHostsFile {asking.known_hosts}"
        shared = (f"ControlPath {control_path}", "ControlMaster auto", known)
        return (*write_config(folder, *shared), "-o", f"-p {asking.port}")

    def test_live(
        self, commands: Commands, asking: Asking, control_path: Path, tmp_path: Path
    ) -> None:
        """A live one is used, without another password prompt."""
        options = self.options(asking, control_path, tmp_path)
        with master(asking, control_path, tmp_path):
            words = (f"me@{HOST}", "/d", "--ssh-engine", "auto", *options)
            finished = commands.monitor(*words, "--once")
            shown = commands.monitor(*words, "--dry-run", "--format", "json").document
        assert finished.status == 21
        told, error = finished.told
        assert told.startswith(f"info: the SSH engine for {HOST} is openssh: a ControlMaster")
        assert WELCOME in error
        assert shown["engine"] == "openssh"
        assert "ControlMaster" in shown["because"]

    def test_dead(
        self, commands: Commands, asking: Asking, control_path: Path, tmp_path: Path
    ) -> None:
        """A socket without a listener is not used: the library connects, and prompts."""
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(control_path))
        options = self.options(asking, control_path, tmp_path)
        words = (f"me@{HOST}", "/d", "--ssh-engine", "auto", *options)
        assert "a password" in commands.monitor(*words, "--once").stderr
        shown = commands.monitor(*words, "--dry-run", "--format", "json").document
        assert shown["engine"] == "asyncssh"


class TestChoice:
    """How auto chooses by options and config files."""

    def test_nothing_special(self, commands: Commands) -> None:
        """Without a reason for ssh, the library is used."""
        assert choice(commands, "-o", "-F none")["engine"] == "asyncssh"

    def test_options(self, commands: Commands) -> None:
        """An option that the library cannot honour selects ssh, and is the reason."""
        shown = choice(commands, "-o", "-F none -L 1:h:2")
        assert shown["engine"] == "openssh"
        assert "-L (LocalForward)" in shown["because"]

    def test_config(self, commands: Commands, tmp_path: Path) -> None:
        """A keyword of a config file that the host may need selects ssh."""
        shown = choice(commands, *write_config(tmp_path, "RevokedHostKeys /etc/hosts"))
        assert shown["engine"] == "openssh"
        assert f"RevokedHostKeys ({tmp_path}/config:2)" in shown["because"]

    def test_config_of_a_jump_host(self, commands: Commands, tmp_path: Path) -> None:
        """A keyword that a jump host needs selects ssh."""
        config = tmp_path / "config"
        config.write_text("Host h\n ProxyJump gate\nHost gate\n KnownHostsCommand /bin/true\n")
        shown = choice(commands, "-o", f"-F {config}")
        assert shown["engine"] == "openssh"
        assert f"KnownHostsCommand ({config}:4)" in shown["because"]

    def test_sharing_that_is_not_missed(self, commands: Commands, tmp_path: Path) -> None:
        """A config file that shares connections selects nothing, and is not mentioned."""
        given = write_config(tmp_path, "ControlMaster auto", f"ControlPath {tmp_path}/s-%C")
        words = ("h", "/d", "--dry-run", "--format", "json", *given)
        for engine in ("auto", "asyncssh"):
            finished = commands.monitor(*words, "--ssh-engine", engine)
            assert finished.document["engine"] == "asyncssh"
            assert finished.told == []

    @pytest.mark.parametrize(
        ("lines", "shown"),
        [
            (("ServerAliveInterval 0",), "0 s, 3 times"),
            (("ServerAliveInterval 1m", "ServerAliveCountMax 2"), "60 s, 2 times"),
            ((), "15 s, 3 times"),
        ],
    )
    @pytest.mark.parametrize("engine", ["asyncssh", "openssh"])
    def test_keepalive(
        self, commands: Commands, tmp_path: Path, engine: str, lines: tuple[str, ...], shown: str
    ) -> None:
        """The keepalive of a config file counts, with either engine; otherwise our default does."""
        given = write_config(tmp_path, *lines)
        assert choice(commands, *given, engine=engine)["keepalive"] == shown

    def test_config_that_ssh_cannot_read(self, commands: Commands, tmp_path: Path) -> None:
        """With the engine openssh, a mistake in a config file is reported with its place."""
        given = write_config(tmp_path, "Nonsense yes")
        finished = commands.monitor("h", "/d", "--ssh-engine", "openssh", *given, "--once")
        assert finished.status == 5
        assert f"{tmp_path}/config: line 2" in finished.error
        assert "nonsense" in finished.error

    def test_settings(self, commands: Commands) -> None:
        """The settings choose the engine, and the flag takes precedence over them."""
        commands.add("w", "/d", host="h", options="-F none", engine="openssh")
        shown = commands.monitor("--workspace", "w", "--dry-run").stdout
        assert "engine       openssh" in shown
        flag = ("--ssh-engine", "asyncssh")
        assert "engine       asyncssh" in commands.monitor(
            "--workspace", "w", "--dry-run", *flag
        ).stdout  # fmt: skip

    def test_log(self, commands: Commands) -> None:
        """The log has the engine and the reason."""
        words = ("no-such-host.invalid", "/d", "--ssh-engine", "openssh", "--once", "-o", "-F none")
        finished = commands.run("--debug", "experiments", "ssh-monitor", *words)
        assert (
            "the SSH engine for no-such-host.invalid is openssh: it is asked for" in finished.stderr
        )


class TestNoProgram:
    """A machine without ssh."""

    @pytest.fixture(autouse=True)
    def _without_ssh(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))

    def test_openssh(self, commands: Commands) -> None:
        """The engine openssh reports what is missing and what to do."""
        finished = commands.monitor("h", "/d", "--ssh-engine", "openssh", "--once")
        assert finished.status == 5
        assert "the program ssh" in finished.error
        assert "--ssh-engine asyncssh" in finished.error

    def test_auto(self, commands: Commands) -> None:
        """The engine auto uses the library, unless an option needs ssh."""
        assert choice(commands, "-o", "-F none")["engine"] == "asyncssh"
        words = ("h", "/d", "--ssh-engine", "auto", "--once", "-o", "-F none -L 1:h:2")
        assert commands.monitor(*words).status == 5


@pytest.mark.usefixtures("by_engine")
def test_killed_while_the_shell_prepares(server: Server, commands: Commands) -> None:
    """When we are killed while shell_init runs, it ends on the host, and so do all our processes here."""
    path = server.write("alice", "killed/.__experimaestro__", "").rpartition("/")[0]
    mark = uuid.uuid4().hex
    options = [*server.ssh_args("alice"), "-o", f"SetEnv=XPM_TEST={mark}"]
    commands.add_login(server, "alice", path, options=options, shell_init="sleep 600")

    def here() -> list[str]:
        listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
        return [line for line in listed.stdout.splitlines() if mark in line]

    def sleeps() -> bool:
        return any("sleep 600" in each.arguments for each in server.processes("alice"))

    with commands.events("--workspace", "alice") as events:
        wait_until(sleeps, START_LIMIT, "shell_init to run")
        events.process.kill()
        wait_until(lambda: not here(), LEFTOVER_LIMIT, "ssh to end")
        wait_until(lambda: not server.processes("alice"), LEFTOVER_LIMIT, "shell_init to end")


class TestTerminal:
    """The program ssh in a real terminal."""

    def spawn(self, commands: Commands, *words: str) -> Any:
        """Start our command in a terminal."""
        given = commands.words("--inline", *words, "--ssh-engine", "openssh")
        environment = {**commands._environment(), "TERM": "xterm"}
        return forked.spawn(given, environment, size=(30, 200), limit=START_LIMIT)

    def test_questions(self, commands: Commands, asking: Asking) -> None:
        """On the terminal ssh prompts for the host key and the password, again after a wrong one, and we go on."""
        asking.known_hosts.write_text("")
        options = [word for option in asking.options for word in ("-o", option)]
        child = self.spawn(commands, f"me@{HOST}", "/d", *options)
        child.expect("authenticity of host")
        child.expect("fingerprint")
        child.sendline("yes")
        child.expect("password: ")
        child.sendline("wrong")
        # It is relayed by us, so the next prompt may be on the screen before it.
        child.expect("Permission denied, please try again")
        child.waitnoecho()
        child.sendline(PASSWORD)
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 21
        assert WELCOME in child.before
        assert PASSWORD not in child.before
        assert asking.entry in asking.known_hosts.read_text() + "\n"

    def test_ctrl_c_at_a_question(self, commands: Commands, asking: Asking) -> None:
        """Ctrl-C at ssh's prompt ends us, without further output, and restores the terminal."""
        options = [word for option in asking.options for word in ("-o", option)]
        child = self.spawn(commands, f"me@{HOST}", "/d", *options)
        child.expect("password: ")
        child.waitnoecho()
        child.sendintr()
        child.expect(pexpect.EOF)
        assert child.getecho()
        child.close()
        assert child.exitstatus == 130

    def test_ctrl_c_in_the_dashboard(
        self, commands: Commands, server: Server, real_workspace: RealWorkspace
    ) -> None:
        """Ctrl-C, which goes to the whole process group, ends us as with the library, without a lost link."""
        given = {"xpm_path": server.experimaestro}
        commands.add_login(server, "alice", real_workspace.path, **given)
        child = self.spawn(commands, "--workspace", "alice")
        child.expect("● live")
        child.sendintr()
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 130
        assert "broke" not in child.before
        wait_until(lambda: not server.processes("alice"), START_LIMIT, "the remote side to end")
