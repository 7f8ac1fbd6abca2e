"""``ssh-monitor`` with bad input: one line that names the cause and the next step, and a status of its own."""

from __future__ import annotations

import json
import re
import shlex
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.cli.commands import Commands, Finished
from tests.support.fakes import install_fake_monitor
from tests.support.server import Server

pytestmark = pytest.mark.slow

ONCE = "--once"
PROMPT = 1.0
"""Seconds within which an error is shown once its cause is known."""


def expect(finished: Finished, status: int, *words: str) -> None:
    """Check the status, and that the one line contains the words."""
    assert finished.status == status, finished.stderr
    assert finished.stdout == ""
    for word in words:
        assert word in finished.error


@pytest.fixture
def workspace(server: Server) -> str:
    """An empty workspace of alice; its path."""
    marker = server.write("alice", "empty/.__experimaestro__", "")
    return marker.rpartition("/")[0]


class TestSettings:
    """Errors in the command line and the settings."""

    def test_unknown_workspace(self, commands: Commands) -> None:
        """An unknown id is named, and the known remote ones are listed."""
        commands.add("cluster", "/data", host="cluster")
        expect(
            commands.monitor("--workspace", "nope"), 4, "nope", str(commands.settings), "cluster"
        )

    def test_local_workspace(self, commands: Commands) -> None:
        """A workspace without ssh settings cannot be monitored over ssh."""
        commands.add("here", "/data")
        expect(commands.monitor("--workspace", "here"), 4, "here", "no ssh settings")

    def test_no_host(self, commands: Commands) -> None:
        """Without arguments, the error lists what to specify."""
        commands.add("cluster", "/data", host="cluster")
        expect(commands.monitor(), 2, "HOST is missing", "--workspace", "cluster")

    def test_no_directory(self, commands: Commands) -> None:
        """A host without a directory is an error about the directory."""
        expect(commands.monitor("somewhere"), 2, "REMOTE_WORKDIR is missing")

    def test_settings_are_no_yaml(self, commands: Commands) -> None:
        """A settings file that cannot be parsed is named with the place of the mistake."""
        commands.settings.write_text("workspaces:\n  - id: [unclosed\n")
        expect(commands.monitor("--workspace", "x"), 3, f"{commands.settings}:")

    def test_named_settings_are_missing(self, commands: Commands, tmp_path: Path) -> None:
        """A settings file that was named must exist."""
        missing = str(tmp_path / "missing.yaml")
        finished = commands.run("--settings", missing, "experiments", "ssh-monitor", "h", "/d")
        expect(finished, 3, missing)

    def test_option_that_cannot_be_honoured(self, commands: Commands) -> None:
        """An option for anything but a connection is refused by its name."""
        expect(commands.monitor("h", "/d", "-o", "-L 8080:localhost:80"), 5, "-L")

    @pytest.mark.parametrize("flags", [("--web",), ("--port", "80")])
    def test_web_is_not_there(self, commands: Commands, flags: tuple[str, ...]) -> None:
        """The flags for the browser report that they are not implemented yet."""
        expect(commands.monitor("h", "/d", *flags), 2, "not there yet")

    def test_web_is_not_in_the_help(self, commands: Commands) -> None:
        """The help leaves out what does nothing."""
        shown = commands.monitor("--help").stdout
        assert "--dry-run" in shown
        assert "--web" not in shown
        assert "--port" not in shown

    @pytest.mark.parametrize("flags", [(), ("--events-viewer",)])
    def test_format_without_once(self, commands: Commands, flags: tuple[str, ...]) -> None:
        """A format that nothing would be printed in is an error, as it is of what is printed once only."""
        expect(commands.monitor("h", "/d", "--format", "json", *flags), 2, "add --once")

    def test_unknown_flag(self, commands: Commands) -> None:
        """A flag that does not exist is a usage error."""
        finished = commands.monitor("h", "/d", "--nonsense")
        assert finished.status == 2
        assert "--nonsense" in finished.stderr


