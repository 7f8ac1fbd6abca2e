"""A workspace as a whole."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.workspace.disk import RUN_ID, Disk, TextHost, snapshot, write
from xpm_remote.workspace import filesystem
from xpm_remote.workspace.failures import NotAWorkspaceFailure, UnreadFile
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.processes import Host
from xpm_remote.workspace.reading.json_files import JsonObject
from xpm_remote.workspace.reading.live_events import LiveEvents
from xpm_remote.workspace.reading.looks import Look
from xpm_remote.workspace.reading.reader import WorkspaceReader, current_jobs
from xpm_remote.workspace.reading.runs import RUN_UNREADABLE

JOB = JobId("demo.ok", "aa")
OTHER = JobId("demo.dep", "bb")


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """An empty workspace."""
    return Disk(tmp_path / "ws")


def reader(disk: Disk, host: Host | None = None) -> WorkspaceReader:
    """Read the workspace, by default on another host than its runs'."""
    return WorkspaceReader(disk.root, host or TextHost("elsewhere"))


@pytest.mark.parametrize("name", ["missing", "file", "plain", "loop", "\0"])
def test_no_workspace(tmp_path: Path, name: str) -> None:
    """A directory that is no workspace is refused with the reason."""
    (tmp_path / "file").touch()
    (tmp_path / "plain").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(NotAWorkspaceFailure, match="give the directory that holds"):
        WorkspaceReader(tmp_path / name)


def test_empty_workspace(disk: Disk) -> None:
    """A workspace without any run has nothing, and that is no problem."""
    found = reader(disk)
    assert (found.experiments(), found.experiment_ids(), found.experiment("demo")) == ([], [], None)
    assert found.job(JOB) is None
    assert not found.problems


