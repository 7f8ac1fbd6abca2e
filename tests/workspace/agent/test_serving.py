"""The methods of the monitor protocol: what they answer, beside what the real server answers."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.conversation import Conversation
from tests.support.peer import peer_python
from tests.workspace.disk import Disk, TextHost, write
from xpm_remote.workspace.agent.actions import Actions
from xpm_remote.workspace.agent.serving import Method, Methods, ParameterError
from xpm_remote.workspace.failures import BadIdFailure, WorkspaceFailure
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.reading.reader import WorkspaceReader

ONE, TWO, THREE = (JobId("pkg.learn", letter * 64) for letter in "abc")
LOCK = f"{THREE}/learn.lock"
RECORDED = Path(__file__).parents[1] / "recorded" / "2.7.0.tar.gz"
LIMIT = 60.0
"""Seconds for the real server to start and answer everything."""


def methods(root: Path, host: TextHost | None = None) -> dict[str, Method]:
    """Give the methods of a workspace."""
    host = host or TextHost(pids=[77], locked=[LOCK, "exp/lock"])
    reader = WorkspaceReader(root, host)
    return Methods(reader, host, lambda: Actions(reader, host), {"version": 1}).table()


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """A workspace with two runs of an experiment; a job runs in the older one only."""
    disk = Disk(tmp_path / "ws")
    disk.run("exp", [THREE], run_id="20261101_100000", status="done")
    words = {ONE.hash: "done", TWO.hash: "waiting"}
    disk.run("exp", [ONE, TWO], job_states=words, services={"web": {"service_id": "web"}})
    disk.job(ONE, {"state": "done"}, done="")
    params = {"objects": [_object(1, ONE), {**_object(2, TWO)}]}
    write(disk.job(TWO, {"state": "waiting"}) / "params.json", params)
    disk.job(THREE, {"state": "running"}, pid={"type": "local", "pid": 77, "host": "node01"})
    disk.job(JobId("pkg.learn", "d" * 64), {"state": "done"}, done="")
    return disk


def _object(number: int, job: JobId) -> dict[str, Any]:
    module, _, name = job.task.rpartition(".")
    return {"id": number, "task": number, "module": module, "type": name, "identifier": job.hash}


@pytest.fixture
def table(disk: Disk) -> dict[str, Method]:
    """Its methods."""
    return methods(disk.root)


def ids(jobs: object) -> list[str]:
    """Give the first letters of the ids of jobs."""
    assert isinstance(jobs, list)
    return [job["job_id"][0] for job in jobs]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, ["a", "b"]),
        ({"experiment_id": "exp"}, ["a", "b"]),
        ({"experiment_id": "exp", "refresh": True, "since": None}, ["a", "b"]),
        ({"experiment_id": "exp", "run_id": "20261101_100000"}, ["c"]),
        ({"experiment_id": "exp", "run_id": "never"}, []),
        ({"experiment_id": "never"}, []),
        ({"experiment_id": "../exp"}, []),
        ({"experiment_id": "exp", "state": "done"}, ["a"]),
        ({"state": "waiting"}, ["b"]),
        ({"state": "no such state"}, ["a", "b"]),
        ({"experiment_id": "exp", "tags": {"x": 1}}, ["b"]),
        ({"experiment_id": "exp", "tags": {"x": "1"}}, []),
        ({"experiment_id": "exp", "tags": {"x": True}}, []),
        ({"experiment_id": "exp", "task_id": "pkg.learn"}, ["a", "b"]),
        ({"experiment_id": "exp", "task_id": "pkg.other"}, []),
    ],
)
def test_get_jobs(params: dict[str, Any], expected: list[str], table: dict[str, Method]) -> None:
    """Jobs are those of a run, chosen by state, task and tags; a tag counts with its type."""
    assert ids(table["get_jobs"](params)) == expected


def test_experiments(table: dict[str, Method]) -> None:
    """The current run of each experiment, or all runs, newest first."""
    found = table["get_experiments"]({})
    assert isinstance(found, list)
    (run,) = found
    assert (run["experiment_id"], run["runs_count"], set(run["job_infos"])) == (
        "exp",
        2,
        {ONE.hash, TWO.hash},
    )
    assert table["get_experiment"]({"experiment_id": "exp"}) == run
    assert table["get_experiment"]({"experiment_id": "never"}) is None
    runs = table["get_experiment_runs"]({"experiment_id": "exp"})
    assert isinstance(runs, list)
    assert [each["run_id"] for each in runs] == ["20261101_120000", "20261101_100000"]


def test_maps(table: dict[str, Method]) -> None:
    """Tags come with their types, and dependencies from the parameters of the jobs."""
    params = {"experiment_id": "exp"}
    assert table["get_tags_map"](params) == {ONE.hash: {"x": 0}, TWO.hash: {"x": 1}}
    assert table["get_dependencies_map"](params) == {ONE.hash: [], TWO.hash: [ONE.hash]}
    assert table["get_tags_map"]({"experiment_id": "never"}) == {}
    service = {"service_id": "web", "description": None, "state": None, "url": None}
    assert table["get_services"](params) == table["get_services"]({}) == [service]


def test_one_job(table: dict[str, Method]) -> None:
    """A job is judged by its run where it has one, else by its own files; one that is gone is null."""
    first = table["get_job"]({"task_id": ONE.task, "job_id": ONE.hash})
    assert isinstance(first, dict)
    assert (first["state"], first["scheduler_state"]) == ("done", "done")
    third = table["get_job"]({"task_id": THREE.task, "job_id": THREE.hash})
    assert isinstance(third, dict)
    assert third["state"] == "running"
    assert table["get_job"]({"task_id": ONE.task, "job_id": "e" * 64}) is None


def test_strays_and_orphans(table: dict[str, Method]) -> None:
    """Strays run in a run that is not current; orphans are in none."""
    assert ids(table["get_stray_jobs"]({})) == ["c"]
    assert ids(table["get_orphan_jobs"]({})) == ["d"]


def test_process_info(disk: Disk) -> None:
    """The process of a running job is told with its load; of one on another host, that it runs."""
    host = TextHost(pids=[os.getpid()], locked=[LOCK, "exp/lock"])
    names = {"task_id": THREE.task, "job_id": THREE.hash}
    disk.job(THREE, pid={"type": "local", "pid": os.getpid(), "host": "node01"})
    info = methods(disk.root, host)["get_process_info"](names)
    assert isinstance(info, dict)
    assert (info["pid"], info["type"], info["running"]) == (os.getpid(), "local", True)
    assert info["memory_mb"] > 1
    assert info["num_threads"] >= 1
    disk.job(THREE, pid={"type": "slurm", "pid": "4711"})
    info = methods(disk.root, host)["get_process_info"](names)
    assert info == {
        "pid": "4711",
        "type": "slurm",
        "running": True,
        **dict.fromkeys(("cpu_percent", "memory_mb", "num_threads")),
    }
    assert methods(disk.root)["get_process_info"]({"task_id": "x", "job_id": "y"}) is None


def test_actions(disk: Disk, table: dict[str, Method]) -> None:
    """What cannot be done is told as the protocol tells it; what is only asked is not done."""
    names = {"task_id": ONE.task, "job_id": ONE.hash}
    assert table["kill_job"](names) == {"success": False, "error": "it has no process"}
    asked = table["delete_job_safely"]({**names, "perform": False})
    assert asked == {"success": True, "message": f"remove {disk.root}/jobs/{ONE}"}
    assert (disk.root / "jobs" / str(ONE)).exists()
    assert table["clean_job"](names) == {"success": True, "error": ""}
    assert not (disk.root / "jobs" / str(ONE)).exists()
    for method in ("kill_job", "clean_job", "delete_job_safely"):
        answer = table[method](names)
        assert isinstance(answer, dict)
        assert answer["success"] is False


@pytest.mark.parametrize(
    ("method", "params", "error"),
    [
        ("get_experiment", {}, ParameterError),
        ("get_jobs", {"experiment_id": 3}, ParameterError),
        ("get_jobs", {"experiment_id": "exp", "tags": [1]}, ParameterError),
        ("get_job", {"task_id": "a"}, ParameterError),
        ("get_job", {"task_id": "a/b", "job_id": "c"}, BadIdFailure),
        ("kill_job", {"task_id": "..", "job_id": ".."}, BadIdFailure),
        ("execute_warning_action", {"warning_key": "x"}, WorkspaceFailure),
    ],
)
def test_refused(
    method: str, params: dict[str, Any], error: type[Exception], table: dict[str, Method]
) -> None:
    """A parameter that is missing or of another kind is refused; an id never leads out of the workspace."""
    with pytest.raises(error):
        table[method](params)


# Beside the real server


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A workspace that experimaestro 2.7.0 wrote, with an experiment that has ended."""
    with tarfile.open(RECORDED) as archive:
        archive.extractall(tmp_path, filter="tar")
    return tmp_path / "ws"


