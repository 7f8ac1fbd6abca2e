"""``doctor``: the whole connection to real workspaces, and the failure of every stage, each provoked for real."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.cli.commands import Commands, Finished
from tests.cli.examining import (
    REMOTE_END,
    STAGES,
    Document,
    examine,
    expect_failure,
    ours,
    stage_of,
)
from tests.link.asking import HOST, PASSWORD, Asking
from tests.link.remote_shells import make_workspace
from tests.support import forked
from tests.support.fakes import install_fake_monitor
from tests.support.polling import wait_until
from tests.support.server import Server
from tests.support.workspaces import RealWorkspace
from xpm_remote.doctor.stages import LISTEN_TIME

pytestmark = pytest.mark.slow

SCREEN_LIMIT = 30
"""Seconds for something to appear on the screen."""


@pytest.fixture
def real(server: Server, real_workspace: RealWorkspace, by_engine: Commands) -> Commands:
    """The commands with each engine, and the real workspace as ``alice`` in the settings."""
    by_engine.add_login(server, "alice", real_workspace.path, xpm_path=server.experimaestro)
    return by_engine


@pytest.fixture
def workspace(server: Server) -> str:
    """An empty workspace of alice; its path."""
    marker = server.write("alice", "empty/.__experimaestro__", "")
    return marker.rpartition("/")[0]


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """Answer one connection with some bytes, and wait for its end; return the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            # An SSH client may be gone before it has read all of it.
            with connection, suppress(ConnectionError):
                connection.sendall(answer)
                while connection.recv(4096):
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


