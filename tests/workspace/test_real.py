"""Workspaces in which the real experimaestro works, read on their host."""

from __future__ import annotations

import base64
import io
import json
import shlex
import tarfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.experiments import EXPERIMENT_LIMIT, SCRIPTS
from tests.support.polling import wait_until
from tests.support.server import Server
from tests.support.workspaces import RealWorkspace
from xpm_remote.workspace.reading.jobs import CLAIM, DIED

PACKAGE = Path(__file__).resolve().parents[2] / "xpm_remote" / "workspace"
FOLDER = "reading"
"""Where our code is put in the login's home."""

ORDER = ["unscheduled", "waiting", "ready", "scheduled", "running", "done"]
UNTOLD = {"FAILED", None}
"""The reference server's reason of a failure without further details."""


def packed(folder: Path) -> bytes:
    """Pack the python files of a folder, by its own name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for source in folder.rglob("*.py"):
            archive.add(source, source.relative_to(folder.parent))
    return buffer.getvalue()


class Dumps:
    """Reads workspaces of a login by our code, and by the reference server.

    Args:
        server: Where they are.
        login: Whose they are.
    """

    def __init__(self, server: Server, login: str) -> None:
        self._server = server
        self._login = login
        server.write(login, f"{FOLDER}/xpm_remote/__init__.py", "")
        form = (SCRIPTS.parent / "reference_form.py").read_text()
        server.write(login, f"{FOLDER}/tests/support/reference_form.py", form)
        unpack = f"base64 -d | tar -xzf - -C {FOLDER}/xpm_remote"
        server.run(login, unpack, input=base64.b64encode(packed(PACKAGE)).decode())

    def ours(self, workspace: str) -> Any:
        """Return our reader's data, run by the host's own python."""
        script = (SCRIPTS / "dump_workspace.py").read_text()
        # No bytecode: a new file would be ours.
        words = f"PYTHONDONTWRITEBYTECODE=1 PYTHONPATH={FOLDER} python3 - {shlex.quote(workspace)}"
        return json.loads(self._server.run(self._login, words, input=script))

    def files(self, workspace: str) -> dict[str, dict[str, str]]:
        """Return the states by an independent reading of the files."""
        script = (SCRIPTS / "read_states.py").read_text()
        words = f"python3 - {shlex.quote(workspace)}"
        found: dict[str, dict[str, str]] = json.loads(
            self._server.run(self._login, words, input=script)
        )
        return found

    def theirs(self, workspace: str) -> tuple[list[Any], dict[str, list[Any]]]:
        """Return the experiments, and the jobs of each, that the reference server answers with."""
        (experiments,) = self._ask(workspace, [("get_experiments", {"refresh": True})])
        names = [each["experiment_id"] for each in experiments]
        asked = [("get_experiments", {"refresh": True})] + [
            ("get_jobs", {"experiment_id": name, "refresh": True}) for name in names
        ]
        experiments, *jobs = self._ask(workspace, asked)
        return experiments, dict(zip(names, jobs, strict=True))

    def _ask(self, workspace: str, asked: list[tuple[str, dict[str, Any]]]) -> list[Any]:
        lines = [
            json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
            for number, (method, params) in enumerate(asked)
        ]
        words = [self._server.experimaestro, "--quiet", "experiments", "--workdir", workspace]
        command = f"{shlex.join([*words, 'monitor-server'])} 2>/dev/null"
        output = self._server.run(self._login, command, input="\n".join([*lines, ""]))
        answers = [json.loads(line) for line in output.splitlines()]
        by_number = {each["id"]: each["result"] for each in answers if "id" in each}
        return [by_number[number] for number in range(len(asked))]


@pytest.fixture(scope="module")
def dumps(server: Server) -> Dumps:
    """The readers of alice's workspaces."""
    return Dumps(server, "alice")


def shown(job: dict[str, Any]) -> str:
    """Return the state to show of a job of the reference server, which may have stopped at running."""
    state, scheduler = str(job["state"]), str(job["scheduler_state"])
    if state == "error" or scheduler not in ORDER or state not in ORDER:
        return "error" if "error" in (state, scheduler) and state != "done" else state
    return max(state, scheduler, key=ORDER.index)


def is_truer(job: dict[str, Any]) -> bool:
    """Return whether we know more than the list of an ended run: from processes, or the job's own file."""
    died = bool(job.get("has_died")) or job.get("message") == CLAIM
    return died or job["failure_reason"] == "DEPENDENCY"


