"""``jobs`` on a host that prompts the user, over a lost link."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.cli.commands import Commands
from tests.cli.far import Far
from tests.link.asking import HOST, PASSWORD, Asking
from tests.support import forked
from tests.support.proxy import Proxy
from tests.support.server import Server
from tests.workspace.small import SmallWorkspace

pytestmark = pytest.mark.slow

SCREEN_LIMIT = 30
"""Seconds for something to appear in the terminal."""
PASSPHRASE = "open sesame"


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """A proxy in front of the server."""
    with Proxy(server.host, server.port) as started:
        yield started


def send(far: Far, proxy: Proxy, *options: str) -> None:
    """Make a remote workspace with a running job and its log, reached through a proxy."""
    (far.made.job("u/live1", None) / "u.err").write_text("first\n")
    far.send()
    far.shell(
        "cd jobs/u/live1 && (setsid flock u.lock sleep 600 >/dev/null 2>&1 & "
        'sleep 1; printf \'{"type": "local", "pid": %d}\' $! > u.pid)'
    )
    server = far.server
    flags = [
        f"-F none -p {proxy.port} -l {server.account(far.login)}",
        f"-o UserKnownHostsFile={server.known_hosts}",
        f"-o HostKeyAlias=[{server.host}]:{server.port}",
        *options,
    ]
    ssh = {"host": proxy.host, "options": flags}
    workspace = {"id": "far", "path": f"{far.place}/ws", "ssh": ssh}
    far.commands.settings.write_text(json.dumps({"workspaces": [workspace]}))


def follow(commands: Commands) -> Any:
    """Follow the log in a terminal."""
    job = ("--workspace", "far", "log", "-f", "-n", "1", "live1")
    environment = {**commands._environment(), "TERM": "xterm"}
    return forked.spawn(("jobs", *job), environment, size=(30, 200), limit=SCREEN_LIMIT)


def test_passphrase(server: Server, commands: Commands, proxy: Proxy, tmp_path: Path) -> None:
    """A key that was unlocked by its passphrase is used for reconnecting, without another prompt."""
    key = tmp_path / "locked"
    key.write_bytes(server.login("bare").key.read_bytes())
    key.chmod(0o600)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", PASSPHRASE, "-f", key], check=True)
    far = Far(commands, server, tmp_path, "bare")
    send(far, proxy, f"-i {key} -o IdentitiesOnly=yes")
    child = follow(commands)
    child.expect("assphrase")
    child.sendline(PASSPHRASE)
    child.expect("first\r\n")
    proxy.cut()
    child.expect("connecting again")
    far.shell("echo second >> jobs/u/live1/u.err")
    child.expect("connected again")
    assert "assphrase" not in child.before
    child.expect("second\r\n")
    far.shell("touch jobs/u/live1/u.done")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_password(commands: Commands, tmp_path: Path) -> None:
    """A password is not kept: to reconnect the user is called, and prompted after pressing Enter."""
    made = SmallWorkspace(tmp_path / "ws")
    log = made.job("u/live1", None) / "u.err"
    log.write_text("first\n")
    (log.parent / "u.pid").write_text(json.dumps({"type": "local", "pid": os.getpid()}))
    with Asking(commands.home, "password", runs=True) as asking, held(log.parent / "u.lock"):
        child = log_in(commands, asking, made)
        child.expect("first\r\n")
        asking.cut()
        child.expect("connecting again")
        child.expect("needs a person: Password of .*Press Enter to log in: ")
        child.sendline("")
        child.expect("Password of")
        child.sendline("wrong")
        child.expect("Password of")
        child.sendline(PASSWORD)
        child.expect("connected again")
        with log.open("a") as file:
            file.write("second\n")
        child.expect("second\r\n")
        (log.parent / "u.done").touch()
        child.expect(pexpect.EOF)
        child.close()
    assert child.exitstatus == 0


def test_no_user_at_the_terminal(commands: Commands, tmp_path: Path) -> None:
    """The end of input in place of the user ends the command, with the status of the unanswered prompt."""
    made = SmallWorkspace(tmp_path / "ws")
    (made.job("u/live1", None) / "u.err").write_text("first\n")
    (made.layout.jobs / "u" / "live1" / "u.pid").write_text(
        json.dumps({"type": "local", "pid": os.getpid()})
    )
    lock = made.layout.jobs / "u" / "live1" / "u.lock"
    with Asking(commands.home, "password", runs=True) as asking, held(lock):
        child = log_in(commands, asking, made)
        child.expect("first\r\n")
        asking.cut()
        child.expect("Press Enter to log in: ")
        child.sendeof()
        child.expect(pexpect.EOF)
        child.close()
    assert child.exitstatus == 13
    assert "no question is asked while a lost link is restored" in child.before


def log_in(commands: Commands, asking: Asking, made: SmallWorkspace) -> Any:
    """Follow the log on a host that wants a password."""
    asking.know()
    ssh = {"host": f"me@{HOST}", "options": list(asking.options)}
    workspace = {"id": "far", "path": str(made.root), "ssh": ssh}
    commands.settings.write_text(json.dumps({"workspaces": [workspace]}))
    child = follow(commands)
    child.expect("Password of")
    child.sendline(PASSWORD)
    return child


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock of a job that runs."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