class TestWell:
    """The real experimaestro, with jobs that run."""

    def test_every_stage(self, real: Commands, server: Server) -> None:
        """Each stage runs, is reported with its time and facts, and leaves nothing behind."""
        finished, document = examine(
            real, "--workspace", "alice", "--backend", "auto", "--listen", "15"
        )
        # On a busy machine a stage may last.
        assert re.fullmatch(r"(waiting for .*\n)*", finished.stderr)
        assert (finished.status, document["verdict"], document["exit_code"]) == (0, "ok", 0)
        assert [each["stage"] for each in document["stages"]] == STAGES
        for each in document["stages"]:
            assert each["verdict"] == ("skipped" if each["stage"] == "shell_init" else "ok")
            assert (each["seconds"] is None) == (each["verdict"] == "skipped")
        facts = {each["stage"]: each["facts"] for each in document["stages"]}
        assert facts["configuration"]["settings"].startswith(f"{real.settings}:")
        assert facts["configuration"]["engine"] == real.engine
        assert facts["resolve"]["addresses"] == [server.host]
        assert "OpenSSH" in facts["tcp"]["greeting"]
        assert facts["host key"]["key"].startswith("ssh-ed25519 SHA256:")
        assert facts["host key"]["known"].startswith(f"{server.known_hosts}:")
        assert facts["authentication"]["methods"] == ["publickey"]
        attempt = facts["authentication"]["attempts"][-1]
        assert (attempt["method"], attempt["outcome"]) == ("publickey", "accepted")
        versions = {each["name"]: each["version"] for each in facts["tools"]["programs"]}
        assert versions["experimaestro"] == "2.7.0"
        assert versions["python3"]
        assert facts["workspace"]["experiments"] == 2
        assert facts["workspace"]["free"] > 0
        assert abs(facts["clock"]["ahead"]["seconds"]) <= 60
        assert facts["server"] == {"protocol": "2.0", "directory": facts["agent"]["directory"]}
        assert facts["snapshot"]["experiments"] == 2
        assert facts["snapshot"]["jobs"] > 10
        assert facts["snapshot"]["received"] > 1000
        assert facts["events"]["delay"]["number"] > 0
        assert facts["events"]["delay"]["median"] < LISTEN_TIME
        wait_until(lambda: not ours(server), REMOTE_END, "the remote side to end")

    def test_noise(self, server: Server, commands: Commands) -> None:
        """What login files and shell_init print is shown verbatim by stage and stream, with a warning."""
        fake = install_fake_monitor(server, {"generate": {"jobs": 2}}, "noisy")
        init = "echo 'two words'; printf '\\033[2Jred' >&2"
        given = {"xpm_path": fake.xpm_path, "shell_init": init}
        commands.add_login(server, "noisy", fake.workspace, **given)
        finished, document = examine(commands, "--workspace", "noisy")
        assert finished.status == 0, finished.stderr
        assert document["verdict"] == "warning"
        login, shell_init = stage_of(document, "shell"), stage_of(document, "shell_init")
        told = {each["stream"]: each["text"] for each in login["facts"]["noise"]}
        assert "*** Welcome to the noisy cluster ***\n42\n" in told["stdout"]
        assert "caf\\xe9" in told["stdout"]
        assert told["stdout"].endswith("last login: yesterday ")
        assert told["stderr"].startswith("quota: 93%")
        assert "login files" in login["warnings"][0]
        assert [each["text"] for each in shell_init["facts"]["noise"]] == [
            "two words\n",
            "\x1b[2Jred",
        ]
        assert "shell_init prints 10 bytes on stdout" in shell_init["warnings"][0]

    def test_modules(self, server: Server, commands: Commands, workspace: str) -> None:
        """What shell_init adds to the PATH is found, and the server is started with it."""
        server.write("modules", "empty/.__experimaestro__", "")
        path = f"{server.home('modules')}/empty"
        commands.add_login(
            server, "modules", path, xpm_path="experimaestro", shell_init=server.shell_init
        )
        finished, document = examine(commands, "--workspace", "modules")
        assert finished.status == 0, finished.stderr
        (found,) = [
            each
            for each in stage_of(document, "tools")["facts"]["programs"]
            if each["name"] == "experimaestro"
        ]
        assert found["version"] == "2.7.0"

    def test_uv(self, server: Server, commands: Commands, workspace: str) -> None:
        """Without an xpm_path, uv runs experimaestro from its cache."""
        commands.add_login(server, "alice", workspace, uv_offline=True)
        finished, document = examine(commands, "--workspace", "alice")
        assert finished.status == 0, finished.stderr
        assert stage_of(document, "tools")["verdict"] == "ok"

    def test_jump_host(self, server: Server, commands: Commands) -> None:
        """Each jump host has its own stages; there is no TCP connection of ours to the second host."""
        fake = install_fake_monitor(server, {"generate": {"jobs": 2}})
        login = server.login("alice")
        config = commands.home / "config"
        common = f"  User {login.user}\n  IdentityFile {login.key}\n  UserKnownHostsFile {server.known_hosts}\n"
        config.write_text(
            f"Host gate\n  HostName {server.host}\n  Port {server.port}\n{common}"
            f"Host inner\n  HostName {server.inner[0]}\n  Port {server.inner[1]}\n{common}  ProxyJump gate\n"
        )
        finished, document = examine(
            commands, "inner", fake.workspace, "--remote-xpm", fake.xpm_path, "-o", f"-F {config}"
        )
        assert finished.status == 0, finished.stderr
        stages = [(each["stage"], each["verdict"]) for each in document["stages"][1:9]]
        steps = STAGES[1:5]
        verdicts = ["ok"] * 4 + ["skipped"] * 2 + ["ok"] * 2
        assert stages == list(zip(steps * 2, verdicts, strict=True))
        assert "jump host" in document["stages"][5]["why"]

    def test_nothing_happens(self, server: Server, commands: Commands) -> None:
        """Without events their delay is unknown, and no event is provoked."""
        fake = install_fake_monitor(server, {"generate": {"jobs": 2}})
        commands.add_login(server, "alice", fake.workspace, xpm_path=fake.xpm_path)
        finished, document = examine(commands, "--workspace", "alice", "--listen", "0.5")
        events = stage_of(document, "events")
        assert finished.status == 0
        assert (events["verdict"], events["why"]) == ("skipped", "nothing happened within 0.5 s")

    def test_text(self, server: Server, commands: Commands, workspace: str) -> None:
        """As text, each stage has a line of its own, and its facts are below it."""
        commands.add_login(server, "alice", workspace, xpm_path=server.experimaestro)
        finished = commands.run("doctor", "--workspace", "alice", "--listen", "0")
        heads = [line.split() for line in finished.stdout.splitlines() if line[0] != " "]
        assert [words[1] for words in heads[:3]] == ["configuration", "resolve", "tcp"]
        assert finished.stdout.splitlines()[-1] == "everything works"
        assert "\x1b" not in finished.stdout


