"""The files of a job, rule by rule."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.reference_form import job_form
from tests.workspace.disk import Disk, TextHost, write
from xpm_remote.model.records import JobRecord
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.reading import job_files, json_files, looks
from xpm_remote.workspace.reading.directories import Directories
from xpm_remote.workspace.reading.job_files import JobReader
from xpm_remote.workspace.reading.jobs import CLAIM, DIED, JobFacts
from xpm_remote.workspace.reading.json_files import Problems
from xpm_remote.workspace.reading.live_events import LiveEvents
from xpm_remote.workspace.states import Process, Progress

JOB = JobId("demo.ok", "aa")
PID = {"type": "local", "pid": 5, "host": "node01"}
RUNNING = {"state": "running", "started_time": "2026-11-01T12:00:00", "events_count": 0}
MARKED_AT = 1795371022.25


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """An empty workspace."""
    return Disk(tmp_path / "ws")


def read(
    disk: Disk,
    word: str | None = None,
    host: TextHost | None = None,
    run_host: str | None = None,
    problems: Problems | None = None,
) -> JobFacts:
    """Return the job, read alone and as one of many, which must be equal."""
    problems = Problems() if problems is None else problems
    events = LiveEvents(str(disk.root), problems)
    reader = JobReader(str(disk.root / "jobs"), events, host or TextHost(pids=[5]), problems)
    facts = reader.read(JOB.task, JOB.hash, word, run_host)
    directories = Directories(str(disk.root / "jobs"))
    listed = JobReader(
        str(disk.root / "jobs"), events.listed(), reader._host, problems, directories
    )
    assert listed.read(JOB.task, JOB.hash, word, run_host) == facts
    return facts


def mark(disk: Disk, ending: str, content: object = "") -> None:
    """Write a marker."""
    path = write(disk.root / "jobs" / JOB.task / JOB.hash / f"ok.{ending}", content)
    os.utime(path, (MARKED_AT, MARKED_AT))


@pytest.mark.parametrize("state", ["running", "error", "unscheduled", "nonsense", None])
def test_done_marker_wins(disk: Disk, state: str | None) -> None:
    """A job with its marker of success is done, with any other files; it ended when the marker was written."""
    disk.job(JOB, {"state": state, "process": PID}, pid=PID)
    mark(disk, "done")
    mark(disk, "failed", {"reason": "timeout"})
    disk.events(JOB, {"event_type": "JobStateChangedEvent", "state": "running"})
    facts = read(disk, "running", TextHost())
    assert (facts.state, facts.failure_reason, facts.process) == ("done", None, None)
    assert (facts.ended, facts.has_done_marker, facts.has_died) == (MARKED_AT, True, False)


@pytest.mark.parametrize(
    ("content", "reason", "code", "message"),
    [
        ({"code": 1, "reason": "failed"}, "FAILED", 1, None),
        ({"code": 1, "reason": "timeout", "message": "late"}, "TIMEOUT", 1, "late"),
        ({"code": 15, "reason": "cancelled"}, "CANCELLED", 15, None),
        ({"failure_status": "memory"}, "MEMORY", None, None),
        ("137", "FAILED", 137, None),
        ("", "FAILED", None, None),
        ("{", "FAILED", None, None),
        ([1], "FAILED", None, None),
    ],
)
def test_failure_marker(
    disk: Disk, content: object, reason: str, code: int | None, message: str | None
) -> None:
    """The reason of a failure is read from its marker, also when status.json says that the job failed."""
    disk.job(JOB, {"state": "error", "failure_reason": "FAILED"})
    mark(disk, "failed", content)
    facts = read(disk)
    assert (facts.state, facts.failure_reason) == ("error", reason)
    assert (facts.exit_code, facts.message, facts.ended) == (code, message, MARKED_AT)


def test_status_knows_the_reason(disk: Disk) -> None:
    """With a marker without an informative reason, that of status.json counts."""
    disk.job(JOB, {"state": "error", "failure_reason": "MEMORY"})
    mark(disk, "failed", {"code": 1, "reason": "failed"})
    assert read(disk).failure_reason == "MEMORY"


def test_failure_marker_of_a_success(disk: Disk) -> None:
    """A marker with the bare number 0, as the first releases wrote it, is one of success."""
    disk.job(JOB)
    mark(disk, "failed", "0")
    assert read(disk).state == "done"


def test_pid_file_means_running(disk: Disk) -> None:
    """A job with a pid file runs, even when its status.json is not written yet."""
    disk.job(JOB, pid=PID)
    facts = read(disk)
    assert (facts.state, facts.process) == ("running", Process(5, "local", "node01"))


def test_pid_file_keeps_the_status(disk: Disk) -> None:
    """A job with a pid file is in the state that its status.json has."""
    disk.job(JOB, {"state": "scheduled"}, pid={"type": "slurm", "pid": "77", "options": []})
    facts = read(disk, host=TextHost(), run_host="node01")
    assert (facts.state, facts.process) == ("scheduled", Process("77", "slurm", None))


def test_no_trace_but_the_run(disk: Disk) -> None:
    """A job without marker and pid file has the state of its run; without a run, that of status.json."""
    disk.job(JOB, {"state": "running"})
    assert read(disk, "waiting").state == "waiting"
    assert read(disk, "error:DEPENDENCY").failure_reason == "DEPENDENCY"
    assert read(disk, "nonsense").state == "running"
    assert read(disk).state == "running"


def test_no_directory(disk: Disk) -> None:
    """A job without a directory has the state of its run, and is marked as having none."""
    facts = read(disk, "waiting")
    assert (facts.state, facts.has_directory) == ("waiting", False)


def test_file_in_the_place_of_a_directory(disk: Disk) -> None:
    """A job whose directory is a file has none; so has one whose task is a file."""
    write(disk.root / "jobs" / JOB.task / JOB.hash, "")
    assert (read(disk, "waiting").state, read(disk).has_directory) == ("waiting", False)
    shutil.rmtree(disk.root / "jobs")
    write(disk.root / "jobs" / JOB.task, "")
    assert (read(disk, "waiting").state, read(disk).has_directory) == ("waiting", False)


def test_link_to_moved_job(disk: Disk, tmp_path: Path) -> None:
    """A job that was moved to a folder is read through its link."""
    directory = disk.job(JOB, RUNNING)
    mark(disk, "done")
    directory.rename(tmp_path / "moved")
    directory.symlink_to(tmp_path / "moved")
    facts = read(disk)
    assert (facts.state, facts.is_link, facts.has_directory) == ("done", True, True)
    directory.unlink()
    directory.symlink_to(tmp_path / "gone")
    facts = read(disk)
    assert (facts.state, facts.is_link, facts.has_directory) == ("unscheduled", True, False)


def test_failure_marker_taken_away(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A marker that is removed for the next attempt during the reading counts as missing."""
    disk.job(JOB, RUNNING, pid=PID)
    mark(disk, "failed", {"reason": "timeout"})
    whole = json_files.read_value

    def remove(path: str, limit: int, problems: Problems) -> object:
        Path(path).unlink(missing_ok=True)
        return whole(path, limit, problems)

    monkeypatch.setattr(job_files, "read_value", remove)
    assert read(disk).state == "running"