def by_key(jobs: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return jobs by their id."""
    return {f"{job['task_id']}/{job['job_id']}": job for job in jobs}


def test_states_are_those_of_the_files(dumps: Dumps, real_workspace: RealWorkspace) -> None:
    """All jobs of an active workspace have the states of an independent reading, and nothing is changed."""
    ours = dumps.ours(real_workspace.path)
    states = {
        name: {key: job["state"] for key, job in by_key(jobs).items()}
        for name, jobs in ours["jobs"].items()
    }
    expected = dumps.files(real_workspace.path)
    for key, job in by_key(ours["jobs"]["finished"]).items():
        if is_truer(job):
            assert expected["finished"].pop(key) in ("running", "error")
            assert states["finished"].pop(key) == "error"
    assert states == expected
    assert ours["problems"] == ours["changed"] == []
    assert {run["experiment_id"]: run["status"] for run in ours["experiments"]} == {
        "finished": "done",
        "running": "running",
    }


def test_as_the_reference_server(dumps: Dumps, real_workspace: RealWorkspace) -> None:
    """Our messages equal the reference server's, except for its own faults."""
    ours = dumps.ours(real_workspace.path)
    their_experiments, their_jobs = dumps.theirs(real_workspace.path)
    ours_by_name = {each["experiment_id"]: each for each in ours["experiments"]}
    for theirs in their_experiments:
        mine = ours_by_name[theirs["experiment_id"]]
        assert set(theirs) <= {*mine, "version", "events_count"}
        for key in ("run_id", "status", "hostname", "started_at", "ended_at", "runs_count"):
            assert mine[key] == theirs[key], key
        assert {key: info["tags"] for key, info in mine["job_infos"].items()} == {
            key: info["tags"] for key, info in theirs["job_infos"].items()
        }
        assert list(mine["services"]) == list(theirs["services"])
    for name, jobs in their_jobs.items():
        mine_by_key = by_key(ours["jobs"][name])
        assert set(mine_by_key) == set(by_key(jobs))
        for key, job in by_key(jobs).items():
            compare(mine_by_key[key], job)


def compare(mine: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Compare a job of ours with one of the reference server."""
    assert set(theirs) <= {*mine, "events_count"}
    if not is_truer(mine):
        assert mine["state"] == shown(theirs)
    for key in ("path", "retry_count", "resumable", "run_group_id"):
        if key in theirs:
            assert mine[key] == theirs[key], key
    if theirs["failure_reason"] not in UNTOLD:
        assert mine["failure_reason"] == theirs["failure_reason"]
    for key in ("started_time", "ended_time"):
        # A dead job has no end of its own, and one that was not started no start: they invent times for both.
        if theirs[key] is not None and not is_truer(mine):
            apart = datetime.fromisoformat(mine[key]) - datetime.fromisoformat(theirs[key])
            # A job is started without the login's TZ, and theirs is the naive time of its zone.
            assert apart % timedelta(minutes=15) == timedelta(0), key


@pytest.fixture
def doomed(server: Server) -> Iterator[tuple[str, int]]:
    """A workspace in which a long job runs, and the process of its scheduler."""
    experiment = server.start_experiment(
        "workspaces/doomed", "doomed", long=1, deplong=1, long_seconds=7200, long_steps=14400
    )
    path = shlex.quote(experiment.workspace)

    def reports() -> bool:
        assert experiment.running, experiment.log()
        return bool(server.run("alice", f"cat {path}/.events/jobs/*.jsonl", check=False))

    wait_until(reports, EXPERIMENT_LIMIT, "the long job to report progress")
    scheduler = "pgrep -f 'make_workspace.py .*--experiment doomed' | head -1"
    yield experiment.workspace, int(server.run("alice", scheduler))
    server.run("alice", f"{scheduler} | xargs -r kill -9; cat {path}/jobs/*/*/*.pid", check=False)
    server.run("alice", f"rm -rf {path}")


def test_death(server: Server, dumps: Dumps, doomed: tuple[str, int]) -> None:
    """A scheduler and then a job that are killed (SIGKILL) are shown as dead at once."""
    workspace, scheduler = doomed
    (run,) = dumps.ours(workspace)["experiments"]
    assert (run["status"], run["scheduler_alive"]) == ("running", True)
    server.run("alice", f"kill -9 {scheduler}")

    def crashed() -> bool:
        (run,) = dumps.ours(workspace)["experiments"]
        return (run["status"], run["scheduler_alive"]) == ("crashed", False)

    wait_until(crashed, EXPERIMENT_LIMIT, "the scheduler's lock to be free")
    long, waiting = dumps.ours(workspace)["jobs"]["doomed"]
    assert (long["state"], waiting["state"]) == ("running", "unscheduled")
    server.run("alice", f"kill -9 {long['process']['pid']}")

    def is_dead() -> bool:
        long, _ = dumps.ours(workspace)["jobs"]["doomed"]
        return bool(long.get("has_died"))

    wait_until(is_dead, EXPERIMENT_LIMIT, "the job to be gone")
    long, _ = dumps.ours(workspace)["jobs"]["doomed"]
    assert (long["state"], long["failure_reason"], long["message"]) == ("error", "FAILED", DIED)