class TestConfiguration:
    """Errors before any connection."""

    def test_unknown_workspace(self, commands: Commands) -> None:
        """An unknown id is a failure of the configuration."""
        commands.add("cluster", "/data", host="cluster")
        expect_failure(examine(commands, "--workspace", "nope"), "configuration", 4, "nope")

    def test_broken_settings(self, commands: Commands) -> None:
        """Settings that cannot be read are a failure of the configuration."""
        commands.settings.write_text("workspaces: [{id: 1")
        finished = commands.run("doctor", "--workspace", "x", "--format", "json")
        assert finished.status == 3
        assert stage_of(finished.document, "configuration")["error"]["name"] == "SETTINGS"

    def test_keys_of_the_dashboard(self, commands: Commands) -> None:
        """What keeps only the dashboard from beginning is a warning."""
        commands.settings.write_text("keys: {mrak: z}\n")
        done = commands.run("doctor", "me@nowhere.invalid", "/x", "--format", "json")
        configuration = done.document["stages"][0]
        assert configuration["verdict"] == "warning"
        assert (
            f"{commands.settings}:1:14: keys.mrak: there is no such"
            in (configuration["warnings"][0])
        )

    def test_option(self, commands: Commands) -> None:
        """An option that cannot be honoured is a failure of the configuration."""
        expect_failure(examine(commands, "h", "/d", "-o", "Nonsense=1"), "configuration", 5)

    def test_no_host(self, commands: Commands) -> None:
        """Contradictory arguments are a usage error, not a result."""
        finished = commands.run("doctor")
        assert (finished.status, finished.stdout) == (2, "")
        assert "HOST is missing" in finished.error


class TestWay:
    """Errors on the way to the host."""

    def test_unknown_name(self, commands: Commands) -> None:
        """A name without an address is a failure."""
        examined = examine(commands, "no-such-host.invalid", "/d", "-o", "-F none")
        expect_failure(examined, "resolve", 10, "no-such-host.invalid")

    def test_closed_port(self, commands: Commands) -> None:
        """A port without a listener is a failure."""
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
            examined = examine(commands, "127.0.0.1", "/d", "-o", f"-F none -p {port}")
        failed = expect_failure(examined, "tcp", 11, str(port), "refused")
        assert failed["facts"]["address"] == "127.0.0.1"

    def test_no_ssh_server(self, commands: Commands) -> None:
        """A port that is no SSH server is a failure."""
        with answering(b"HTTP/1.1 400 Bad Request\r\n" * 2000) as port:
            finished, document = examine(commands, "127.0.0.1", "/d", "-o", f"-F none -p {port}")
        failed = next(each for each in document["stages"] if each["verdict"] == "failed")
        assert failed["stage"] in ("tcp", "host key")
        assert finished.status in (11, 15)
        assert str(port) in failed["error"]["what"]

    def test_unknown_host_key(self, server: Server, by_engine: Commands, tmp_path: Path) -> None:
        """An unknown host key is a failure."""
        flags = f"-F none -p {server.port} -o UserKnownHostsFile={tmp_path}/none"
        examined = examine(by_engine, server.host, "/d", "-o", flags)
        expect_failure(examined, "host key", 12, "unknown", "SHA256:")

    def test_changed_host_key(self, server: Server, by_engine: Commands, tmp_path: Path) -> None:
        """A host key that differs from the known one is a failure."""
        other = tmp_path / "other"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
        known = tmp_path / "known_hosts"
        public = other.with_suffix(".pub").read_text()
        known.write_text(f"[{server.host}]:{server.port} {public}")
        flags = f"-F none -p {server.port} -o UserKnownHostsFile={known}"
        examined = examine(by_engine, server.host, "/d", "-o", flags)
        expect_failure(examined, "host key", 12, "changed", "SHA256:")

    def test_refused_key(self, server: Server, by_engine: Commands) -> None:
        """A key that the host refuses is a failure that lists the attempts."""
        key = server.login("bare").key
        flags = (
            f"-F none -p {server.port} -l nobody-there -i {key} -o IdentitiesOnly=yes"
            f" -o UserKnownHostsFile={server.known_hosts}"
        )
        examined = examine(by_engine, server.host, "/d", "-o", flags)
        failed = expect_failure(examined, "authentication", 13)
        assert failed["facts"]["methods"] == ["publickey"]
        (attempt,) = failed["facts"]["attempts"]
        assert (attempt["method"], attempt["outcome"]) == ("publickey", "refused")
        assert "SHA256:" in attempt["identity"]


