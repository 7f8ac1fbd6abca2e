"""A workspace that is tracked: everything once, then each change, by inotify and by polling alike, without writing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.effort import examples
from tests.workspace.disk import HOST, RUN_ID, Disk, TextHost, snapshot, write, write_lines
from xpm_remote.workspace.agent.announcing import PAGE, Pages
from xpm_remote.workspace.agent.filling import FILLING
from xpm_remote.workspace.agent.pulses import PULSE_INTERVAL, READINGS_PER_SECOND
from xpm_remote.workspace.agent.tracking import Tracker
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.reading.job_files import JobReader
from xpm_remote.workspace.reading.jobs import JobFacts
from xpm_remote.workspace.reading.reader import WorkspaceReader
from xpm_remote.workspace.reading.runs import RunFacts
from xpm_remote.workspace.watching.inotify import Inotify
from xpm_remote.workspace.watching.watch import LIVE, LOOKS_PER_SECOND, REST, Watcher, signature

ONE, TWO, THREE = (JobId("pkg.learn", letter * 64) for letter in "abc")
RUNNING = {"state": "running", "started_time": "2026-11-01T12:00:01"}
PID = {"type": "local", "pid": 77, "host": "node01"}


class Picture(Pages):
    """A client's data from all reports, and their order."""

    def __init__(self) -> None:
        super().__init__(lambda *_: None)
        self.heads: dict[str, RunFacts] = {}
        self.words: dict[tuple[str, JobId], str | None] = {}
        self.facts: dict[JobId, JobFacts] = {}
        self.told: list[str] = []

    def runs(self, runs: list[RunFacts], removed: list[str], names: list[str] | None) -> None:
        """Record runs."""
        self.told.append("runs")
        self.heads.update({run.experiment_id: run for run in runs})
        for name in removed:
            del self.heads[name]

    def listed(self, run: RunFacts, job_ids: list[str]) -> None:
        """Record what a run lists."""
        self.told.append("listed")
        assert 0 < len(job_ids) <= PAGE
        for job_id in job_ids:
            job = JobId(run.job_infos[job_id].task_id, job_id)
            self.words[run.experiment_id, job] = run.job_states.get(job_id)

    def jobs(self, jobs: list[JobFacts]) -> None:
        """Record jobs."""
        self.told.append("jobs")
        assert 0 < len(jobs) <= PAGE
        self.facts.update({facts.id: facts for facts in jobs})

    def gone(self, job_ids: list[JobId]) -> None:
        """Record jobs that are gone."""
        self.told.append("gone")
        for job_id in job_ids:
            del self.facts[job_id]

    def loaded(self) -> None:
        """Record the end of the first look."""
        self.told.append("loaded")


class View:
    """A tracker of a workspace, with a clock that a test advances.

    Args:
        disk: The workspace.
        tells: An inotify instance, or None.
    """

    def __init__(self, disk: Disk, tells: Inotify | None) -> None:
        self.now = 5000.0
        self.looks = 0
        self.has_inotify = tells is not None
        self.picture = Picture()
        self.host = TextHost(pids=[77])
        self.reader = WorkspaceReader(disk.root, self.host)
        self.watcher = Watcher(tells, lambda: self.now, self._look)
        self.tracker = Tracker(self.reader, self.watcher, self.picture, self.host, lambda: self.now)

    def load(self, since: float | None = None) -> Picture:
        """Read everything."""
        self.tracker.load(since)
        return self.picture

    def run(self, seconds: float) -> Picture:
        """Let time pass as the agent does, each step when it is due."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + max(self.tracker.wait_time(), 0.001))
            self.tracker.step()
        return self.picture

    def settle(self) -> Picture:
        """Wait until a change is found: at once with inotify, at the slowest pace without."""
        return self.run(1.0 + FILLING if self.has_inotify else 2 * REST.cold)

    def _look(self, path: str) -> tuple[int, ...] | None:
        self.looks += 1
        return signature(path)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """A workspace with a running experiment of two jobs: one runs, one waits."""
    disk = Disk(tmp_path / "ws")
    (disk.root / ".events" / "jobs").mkdir(parents=True)
    (disk.root / ".events" / "experiments").mkdir(parents=True)
    disk.run("exp", [ONE, TWO], job_states={ONE.hash: "running", TWO.hash: "waiting"})
    disk.job(ONE, RUNNING, pid=PID)
    disk.job(TWO, {"state": "waiting"})
    return disk


@pytest.fixture(params=["inotify", "polling"])
def view(request: pytest.FixtureRequest, disk: Disk) -> Iterator[View]:
    """A view of the workspace after the first look, once with inotify and once with inotify refused."""
    view = View(disk, Inotify() if request.param == "inotify" else None)
    view.host.locked = {"exp/lock", "learn.lock"}
    view.load()
    yield view
    view.watcher.close()


def done(disk: Disk) -> None:
    """A job ends well."""
    disk.job(ONE, {"state": "done"}, done="")
    (disk.root / "jobs" / ONE.task / ONE.hash / "learn.pid").unlink()


def failed(disk: Disk) -> None:
    """A job fails."""
    disk.job(ONE, failed={"code": 1, "reason": "timeout", "message": "too slow"})


def progress(disk: Disk) -> None:
    """A job reports progress."""
    disk.events(
        ONE, {"event_type": "JobProgressEvent", "level": 0, "progress": 0.5, "desc": "half"}
    )


def started(disk: Disk) -> None:
    """A job that waited begins."""
    disk.job(TWO, RUNNING, pid=PID)
    disk.events(TWO, {"event_type": "JobStateChangedEvent", "state": "running"})
    disk.experiment_events("exp", _word(TWO, "running"))


def submitted(disk: Disk) -> None:
    """A job is submitted."""
    path = disk.root / "experiments" / "exp" / RUN_ID / "jobs.jsonl"
    with path.open("a") as lines:
        lines.write(f'{{"job_id":"{THREE.hash}","task_id":"{THREE.task}","tags":{{"x":3}}}}\n')
    disk.experiment_events("exp", _word(THREE, "submitted"))


def dependency(disk: Disk) -> None:
    """The scheduler marks a job whose dependency failed; the job's own files do not change."""
    disk.experiment_events("exp", {**_word(TWO, "error"), "failure_reason": "DEPENDENCY"})


