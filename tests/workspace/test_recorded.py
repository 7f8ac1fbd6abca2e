"""Workspaces that experimaestro 2.0 to 2.7 wrote; see tests/support/scripts/recording."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tests.workspace.disk import TextHost, snapshot
from xpm_remote.workspace.reading.jobs import DIED, JobFacts
from xpm_remote.workspace.reading.reader import WorkspaceReader
from xpm_remote.workspace.reading.runs import RunFacts
from xpm_remote.workspace.states import Progress

RECORDED = Path(__file__).parent / "recorded"
VERSIONS = ("2.0.2", "2.0.7", "2.2.1", "2.4.0", "2.6.1", "2.7.0")

DEMO = {
    "plain_tasks.bad": [("error", "FAILED")],
    "plain_tasks.dep": [("done", None)],
    "plain_tasks.depbad": [("error", "DEPENDENCY")],
    "plain_tasks.ok": [("done", None), ("done", None)],
    "plain_tasks.resume": [("done", None), ("error", "TIMEOUT")],
    "plain_tasks.selfsignal": [("error", "CANCELLED"), ("error", "FAILED")],
}
"""The states of the experiment that is over, by task: they are the same whatever release ran it."""


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """Each release of which there is a recording."""
    return str(request.param)


@pytest.fixture
def root(version: str, tmp_path: Path) -> Path:
    """The workspace, recorded while the job of the second experiment ran."""
    with tarfile.open(RECORDED / f"{version}.tar.gz") as archive:
        # By a filter, of which later pythons warn if there is none; those before 3.11.4 have none.
        filters = {"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}
        archive.extractall(tmp_path, **filters)  # type: ignore[arg-type]  # noqa: S202 - ours
    return tmp_path / "ws"


def current(reader: WorkspaceReader, name: str) -> tuple[RunFacts, list[JobFacts]]:
    """Read the current run of an experiment, and its jobs."""
    run = reader.experiment(name)
    assert run is not None
    return run, list(reader.jobs(run))


def test_every_recording_is_tested() -> None:
    """Every recording is tested."""
    assert {path.name for path in RECORDED.iterdir()} == {f"{each}.tar.gz" for each in VERSIONS}


@pytest.mark.parametrize("host", [TextHost("elsewhere"), TextHost()], ids=["elsewhere", "there"])
def test_ended_experiment(root: Path, host: TextHost) -> None:
    """Jobs that ended in every way have their reasons, from the same host and from another."""
    before = snapshot(root)
    reader = WorkspaceReader(root, host)
    run, jobs = current(reader, "demo")
    states: dict[str, list[tuple[str, str | None]]] = {}
    for job in jobs:
        states.setdefault(job.task_id, []).append((job.state, job.failure_reason))
    assert {task: sorted(found, key=str) for task, found in states.items()} == DEMO
    assert run.runs_count == 2
    ids = [each.name for each in (root / "experiments" / "demo").iterdir() if not each.is_symlink()]
    assert run.run_id == max(each for each in ids if each[0].isdecimal())
    assert not reader.problems
    assert snapshot(root) == before


def test_times(root: Path) -> None:
    """Jobs that ran have times in the right order."""
    _, jobs = current(WorkspaceReader(root, TextHost("elsewhere")), "demo")
    for job in jobs:
        if job.has_done_marker:
            assert job.submitted is not None
            assert job.started is not None
            assert job.ended is not None
            assert job.started < job.ended < job.started + 60


def test_running_experiment(root: Path) -> None:
    """A running job has its process and its progress on all levels, and a waiting one waits."""
    reader = WorkspaceReader(root, TextHost(pids=_pids(root), locked=["live/lock"]))
    run, jobs = current(reader, "live")
    assert (run.status, run.scheduler_alive, run.hostname) == ("running", True, "node01")
    long, waiting = jobs
    assert (long.state, waiting.state) == ("running", "waiting")
    assert long.progress == (Progress(0, 0.25, "epoch 1"), Progress(1, 0.5, "batch 7"))
    assert long.process is not None
    assert long.process.host == "node01"
    assert run.job_infos[long.job_id].tags == {"x": 1}


def test_everything_died(root: Path) -> None:
    """When scheduler and job are gone, the run has crashed, its job has died, and no job waits any more."""
    run, jobs = current(WorkspaceReader(root, TextHost()), "live")
    assert (run.status, run.scheduler_alive) == ("crashed", False)
    assert [(job.state, job.failure_reason, job.message) for job in jobs] == [
        ("error", "FAILED", DIED),
        ("unscheduled", None, None),
    ]


def test_service(root: Path, version: str) -> None:
    """The service of the experiment is read."""
    run, _ = current(WorkspaceReader(root, TextHost()), "demo")
    (service,) = run.services.values()
    assert (service["service_id"], service["description"]) == ("demo-service", "Demo service")


def _pids(root: Path) -> list[int]:
    """Return the processes of the running experiment."""
    _, jobs = current(WorkspaceReader(root, TextHost("elsewhere")), "live")
    pids = [job.process.pid for job in jobs if job.process is not None]
    return [pid for pid in pids if isinstance(pid, int)]