class TestHost:
    """Errors on the host."""

    def examine(
        self, commands: Commands, server: Server, path: str, login: str = "alice", **ssh: object
    ) -> tuple[Finished, Document]:
        """Examine a user's directory with a program that prints its version and is no server."""
        given = {"xpm_path": "echo 2.7.0", **ssh}
        commands.add_login(server, login, path, **{k: v for k, v in given.items() if v})
        return examine(commands, "--workspace", login)

    def test_init_fails(self, server: Server, commands: Commands, workspace: str) -> None:
        """A shell_init that fails is reported with its status and its last output."""
        init = "echo broken >&2; exit 7"
        examined = self.examine(commands, server, workspace, shell_init=init)
        failed = expect_failure(examined, "shell_init", 20, "exit status 7: broken")
        assert "@xpm-remote" not in failed["error"]["what"]

    def test_init_ends_the_shell(self, server: Server, commands: Commands, workspace: str) -> None:
        """A shell_init that ends the shell is a failure."""
        examined = self.examine(commands, server, workspace, shell_init="exit")
        expect_failure(examined, "shell_init", 20, "exit status 0")

    def test_tools_cannot_run(self, server: Server, commands: Commands, workspace: str) -> None:
        """A shell_init after which no command of ours can run is a failure."""
        init = "ulimit -v 1000"
        examined = self.examine(commands, server, workspace, shell_init=init)
        failed = next(each for each in examined[1]["stages"] if each["verdict"] == "failed")
        assert failed["stage"] in ("shell_init", "tools")
        assert examined[0].status in (20, 21)

    def test_no_uv(self, server: Server, commands: Commands) -> None:
        """A host with only python gets warnings about the tools and a failure of the server."""
        server.write("bare", "empty/.__experimaestro__", "")
        path = f"{server.home('bare')}/empty"
        examined = self.examine(commands, server, path, "bare", xpm_path="")
        expect_failure(examined, "server", 21, "uv", "ssh.xpm_path")
        assert "no uv" in stage_of(examined[1], "tools")["warnings"][0]

    def test_wrong_xpm_path(self, server: Server, commands: Commands, workspace: str) -> None:
        """An xpm_path that does not exist is a warning before the server fails."""
        examined = self.examine(commands, server, workspace, xpm_path="/no/such/xpm")
        expect_failure(examined, "server", 21, "/no/such/xpm")
        assert "/no/such/xpm" in stage_of(examined[1], "tools")["warnings"][0]

    def test_missing_directory(self, server: Server, commands: Commands) -> None:
        """A directory that does not exist is a failure."""
        examined = self.examine(commands, server, "/no/such/place")
        expect_failure(examined, "workspace", 22, "/no/such/place", "not exist")

    def test_no_workspace(self, server: Server, commands: Commands) -> None:
        """A directory that is no workspace is a failure, and nothing is created in it."""
        server.run("alice", "mkdir -p 'plain $HOME'")
        path = f"{server.home('alice')}/plain $HOME"
        examined = self.examine(commands, server, path)
        expect_failure(examined, "workspace", 22, ".__experimaestro__")
        assert server.run("alice", f"ls -A {shlex.quote(path)}") == ""

    def test_old_experimaestro(self, server: Server, commands: Commands) -> None:
        """A server before 2.7 is a warning before it is started, and again after its answers."""
        fake = install_fake_monitor(
            server, {"protocol_version": "1.0", "generate": {"experiments": 1, "jobs": 2}}
        )
        stub = server.write(
            "alice",
            f"{fake.folder}/old",
            f'#!/bin/sh\nif [ "$1" = version ]; then echo 2.6.1; exit; fi\nexec {fake.xpm_path} "$@"\n',
        )
        server.run("alice", f"chmod +x {shlex.quote(stub)}")
        finished, document = self.examine(commands, server, fake.workspace, xpm_path=stub)
        assert finished.status == 0, finished.stderr
        assert "2.6.1" in stage_of(document, "tools")["warnings"][0]

    def test_other_protocol(self, server: Server, commands: Commands) -> None:
        """A server with another protocol version is a failure."""
        fake = install_fake_monitor(server, {"protocol_version": "9.9"})
        examined = self.examine(commands, server, fake.workspace, xpm_path=fake.xpm_path)
        expect_failure(examined, "server", 23, "9.9")

    def test_server_dies(self, server: Server, commands: Commands) -> None:
        """A server that ends before it answers is reported with its last output, without ours."""
        scenario = {"exit": {"requests": 0, "status": 3, "stderr": "no licence\n"}}
        fake = install_fake_monitor(server, scenario)
        examined = self.examine(commands, server, fake.workspace, xpm_path=fake.xpm_path)
        failed = expect_failure(examined, "server", 21, "exit status 3", "no licence")
        assert "@xpm-remote" not in failed["error"]["what"]

    def test_snapshot_fails(self, server: Server, commands: Commands) -> None:
        """A request that the server refuses is a failure."""
        scenario = {"errors": {"get_experiments": {"code": -32603, "message": "disk on fire"}}}
        fake = install_fake_monitor(server, scenario)
        examined = self.examine(commands, server, fake.workspace, xpm_path=fake.xpm_path)
        expect_failure(examined, "snapshot", 25, "disk on fire")

    def test_server_dies_while_listened_to(self, server: Server, commands: Commands) -> None:
        """A server that ends while we wait for events is a failure."""
        fake = install_fake_monitor(server, {"generate": {"experiments": 1, "jobs": 1}})
        commands.add_login(server, "alice", fake.workspace, xpm_path=fake.xpm_path)
        killer = threading.Thread(target=_kill_when_asked, args=(server, fake))
        killer.start()
        finished = commands.run("doctor", "--workspace", "alice", "--format", "json")
        killer.join()
        expect_failure((finished, finished.document), "events", 24)


