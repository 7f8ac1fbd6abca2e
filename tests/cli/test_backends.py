"""``--backend``: a host on which nothing is installed, and which side serves the workspace."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from tests.cli.commands import Commands
from tests.cli.examining import examine, stage_of
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
    """By default the agent serves, without experimaestro, reports why, and shows dead processes as dead."""
    commands.add_login(server, "bare", bare, backend="auto")
    document = commands.monitor("--workspace", "bare", *JSON).document
    assert states(document) == {DONE: "done", DIED: "error", WAITED: "unscheduled"}
    (died,) = [job for job in document["jobs"] if job["job_id"] == DIED]
    assert died["message"] == "the process died without saying why"
    assert died["path"] == f"{bare}/jobs/{TASK}/{DIED}"
    assert document["experiments"][0]["status"] == "crashed"
    chosen = {"name": "agent", "why": "it is the default", "warning": None}
    assert document["backend"] == chosen
    shown = commands.monitor("--workspace", "bare", "--once").stdout
    assert "· agent" in shown
    assert "the process died" in shown
    assert "by our agent" not in shown
    missing = commands.monitor("--workspace", "bare", "--uv-offline", "--once").stdout
    assert "by our agent: the remote shell cannot run uv" in missing


def test_events(server: Server, bare: str, commands: Commands) -> None:
    """Changes are reported as they happen; the line of the live link names the side that serves."""
    commands.add_login(server, "bare", bare, backend="agent")
    with commands.events("--workspace", "bare") as events:
        live = events.wait_live()
        assert live["backend"] == {"name": "agent", "why": "it is asked for", "warning": None}
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
    """With auto, an experimaestro of a supported version serves where the settings describe it."""
    path = real_workspace.path
    commands.add_login(server, "alice", path, backend="auto", xpm_path=server.experimaestro)
    document = commands.monitor("--workspace", "alice", *JSON).document
    why = "the settings or flags describe it"
    assert document["backend"] == {"name": "experimaestro", "why": why, "warning": None}


def judged(document: Any) -> dict[str, tuple[object, ...]]:
    """Return what is said of each job and each experiment."""
    keys = ("state", "reason", "certain")
    found = {each["id"]: tuple(each[key] for key in keys) for each in document["jobs"]}
    runs = {each["id"]: (each["status"], each["certain"]) for each in document["experiments"]}
    return {**found, **runs}


def test_experimaestro_is_judged(
    server: Server, real_workspace: RealWorkspace, commands: Commands
) -> None:
    """With experimaestro the agent judges what that cannot tell; where it cannot run, that is shown as uncertain."""
    path = real_workspace.path
    commands.add_login(server, "alice", path, xpm_path=server.experimaestro)
    words = ("--workspace", "alice", *JSON)
    by_agent = judged(commands.monitor(*words, "--backend", "agent").document)
    assert judged(commands.monitor(*words).document) == by_agent
    blind = judged(commands.monitor(*words, "--remote-python", "python3.99").document)
    assert blind.keys() == by_agent.keys()
    false = {name for name, said in blind.items() if said[:-1] != by_agent[name][:-1]}
    assert false
    assert {name for name in false if blind[name][-1]} == set()
    shown = commands.monitor(
        "--workspace", "alice", "--remote-python", "python3.99", "--once"
    ).stdout
    assert "uncertain" in shown
    assert "?" in shown


def test_experimaestro_for_the_agent(server: Server, bare: str, commands: Commands) -> None:
    """Where no python can run the agent, experimaestro is started, also if nothing describes it."""
    fake = install_fake_monitor(server, {}, "bare")
    stub = server.write("bare", "fallback/uv", f"#!/bin/sh\nexec {fake.xpm_path}\n")
    server.run("bare", f"chmod +x {stub}")
    init = f"PATH={stub.rpartition('/')[0]}:$PATH"
    given = {"backend": "auto", "python": "python3.99", "shell_init": init}
    commands.add_login(server, "bare", bare, **given)
    document = commands.monitor("--workspace", "bare", *JSON).document
    assert document["backend"]["name"] == "experimaestro"
    assert "tried python3.99 (not found)" in document["backend"]["why"]


def look_at(server: Server, login: str, root: str) -> str:
    """Return names, times and contents of all that is below a directory there."""
    return server.run(
        login,
        f"cd {shlex.quote(root)} && find . -printf '%p %y %s %T@ %C@ %l\\n' | sort"
        " && find . -type f -print0 | sort -z | xargs -0 sha256sum",
    )


SLURM = '{"type": "slurm", "pid": "15", "options": [], "host": "login1"}'


@pytest.fixture
def slurm(server: Server) -> str:
    """A workspace of alice with a job that SLURM holds: its lock is free, as that of any job that has not begun."""
    job = f"slurm/jobs/{TASK}/{DONE}"
    server.write("alice", f"{job}/task.pid", SLURM)
    status = {"job_id": DONE, "task_id": TASK, "state": "scheduled", "process": json.loads(SLURM)}
    server.write("alice", f"{job}/.experimaestro/status.json", json.dumps(status))
    run = "slurm/experiments/e/20261101_120000"
    info = {"job_id": DONE, "task_id": TASK, "tags": {}, "timestamp": 1.5}
    server.write("alice", f"{run}/jobs.jsonl", json.dumps(info) + "\n")
    server.write("alice", f"{run}/status.json", json.dumps({"version": 1, "status": "running"}))
    marker = server.write("alice", f"slurm/{WORKSPACE_MARKER}", "")
    root = marker.rpartition("/")[0]
    server.run("alice", f"ln -sfn 20261101_120000 {shlex.quote(root)}/experiments/e/current")
    return root


@pytest.mark.parametrize("described", [False, True])
def test_looking_at_jobs_of_slurm(
    server: Server, slurm: str, commands: Commands, *, described: bool
) -> None:
    """Where jobs run under SLURM, neither the default nor doctor changes anything, and the agent serves."""
    given = {"xpm_path": server.experimaestro} if described else {}
    commands.add_login(server, "alice", slurm, backend="auto", **given)
    before = look_at(server, "alice", slurm)
    document = commands.monitor("--workspace", "alice", *JSON).document
    assert document["backend"]["name"] == "agent"
    why = document["backend"]["why"]
    assert (f"SLURM ({slurm}/jobs/{TASK}/{DONE}/task.pid)" in why) == described
    finished, examined = examine(commands, "--workspace", "alice")
    assert finished.status == 0, finished.stdout
    stage = stage_of(examined, "server")
    assert (stage["verdict"], "the agent serves" in stage["why"]) == ("skipped", True)
    assert look_at(server, "alice", slurm) == before


def test_requested_experimaestro_warns(server: Server, slurm: str, commands: Commands) -> None:
    """A requested experimaestro is started in any case, after a warning that says what it may do."""
    fake = install_fake_monitor(server, {})
    commands.add_login(server, "alice", slurm, xpm_path=fake.xpm_path)
    finished = commands.monitor("--workspace", "alice", *JSON)
    assert finished.document["backend"]["name"] == "experimaestro"
    assert "SLURM" in finished.document["backend"]["warning"]
    (line,) = [each for each in finished.stderr.splitlines() if "SLURM" in each]
    assert "--backend agent changes nothing" in line


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
