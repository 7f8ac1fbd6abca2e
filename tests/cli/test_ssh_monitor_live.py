"""``ssh-monitor`` during changes: every change is reported, in order, and the final states are true."""

from __future__ import annotations

import json
import re
import signal
from collections import defaultdict
from itertools import chain
from typing import Any

import pexpect
import pytest

from tests.cli.commands import Commands, Events
from tests.cli.test_ssh_monitor_once import states_on_disk
from tests.support import forked
from tests.support.fakes import install_fake_monitor
from tests.support.polling import wait_until
from tests.support.proxy import Proxy
from tests.support.server import Server
from tests.support.workspaces import RealWorkspace

BURST = {
    "generate": {"experiments": 2, "jobs": 200, "states": ["waiting"]},
    "burst": {"after": "get_jobs", "count": 2, "seconds": 0.8, "final": ["done", "error"]},
}
"""200 jobs that run and end within a second, once both experiments were asked for."""

ORDER = ["waiting", "ready", "scheduled", "running", "done", "error"]
REMOTE_END = 10.0
"""Seconds for the remote side to end after us."""
SCREEN_LIMIT = 30
"""Seconds for something to appear on the screen."""


def histories(events: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Collect the reported states of each job."""
    told: dict[str, list[str]] = defaultdict(list)
    for event in events:
        if event["event"] == "job":
            told[event["id"]].append(event["state"])
    return told


def read_until_final(events: Events, number: int) -> dict[str, list[str]]:
    """Read until so many jobs have ended, those included whose end was read before."""
    ended: set[str] = set()
    for event in chain(list(events.seen), events):
        if event["event"] == "job" and event["state"] in ("done", "error"):
            ended.add(event["id"])
            if len(ended) == number:
                return histories(events.seen)
    raise AssertionError(f"only {len(ended)} jobs ended: {events.finish()}")


@pytest.fixture
def monitored(server: Server, real_workspace: RealWorkspace, commands: Commands) -> str:
    """The id of the real workspace in the settings."""
    return commands.add_login(server, "alice", real_workspace.path, xpm_path=server.experimaestro)


class TestBursts:
    """200 jobs that change within a second, on a server with faults."""

    @pytest.mark.parametrize("fault", [{}, {"drop": 3}, {"stuck": 2}, {"notify": False}])
    def test_every_job_is_told(
        self, server: Server, commands: Commands, fault: dict[str, Any]
    ) -> None:
        """Each job's lines are in order, its end once and right, whatever announcements are lost or wrong."""
        fake = install_fake_monitor(server, {**BURST, "burst": {**BURST["burst"], **fault}})
        commands.add_login(server, "alice", fake.workspace, xpm_path=fake.xpm_path)
        with commands.events("--workspace", "alice", "--polling-interval", "1") as events:
            told = read_until_final(events, 200)
            final = commands.monitor("--workspace", "alice", "--once")
        assert final.status == 0
        assert len(told) == 200
        for states in told.values():
            assert [ORDER.index(state) for state in states] == sorted(map(ORDER.index, states))
            assert sum(state in ("done", "error") for state in states) == 1
        assert sum(states[-1] == "done" for states in told.values()) == 100

    def test_nothing_is_lost_when_announced(self, server: Server, commands: Commands) -> None:
        """When every change is announced, every change is reported: scheduled, running, and the end."""
        fake = install_fake_monitor(server, BURST)
        commands.add_login(server, "alice", fake.workspace, xpm_path=fake.xpm_path)
        with commands.events("--workspace", "alice") as events:
            told = read_until_final(events, 200)
        assert all(states[:2] == ["scheduled", "running"] for states in told.values())


def test_real_jobs_end_as_their_files_say(server: Server, commands: Commands) -> None:
    """After real jobs ran while we watched, the last states reported are those of the files."""
    server.write("alice", "live/.__experimaestro__", "")
    path = f"{server.home('alice')}/live"
    commands.add_login(server, "alice", path, xpm_path=server.experimaestro)
    with commands.events("--workspace", "alice", "--polling-interval", "2") as events:
        events.wait_live()
        experiment = server.start_experiment(
            "live", "burst", ok=2, fail=1, dep=1, depfail=1, resume=1, giveup=1
        )
        experiment.wait()
        on_disk = states_on_disk(server, RealWorkspace(path, "alice", experiment, experiment))
        last: dict[str, str] = {}
        for event in events:
            if event["event"] == "job":
                last[event["id"]] = event["state"]
            if last == on_disk["burst"]:
                break
    assert last == on_disk["burst"]


def test_progress_is_told_or_left_out(commands: Commands, monitored: str) -> None:
    """Progress is reported as it is made; with --no-progress it is left out."""
    with commands.events("--workspace", monitored) as events:
        progress = next(event for event in events if event["event"] == "progress")
        assert progress["progress"][0]["description"].startswith("step")
    with commands.events("--workspace", monitored, "--no-progress") as events:
        live = events.wait_live()
        assert live["experiments"] == 2
        finished = events.stop()
    assert not any('"progress"' in line.split(",")[0] for line in finished.stdout.splitlines())


def test_text_goes_to_a_file(commands: Commands, monitored: str) -> None:
    """Without a terminal, the monitor prints plain lines."""
    finished = commands.run(
        "experiments", "--workspace", monitored, "ssh-monitor", "--request-timeout", "bad"
    )
    assert finished.status == 2
    with commands.events("--workspace", monitored, "--events-format", "text") as events:
        assert events.process.stdout is not None
        first = events.process.stdout.readline()
        # On a busy machine there are lines of what is waited for, too.
        live = r"live: 2 experiments, \d+ jobs"
        assert any(re.search(live, line) for line in events.process.stdout)
        progress = r"demo_tasks\.long/[0-9a-f]{8}  \d+% step"
        assert any(re.search(progress, line) for line in events.process.stdout)
    assert "connecting" in first


class TestEnds:
    """How a monitor ends, and what it leaves behind."""

    @pytest.mark.parametrize(
        ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
    )
    def test_signals(self, server: Server, commands: Commands, number: int, status: int) -> None:
        """A signal ends it with the usual status, and the remote side with it."""
        fake = install_fake_monitor(server, {"generate": {"jobs": 2}})
        commands.add_login(server, "alice", fake.workspace, xpm_path=fake.xpm_path)
        with commands.events("--workspace", "alice") as events:
            events.wait_live()
            finished = events.stop(number)
        assert finished.status == status
        assert finished.told == []
        wait_until(lambda: not server.processes("alice"), REMOTE_END, "the remote side to end")

    @pytest.mark.usefixtures("by_engine")
    def test_kill(self, server: Server, commands: Commands, monitored: str) -> None:
        """When it is killed, the remote side ends, too."""
        with commands.events("--workspace", monitored) as events:
            events.wait_live()
            assert server.processes("alice")
            events.process.kill()
            wait_until(lambda: not server.processes("alice"), REMOTE_END, "the remote side to end")

    def test_deaf_server(self, server: Server, commands: Commands) -> None:
        """A server that ignores the end of its stdin and signals does not delay us."""
        fake = install_fake_monitor(server, {"deaf": True})
        commands.add_login(server, "alice", fake.workspace, xpm_path=fake.xpm_path)
        with commands.events("--workspace", "alice") as events:
            events.wait_live()
            assert events.stop().status == 130
        server.kill_session_processes("alice")


class TestReconnecting:
    """A link that is cut and restored."""

    def through(self, proxy: Proxy, server: Server, xpm_path: str) -> tuple[str, ...]:
        """Return the flags that lead to alice through the proxy."""
        login = server.login("alice")
        flags = (
            f"-F none -p {proxy.port} -l {login.user} -i {login.key}"
            f" -o UserKnownHostsFile={server.known_hosts}"
            f" -o 'HostKeyAlias=[{server.host}]:{server.port}'"
        )
        return ("-o", flags, "--remote-xpm", xpm_path)

    def test_comes_back(
        self, server: Server, commands: Commands, real_workspace: RealWorkspace
    ) -> None:
        """A cut is reported with its cause; then the link is live again, and the stream continues."""
        with Proxy(server.host, server.port) as proxy:
            given = self.through(proxy, server, server.experimaestro)
            with commands.events(server.host, real_workspace.path, *given) as events:
                events.wait_live()
                proxy.cut()
                waiting = next(event for event in events if event["event"] == "link")
                assert waiting["phase"] == "waiting"
                assert "broke" in waiting["detail"]
                assert waiting["stale_since"]
                assert waiting["retry_at"]
                live = events.wait_live()
                assert live["stale_since"] is None
                assert live["digest"]["away"] > 0
                next(event for event in events if event["event"] == "progress")
                assert events.stop().status == 130

    def test_nothing_is_lost_or_told_twice(self, server: Server, commands: Commands) -> None:
        """Changes during the gap are reported after it, each end once, as recovered, and are summed up."""
        burst = {**BURST["burst"], "seconds": 3.0}
        fake = install_fake_monitor(server, {**BURST, "burst": burst})
        with Proxy(server.host, server.port) as proxy:
            given = self.through(proxy, server, fake.xpm_path)
            with commands.events(server.host, fake.workspace, *given) as events:
                next(event for event in events if event["event"] == "job")
                proxy.refuse()
                proxy.cut()
                next(event for event in events if event.get("phase") == "waiting")
                # Another server stands in for what the first would have become: all jobs have ended.
                ended = {"generate": {**BURST["generate"], "states": ["done", "error"]}}
                scenario = json.dumps({"request_log": f"{fake.folder}/requests", **ended})
                server.write("alice", f"{fake.folder}/scenario.json", scenario)
                proxy.restore()
                told = read_until_final(events, 200)
                finished = events.stop()
        assert finished.status == 130
        assert len(told) == 200
        for states in told.values():
            assert sum(state in ("done", "error") for state in states) == 1
            assert [ORDER.index(state) for state in states] == sorted(map(ORDER.index, states))
        live = [event for event in events.seen if event.get("phase") == "live"][-1]
        recovered = [event for event in events.seen if event.get("recovered")]
        assert live["digest"]["done"] + live["digest"]["failed"] == len(recovered)
        times = [event["time"] for event in recovered]
        assert times == sorted(times)

    @pytest.mark.parametrize("direction", ["to_server", "to_client"])
    def test_a_silent_link_is_noticed(
        self, server: Server, commands: Commands, direction: str
    ) -> None:
        """A link that stays open but carries nothing in one direction is given up."""
        fake = install_fake_monitor(server, {"generate": {"jobs": 2}})
        with Proxy(server.host, server.port) as proxy:
            flag, options, *rest = self.through(proxy, server, fake.xpm_path)
            keepalive = " -o ServerAliveInterval=1 -o ServerAliveCountMax=1"
            limits = ("--request-timeout", "2", "--polling-interval", "1")
            given = (flag, options + keepalive, *rest, *limits)
            with commands.events(server.host, fake.workspace, *given) as events:
                events.wait_live()
                proxy.stall(to_server=direction == "to_server", to_client=direction == "to_client")
                waiting = next(event for event in events if event["event"] == "link")
                assert waiting["phase"] == "waiting"
                proxy.restore()
                assert events.wait_live()["digest"]["away"] > 0

    def test_fatal_causes_end_it(self, server: Server, commands: Commands) -> None:
        """When the workspace is gone after the gap, the monitor ends with that error."""
        fake = install_fake_monitor(server, {"generate": {"jobs": 2}})
        path = fake.workspace
        with Proxy(server.host, server.port) as proxy:
            given = self.through(proxy, server, fake.xpm_path)
            with commands.events(server.host, path, *given) as events:
                events.wait_live()
                proxy.refuse()
                proxy.cut()
                next(event for event in events if event.get("phase") == "waiting")
                server.run("alice", f"rm -r {path}")
                proxy.restore()
                last = list(events)[-1]
                finished = events.finish()
        assert finished.status == 22
        assert path in finished.error
        assert (last["event"], last["phase"]) == ("link", "ended")

    def test_a_server_that_dies_is_started_again(self, server: Server, commands: Commands) -> None:
        """When the remote server is killed, another is started, and the exit status is reported."""
        fake = install_fake_monitor(server, {"generate": {"experiments": 1, "jobs": 2}})
        commands.add_login(server, "alice", fake.workspace, xpm_path=fake.xpm_path)
        with commands.events("--workspace", "alice") as events:
            events.wait_live()
            server.run("alice", f"pkill -KILL -f {fake.folder}/fake.py")
            waiting = next(event for event in events if event["event"] == "link")
            assert "the remote server ended" in waiting["detail"]
            assert events.wait_live()["jobs"] == 2


class TestDashboard:
    """The dashboard in a terminal."""

    def spawn(self, commands: Commands, *arguments: str, size: tuple[int, int]) -> Any:
        """Start the dashboard in a terminal of so many lines and columns."""
        words = ("experiments", "ssh-monitor", "--inline", *arguments)
        environment = {**commands._environment(), "TERM": "xterm-256color"}
        return forked.spawn(words, environment, size=size, limit=SCREEN_LIMIT)

    def test_picture_stays(self, commands: Commands, monitored: str) -> None:
        """The dashboard shows what runs, is updated, and leaves its last picture at Ctrl-C."""
        child = self.spawn(commands, "--workspace", monitored, size=(24, 80))
        child.expect("live")
        child.expect(r"demo_tasks\.long/")
        child.expect(r"step \d+")
        child.sendintr()
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 130
        assert "demo_tasks.long/" in child.before

    def test_error_leaves_one_line(self, commands: Commands) -> None:
        """When no picture was ever shown, only the error is left."""
        child = self.spawn(commands, "no-such-host.invalid", "/d", size=(24, 80))
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 10
        visible = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", child.before).strip().splitlines()
        assert visible[-1].startswith("xpm-remote: the host name no-such-host.invalid")
