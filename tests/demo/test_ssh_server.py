"""The demo's SSH server, tested with OpenSSH's client."""

from __future__ import annotations

import os
import random
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import pytest

from tests.support.polling import wait_until

pytestmark = pytest.mark.slow

SERVER = Path(__file__).resolve().parents[2] / "demo" / "ssh_server.py"

LIMIT = 30.0
"""Seconds for anything to happen; on an idle machine a tenth of one is enough."""


@dataclass(frozen=True)
class DemoServer:
    """A running server and the files of a user who may log in.

    Args:
        process: Its process; it ends when its stdin is closed.
        folder: Keys and known hosts, and the home directory of commands.
        port: Where it listens.
    """

    process: subprocess.Popen[bytes]
    folder: Path
    port: int

    def argv(self, *options: str, key: str = "client") -> list[str]:
        """Return the start of a command line of ssh."""
        settings = {
            "BatchMode": "yes",
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": str(self.folder / "known_hosts"),
        }
        words = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
        identity = str(self.folder / key)
        port = str(self.port)
        return ["ssh", "-F", "none", "-p", port, "-i", identity, *words, *options, "127.0.0.1"]

    def run(
        self, command: str, stdin: bytes = b"", key: str = "client"
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command to its end."""
        return subprocess.run(
            [*self.argv(key=key), command],
            input=stdin,
            capture_output=True,
            timeout=LIMIT,
            check=False,
        )

    def start(self, command: str) -> subprocess.Popen[bytes]:
        """Start a command that runs on."""
        return subprocess.Popen(
            [*self.argv(), command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )


def make_files(folder: Path) -> None:
    """Make the keys of a host, of a user who may log in and of one who may not."""
    for name in ("host", "client", "stranger"):
        key = asyncssh.generate_private_key("ssh-ed25519")
        (folder / name).touch(mode=0o600)
        key.write_private_key(str(folder / name))
        key.write_public_key(str(folder / f"{name}.pub"))
    (folder / "authorized_keys").write_bytes((folder / "client.pub").read_bytes())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[DemoServer]:
    """Return a server that was started for this test."""
    make_files(tmp_path)
    keys = ["--host-key", str(tmp_path / "host")]
    keys += ["--authorized-keys", str(tmp_path / "authorized_keys")]
    process = subprocess.Popen(
        [sys.executable, str(SERVER), *keys],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    assert line, process.stderr.read().decode()
    port = int(line)
    host_key = (tmp_path / "host.pub").read_text()
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}")
    yield DemoServer(process, tmp_path, port)
    _, complaints = process.communicate(timeout=LIMIT)
    assert process.returncode == 0
    assert complaints == b""


def is_alive(pid: int) -> bool:
    """Return whether a process runs; one that only waits to be reaped does not."""
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    return bool(state.strip()) and not state.startswith("Z")


def read_line(process: subprocess.Popen[bytes]) -> bytes:
    """Return the next line of a command's output."""
    assert process.stdout is not None
    return process.stdout.readline()


def test_runs_commands(server: DemoServer) -> None:
    """A command runs in a shell, and its two outputs and its status are returned separately."""
    done = server.run("echo out; echo err >&2; exit 3")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\n", b"err\n")


def test_runs_at_home(server: DemoServer) -> None:
    """Commands run in the home directory of the server's environment."""
    done = server.run("pwd; echo ~")
    assert done.stdout.decode().splitlines() == [str(server.folder)] * 2


def test_passes_bytes(server: DemoServer) -> None:
    """Any bytes go through in both directions, and the end of stdin after them."""
    data = random.Random(1).randbytes(3_000_000)
    assert server.run("cat", data).stdout == data


def test_quoting(server: DemoServer) -> None:
    """A command line arrives as it was sent."""
    text = "a 'b' \"c\" $d `e` \\ é"
    assert server.run(f"printf %s {shlex.quote(text)}").stdout.decode() == text


def test_does_not_wait_for_stdin(server: DemoServer) -> None:
    """A command that reads nothing ends although stdin stays open."""
    process = server.start("echo ready; exit 4")
    assert process.wait(LIMIT) == 4
    assert read_line(process) == b"ready\n"
    process.communicate()


def test_unread_stdin(server: DemoServer) -> None:
    """Input for a command that has closed its stdin is no error."""
    done = server.run("exec <&-; echo closed; exec 1>&-; exit 5", b"x" * 1_000_000)
    assert (done.returncode, done.stdout) == (5, b"closed\n")


def test_signal_in_the_command(server: DemoServer) -> None:
    """A command that dies by a signal is reported as ssh reports it."""
    assert server.run("kill -TERM $$").returncode == 255


def test_left_behind_process(server: DemoServer) -> None:
    """A process that a command leaves behind does not keep the connection open, and ends too."""
    done = server.run("sleep 1000 & echo $!")
    assert done.returncode == 0
    pid = int(done.stdout)
    wait_until(lambda: not is_alive(pid), LIMIT, "the end of what was left behind")


@pytest.mark.parametrize("command", ["exec sleep 1000", "trap '' HUP; sleep 1000; sleep 1000"])
def test_connection_ends(server: DemoServer, command: str) -> None:
    """A command ends with its connection, also one that ignores signals."""
    process = server.start(f"echo $$; {command}")
    pid = int(read_line(process))
    assert is_alive(pid)
    process.kill()
    process.communicate()
    wait_until(lambda: not is_alive(pid), LIMIT, "the command's end")


@pytest.mark.parametrize("how", ["stdin", "signal"])
def test_server_ends(server: DemoServer, how: str) -> None:
    """At the end of its stdin, or at a signal, the server ends its commands and itself."""
    process = server.start("echo $$; exec sleep 1000")
    pid = int(read_line(process))
    if how == "signal":
        server.process.terminate()
    else:
        assert server.process.stdin is not None
        server.process.stdin.close()
        server.process.stdin = None
    assert server.process.wait(LIMIT) == 0
    assert not is_alive(pid)
    assert process.wait(LIMIT) != 0
    process.communicate()


def test_strangers_stay_out(server: DemoServer) -> None:
    """Only the one key may log in."""
    done = server.run("echo in", key="stranger")
    assert done.returncode == 255
    assert done.stdout == b""
    assert b"Permission denied" in done.stderr


def test_parallel_commands(server: DemoServer) -> None:
    """Several connections are served at once."""
    first, second = server.start("cat; echo 1"), server.start("cat; echo 2")
    assert second.communicate(b"b", LIMIT)[0] == b"b2\n"
    assert first.communicate(b"a", LIMIT)[0] == b"a1\n"


async def test_signals_from_the_client(server: DemoServer) -> None:
    """A signal that the client sends reaches the command."""
    async with asyncssh.connect(
        "127.0.0.1",
        server.port,
        config=None,
        client_keys=[str(server.folder / "client")],
        agent_path=None,
        known_hosts=str(server.folder / "known_hosts"),
    ) as connection:
        trap = "trap 'echo caught; exit 6' TERM; echo ready; while :; do sleep 0.01; done"
        process = await connection.create_process(trap)
        assert await process.stdout.readline() == "ready\n"
        process.send_signal("TERM")
        assert await process.stdout.readline() == "caught\n"
        done = await process.wait()
        assert done.exit_status == 6


def test_commands_are_groups_of_their_own(server: DemoServer) -> None:
    """Ctrl-C in the server's terminal does not reach the commands."""
    group = int(server.run("ps -o pgid= -p $$").stdout)
    assert group != os.getpgid(server.process.pid)
