"""What the doctor reports about the side that serves a workspace."""

from __future__ import annotations

import shlex

import pytest

from tests.cli.commands import Commands
from tests.cli.examining import REMOTE_END, examine, expect_failure, ours, stage_of
from tests.support.fakes import install_fake_monitor
from tests.support.polling import wait_until
from tests.support.server import Server
from tests.support.workspaces import RealWorkspace


@pytest.fixture
def bare(server: Server) -> str:
    """A workspace of bare, who has only python3."""
    marker = server.write("bare", "backed/.__experimaestro__", "")
    job = "jobs/t.x/aaaaaaaa"
    server.write("bare", f"backed/{job}/x.done", "")
    info = '{"job_id": "aaaaaaaa", "task_id": "t.x", "tags": {}, "timestamp": 1.5}\n'
    server.write("bare", "backed/experiments/e/20261101_120000/jobs.jsonl", info)
    root = marker.rpartition("/")[0]
    server.run("bare", f"ln -sfn 20261101_120000 {shlex.quote(root)}/experiments/e/current")
    return root


def test_agent(server: Server, commands: Commands, bare: str) -> None:
    """With the agent, its requirements are examined and experimaestro is not looked for."""
    commands.add_login(server, "bare", bare, backend="experimaestro")
    finished, document = examine(commands, "--workspace", "bare", "--backend", "agent")
    assert (finished.status, document["verdict"]) == (0, "ok"), finished.stdout
    names = {each["name"] for each in stage_of(document, "tools")["facts"]["programs"]}
    assert "python3" in names
    assert not names & {"uv", "experimaestro"}
    assert stage_of(document, "agent")["facts"]["directory"] == bare
    assert stage_of(document, "agent")["facts"]["python"].startswith("3.")
    assert stage_of(document, "server")["why"] == "the agent is asked for"
    assert stage_of(document, "snapshot")["facts"]["jobs"] == 1
    assert stage_of(document, "events")["verdict"] == "skipped"
    wait_until(lambda: not ours(server, "bare"), REMOTE_END, "the remote side to end")


def test_agent_without_python(server: Server, commands: Commands, bare: str) -> None:
    """With the agent, a host without a working python fails, and the attempts are listed."""
    commands.add_login(server, "bare", bare, backend="agent", python="python3.99")
    examined = examine(commands, "--workspace", "bare")
    expect_failure(examined, "agent", 21, "tried python3.99 (not found)", "ssh.python")


def test_default(server: Server, commands: Commands, bare: str) -> None:
    """By default the agent serves: experimaestro is neither looked for nor started, and the stage says why."""
    commands.add_login(server, "bare", bare, backend="auto")
    finished, document = examine(commands, "--workspace", "bare")
    assert (finished.status, document["verdict"]) == (0, "ok"), finished.stdout
    assert stage_of(document, "configuration")["facts"]["serves"] == "agent"
    stage = stage_of(document, "server")
    assert (stage["verdict"], stage["why"]) == ("skipped", "it is the default: the agent serves")
    assert stage_of(document, "snapshot")["facts"]["jobs"] == 1


def test_auto_without_experimaestro(server: Server, commands: Commands, bare: str) -> None:
    """With auto, a missing experimaestro is a warning, where one is described: the agent serves."""
    commands.add_login(server, "bare", bare, backend="auto", uv_offline=True)
    finished, document = examine(commands, "--workspace", "bare")
    assert (finished.status, document["verdict"]) == (0, "warning"), finished.stderr
    assert stage_of(document, "agent")["verdict"] == "ok"
    served = stage_of(document, "server")
    assert served["verdict"] == "warning"
    assert served["warnings"][0].startswith("experimaestro does not serve, the agent does: ")
    assert "uv" in served["warnings"][0]
    assert stage_of(document, "snapshot")["facts"]["jobs"] == 1


def test_auto_without_python(
    server: Server, commands: Commands, real_workspace: RealWorkspace
) -> None:
    """With auto, a missing python is a warning where experimaestro serves."""
    path = real_workspace.path
    given = {"xpm_path": server.experimaestro, "python": "python3.99", "backend": "auto"}
    commands.add_login(server, "alice", path, **given)
    finished, document = examine(commands, "--workspace", "alice")
    assert (finished.status, document["verdict"]) == (0, "warning"), finished.stderr
    assert "tried python3.99 (not found)" in stage_of(document, "agent")["warnings"][0]
    assert stage_of(document, "server")["facts"]["protocol"] == "2.0"


def test_auto_with_neither(server: Server, commands: Commands, bare: str) -> None:
    """With auto, a host where neither can serve is a failure."""
    commands.add_login(server, "bare", bare, backend="auto", python="python3.99")
    examined = examine(commands, "--workspace", "bare")
    expect_failure(examined, "server", 21, "uv")
    assert stage_of(examined[1], "agent")["verdict"] == "warning"


@pytest.mark.parametrize("tells", [True, False])
def test_auto_with_an_old_one(server: Server, commands: Commands, *, tells: bool) -> None:
    """With auto, an old experimaestro is not started if its files show its age, and is closed if its answers do."""
    fake = install_fake_monitor(server, {"protocol_version": "1.0"})
    said = "echo 2.6.1" if tells else "exit 3"
    version = f'if [ "$1" = version ]; then {said}; exit; fi'
    text = f'#!/bin/sh\n{version}\nexec {fake.xpm_path} "$@"\n'
    stub = server.write("alice", f"{fake.folder}/old", text)
    server.run("alice", f"chmod +x {shlex.quote(stub)}")
    commands.add_login(server, "alice", fake.workspace, backend="auto", xpm_path=stub)
    finished, document = examine(commands, "--workspace", "alice")
    assert (finished.status, document["verdict"]) == (0, "warning"), finished.stderr
    served = stage_of(document, "server")
    assert served["verdict"] == ("skipped" if tells else "warning")
    assert "older than 2.7" in (served["why"] or served["warnings"][0])
    methods = [each["method"] for each in fake.requests()]
    assert ("get_sync_info" in methods) != tells
