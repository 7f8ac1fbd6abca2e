"""``--backend``: a host on which nothing is installed, and which side serves the workspace."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from tests.cli.commands import Commands
from tests.cli.test_ssh_monitor_once import JSON, states_on_disk, states_shown
from tests.support.fakes import WORKSPACE_MARKER, install_fake_monitor
from tests.support.server import Server
from tests.support.workspaces import RealWorkspace

TASK = "demo.task"
DONE, DIED, WAITED = (letter * 8 for letter in "abc")
RUN = "backends/experiments/e/20261101_120000"


@pytest.fixture
def bare(server: Server) -> str:
    """A workspace of bare, who has only python3; its scheduler is dead, and so is one of its jobs."""
    jobs = [DONE, DIED, WAITED]
    infos = [{"job_id": job, "task_id": TASK, "tags": {}, "timestamp": 1.5} for job in jobs]
    states = {DONE: "done", DIED: "running", WAITED: "waiting"}
    host = server.run("bare", "hostname").strip()
    status = {"version": 1, "experiment_id": "e", "run_id": RUN[-15:], "status": "running"}
    status["hostname"] = host
    files = {
        WORKSPACE_MARKER: "",
        f"{RUN[9:]}/jobs.jsonl": "".join(json.dumps(info) + "\n" for info in infos),
        f"{RUN[9:]}/status.json": json.dumps({**status, "job_states": states}),
        f"jobs/{TASK}/{DONE}/task.done": "",
        f"jobs/{TASK}/{DIED}/.experimaestro/status.json": json.dumps({"state": "running"}),
        f"jobs/{TASK}/{DIED}/task.pid": json.dumps(
            {"type": "local", "pid": 2**22 + 1, "host": host}
        ),
    }
    for name, text in files.items():
        server.write("bare", f"backends/{name}", text)
    root = f"{server.home('bare')}/backends"
    server.run("bare", f"ln -sfn {RUN[-15:]} {shlex.quote(root)}/experiments/e/current")
    return root


def states(document: Any) -> dict[str, str]:
    """Return the states of the jobs by their hashes."""
    return {job["job_id"]: job["state"] for job in document["jobs"]}


def test_nothing_installed(server: Server, bare: str, commands: Commands) -> None:
    """With auto the agent serves a host without experimaestro, reports why, and shows dead processes as dead."""
    commands.add_login(server, "bare", bare, backend="auto")
    document = commands.monitor("--workspace", "bare", *JSON).document
    assert states(document) == {DONE: "done", DIED: "error", WAITED: "unscheduled"}
    (died,) = [job for job in document["jobs"] if job["job_id"] == DIED]
    assert died["message"] == "the process died without saying why"
    assert died["path"] == f"{bare}/jobs/{TASK}/{DIED}"
    assert document["experiments"][0]["status"] == "crashed"
    assert document["backend"]["name"] == "agent"
    assert "cannot run uv" in document["backend"]["why"]
    shown = commands.monitor("--workspace", "bare", "--once").stdout
    assert "· agent" in shown
    assert "the process died" in shown
    assert "by our agent: the remote shell cannot run uv" in shown


def test_events(server: Server, bare: str, commands: Commands) -> None:
    """Changes are reported as they happen; the line of the live link names the side that serves."""
    commands.add_login(server, "bare", bare, backend="agent")
    with commands.events("--workspace", "bare") as events:
        live = events.wait_live()
        assert live["backend"] == {"name": "agent", "why": "it is asked for"}
        server.write("bare", f"backends/jobs/{TASK}/{WAITED}/task.done", "")
        event = next(each for each in events if each["event"] == "job")
        assert (event["id"], event["state"]) == (f"{TASK}/{WAITED}", "done")
        assert events.stop().status == 130


def test_flag_before_settings(server: Server, bare: str, commands: Commands) -> None:
    """The flag takes precedence over the settings; an experimaestro that is requested and missing is an error."""
    commands.add_login(server, "bare", bare, backend="agent")
    finished = commands.monitor("--workspace", "bare", "--backend", "experimaestro", "--once")
    assert finished.status == 21
    assert "cannot run uv" in finished.error


def test_neither(server: Server, bare: str, commands: Commands) -> None:
    """Where neither can be started, the one line of the error names both causes."""
    commands.add_login(server, "bare", bare, backend="auto", python="python3.99")
    finished = commands.monitor("--workspace", "bare", "--once")
    assert finished.status == 21
    last = finished.stderr.splitlines()[-1]
    assert "cannot run uv" in last
    assert "tried python3.99 (not found)" in last


def test_old_experimaestro(server: Server, bare: str, commands: Commands) -> None:
    """With auto, a server that is older than 2.7 is closed, and the agent serves."""
    fake = install_fake_monitor(server, {"protocol_version": "1.0"}, "bare")
    commands.add_login(server, "bare", bare, backend="auto", xpm_path=fake.xpm_path)
    document = commands.monitor("--workspace", "bare", *JSON).document
    assert document["backend"]["name"] == "agent"
    assert "older than 2.7" in document["backend"]["why"]


def test_old_experimaestro_is_not_started(server: Server, bare: str, commands: Commands) -> None:
    """With auto, an experimaestro whose installation shows that it is older than 2.7 is not started."""
    home = f"{server.home('bare')}/old"
    python = f"{home}/bin/python3"
    server.write("bare", "old/lib/python3/site-packages/experimaestro-2.6.4.dist-info/METADATA", "")
    text = f"#!{python}\nopen({f'{home}/started'!r}, 'w')\n"
    path = server.write("bare", "old/bin/experimaestro", text)
    server.run("bare", f'chmod +x {path}; ln -sf "$(command -v python3)" {python}')
    commands.add_login(server, "bare", bare, backend="auto", xpm_path=path)
    document = commands.monitor("--workspace", "bare", *JSON).document
    assert document["backend"]["name"] == "agent"
    assert document["backend"]["why"].startswith(
        f"the remote experimaestro 2.6.4 ({path}) is older"
    )
    assert "started" not in server.run("bare", f"ls {home}").split()
    finished = commands.monitor("--workspace", "bare", "--backend", "experimaestro", "--once")
    assert finished.status == 21
    assert "started" in server.run("bare", f"ls {home}").split()
    server.run("bare", f"rm -r {home}")


def test_new_experimaestro_is_kept(
    server: Server, real_workspace: RealWorkspace, commands: Commands
) -> None:
    """With auto, an experimaestro of a supported version serves."""
    path = real_workspace.path
    commands.add_login(server, "alice", path, backend="auto", xpm_path=server.experimaestro)
    document = commands.monitor("--workspace", "alice", *JSON).document
    assert document["backend"] == {"name": "experimaestro", "why": "it can be started on the host"}


def test_states_are_those_of_the_files(
    server: Server, real_workspace: RealWorkspace, commands: Commands
) -> None:
    """The agent shows every job in the state that the workspace's files have, and two of them more exactly.

    A job that never started since its dependency failed is known by its own file only: the list of a run that is over
    calls it unscheduled. One that was killed left no state: by its files it runs.
    """
    commands.add_login(server, "alice", real_workspace.path, backend="agent")
    shown = commands.monitor("--workspace", "alice", *JSON).document
    reasons = {job["id"]: job["reason"] for job in shown["jobs"]}
    told, on_disk = states_shown(shown), states_on_disk(server, real_workspace)
    assert told.keys() == on_disk.keys()
    differing = set()
    for name, found in on_disk.items():
        assert told[name].keys() == found.keys()
        for job, state in found.items():
            if told[name][job] != state:
                differing.add((job.partition("/")[0], state, told[name][job], reasons[job]))
    assert differing <= {
        ("demo_tasks.depbad", "unscheduled", "error", "DEPENDENCY"),
        ("demo_tasks.selfsignal", "running", "error", "FAILED"),
    }
