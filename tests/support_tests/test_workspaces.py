"""The workspace of the real experimaestro."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from typing import Any

import pytest

from tests.support.polling import wait_until
from tests.support.server import Server
from tests.support.workspaces import FINISHED, RealWorkspace

pytestmark = pytest.mark.slow

PROGRESS_LIMIT = 20.0
"""Seconds for the next report of a job that reports twice a second."""


def run_status(server: Server, workspace: RealWorkspace, experiment: str) -> dict[str, Any]:
    """Return what the run's file says of an experiment."""
    file = f"{shlex.quote(workspace.path)}/experiments/{experiment}/current/status.json"
    status: dict[str, Any] = json.loads(server.run(workspace.login, f"cat {file}"))
    return status


def files(server: Server, workspace: RealWorkspace, pattern: str) -> list[str]:
    """Return the files below ``jobs`` with names of a pattern."""
    command = f"cd {shlex.quote(workspace.path)}/jobs && find . -name {shlex.quote(pattern)}"
    return server.run(workspace.login, command).split()


def test_the_finished_experiment_has_every_ending(
    server: Server, real_workspace: RealWorkspace
) -> None:
    """The finished experiment's jobs ended well, failed, timed out, were cancelled, killed, or never ran."""
    assert real_workspace.finished.wait() == 0
    states = Counter(run_status(server, real_workspace, "finished")["job_states"].values())
    assert states.total() == sum(FINISHED[kind] for kind in FINISHED if kind != "service")
    assert states["done"] == 7
    # The state in this file of a failed dependency, and of a job that was killed.
    assert (states["unscheduled"], states["running"]) == (1, 1)
    reasons = [
        json.loads(server.run(real_workspace.login, f"cat {real_workspace.path}/jobs/{file}"))[
            "reason"
        ]
        for file in files(server, real_workspace, "*.failed")
    ]
    # A monitor that another test has started there marks the killed one as failed.
    marked = reasons.count("failed") - 2
    assert marked in (0, 1)
    assert Counter(reasons) - Counter(failed=marked) == {"failed": 2, "timeout": 1, "cancelled": 1}


def test_the_finished_experiment_has_tags_and_a_service(
    server: Server, real_workspace: RealWorkspace
) -> None:
    """Tags keep the types that they were given, and the service is recorded."""
    records = server.run(
        real_workspace.login, f"cat {real_workspace.path}/experiments/finished/current/jobs.jsonl"
    )
    tags = [json.loads(line)["tags"] for line in records.splitlines()]
    assert {"x": 1, "kind": "a"} in tags
    assert "demo-service" in run_status(server, real_workspace, "finished")["services"]


def test_the_running_experiment_runs_and_reports(
    server: Server, real_workspace: RealWorkspace
) -> None:
    """The long jobs have a process and report progress repeatedly, and one job waits for them."""

    def reports() -> int:
        command = f"cat {real_workspace.path}/.events/jobs/*.jsonl | grep -c JobProgressEvent"
        return int(server.run(real_workspace.login, command, check=False))

    assert real_workspace.running.running
    assert len(files(server, real_workspace, "long.pid")) == 3
    seen = reports()
    wait_until(lambda: reports() > seen, PROGRESS_LIMIT, "the next progress report")
    assert files(server, real_workspace, "deplong.done") == []