@pytest.mark.parametrize(
    ("content", "process"),
    [
        ({"pid": "5"}, Process(5, "local", None)),
        ({"pid": True}, None),
        ({"pid": "9" * 5000}, None),
        ({"type": "slurm"}, None),
        ("[]", None),
    ],
)
def test_pid_files(disk: Disk, content: object, process: Process | None) -> None:
    """A pid file names a process, or none if it is broken; the job runs anyway."""
    disk.job(JOB, pid=content)
    facts = read(disk)
    assert facts.process == process
    assert facts.state == "running"
    assert (job_form(facts)["process"] is None) is (process is None)


def test_dead_process(disk: Disk) -> None:
    """A job whose process is gone without a marker has failed, and is not shown as running."""
    disk.job(JOB, RUNNING, pid=PID)
    facts = read(disk, "running", TextHost())
    assert (facts.state, facts.failure_reason, facts.message) == ("error", "FAILED", DIED)
    assert (facts.has_died, facts.process) == (True, None)


@pytest.mark.parametrize(
    "host",
    [TextHost(pids=[5]), TextHost(locked=["demo.ok/aa/ok.lock"]), TextHost(name="elsewhere")],
    ids=["process", "lock", "host"],
)
def test_living_process(disk: Disk, host: TextHost) -> None:
    """A job runs while its process lives, its lock is held, or its host is another."""
    disk.job(JOB, RUNNING, pid=PID)
    assert read(disk, host=host).state == "running"