class TestTerminal:
    """The doctor in a terminal."""

    def test_password(self, tmp_path: Path) -> None:
        """A password is prompted for between the lines of the report, and is not shown."""
        with Asking(tmp_path, "password") as asking:
            asking.know()
            options = [word for option in asking.options for word in ("-o", option)]
            child = spawn(tmp_path, f"me@{HOST}", "/d", *options)
            child.expect("host key")
            child.expect("Password of me@127.0.0.1: ")
            child.sendline(PASSWORD)
            child.expect("password: .*accepted")
            child.expect("shell failed: exit status 21")
            child.expect(pexpect.EOF)
            child.close()
        assert child.exitstatus == 21
        assert PASSWORD not in str(child.before)

    @pytest.mark.parametrize("engine", ["asyncssh", "openssh"])
    def test_password_for_both_backends(self, tmp_path: Path, engine: str) -> None:
        """A password is prompted for once."""
        workspace = make_workspace(tmp_path / "workspace")
        with Asking(tmp_path, "password", runs=True) as asking:
            asking.know()
            options = [word for option in asking.options for word in ("-o", option)]
            flags = ["--ssh-engine", engine, "--remote-xpm", "/no/such/xpm"]
            child = spawn(tmp_path, f"me@{HOST}", str(workspace), *flags, *options)
            child.expect(r"Password of \S+: |\S+'s password: ")
            child.sendline(PASSWORD)
            child.expect(pexpect.EOF)
            child.close()
        shown = re.sub("\x1b[^m]*m", "", str(child.before))
        assert "Password of" not in shown
        assert "'s password" not in shown
        assert re.search("ok +agent ", shown)
        assert "experimaestro does not serve, the agent does" in shown
        assert child.exitstatus == 0

    def test_interrupted(self, server: Server, commands: Commands) -> None:
        """Ctrl-C ends it with 130, without an error, and no process stays on the host."""
        fake = install_fake_monitor(server, {"generate": {"jobs": 2}})
        options = [word for option in server.ssh_args("alice") for word in ("-o", option)]
        given = (server.host, fake.workspace, *options, "--remote-xpm", fake.xpm_path)
        child = spawn(commands.home, *given, "--listen", "600")
        child.expect("running .*events")
        child.kill(signal.SIGINT)
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 130
        assert "Traceback" not in str(child.before)
        mark = f"{fake.folder}/fake.py"
        wait_until(lambda: not running(server, mark), REMOTE_END, "the remote side to end")


def spawn(home: Path, *words: str) -> Any:
    """Start the doctor in a terminal, with a home of its own and no agent."""
    environment = {**os.environ, "HOME": str(home), "TERM": "xterm"}
    environment.pop("SSH_AUTH_SOCK", None)
    return forked.spawn(("doctor", *words), environment, size=(60, 200), limit=SCREEN_LIMIT)


def running(server: Server, mark: str) -> bool:
    """Return whether alice has a process whose command line contains a mark."""
    return any(mark in each.arguments for each in server.processes("alice"))


def _kill_when_asked(server: Server, fake: Any) -> None:
    """Kill a fake server after its request for the jobs."""
    wait_until(
        lambda: any(each["method"] == "get_jobs" for each in fake.requests()),
        SCREEN_LIMIT,
        "the snapshot",
    )
    server.run("alice", f"pkill -KILL -f {shlex.quote(fake.folder + '/fake.py')}", check=False)