def new_experiment(disk: Disk) -> None:
    """Another experiment begins."""
    disk.job(THREE, {"state": "done"}, done="")
    disk.run("other", [THREE], job_states={THREE.hash: "done"})


def next_run(disk: Disk) -> None:
    """The experiment is run again, with other jobs."""
    disk.job(THREE, RUNNING, pid=PID)
    disk.run("exp", [TWO, THREE], run_id="20261102_120000", job_states={THREE.hash: "running"})


def run_ends(disk: Disk) -> None:
    """The run ends: its last events are moved into its status."""
    disk.job(ONE, {"state": "done"}, done="")
    path = disk.root / "experiments" / "exp" / RUN_ID / "status.json"
    words = {ONE.hash: "done", TWO.hash: "unscheduled"}
    write(path, {"experiment_id": "exp", "run_id": RUN_ID, "status": "done", "job_states": words})


def experiment_removed(disk: Disk) -> None:
    """The experiment is deleted."""
    shutil.rmtree(disk.root / "experiments" / "exp")


def job_removed(disk: Disk) -> None:
    """The directory of a job is deleted."""
    shutil.rmtree(disk.root / "jobs" / TWO.task / TWO.hash)


def job_moved(disk: Disk) -> None:
    """The directory of a job becomes a link to a folder."""
    directory = disk.root / "jobs" / TWO.task / TWO.hash
    directory.rename(disk.root / "moved")
    directory.symlink_to(disk.root / "moved")


def old_events(disk: Disk) -> None:
    """A job of experimaestro 2.0.0 reports progress, in the layout of its time."""
    directory = disk.root / ".events" / "jobs" / ONE.task
    event = {"event_type": "JobProgressEvent", "level": 0, "progress": 0.25, "desc": None}
    write_lines(directory / f"event-{ONE.hash}-0.jsonl", [event])


CHANGES = [
    done,
    failed,
    progress,
    started,
    submitted,
    dependency,
    new_experiment,
    next_run,
    run_ends,
    experiment_removed,
    job_removed,
    job_moved,
    old_events,
]


def _word(job: JobId, state: str) -> dict[str, object]:
    names = {"experiment_id": "exp", "run_id": RUN_ID, "job_id": job.hash, "task_id": job.task}
    return {"event_type": "ExperimentJobStateEvent", "scheduler_state": state, "tags": [], **names}


def truth(view: View, disk: Disk) -> tuple[dict[str, RunFacts], dict[JobId, JobFacts]]:
    """Read everything anew."""
    reader = WorkspaceReader(disk.root, view.host)
    runs = {run.experiment_id: run for run in reader.experiments()}
    by_age = sorted(runs.values(), key=lambda run: (run.started or 0.0, run.experiment_id))
    return runs, {facts.id: facts for run in by_age for facts in reader.jobs(run)}


