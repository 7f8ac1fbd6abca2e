"""Processes that are stopped for a while, on either side: this is noticed, and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.cli.commands import Commands, Events
from tests.cli.test_ssh_monitor_live import histories
from tests.support.fakes import FakeMonitor, install_fake_monitor
from tests.support.polling import wait_until
from tests.support.server import Server

KEEPALIVE = ("-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=1")
END_LIMIT = 30.0
"""Seconds for a session on the server to end, or for a process to stand still."""
JOBS = 6
GENERATE = {"experiments": 1, "jobs": JOBS, "states": ["waiting"]}
BURST = {"after": "get_jobs", "delay": 2.0, "seconds": 0.5, "final": ["done", "error"]}
"""All jobs run and end, two seconds after they were first asked for."""


def session_of(server: Server, fake: FakeMonitor) -> int:
    """Return the process of sshd that serves the session in which a fake server runs."""
    processes = server.processes("alice")
    parents = {each.pid: each.ppid for each in processes}
    found = next(each.pid for each in processes if f"{fake.folder}/fake.py" in each.arguments)
    while found in parents:
        found = parents[found]
    return found


def arguments(server: Server, fake: FakeMonitor) -> tuple[str, ...]:
    """Return those that lead to a fake server, with a keepalive that notices in two seconds."""
    options = ("-o", " ".join(server.ssh_args("alice")), *KEEPALIVE)
    return (server.host, fake.workspace, *options, "--remote-xpm", fake.xpm_path)


class TestServer:
    """The session process of the server is stopped."""

    def test_for_good(self, server: Server, commands: Commands) -> None:
        """It is noticed, another session takes over, and the stopped process ends once it continues."""
        fake = install_fake_monitor(server, {"generate": GENERATE})
        with commands.events(*arguments(server, fake)) as events:
            events.wait_live()
            session = session_of(server, fake)
            server.run("alice", f"kill -STOP {session}")
            waiting = next(event for event in events if event["event"] == "link")
            assert waiting["phase"] == "waiting"
            assert waiting["stale_since"] < waiting["time"]
            assert events.wait_live()["digest"]["away"] > 0
            server.run("alice", f"kill -CONT {session}")

            def is_gone() -> bool:
                return session not in {each.ppid for each in server.processes("alice")}

            wait_until(is_gone, END_LIMIT, "the end of the stopped session")

    def test_for_a_moment(self, server: Server, commands: Commands) -> None:
        """When it continues in time, the link is not lost, and delayed announcements are reported."""
        fake = install_fake_monitor(server, {"generate": GENERATE, "burst": BURST})
        workspace = commands.add_login(server, "alice", fake.workspace, xpm_path=fake.xpm_path)
        with commands.events("--workspace", workspace) as events:
            events.wait_live()
            session = session_of(server, fake)
            server.run("alice", f"kill -STOP {session}; sleep 1; kill -CONT {session}")
            seen = len(events.seen)
            assert ends(events) == {"done": 3, "error": 3}
            assert not [event for event in events.seen[seen:] if event["event"] == "link"]


def ends(events: Events) -> dict[str, int]:
    """Read until all jobs have ended, each once; return how many ended how."""
    told: dict[str, list[str]] = {}
    for _ in events:
        told = histories(events.seen)
        if sum(states[-1] in ("done", "error") for states in told.values()) == JOBS:
            break
    finals = [state for states in told.values() for state in states if state in ("done", "error")]
    return {state: finals.count(state) for state in set(finals)}


def is_stopped(events: Events) -> bool:
    """Return whether the command is stopped."""
    stat = Path(f"/proc/{events.process.pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "T"


def has_been_lost(events: Events) -> bool:
    """Return whether the link was lost at any time."""
    return any(event.get("phase") == "waiting" for event in events.seen)


@pytest.mark.parametrize("gives_up", [True, False], ids=["server gives up", "server waits"])
def test_we_are_suspended(server: Server, commands: Commands, *, gives_up: bool) -> None:
    """Jobs that ended while we were stopped are reported afterwards, once, whether or not the link is lost."""
    burst = {} if gives_up else {"burst": BURST}
    fake = install_fake_monitor(server, {"generate": GENERATE, **burst})
    with commands.events(*arguments(server, fake), "--polling-interval", "2") as events:
        events.wait_live()
        os.killpg(events.process.pid, signal.SIGSTOP)
        wait_until(lambda: is_stopped(events), END_LIMIT, "the command to stand still")
        if gives_up:
            # The server that is started next stands in for what this one would have become.
            ended = {"generate": {**GENERATE, "states": ["done", "error"]}}
            server.write("alice", f"{fake.folder}/scenario.json", json.dumps(ended))
            server.run("alice", f"kill -KILL {session_of(server, fake)}")
        server.run("alice", f"sleep {BURST['delay']}")
        os.killpg(events.process.pid, signal.SIGCONT)
        assert ends(events) == {"done": 3, "error": 3}
        while gives_up and not has_been_lost(events):
            next(iter(events))
        assert has_been_lost(events) == gives_up
        assert events.stop().status == 130