@pytest.mark.parametrize(
    ("host", "state"),
    [
        (TextHost(pids=[5]), "running"),
        (TextHost(locked=["demo.ok/aa/ok.lock"]), "running"),
        (TextHost(name="elsewhere"), "running"),
        (TextHost(), "done"),
    ],
    ids=["process", "lock", "host", "gone"],
)
@pytest.mark.parametrize("kept", ["pid file", "status"])
def test_success_before_its_marker(disk: Disk, host: TextHost, state: str, kept: str) -> None:
    """A job that has succeeded by its status runs until its marker is there, or its process is gone without one."""
    said = {**RUNNING, "state": "done", "ended_time": "2026-11-01T13:00:00"}
    if kept == "pid file":
        os.utime(disk.job(JOB, said, pid=PID) / "ok.pid", (1.0, 1.0))
    else:
        disk.job(JOB, {**said, "process": PID})
    facts = read(disk, "done", host=host)
    assert (facts.state, facts.has_done_marker) == (state, False)
    mark(disk, "done")
    assert read(disk, "done", host=host).state == "done"


def test_pid_file_without_host(disk: Disk) -> None:
    """A pid file without a host, as before 2.7, is of the run's host; without a run the host is unknown."""
    disk.job(JOB, RUNNING, pid={"type": "local", "pid": 5})
    assert read(disk, host=TextHost(), run_host="node01").has_died
    assert not read(disk, host=TextHost(), run_host="node02").has_died
    assert not read(disk, host=TextHost()).has_died


@pytest.mark.parametrize(("ending", "state"), [("done", "done"), ("failed", "error")])
def test_end_while_it_is_read(disk: Disk, ending: str, state: str) -> None:
    """A job that ends between the checks of its marker and of its process has not died."""
    disk.job(JOB, RUNNING, pid=PID)
    host = TextHost()

    def end(pid: int, at: float | None) -> bool:
        mark(disk, ending, {"reason": "timeout"})
        return False

    host.is_running = end
    events = LiveEvents(str(disk.root), Problems())
    facts = JobReader(str(disk.root / "jobs"), events, host, Problems()).read(*JOB)
    assert (facts.state, facts.has_died) == (state, False)


CLAIMED = {"code": 1, "reason": "failed", "message": CLAIM}
SLURM = {"type": "slurm", "pid": "15", "options": []}
LOCKED = ["demo.ok/aa/ok.lock"]


@pytest.mark.parametrize(
    ("status", "host"),
    [
        (RUNNING, TextHost(locked=LOCKED)),
        ({"state": "error"}, TextHost(locked=LOCKED)),
        ({**RUNNING, "process": PID}, TextHost(pids=[5])),
        ({**RUNNING, "process": {**PID, "host": "node02"}}, TextHost(locked=LOCKED)),
    ],
    ids=["lock", "lock, status rewritten", "process", "another host's"],
)
def test_claim_about_a_living_job(disk: Disk, status: object, host: TextHost) -> None:
    """A job that a monitor declares dead runs while its lock is held, or its process lives."""
    disk.job(JOB, status)
    mark(disk, "failed", CLAIMED)
    facts = read(disk, "scheduled", host, "node01")
    assert (facts.state, facts.failure_reason, facts.message) == ("running", None, None)
    assert (facts.certain, facts.ended, facts.has_failure_marker) == (True, None, True)


@pytest.mark.parametrize("process", [SLURM, {**PID, "host": "node02"}])
def test_claim_about_a_job_that_writes(disk: Disk, process: object) -> None:
    """A job that no one here can see runs if it has written since it was declared dead."""
    directory = disk.job(JOB, {**RUNNING, "process": process})
    mark(disk, "failed", CLAIMED)
    write(directory / "ok.err", "epoch 2")
    assert (read(disk).state, read(disk).certain) == ("running", True)
    os.utime(directory / "ok.err", (MARKED_AT - 60, MARKED_AT - 60))
    assert (read(disk).state, read(disk).certain) == ("running", False)
    disk.events(JOB, progress_event(0, 0.5) | {"timestamp": MARKED_AT + 60})
    assert (read(disk).state, read(disk).certain) == ("running", True)


