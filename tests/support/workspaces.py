"""A workspace on the test server with every kind of job, some of which keep running."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from tests.support.experiments import EXPERIMENT_LIMIT, Experiment
from tests.support.polling import wait_until
from tests.support.server import Server

FINISHED: Mapping[str, float | bool] = {
    "ok": 4,
    "fail": 2,
    "dep": 2,
    "depfail": 1,
    "resume": 1,
    "giveup": 1,
    "sigterm": 1,
    "selfkill": 1,
    "service": True,
}
"""What the finished experiment holds, as keyword arguments of ``Server.start_experiment``."""

LONG_SECONDS = 7200
"""Seconds that the long jobs run: longer than any test session, and an end if they are not killed."""
LONG_STEPS = 14400
"""Two reports a second from each long job: a test that waits for progress waits half of one."""

RUNNING: Mapping[str, float | bool] = {
    "ok": 1,
    "long": 3,
    "deplong": 1,
    "long_seconds": LONG_SECONDS,
    "long_steps": LONG_STEPS,
    "offset": 100,
}
"""What the running experiment holds; ``offset`` makes its jobs others than the finished one's."""


@dataclass(frozen=True)
class RealWorkspace:
    """A workspace with two experiments of the real experimaestro.

    Args:
        path: Its absolute path on the server.
        login: Who owns it.
        finished: An experiment that is over, with jobs that ended in every way (:data:`FINISHED`).
        running: An experiment whose long jobs run, and report progress, until the session ends.
    """

    path: str
    login: str
    finished: Experiment
    running: Experiment


def make_real_workspace(
    server: Server, path: str = "workspaces/real", login: str = "alice"
) -> RealWorkspace:
    """Make the workspace; return when the one experiment has ended and all long jobs of the other run."""
    finished = server.start_experiment(path, "finished", login, **FINISHED)
    running = server.start_experiment(path, "running", login, **RUNNING)
    finished.wait()
    reporting = f"cat {shlex.quote(running.workspace)}/.events/jobs/*.jsonl | grep -c 'step 1\"'"

    def all_report() -> bool:
        if not running.running:
            raise AssertionError(f"the long jobs do not run:\n{running.log()}")
        return int(server.run(login, reporting, check=False) or 0) >= RUNNING["long"]

    wait_until(all_report, EXPERIMENT_LIMIT, "the long jobs to report progress")
    return RealWorkspace(running.workspace, login, finished, running)