def check(view: View, disk: Disk) -> None:
    """Check that the reported data is that of the disk."""
    runs, jobs = truth(view, disk)
    picture = view.picture
    assert picture.facts == jobs
    assert set(picture.heads) == set(runs)
    for name, run in runs.items():
        assert _head(picture.heads[name]) == _head(run)
        for job_id, info in run.job_infos.items():
            assert picture.words[name, JobId(info.task_id, job_id)] == run.job_states.get(job_id)


def _head(run: RunFacts) -> RunFacts:
    return run._replace(job_infos={}, job_states={})


def active_jobs(view: View) -> int:
    """Return the number of active jobs."""
    return len(view.tracker._active)


def test_first_look(view: View, disk: Disk) -> None:
    """Runs come first, then what they list, then the jobs; then the end is reported."""
    assert view.picture.told[:2] == ["runs", "listed"]
    assert view.picture.told[-1] == "loaded"
    check(view, disk)
    assert active_jobs(view) == 1


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_each_change_is_found(change: Callable[[Disk], None], view: View, disk: Disk) -> None:
    """Every kind of change in a workspace is reported, with inotify and without."""
    before = dict(view.picture.facts), dict(view.picture.heads), dict(view.picture.words)
    change(disk)
    view.settle()
    check(view, disk)
    after = view.picture.facts, view.picture.heads, view.picture.words
    assert after != before