class TestLink:
    """Errors before the login."""

    def test_host_does_not_resolve(self, commands: Commands) -> None:
        """A name without an address is reported as such."""
        expect(commands.monitor("no-such-host.invalid", "/d", ONCE), 10, "no-such-host.invalid")

    def test_port_is_closed(self, commands: Commands) -> None:
        """A port without a listener is named with its host."""
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
            finished = commands.monitor("127.0.0.1", "/d", "-o", f"-p {port}", ONCE)
        expect(finished, 11, f"127.0.0.1 port {port}", "refused")

    def test_address_is_silent(self, commands: Commands) -> None:
        """A host that accepts and stays silent is given up after ConnectTimeout."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            options = ("-o", f"-p {port} -o ConnectTimeout=1")
            expect(commands.monitor("127.0.0.1", "/d", *options, ONCE), 11, str(port), "1 s")

    def test_no_ssh_server(self, commands: Commands) -> None:
        """A host with another protocol is distinguished from one that is not there."""

        def greet() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n" * 200)
                connection.recv(1024)

        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            thread = threading.Thread(target=greet)
            thread.start()
            finished = commands.monitor("127.0.0.1", "/d", "-o", f"-p {port}", ONCE)
            thread.join()
        assert finished.status in (11, 15)
        assert str(port) in finished.error

    def test_host_key_is_unknown(self, server: Server, commands: Commands, workspace: str) -> None:
        """A host that is not in known_hosts is refused with the fingerprint that it sent."""
        key = server.login("alice").key
        options = ("-o", f"-p {server.port} -l {server.account('alice')} -i {key}")
        found = server.known_hosts.read_text().split(maxsplit=1)[1]
        listed = subprocess.run(
            ["ssh-keygen", "-lf", "-"], input=found, capture_output=True, text=True, check=True
        )
        fingerprint = listed.stdout.split()[1]
        expect(
            commands.monitor(server.host, workspace, *options, ONCE),
            12,
            "unknown",
            fingerprint,
            f"[{server.host}]:{server.port}",
        )

    def test_host_key_has_changed(
        self, server: Server, commands: Commands, workspace: str, tmp_path: Path
    ) -> None:
        """A host with another key than the known one is refused, also where new hosts are accepted."""
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True
        )
        known = tmp_path / "known_hosts"
        other = (tmp_path / "other.pub").read_text()
        known.write_text(f"[{server.host}]:{server.port} {other}")
        key = server.login("alice").key
        flags = f"-p {server.port} -l {server.account('alice')} -i {key}"
        given = ("-o", f"{flags} -o UserKnownHostsFile={known} -o StrictHostKeyChecking=accept-new")
        expect(commands.monitor(server.host, workspace, *given, ONCE), 12, "has changed", "SHA256:")

    def test_new_host_is_accepted_and_recorded(
        self, server: Server, commands: Commands, tmp_path: Path
    ) -> None:
        """With accept-new, an unknown host is recorded, so that the next time it is known."""
        fake = install_fake_monitor(server, {"generate": {"jobs": 2}})
        known = tmp_path / "known_hosts"
        login = server.login("alice")
        flags = f"-p {server.port} -l {login.user} -i {login.key} -o UserKnownHostsFile={known}"
        flags += " -o HashKnownHosts=no"  # which the system's own config file may say otherwise
        rest = (server.host, fake.workspace, "--remote-xpm", fake.xpm_path, ONCE)
        first = commands.monitor("-o", f"{flags} -o StrictHostKeyChecking=accept-new", *rest)
        assert first.status == 0, first.stderr
        assert f"[{server.host}]:{server.port}" in known.read_text()
        second = commands.monitor("-o", f"{flags} -o StrictHostKeyChecking=yes", *rest)
        assert second.status == 0, second.stderr

    def test_key_is_refused(
        self, server: Server, commands: Commands, workspace: str, tmp_path: Path
    ) -> None:
        """A key that the host does not want is an authentication failure."""
        key = tmp_path / "stranger"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        flags = (
            f"-p {server.port} -l {server.account('alice')} -i {key}"
            f" -o UserKnownHostsFile={server.known_hosts}"
        )
        expect(commands.monitor(server.host, workspace, "-o", flags, ONCE), 13, str(server.port))

    def test_key_needs_a_passphrase(
        self, server: Server, commands: Commands, workspace: str, tmp_path: Path
    ) -> None:
        """A key that cannot be opened is named as the cause."""
        key = tmp_path / "locked"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", key], check=True)
        flags = (
            f"-p {server.port} -l {server.account('alice')} -i {key}"
            f" -o UserKnownHostsFile={server.known_hosts}"
        )
        finished = commands.monitor(server.host, workspace, "-o", flags, ONCE)
        expect(finished, 13, "private key", "ssh-add")
        assert "secret" not in finished.stderr

    def test_key_file_is_missing(self, commands: Commands, server: Server, workspace: str) -> None:
        """A key file that does not exist is named."""
        flags = f"-p {server.port} -i /no/such/key -o UserKnownHostsFile={server.known_hosts}"
        finished = commands.monitor(server.host, workspace, "-o", flags, ONCE)
        expect(finished, 13, "/no/such/key")


class TestRemote:
    """Errors on the host."""

    def monitor(self, commands: Commands, server: Server, path: str, **ssh: object) -> Finished:
        """Monitor a directory of alice, once."""
        commands.add_login(server, "alice", path, **{"xpm_path": server.experimaestro, **ssh})
        return commands.monitor("--workspace", "alice", ONCE)

    def test_experimaestro_is_missing(
        self, server: Server, commands: Commands, workspace: str
    ) -> None:
        """An xpm_path that does not exist is named."""
        finished = self.monitor(commands, server, workspace, xpm_path="/no/such/experimaestro")
        expect(finished, 21, "/no/such/experimaestro", "ssh.xpm_path")

    def test_directory_is_missing(self, server: Server, commands: Commands) -> None:
        """A directory that does not exist is named."""
        expect(self.monitor(commands, server, "/no/such/place"), 22, "/no/such/place", "not exist")

    def test_directory_is_a_file(self, server: Server, commands: Commands, workspace: str) -> None:
        """A file is no workspace."""
        path = f"{workspace}/.__experimaestro__"
        expect(self.monitor(commands, server, path), 22, path, "not a directory")

    def test_directory_is_no_workspace(self, server: Server, commands: Commands) -> None:
        """A directory without the marker file is no workspace, and nothing is made in it."""
        server.run("alice", "mkdir -p 'plain $HOME'")
        path = f"{server.home('alice')}/plain $HOME"
        expect(self.monitor(commands, server, path), 22, path, ".__experimaestro__")
        assert server.run("alice", f"ls -A {shlex.quote(path)}") == ""

    def test_directory_is_inside_a_workspace(
        self, server: Server, commands: Commands, workspace: str
    ) -> None:
        """For a sub-folder of a workspace, the workspace is named, since the server would prompt."""
        server.run("alice", f"mkdir -p {workspace}/jobs/deep")
        expect(
            self.monitor(commands, server, f"{workspace}/jobs/deep"), 22, f"workspace {workspace}"
        )

    @pytest.mark.parametrize(
        ("init", "words"),
        [
            ("module load nothing", ("127", "module")),
            ("echo broken >&2; exit 7", ("exit status 7", "broken")),
            ("true\necho second >&2\nfalse  # the last one\n\n", ("exit status 1", "second")),
            ("set -e\nfalse\ntrue\n", ("exit status 1",)),
            ("if true; then", ("shell_init failed",)),
            ("exit", ("exit status 0",)),
        ],
    )
    def test_shell_init_fails(
        self, server: Server, commands: Commands, workspace: str, init: str, words: tuple[str, ...]
    ) -> None:
        """When shell_init fails, nothing else is started, and its status and stderr are shown."""
        finished = self.monitor(commands, server, workspace, shell_init=init)
        expect(finished, 20, "shell_init", *words)

    def test_protocol_is_another(self, server: Server, commands: Commands) -> None:
        """A server with an unsupported protocol is an error."""
        fake = install_fake_monitor(server, {"protocol_version": "9.9"})
        finished = self.monitor(commands, server, fake.workspace, xpm_path=fake.xpm_path)
        expect(finished, 23, "9.9", "1.0 and 2.0")

    def test_server_dies_at_start(self, server: Server, commands: Commands) -> None:
        """A server that ends before it answers is shown with its status and the end of its stderr."""
        scenario = {"exit": {"requests": 0, "status": 3, "stderr": "no licence\n\x1b[2Jboom\n"}}
        fake = install_fake_monitor(server, scenario)
        finished = self.monitor(commands, server, fake.workspace, xpm_path=fake.xpm_path)
        expect(finished, 21, "exit status 3", "no licence", "boom")
        assert "\x1b" not in finished.stderr

    def test_server_dies_later(self, server: Server, commands: Commands) -> None:
        """A server that ends between two answers fails every pending request at once."""
        scenario = {
            "generate": {"experiments": 5, "jobs": 20},
            "exit": {"requests": 3, "answer": "half", "status": 4, "stderr": "out of memory\n"},
        }
        fake = install_fake_monitor(server, scenario)
        finished = self.monitor(commands, server, fake.workspace, xpm_path=fake.xpm_path)
        expect(finished, 24, "exit status 4", "out of memory")

    def test_server_is_killed(self, server: Server, commands: Commands) -> None:
        """A server that a signal ends is reported as such."""
        fake = install_fake_monitor(
            server, {"exit": {"requests": 2, "answer": "none", "status": -9}}
        )
        finished = self.monitor(commands, server, fake.workspace, xpm_path=fake.xpm_path)
        assert finished.status == 24
        assert "signal" in finished.error or "137" in finished.error

    def test_server_refuses(self, server: Server, commands: Commands) -> None:
        """A request that the server answers with an error is shown with the server's message."""
        scenario = {"errors": {"get_experiments": {"code": -32603, "message": "disk on fire"}}}
        fake = install_fake_monitor(server, scenario)
        finished = self.monitor(commands, server, fake.workspace, xpm_path=fake.xpm_path)
        expect(finished, 25, "get_experiments", "disk on fire")

    def test_server_is_silent(self, server: Server, commands: Commands) -> None:
        """A server that does not answer is given up after --request-timeout."""
        fake = install_fake_monitor(server, {"stall": ["get_experiments"]})
        commands.add_login(server, "alice", fake.workspace, xpm_path=fake.xpm_path)
        finished = commands.monitor("--workspace", "alice", "--request-timeout", "0.5", ONCE)
        expect(finished, 26, "get_experiments", "--request-timeout")

    def test_answer_is_of_another_kind(self, server: Server, commands: Commands) -> None:
        """An answer that is no list of experiments is a protocol error."""
        fake = install_fake_monitor(server, {"results": {"get_experiments": {"a": 1}}})
        finished = self.monitor(commands, server, fake.workspace, xpm_path=fake.xpm_path)
        expect(finished, 23, "get_experiments")

    @pytest.mark.parametrize("cause", ["shell_init", "server"])
    def test_errors_are_prompt(
        self, server: Server, commands: Commands, workspace: str, cause: str
    ) -> None:
        """The error is shown within a second of the end of the remote command."""
        if server.host != "127.0.0.1":
            raise AssertionError("the clocks of the server and of the test must be one")
        last_words = "date +%s.%N > ended; exit 9"
        if cause == "shell_init":
            finished = self.monitor(commands, server, workspace, shell_init=f"cd; {last_words}")
        else:
            path = f"sh -c 'cd; {last_words}'"
            finished = self.monitor(commands, server, workspace, xpm_path=path)
        ended = time.time()
        assert finished.status in (20, 21)
        assert ended - float(server.run("alice", "cat ended")) < PROMPT


