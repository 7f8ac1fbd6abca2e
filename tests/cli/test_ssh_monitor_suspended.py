"""Processes that stand still for a while, on either side: noticed, survived, and nothing is lost."""

from __future__ import annotations

import os
import secrets
import signal
from pathlib import Path

import pytest

from tests.cli.commands import Commands, Events
from tests.cli.test_ssh_monitor_live import histories
from tests.cli.test_ssh_monitor_once import states_on_disk
from tests.support.polling import wait_until
from tests.support.server import Server
from tests.support.workspaces import RealWorkspace

KEEPALIVE = ("-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=2")
END_LIMIT = 30.0
"""Seconds for a session on the server to end, or for a process to stand still."""


def session_of(server: Server, login: str) -> int:
    """Return the process of sshd that serves the one session of a user."""
    processes = server.processes(login)
    (session,) = {each.ppid for each in processes} - {each.pid for each in processes}
    return session


@pytest.fixture
def options(server: Server) -> tuple[str, ...]:
    """Those that lead to alice, with a keepalive that notices in three seconds."""
    words = server.ssh_args("alice")
    given = " ".join(words)
    return ("-o", given, *KEEPALIVE)


@pytest.fixture
def idle(server: Server) -> None:
    """Let no session of another test be left."""
    server.kill_session_processes("alice")


@pytest.mark.usefixtures("idle")
class TestServer:
    """The session process of the server is stopped."""

    def test_for_good(
        self,
        server: Server,
        commands: Commands,
        real_workspace: RealWorkspace,
        options: tuple[str, ...],
    ) -> None:
        """It is noticed, another session takes over, and what was stopped ends once it goes on."""
        given = (server.host, real_workspace.path, *options, "--remote-xpm", server.experimaestro)
        with commands.events(*given) as events:
            events.wait_live()
            session = session_of(server, "alice")
            server.run("alice", f"kill -STOP {session}")
            waiting = next(event for event in events if event["event"] == "link")
            assert waiting["phase"] == "waiting"
            assert waiting["stale_since"] < waiting["time"]
            assert events.wait_live()["digest"]["away"] > 0
            next(event for event in events if event["event"] == "progress")
            server.run("alice", f"kill -CONT {session}")

            def is_gone() -> bool:
                return session not in {each.ppid for each in server.processes("alice")}

            wait_until(is_gone, END_LIMIT, "the end of the stopped session")

    def test_for_a_moment(
        self, server: Server, commands: Commands, real_workspace: RealWorkspace
    ) -> None:
        """When it goes on in time, the link has never been lost."""
        path = real_workspace.path
        workspace = commands.add_login(server, "alice", path, xpm_path=server.experimaestro)
        with commands.events("--workspace", workspace) as events:
            events.wait_live()
            session = session_of(server, "alice")
            server.run("alice", f"kill -STOP {session}; sleep 1; kill -CONT {session}")
            seen = len(events.seen)
            for event in events:
                if event["event"] == "progress" and len(events.seen) > seen + 2:
                    break
            assert not [event for event in events.seen[seen:] if event["event"] == "link"]


def is_stopped(events: Events) -> bool:
    """Tell whether the command stands still."""
    stat = Path(f"/proc/{events.process.pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "T"


def has_been_lost(events: Events) -> bool:
    """Tell whether the link was lost at any time."""
    return any(event.get("phase") == "waiting" for event in events.seen)


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize("gives_up", [True, False], ids=["server gives up", "server waits"])
def test_we_are_suspended(
    server: Server, commands: Commands, options: tuple[str, ...], gives_up: bool
) -> None:
    """What ended while we were stopped is told after it, once, whether or not the connection is lost."""
    name = f"suspended-{secrets.token_hex(4)}"
    server.write("alice", f"{name}/.__experimaestro__", "")
    path = f"{server.home('alice')}/{name}"
    given = (server.host, path, *options, "--remote-xpm", server.experimaestro)
    with commands.events(*given, "--polling-interval", "2") as events:
        events.wait_live()
        os.killpg(events.process.pid, signal.SIGSTOP)
        wait_until(lambda: is_stopped(events), END_LIMIT, "the command to stand still")
        experiment = server.start_experiment(name, "while-away", ok=4, fail=2)
        experiment.wait()
        if gives_up:
            server.run("alice", f"kill -KILL {session_of(server, 'alice')}")
        os.killpg(events.process.pid, signal.SIGCONT)
        on_disk = states_on_disk(server, RealWorkspace(path, "alice", experiment, experiment))
        told: dict[str, list[str]] = {}
        for _ in events:
            told = histories(events.seen)
            is_told = {job: states[-1] for job, states in told.items()} == on_disk["while-away"]
            if is_told and gives_up == has_been_lost(events):
                break
        assert events.stop().status == 130
    assert {job: states[-1] for job, states in told.items()} == on_disk["while-away"]
    assert sorted(states[-1] for states in told.values()) == ["done"] * 4 + ["error"] * 2
    for states in told.values():
        assert sum(state in ("done", "error") for state in states) == 1