@pytest.mark.parametrize("state", ["scheduled", "running", "error"])
def test_claim_that_cannot_be_checked(disk: Disk, state: str) -> None:
    """A job of SLURM that a monitor declares dead is in the state before that, or has failed, and is uncertain."""
    disk.job(JOB, {**RUNNING, "state": state, "process": SLURM})
    mark(disk, "failed", CLAIMED)
    facts = read(disk, run_host="node01")
    assert (facts.state, facts.certain) == (state, False)


@pytest.mark.parametrize("process", [PID, None])
def test_true_claim(disk: Disk, process: object) -> None:
    """A job of this host that a monitor declares dead, and is, ended when it wrote last."""
    directory = disk.job(JOB, {**RUNNING, "process": process})
    for ending, ago in (("out", 90), ("err", 60)):
        os.utime(write(directory / f"ok.{ending}", "epoch 1"), (MARKED_AT - ago, MARKED_AT - ago))
    mark(disk, "failed", CLAIMED)
    facts = read(disk, host=TextHost(), run_host="node01")
    assert (facts.state, facts.certain, facts.ended) == ("error", True, MARKED_AT - 60)
    write(directory / "ok.sh", "#SBATCH")
    assert read(disk, host=TextHost(), run_host="node01").certain == (process is not None)


def test_failure_of_an_earlier_try(disk: Disk) -> None:
    """A job that has started after a failure runs, if its lock is held or its process lives."""
    directory = disk.job(JOB, {**RUNNING, "started_time": "2026-11-30T12:00:00"}, pid=PID)
    mark(disk, "failed", {"code": 1, "reason": "failed"})
    assert read(disk, host=TextHost(locked=LOCKED)).state == "running"
    assert read(disk, host=TextHost(pids=[5])).state == "running"
    assert read(disk, host=TextHost()).state == "error"
    disk.job(JOB, {"state": "error"})
    (directory / "ok.pid").unlink()
    assert read(disk, host=TextHost(locked=LOCKED)).state == "error"
    write(directory / "ok.out", "epoch 2")
    assert read(disk, host=TextHost(locked=LOCKED)).state == "running"


@pytest.mark.parametrize("content", [{"code": 1, "reason": "failed"}, CLAIMED, "1", ""])
def test_marker_of_a_job_that_has_its_pid_file(disk: Disk, content: object) -> None:
    """A marker is not that of a job whose pid file is there and whose lock is held, whatever it holds."""
    disk.job(JOB, RUNNING, pid=PID)
    write(disk.root / "jobs" / JOB.task / JOB.hash / "ok.failed", content)
    assert read(disk, host=TextHost(pids=[5], locked=LOCKED)).state == "running"
    assert read(disk, host=TextHost("elsewhere", locked=LOCKED)).state == "running"
    assert read(disk, host=TextHost()).state == "error"


def test_failure_while_the_process_ends(disk: Disk) -> None:
    """A process that has left its marker has failed, while it still holds its lock and writes the end of its log."""
    directory = disk.job(JOB, RUNNING)
    mark(disk, "failed", {"code": 1, "reason": "timeout"})
    os.utime(write(directory / "ok.err", "cleaning up"), (MARKED_AT + 1, MARKED_AT + 1))
    facts = read(disk, host=TextHost(pids=[5], locked=LOCKED))
    assert (facts.state, facts.failure_reason) == ("error", "TIMEOUT")


def test_marker_that_is_being_written(disk: Disk) -> None:
    """A process that has made its marker, and not said yet why it fails, counts as running."""
    directory = disk.job(JOB, RUNNING, pid=PID)
    os.utime(directory / "ok.pid", (MARKED_AT - 60, MARKED_AT - 60))
    mark(disk, "failed", "")
    assert read(disk, host=TextHost(pids=[5], locked=LOCKED)).state == "running"
    # One that was told to end frees its lock while another thread of it still writes why.
    assert read(disk, host=TextHost(pids=[5])).state == "running"
    assert read(disk, host=TextHost()).state == "error"


def test_pid_file_before_the_note_of_it(disk: Disk) -> None:
    """A scheduler writes the pid file before its note: until then the job is scheduled, whatever it was before."""
    disk.job(JOB, {"state": "waiting"}, pid=PID)
    assert read(disk).state == "scheduled"
    disk.job(JOB, {"state": "error", "ended_time": "2026-11-01T12:00:00"})
    assert read(disk, "waiting").state == "scheduled"