@pytest.fixture
def real(recorded: Path, table_of_recorded: dict[str, Any]) -> Iterator[Conversation]:
    """The real server on it; ours has answered before, since the real one writes."""
    words = [str(peer_python()), "-m", "experimaestro", "--quiet", "experiments"]
    words += ["--workdir", str(recorded), "monitor-server"]
    with Conversation(words, LIMIT, stderr=subprocess.DEVNULL) as server:
        yield server


QUESTIONS: list[tuple[str, dict[str, Any]]] = [
    ("get_experiments", {"refresh": True}),
    ("get_jobs", {"experiment_id": "demo", "refresh": True}),
    ("get_jobs", {"experiment_id": "demo", "state": "done", "refresh": True}),
    ("get_services", {"experiment_id": "demo"}),
    ("get_orphan_jobs", {}),
    ("get_experiment", {"experiment_id": "never"}),
    ("get_jobs", {"experiment_id": "never"}),
]

BETTER_KNOWN = {"exit_code", "failure_reason", "scheduler_failure_reason"}
"""What the real server does not read from the markers of failure; nor does it see that a process is gone."""


@pytest.fixture
def table_of_recorded(recorded: Path) -> dict[str, Any]:
    """Our answers."""
    table = methods(recorded)
    return {json.dumps(each): table[each[0]](each[1]) for each in QUESTIONS}