def test_relative_root(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is relative to the current directory."""
    disk.job(JOB)
    monkeypatch.chdir(disk.root.parent)
    found = WorkspaceReader(Path("ws"))
    monkeypatch.chdir("/")
    assert found.root == disk.root
    assert found.job(JOB) is not None


def test_jobs_of_a_run(disk: Disk) -> None:
    """The jobs of a run come in the order of submission, with their states, tags and time of submission."""
    disk.job(JOB, {"state": "running"}, done="")
    run = disk.run("demo", [OTHER, JOB], job_states={"bb": "waiting", "aa": "running"})
    assert run.is_dir()
    found = reader(disk)
    (facts,) = found.experiments()
    first, second = found.jobs(facts)
    assert (first.id, first.state, first.has_directory, first.submitted) == (
        OTHER,
        "waiting",
        False,
        1.5,
    )
    assert (second.id, second.state, second.scheduler_state) == (JOB, "done", "running")
    assert facts.job_infos["aa"].tags == {"x": 1}


def test_runs(disk: Disk) -> None:
    """The current run is the target of the link, else the latest by time and number."""
    names = ["20261101_120000", "20261101_120000.2", "20261101_120000.10", "20251101_120000"]
    for name in names:
        disk.run("demo", run_id=name, current=False)
    found = reader(disk)
    (run,) = found.experiments()
    assert (run.run_id, run.runs_count) == (names[2], 4)
    (disk.root / "experiments" / "demo" / "current").symlink_to(names[1])
    (run,) = found.experiments()
    assert (run.run_id, run.runs_count) == (names[1], 4)


@pytest.mark.parametrize("moved", ["experiments/demo", f"experiments/demo/{RUN_ID}"])
def test_links_to_another_disk(disk: Disk, tmp_path: Path, moved: str) -> None:
    """An experiment or a run that is a link to another disk is read there, and unreadable while that is not mounted."""
    disk.run("demo", [JOB])
    disk.run("other", [OTHER])
    other = tmp_path / "disk"
    other.mkdir()
    (disk.root / moved).rename(other / "moved")
    (disk.root / moved).symlink_to(other / "moved")
    assert [list(run.job_infos) for run in reader(disk).experiments()] == [[JOB.hash], [OTHER.hash]]
    other.rename(tmp_path / "away")
    gone, there = reader(disk).experiments()
    assert (gone.experiment_id, gone.status, there.unread) == ("demo", RUN_UNREADABLE, None)
    assert gone.unread is not None


def test_experiments_are_away_for_a_moment(disk: Disk) -> None:
    """Where the directory of all experiments was there and is not, they are unreadable, not gone."""
    disk.run("demo", [JOB])
    found = reader(disk)
    assert (found.experiment_ids(), found.listing().unread) == (["demo"], None)
    (disk.root / "experiments").rename(disk.root / "away")
    run = found.experiment("demo")
    assert run is not None
    for unread in (run.unread, found.listing().unread):
        assert unread is not None
        assert unread.why == "is not there any more"
    (disk.root / "away").rename(disk.root / "experiments")
    assert [each.unread for each in found.experiments()] == [None]
    assert not found.problems


def test_experiments_were_never_seen(disk: Disk) -> None:
    """A first look at a workspace with jobs and without experiments/ does not find it empty, but unreadable."""
    disk.job(JobId("demo.ok", "aa"))
    found = reader(disk).listing()
    why = "is not there, while jobs/ has jobs"
    assert (found.names, found.unread) == (
        [],
        UnreadFile(str(disk.root / "experiments"), why, "ENOENT"),
    )


@pytest.mark.parametrize("name", ["status.json", "jobs.jsonl"])
def test_directory_in_the_place_of_a_file(disk: Disk, name: str) -> None:
    """A file of a run that is a directory now cannot be read: the run has not lost its jobs."""
    path = disk.run("demo", [JOB]) / name
    path.unlink()
    path.mkdir()
    (run,) = reader(disk).experiments()
    assert run.unread is not None
    assert run.unread.error == "EISDIR"


@pytest.mark.parametrize("target", ["gone", "../..", "/etc", "current"])
def test_current_leads_nowhere(disk: Disk, target: str) -> None:
    """A dangling link to the current run counts as missing."""
    disk.run("demo", current=False)
    (disk.root / "experiments" / "demo" / "current").symlink_to(target)
    (run,) = reader(disk).experiments()
    assert run.run_id == RUN_ID


@pytest.mark.parametrize(
    "link", [".events/experiments/demo/current", ".experimaestro/experiments/demo"]
)
def test_older_links_to_the_current_run(disk: Disk, link: str) -> None:
    """The current run is found by the links of older releases."""
    disk.run("demo", current=False)
    disk.run("demo", run_id="20261201_120000", current=False)
    path = disk.root / link
    path.parent.mkdir(parents=True)
    path.symlink_to(disk.root / "experiments" / "demo" / RUN_ID)
    (run,) = reader(disk).experiments()
    assert run.run_id == RUN_ID


def test_scheduler_alive(disk: Disk) -> None:
    """A run is active while its scheduler holds the lock of its experiment."""
    disk.run("demo", hostname=Host().name)
    lock = write(disk.root / "experiments" / "demo" / "lock", "")
    found = WorkspaceReader(disk.root)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        (run,) = found.experiments()
        assert (run.status, run.scheduler_alive) == ("running", True)
    (run,) = found.experiments()
    assert (run.status, run.scheduler_alive) == ("crashed", False)


def test_scheduler_elsewhere(disk: Disk) -> None:
    """A run of another host is active as far as this one can know, also without the lock."""
    disk.run("demo")
    (run,) = reader(disk).experiments()
    assert (run.status, run.scheduler_alive) == ("running", None)


def test_jobs_without_a_scheduler(disk: Disk) -> None:
    """A job that only waited in a dead scheduler is not going to run; one that runs by itself does."""
    pid = {"type": "slurm", "pid": "7"}
    running, queued = JobId("t", "running"), JobId("t", "queued")
    disk.job(running, {"state": "running"}, pid=pid)
    disk.job(queued, {"state": "scheduled"}, pid=pid)
    words = {"running": "running", "queued": "scheduled", "aa": "waiting", "bb": "scheduled"}
    words["gone"] = "running"  # and has no directory to run in
    disk.run("demo", [running, queued, JOB, OTHER, JobId("t", "gone")], job_states=words)
    found = reader(disk, TextHost())
    (run,) = found.experiments()
    assert run.status == "crashed"
    states = [job.state for job in found.jobs(run)]
    assert states == ["running", "scheduled", *["unscheduled"] * 3]


def test_ends_of_jobs_that_said_nothing(disk: Disk) -> None:
    """A killed job ended when it wrote last; one that a dependency stopped, when its scheduler last had its lock."""
    disk.run("demo", [JOB, OTHER], job_states={JOB.hash: "error", OTHER.hash: "error:DEPENDENCY"})
    killed = disk.job(JOB, {"state": "running", "started_time": "2026-11-01T12:00:00"})
    stopped = disk.job(OTHER, {"state": "unscheduled", "started_time": "2026-11-01T12:00:00"})
    for name, at in (("ok.out", 1.9e9), ("ok.err", 1.8e9)):
        os.utime(write(killed / name, "epoch 1"), (at, at))
    found = reader(disk)
    (run,) = found.experiments()
    assert next(found.jobs(run)).ended == 1.9e9
    os.utime(disk.events(JOB, {"event_type": "JobProgressEvent"}), (2e9, 2e9))
    for path, at in (
        (stopped / "dep.lock", 1.7e9),
        (stopped / ".experimaestro/status.json", 1.6e9),
    ):
        os.utime(write(path, path.read_text() if path.exists() else ""), (at, at))
    jobs = [(facts.state, facts.started is None, facts.ended) for facts in found.jobs(run)]
    assert jobs == [("error", False, 2e9), ("error", True, 1.7e9)]


def test_start_in_another_zone(disk: Disk) -> None:
    """A start after the end is one of another zone: the first event has the true one, if it is kept."""
    disk.run("demo", [JOB])
    status = {"state": "done", "started_time": "2026-11-01T18:00:00"}
    directory = disk.job(JOB, status, done="")
    os.utime(directory / "ok.done", (1.7e9, 1.7e9))
    found = reader(disk)
    (run,) = found.experiments()
    assert [(facts.started, facts.ended) for facts in found.jobs(run)] == [(None, 1.7e9)]
    events = directory / ".experimaestro" / "events" / "event-0.jsonl"
    write(events, json.dumps({"timestamp": 1.6e9, "started_time": 1.6e9 + 3600}))
    assert [(facts.started, facts.ended) for facts in found.jobs(run)] == [(1.6e9, 1.7e9)]


def test_start_of_a_dead_job_in_another_zone(disk: Disk) -> None:
    """A start after all that a killed job has written is one of another zone: it did not end then."""
    disk.run("demo", [JOB], job_states={JOB.hash: "error"})
    status = {"state": "running", "started_time": "2026-11-01T18:00:00"}
    killed = disk.job(JOB, status)
    for path, at in ((killed / "ok.out", 1.6e9), (killed / ".experimaestro/status.json", 1.7e9)):
        os.utime(write(path, status), (at, at))
    found = reader(disk)
    (run,) = found.experiments()
    assert [(facts.started, facts.ended) for facts in found.jobs(run)] == [(None, 1.6e9)]


def test_job_of_two_experiments(disk: Disk) -> None:
    """A job of two current runs is judged by the later one, as in the picture, and has the tags of both."""
    failed = disk.job(JOB, {"state": "error"}, failed={"code": 1, "reason": "timeout"})
    os.utime(failed / "ok.failed", (1.0, 1.0))
    disk.run("later", [JOB], job_states={}, started_at="2026-11-02T12:00:00")
    disk.run("earlier", [JOB], status="done", job_states={JOB.hash: "error"})
    names = {"run_id": RUN_ID, "job_id": JOB.hash, "task_id": JOB.task, "tags": []}
    said = {"event_type": "ExperimentJobStateEvent", "scheduler_state": "waiting"}
    disk.experiment_events("later", {**said, **names})
    found = reader(disk, TextHost(locked={"later/lock"}))
    (job,) = current_jobs(found) or []
    assert (job.state, job.experiments) == ("waiting", ("earlier", "later"))
    (job,) = current_jobs(found, "earlier") or []
    assert (job.state, job.facts.failure_reason) == ("error", "TIMEOUT")


def test_outputs_that_are_to_be_removed(disk: Disk) -> None:
    """A job whose directory is gone has failed, unless experimaestro was to remove it."""
    run_directory = disk.run("demo", [JOB], job_states={JOB.hash: "done"}, status="done")
    (run,) = reader(disk).experiments()
    (facts,) = reader(disk).jobs(run)
    assert (facts.state, facts.failure_reason) == ("error", "MISSING_OUTPUTS")
    line = {"job_id": JOB.hash, "task_id": JOB.task, "tags": {}, "transient": 2}
    write(run_directory / "jobs.jsonl", json.dumps(line) + "\n")
    (run,) = reader(disk).experiments()
    assert [facts.state for facts in reader(disk).jobs(run)] == ["done"]


def test_run_that_ends_while_it_is_read(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose events are unlinked between its status and them is read again."""
    directory = disk.run("demo", [JOB])
    status = json.loads((directory / "status.json").read_text())
    whole = LiveEvents.of_experiment

    def end(events: LiveEvents, name: str, first: int, look: Look) -> Iterator[JsonObject]:
        ended = {**status, "status": "done", "job_states": {JOB.hash: "error"}}
        write(directory / "status.json.tmp", ended).replace(directory / "status.json")
        monkeypatch.setattr(LiveEvents, "of_experiment", whole)
        return whole(events, name, first, look)

    monkeypatch.setattr(LiveEvents, "of_experiment", end)
    (run,) = reader(disk).experiments()
    assert (run.status, run.job_states) == ("done", {JOB.hash: "error"})


def test_lines_that_name_no_job(disk: Disk) -> None:
    """A line of jobs.jsonl without a job is reported, and the others count."""
    path = disk.run("demo", [JOB]) / "jobs.jsonl"
    path.write_text('{"job_id": "../.."}\n' + path.read_text())
    found = reader(disk)
    (run,) = found.experiments()
    assert list(run.job_infos) == ["aa"]
    assert [each[:2] for each in found.problems] == [(str(path), "has a line that names no job")]


def test_live_events_of_the_current_run(disk: Disk) -> None:
    """Live events of an experiment change its current run, from the right file on."""
    disk.run("demo", [JOB], run_id="20261001_120000")
    disk.run("demo", [JOB], events_count=1)
    event = {"event_type": "ExperimentJobStateEvent", "job_id": "aa", "task_id": "demo.ok"}
    disk.experiment_events("demo", {**event, "scheduler_state": "done"}, number=0)
    disk.experiment_events("demo", {**event, "scheduler_state": "running"}, number=1)
    run = reader(disk).experiment("demo")
    assert run is not None
    assert run.job_states == {"aa": "running"}


def test_first_layout(disk: Disk) -> None:
    """Experiments of version 1 of the layout have one run, whose jobs are known only by links."""
    disk.job(JOB, done="")
    link = disk.root / "xp" / "old" / "jobs" / JOB.task / JOB.hash
    link.parent.mkdir(parents=True)
    link.symlink_to(disk.root / "jobs" / JOB.task / JOB.hash)
    (link.parent / "gone").symlink_to("nowhere")
    found = reader(disk)
    (run,) = found.experiments()
    assert (run.experiment_id, run.run_id, run.status) == ("old", "v1", "unknown")
    assert {job.job_id: job.state for job in found.jobs(run)} == {
        "aa": "done",
        "gone": "unscheduled",
    }


def test_first_layout_after_migration(disk: Disk) -> None:
    """After migration the directory of version 1 is a dangling link, on purpose."""
    (disk.root / "xp").symlink_to("/nowhere")
    disk.run("demo")
    found = reader(disk)
    assert [run.experiment_id for run in found.experiments()] == ["demo"]
    assert not found.problems


def test_one_job(disk: Disk) -> None:
    """A job that is read alone has the state of its own files, including its scheduler's state."""
    disk.job(JOB, {"state": "unscheduled", "scheduler_state": "error"})
    facts = reader(disk).job(JOB)
    assert facts is not None
    assert (facts.state, facts.failure_reason) == ("error", "FAILED")


def test_services(disk: Disk) -> None:
    """Services are those of the current runs; fields of a wrong type are none."""
    disk.run("demo", services={"web": {"service_id": "web", "state": 5}})
    disk.run("other", services={"api": {"description": "API"}, "bad": 3})
    found = reader(disk)
    demo, other = found.experiments()
    assert [each["service_id"] for each in demo.services.values()] == ["web"]
    assert [each["service_id"] for each in other.services.values()] == ["api"]
    assert demo.services["web"]["state"] is None


@pytest.mark.parametrize("name", ["..", "../demo", "", ".", "a/b", "\0"])
def test_hostile_experiment_ids(disk: Disk, name: str) -> None:
    """An id that could lead out of the directory of experiments is no experiment."""
    disk.run("demo")
    found = reader(disk)
    assert found.experiment(name) is None


def make_hostile(disk: Disk) -> None:
    """Fill a workspace with hostile files."""
    root = disk.root
    experiments, jobs = root / "experiments", root / "jobs"
    for name in ("fifo", "deep", "huge", "links", "binary", "array"):
        disk.run(name, [JOB])
    run = f"{RUN_ID}/status.json"
    (experiments / "fifo" / run).unlink()
    os.mkfifo(experiments / "fifo" / run)
    write(experiments / "deep" / run, '{"services": ' + "[" * 300_000)
    with (experiments / "huge" / RUN_ID / "jobs.jsonl").open("wb") as file:
        file.truncate(1 << 30)
    (experiments / "links" / RUN_ID / "jobs.jsonl").unlink()
    (experiments / "links" / RUN_ID / "jobs.jsonl").symlink_to("jobs.jsonl")
    write(experiments / "binary" / run, bytes(range(256)) * 100)
    write(experiments / "array" / run, "[1, 2, 3]")
    (experiments / "loop").symlink_to("loop")
    (experiments / "up").symlink_to("..")
    (experiments / "new\nline").mkdir()
    (experiments / "\x1b[2J").mkdir()
    jobs.mkdir()
    (jobs / "loop").symlink_to("loop")
    for number, content in enumerate(
        [b"\xff\xfe", b"[" * 100_000, b"null", b"{}" * 10, b"1" * 5000]
    ):
        disk.job(JobId("t", f"job{number}"), content, pid=content, failed=content)
    fifo = disk.job(JobId("t", "fifo"))
    for name in ("t.pid", "t.failed", ".experimaestro/status.json"):
        os.mkfifo(fifo / name)
    os.mkfifo(root / ".events")
    disk.run("good", [JobId("t", f"job{k}") for k in range(5)] + [JobId("t", "fifo"), OTHER])
    disk.job(OTHER, {"state": "running"}, done="")


def test_hostile_workspace(disk: Disk) -> None:
    """A hostile workspace neither stops nor hides the rest, and is not changed; broken files are reported."""
    make_hostile(disk)
    before = snapshot(disk.root)
    found = reader(disk, TextHost())
    runs = {run.experiment_id: run for run in found.experiments()}
    assert set(runs) == {"fifo", "deep", "huge", "links", "binary", "array", "good"}
    assert runs["fifo"].status == "unknown"
    assert list(runs["fifo"].job_infos) == ["aa"]
    jobs = {job.job_id: job for run in runs.values() for job in found.jobs(run)}
    assert jobs["bb"].state == "done"
    assert jobs["job0"].state == "error"
    for job_id in (JobId("t", "fifo"), OTHER, *(JobId("t", f"job{number}") for number in range(5))):
        assert found.job(job_id) is not None
    assert snapshot(disk.root) == before
    broken = {each.path for each in found.problems}
    assert str(disk.root / "experiments" / "deep" / RUN_ID / "status.json") in broken
    assert len(broken) == len(list(found.problems))


def test_unreadable_directories(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """An experiment that cannot be read is listed as such and reported, and the rest is read."""
    disk.run("demo", [JOB])
    disk.run("other", [OTHER])
    scandir = os.scandir

    def refuse(path: str) -> Any:
        if path.endswith("/demo"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(filesystem, "scan", refuse)
    found = reader(disk)
    statuses = {run.experiment_id: run.status for run in found.experiments()}
    assert statuses == {"demo": RUN_UNREADABLE, "other": "running"}
    assert [each[:2] for each in found.problems] == [
        (str(disk.root / "experiments" / "demo"), "Permission denied")
    ]