@pytest.mark.parametrize("word", ["submitted", "waiting", None])
def test_pid_file_of_another_run_than_the_status(disk: Disk, word: str | None) -> None:
    """A job that was killed in an earlier run, and has a new pid file, is scheduled until its process says more."""
    disk.job(JOB, RUNNING, pid=PID)
    reader = JobReader(
        str(disk.root / "jobs"),
        LiveEvents(str(disk.root), Problems()),
        TextHost(pids=[5]),
        Problems(),
    )
    facts = reader.read(*JOB, word, "node01", MARKED_AT)
    assert (facts.state, facts.started) == ("scheduled", None)
    mark(disk, "pid", PID)
    assert reader.read(*JOB, word, "node01", MARKED_AT + 60).state == "running"


def test_end_without_a_pid_file(disk: Disk) -> None:
    """A process removes its pid file, then says that it is done, and last leaves its marker: until then it runs."""
    disk.job(JOB, {**RUNNING, "process": PID})
    assert read(disk, "scheduled", TextHost()).state == "running"
    disk.events(JOB, state_event("done", timestamp=MARKED_AT))
    assert read(disk, "scheduled", TextHost()).state == "running"
    assert read(disk, "waiting", TextHost(pids=[5])).state == "running"


def read_over(disk: Disk, host: TextHost) -> JobFacts:
    """Return the job, whose scheduler has ended."""
    events = LiveEvents(str(disk.root), Problems())
    reader = JobReader(str(disk.root / "jobs"), events, host, Problems())
    return reader.read(*JOB, "running", "node01", is_over=True)


def test_without_a_scheduler(disk: Disk) -> None:
    """When the scheduler has ended, a job without a pid file runs as long as its process, and one elsewhere may run."""
    disk.job(JOB, {**RUNNING, "process": PID})
    assert read_over(disk, TextHost(pids=[5])).state == "running"
    assert read_over(disk, TextHost()).has_died
    disk.job(JOB, {**RUNNING, "process": SLURM}, pid=SLURM)
    facts = read_over(disk, TextHost())
    assert (facts.state, facts.certain) == ("running", False)
    assert read_over(disk, TextHost(locked=LOCKED)).certain


@pytest.mark.parametrize("left", ["failed", "status", "pid"])
def test_files_of_an_earlier_run(disk: Disk, left: str) -> None:
    """A job that its scheduler starts anew waits, whatever an earlier run has left."""
    submitted = MARKED_AT + 60
    disk.job(JOB, RUNNING if left == "pid" else {**RUNNING, "state": "error"})
    if left == "failed":
        mark(disk, "failed", {"code": 1, "reason": "timeout"})
    if left == "pid":
        mark(disk, "pid", PID)
    reader = JobReader(
        str(disk.root / "jobs"), LiveEvents(str(disk.root), Problems()), TextHost(), Problems()
    )
    facts = reader.read(*JOB, "waiting", "node01", submitted)
    assert (facts.state, facts.failure_reason, facts.started) == ("waiting", None, None)
    if left == "status":
        disk.job(JOB, {"scheduler_state": "error", "scheduler_failure_reason": "DEPENDENCY"})
        path = disk.root / "jobs" / JOB.task / JOB.hash / ".experimaestro" / "status.json"
        os.utime(path, (MARKED_AT, MARKED_AT))
        assert reader.read(*JOB, "waiting", "node01", submitted).scheduler_state == "unscheduled"
    kept = reader.read(*JOB, "submitted", "node01", submitted)
    assert kept.state == ("waiting" if left == "status" else "error")


def state_event(state: str, **fields: object) -> dict[str, Any]:
    """Make an event of a job's state."""
    return {"event_type": "JobStateChangedEvent", "state": state, **fields}


def progress_event(level: int, progress: object, desc: object = None) -> dict[str, Any]:
    """Make an event of a job's progress."""
    return {"event_type": "JobProgressEvent", "level": level, "progress": progress, "desc": desc}