def _keyed(answer: Any) -> Any:
    if not isinstance(answer, list):
        return answer
    return {
        (each.get("job_id") or each.get("run_id") or each.get("service_id")): each
        for each in answer
    }


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda each: f"{each[0]} {list(each[1])}")
def test_as_the_real_server(
    question: tuple[str, dict[str, Any]], real: Conversation, table_of_recorded: dict[str, Any]
) -> None:
    """Every key that the real server gives has the same value here, but for what it does not know."""
    method, params = question
    theirs = _keyed(real.result(method, **params))
    ours = _keyed(table_of_recorded[json.dumps(question)])
    if question[0] == "get_experiments":
        theirs, ours = (
            {k: v for k, v in each.items() if v["experiment_id"] == "demo"}
            for each in (theirs, ours)
        )
        assert theirs
    if not isinstance(theirs, dict):
        assert theirs == ours
        return
    assert set(theirs) == set(ours)
    for key, record in theirs.items():
        mine = ours[key]
        shared = {name: value for name, value in record.items() if name in mine}
        assert set(record) - set(mine) <= {"version", "events_count"}
        judged = mine.get("failure_reason") == "DEPENDENCY" or mine.get("has_died")
        unknown = BETTER_KNOWN | ({"state", "scheduler_state", "process"} if judged else set())
        for name, value in shared.items():
            assert mine[name] == value or name in unknown, (key, name)