@pytest.mark.parametrize("moment", ["after it was read", "before it is watched"])
def test_directory_first_and_marker_later(
    moment: str, view: View, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job's directory appears empty, is read, and its marker comes later, without an event."""
    disk.run("other", [THREE], job_states={THREE.hash: "waiting"})
    view.settle()
    directory = disk.root / "jobs" / THREE.task / THREE.hash
    directory.mkdir()
    if moment == "before it is watched":
        places = view.tracker._places
        watch = places.watch_job

        def watch_late(job_id: JobId) -> None:
            (directory / "learn.done").touch()
            watch(job_id)

        monkeypatch.setattr(places, "watch_job", watch_late)
    view.settle()
    if moment == "after it was read":
        (directory / "learn.done").touch()
        view.settle()
    assert view.picture.facts[THREE].state == "done"
    check(view, disk)


def test_one_after_the_other(view: View, disk: Disk) -> None:
    """A history of changes is followed to its end."""
    for change in (progress, submitted, started, done, dependency, new_experiment, next_run):
        change(disk)
        view.settle()
        check(view, disk)


def test_live_changes_by_polling(disk: Disk) -> None:
    """Where inotify is blind, changes of a running job are reported within seconds."""
    view = View(disk, None)
    view.host.locked = {"exp/lock", "learn.lock"}
    progress(disk)
    view.load()
    view.run(10)
    for change in (progress, done):
        change(disk)
        view.run(LIVE.cold + 1)
        check(view, disk)


def test_death_of_a_process(view: View, disk: Disk) -> None:
    """A job that was killed leaves no trace on disk, and is soon reported as dead."""
    view.host.pids.clear()
    view.host.locked = {"exp/lock"}
    view.run(2 * PULSE_INTERVAL + 1)
    assert view.picture.facts[ONE].has_died
    check(view, disk)
    assert active_jobs(view) == 0


def test_death_of_a_scheduler(view: View, disk: Disk) -> None:
    """A scheduler that was killed is reported as crashed, and its waiting jobs as not going to run."""
    view.host.locked = {"learn.lock"}
    view.run(2 * PULSE_INTERVAL + 1)
    assert view.picture.heads["exp"].status == "crashed"
    assert view.picture.facts[TWO].state == "unscheduled"
    check(view, disk)


def test_nothing_is_told_twice(view: View, disk: Disk) -> None:
    """A rewritten file with the same contents is not reported again."""
    view.picture.told.clear()
    disk.job(ONE, RUNNING, pid=PID)
    os.utime(disk.root / "experiments" / "exp" / RUN_ID / "status.json")
    view.settle()
    assert view.picture.told == []


def test_an_hour_of_watching_writes_nothing(view: View, disk: Disk) -> None:
    """After an hour no file of the workspace has changed, in content, time or name."""
    before = snapshot(disk.root)
    looks = view.looks
    view.run(3600)
    assert snapshot(disk.root) == before
    assert view.picture.told[-1] == "loaded"
    assert view.looks - looks < 3600 * 6


@pytest.mark.slow
@pytest.mark.parametrize("host", [HOST, "another"])
def test_cost_of_many_running_jobs(disk: Disk, host: str) -> None:
    """With very many running jobs, looks and readings per second are bounded; those that live here are not read."""
    jobs = [JobId("pkg.learn", f"{number:064d}") for number in range(examples(300, 1000))]
    for job in jobs:
        disk.job(job, RUNNING, pid={**PID, "host": host})
        disk.events(job, {"event_type": "JobStateChangedEvent", "state": "running"})
    disk.run("many", jobs, job_states={job.hash: "running" for job in jobs})
    view = View(disk, None)
    view.host.locked = {"lock"}
    view.load()
    assert active_jobs(view) == len(jobs) + 1
    looks = view.looks
    readings = _count_readings(view)
    view.run(60)
    assert view.looks - looks <= 61 * LOOKS_PER_SECOND
    assert len(readings) <= 61 * READINGS_PER_SECOND
    away = len(jobs) if host != HOST else 0
    assert len(set(readings)) > 0.9 * min(away, 60 * READINGS_PER_SECOND) - 1
    assert len(set(readings)) <= away + 1


def _count_readings(view: View) -> list[str]:
    readings: list[str] = []
    read = view.reader.jobs

    def counted(run: RunFacts, jobs: JobReader | None = None) -> Iterator[JobFacts]:
        readings.extend(run.job_infos)
        return read(run, jobs)

    view.reader.jobs = counted  # type: ignore[method-assign]
    return readings


def test_important_first(disk: Disk) -> None:
    """Active jobs are reported before those that have ended; of the others the newest experiments first."""
    old = [JobId("pkg.old", f"a{number:063d}") for number in range(3)]
    new = [JobId("pkg.new", f"b{number:063d}") for number in range(3)]
    for name, jobs, when in (("aa", old, "2025"), ("zz", new, "2026")):
        words = {job.hash: "done" for job in jobs}
        disk.run(name, jobs, status="done", started_at=f"{when}-01-01T00:00:00", job_states=words)
        for job in jobs:
            disk.job(job, {"state": "done"}, done="")
    view = View(disk, None)
    assert list(view.load().facts) == [ONE, TWO, *new, *old]


def test_stopped_early(disk: Disk) -> None:
    """The first look ends when the client is gone."""
    view = View(disk, None)
    view.tracker.load(None, lambda: True)
    assert view.picture.facts == {}
    assert "loaded" not in view.picture.told


# After a gap


def test_since(disk: Disk) -> None:
    """Of ended jobs only those that changed since are reported; active ones are reported in any case."""
    finished = [JobId("pkg.eval", f"{number:064d}") for number in range(4)]
    for job in finished:
        disk.job(job, {"state": "done"}, done="")
    words = {job.hash: "done" for job in finished}
    disk.run("ended", finished, status="done", job_states=words)
    later = os.stat(disk.root).st_ctime + 10_000  # noqa: PTH116
    first = View(disk, None).load(later)
    assert set(first.facts) == {ONE, TWO}
    assert set(first.heads) == {"exp", "ended"}
    assert {job for name, job in first.words if name == "ended"} == set()
    assert set(View(disk, None).load(0.0).facts) == {ONE, TWO, *finished}


@pytest.mark.parametrize("change", ["recovered", "removed", "failed"])
def test_changes_of_a_gap(change: str, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that was recovered with its old times, removed or written during the gap is reported."""
    job = JobId("pkg.eval", "d" * 64)
    directory = disk.job(job, {"state": "done"}, done="")
    disk.run("ended", [job], status="done", job_states={job.hash: "done"})
    monkeypatch.setattr("xpm_remote.workspace.reading.directories.SLACK", 0.0)
    mark = _after_now(disk)
    if change == "recovered":
        shutil.copytree(directory, disk.root / "copy")
        shutil.rmtree(directory)
        (disk.root / "copy").rename(directory)
    elif change == "removed":
        shutil.rmtree(directory)
    else:
        write(directory / ".experimaestro" / "status.json", {"state": "error"})
    assert job in View(disk, None).load(mark).facts


def test_known_by_the_mark_and_changed_later(disk: Disk) -> None:
    """A job that was not reported because of the mark is reported when it changes afterwards."""
    job = JobId("pkg.eval", "d" * 64)
    directory = disk.job(job, {"state": "done"}, done="")
    disk.run("ended", [job], status="done", job_states={job.hash: "done"})
    view = View(disk, None)
    assert job not in view.load(os.stat(disk.root).st_ctime + 10_000).facts  # noqa: PTH116
    shutil.rmtree(directory)
    view.settle()
    assert not view.picture.facts[job].has_directory


def _after_now(disk: Disk) -> float:
    """Return a time of the file system after all earlier ones, waiting for its clock to advance."""
    probe = disk.root.parent / "probe"
    probe.touch()
    newest = max(status[3] for status in snapshot(disk.root).values())
    while probe.stat().st_ctime_ns <= newest:
        probe.touch()
    return probe.stat().st_ctime