def test_live_events(disk: Disk) -> None:
    """Live events override status.json: states, times, and progress, in which a level replaces deeper ones."""
    disk.job(JOB, {"state": "scheduled", "events_count": 0, "retry_count": 1}, pid=PID)
    disk.events(
        JOB,
        state_event("running", started_time="2026-11-01T12:00:00", retry_count=0, progress=[]),
        progress_event(0, 0.1, "epoch 1"),
        progress_event(1, 0.5, "batch"),
        progress_event(0, 0.2, "epoch 2"),
        progress_event(1, 0.25),
        {"event_type": "SomethingNew"},
        state_event("dancing"),
    )
    facts = read(disk)
    assert (facts.state, facts.retry_count) == ("running", 1)
    assert job_form(facts)["started_time"] == "2026-11-01T12:00:00"
    assert facts.progress == (Progress(0, 0.2, "epoch 2"), Progress(1, 0.25, None))


def test_time_of_progress(disk: Disk) -> None:
    """Progress has the time at which it was told first; progress of status.json has none."""
    told = {"progress": [{"level": 0, "progress": 0.1}]}
    disk.job(JOB, {"state": "running", **told}, pid=PID)
    assert read(disk).progressed is None
    disk.events(JOB, {**progress_event(0, 0.2), "timestamp": 100.5})
    assert read(disk).progressed == 100.5
    disk.events(
        JOB,
        state_event("running", timestamp=101.5, **told),
        {**progress_event(0, 0.1), "timestamp": 102.5},
    )
    assert read(disk).progressed == 101.5
    disk.events(
        JOB, *({**progress_event(0, each), "timestamp": 10 * each} for each in (0.2, 0.3, 0.3))
    )
    assert read(disk).progressed == 3.0


def test_event_of_another_zone(disk: Disk) -> None:
    """A process in another zone than its scheduler writes naive times of that; its event has the true time, too."""
    disk.job(JOB, {"state": "scheduled"}, pid=PID)
    disk.events(
        JOB, state_event("running", started_time="2026-11-23T01:10:22", timestamp=MARKED_AT)
    )
    assert read(disk).started == round(MARKED_AT)


def test_progress_means_running(disk: Disk) -> None:
    """A job that reports progress runs."""
    disk.job(JOB, {"state": "scheduled"}, pid=PID)
    disk.events(JOB, progress_event(0, 0.1))
    assert read(disk).state == "running"


def test_events_from_the_right_file_on(disk: Disk) -> None:
    """Files of events that are contained in status.json are not read again, also when the first is gone already."""
    disk.job(JOB, {**RUNNING, "events_count": 1}, pid=PID)
    disk.events(JOB, progress_event(0, 0.9), progress_event(1, 0.9))
    assert read(disk).progress == ()
    disk.events(JOB, progress_event(0, 0.2), number=2)
    disk.events(JOB, progress_event(0, 0.3), number=3)
    assert read(disk).progress == (Progress(0, 0.3),)


def test_older_layout_of_events(disk: Disk) -> None:
    """Live events are found in the directory of releases before 2.0.6."""
    disk.job(JOB, RUNNING, pid=PID)
    path = disk.events(JOB, progress_event(0, 0.5))
    target = path.parent / JOB.task / f"event-{JOB.hash}-0.jsonl"
    target.parent.mkdir()
    path.rename(target)
    assert read(disk).progress == (Progress(0, 0.5),)


def test_end_told_by_an_event(disk: Disk) -> None:
    """An event of the end counts before the marker is there, and such a job has not died."""
    disk.job(JOB, RUNNING, pid=PID)
    disk.events(JOB, state_event("error", failure_reason="TIMEOUT", timestamp=MARKED_AT))
    facts = read(disk, host=TextHost())
    assert (facts.state, facts.failure_reason, facts.ended) == ("error", "TIMEOUT", MARKED_AT)
    assert not facts.has_died


def test_left_over_events(disk: Disk) -> None:
    """The events that a killed job left behind do not undo the end that its scheduler saw."""
    directory = disk.job(JOB, {"state": "error", "ended_time": "2026-11-01T12:00:01"}, pid=PID)
    os.utime(directory / "ok.pid", (1.0, 1.0))
    started = "2026-11-01T12:00:00"
    disk.events(
        JOB, state_event("running", started_time=started, timestamp=1.0), progress_event(0, 0.5)
    )
    assert read(disk).state == "error"
    disk.events(JOB, state_event("running", timestamp=1e10), number=1)
    assert read(disk).state == "running"