def test_dry_run_connects_to_nothing(commands: Commands) -> None:
    """--dry-run shows host, port, user, keys and the whole remote command, for a host that does not exist."""
    commands.add(
        "cluster",
        "~/my work",
        host="me@no-such-host.invalid",
        options=["-p 2222", "-i ~/.ssh/special"],
        shell_init="module load python",
        uv_offline=True,
    )
    finished = commands.monitor("--workspace", "cluster", "--dry-run", "--format", "json")
    assert finished.status == 0, finished.stderr
    shown = finished.document
    assert (shown["host"], shown["port"], shown["user"]) == ("no-such-host.invalid", 2222, "me")
    assert "module load python" in shown["command"]
    assert shown["server"] == (
        "uv tool run --offline 'experimaestro>=2.7,<3' --quiet experiments"
        " --workdir ~/'my work' monitor-server"
    )
    text = commands.monitor("--workspace", "cluster", "--dry-run").stdout
    assert "2222" in text
    assert json.dumps(shown["server"])[1:-1] in text


@pytest.mark.parametrize("backend", ["experimaestro", "agent", "auto"])
def test_dry_run_shows_what_serves(commands: Commands, backend: str) -> None:
    """--dry-run shows the remote command of the backend, with auto both in their order, and why."""
    commands.add("cluster", "~/my work", host="h", options=["-F none"], python="python3.11")
    words = ("--workspace", "cluster", "--backend", backend, "--dry-run")
    shown = commands.monitor(*words, "--format", "json").document
    assert shown["backend"] == backend
    by_agent = None if backend == "experimaestro" else ""
    why = "it is the default" if backend == "auto" else "it is asked for"
    assert (shown["serves"], shown["why"]) == ("agent" if by_agent == "" else backend, why)
    assert ("uv tool run" in shown["server"]) == (backend == "experimaestro")
    assert ("uv tool run" in shown.get("or server", "")) == (backend == "auto")
    assert ("SLURM" in shown.get("warning", "")) == (backend == "experimaestro")
    assert any("stdin" in name for name in shown) == (by_agent is not None)
    if by_agent is not None:
        assert shown[f"{by_agent}server"].endswith("~/'my work' deflate python3.11")
        assert shown[f"{by_agent}command"].endswith(shown[f"{by_agent}server"])
        assert re.fullmatch(
            r"our agent: \d+ bytes with the SHA-256 [0-9a-f]{64}, then requests",
            shown[f"{by_agent}stdin"],
        )
    described = commands.monitor(*words, "--uv-offline", "--format", "json").document
    if backend == "auto":
        assert described["serves"] == "experimaestro"
        assert described["or stdin"] == shown["stdin"]
    text = commands.monitor(*words).stdout
    lines = [f"{name:<12} {value}" for name, value in shown.items() if isinstance(value, str)]
    assert set(lines) <= set(text.splitlines())