def test_broken_status_is_noted(disk: Disk) -> None:
    """A status.json that cannot be read is reported, and the markers still count."""
    disk.job(JOB, "{")
    mark(disk, "done")
    problems = Problems()
    assert read(disk, problems=problems).state == "done"
    assert [each.why for each in problems] == ["is no JSON"]


def test_unreadable_directory(disk: Disk, tmp_path: Path) -> None:
    """A job whose directory is a loop of links is reported, and has the state of its run."""
    directory = disk.root / "jobs" / JOB.task / JOB.hash
    directory.parent.mkdir(parents=True)
    directory.symlink_to(directory.name)
    problems = Problems()
    facts = read(disk, "waiting", problems=problems)
    assert (facts.state, facts.is_link, facts.has_directory) == ("waiting", True, False)
    assert len(problems) > 0


def decoded(facts: JobFacts) -> JobRecord:
    """Return a job sent as JSON and read as by the laptop."""
    return msgspec.json.decode(msgspec.json.encode(job_form(facts)), type=JobRecord)


def test_wire(disk: Disk) -> None:
    """On the wire a job has the keys and the form of the reference server, and ours."""
    status = {
        **RUNNING,
        "state": "error",
        "ended_time": "2026-11-01T13:00:00.000001",
        "scheduler_state": "error",
        "scheduler_failure_reason": "TIMEOUT",
        "retry_count": 2,
        "resumable": True,
        "progress": [{"level": 0, "progress": 0.5, "desc": "x"}],
        "run_group_id": "g",
        "carbon_metrics": {"co2_kg": 1.5},
    }
    disk.job(JOB, status)
    wire = job_form(read(disk))
    assert wire == {
        "job_id": "aa",
        "task_id": "demo.ok",
        "path": str(disk.root / "jobs" / "demo.ok" / "aa"),
        "state": "error",
        "failure_reason": None,
        "scheduler_state": "error",
        "scheduler_failure_reason": "TIMEOUT",
        "submitted_time": None,
        "started_time": "2026-11-01T12:00:00",
        "ended_time": "2026-11-01T13:00:00.000001",
        "exit_code": None,
        "retry_count": 2,
        "resumable": True,
        "progress": [{"level": 0, "progress": 0.5, "desc": "x"}],
        "process": None,
        "run_group_id": "g",
        "carbon_metrics": {"co2_kg": 1.5},
    }
    record = decoded(read(disk))
    assert (record.state, record.retry_count, record.ended_time) == (
        "error",
        2,
        "2026-11-01T13:00:00.000001",
    )


def test_wire_has_our_keys_where_they_say_something(disk: Disk) -> None:
    """Our own fields are on the wire where they differ from the default."""
    assert job_form(read(disk))["has_directory"] is False
    disk.job(JOB, RUNNING, pid=PID)
    wire = job_form(read(disk, host=TextHost()))
    assert (wire["has_died"], wire["message"]) == (True, DIED)
    assert job_form(read(disk))["process"] == PID


def test_a_job_that_appears_after_the_listing(disk: Disk) -> None:
    """A job whose directory appears after its task was listed, as during a first list, is read with its files."""
    directories = Directories(str(disk.root / "jobs"))
    disk.job(JobId("demo.ok", "bb"))
    directories.at(JOB.task, JOB.hash)
    disk.job(JOB, RUNNING, pid=PID)
    problems = Problems()
    events = LiveEvents(str(disk.root), problems)
    host = TextHost(pids=[5])
    reader = JobReader(str(disk.root / "jobs"), events, host, problems, directories)
    facts = reader.read(JOB.task, JOB.hash)
    assert (facts.unread, facts.state, facts.has_directory) == (None, "running", True)


def test_entries_that_appear_during_several_looks(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow start, whose files appear one in each look, does not make a job unreadable."""
    disk.job(JOB, RUNNING, pid=PID)
    is_absent, left = looks._end_of_links, list(range(8))

    def appear(path: str) -> str:
        if left:
            left.pop()
            raise FileExistsError(errno.EEXIST, "was missing a moment ago")
        return is_absent(path)

    monkeypatch.setattr(looks, "_end_of_links", appear)
    events = LiveEvents(str(disk.root), Problems())
    reader = JobReader(str(disk.root / "jobs"), events, TextHost(pids=[5]), Problems())
    facts = reader.read(JOB.task, JOB.hash)
    assert (facts.unread, facts.state) == (None, "running")
