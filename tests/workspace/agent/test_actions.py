"""Killing and cleaning: real processes, the job's with all that it started, and no other; no symlink followed."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.job_process import LIMIT, Started
from tests.workspace.disk import Disk, snapshot, write
from xpm_remote.workspace import filesystem, processes
from xpm_remote.workspace.agent import actions
from xpm_remote.workspace.agent.actions import Actions
from xpm_remote.workspace.failures import NoJobFailure
from xpm_remote.workspace.layout import JobId, Layout
from xpm_remote.workspace.orphans.cleaning import Cleaner
from xpm_remote.workspace.outcomes import (
    CLEAN,
    KILL,
    ActionOutcome,
    ActionPlan,
    Orphan,
    OrphanReport,
    from_wire,
    to_wire,
)
from xpm_remote.workspace.processes import Host
from xpm_remote.workspace.reading.reader import WorkspaceReader

JOB = JobId("pkg.learn", "a" * 64)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """A workspace with a running experiment and a job that has just been started."""
    disk = Disk(tmp_path / "ws")
    disk.job(JOB, {"state": "running"})
    disk.run("exp", [JOB])
    return disk


@pytest.fixture
def directory(disk: Disk) -> Path:
    """The job's directory."""
    return disk.root / "jobs" / JOB.task / JOB.hash


@pytest.fixture
def started(directory: Path) -> Iterator[Started]:
    """The job's process, with its pid file."""
    started = Started(directory)
    write_pid(directory, started.pid)
    yield started
    started.end()


def write_pid(directory: Path, pid: object, **others: object) -> None:
    """Write the pid file of a job."""
    values = {"type": "local", "pid": pid, "host": socket.gethostname(), **others}
    write(directory / "learn.pid", {key: value for key, value in values.items() if value})


def make(disk: Disk, *, host: Host | None = None, grace: float = LIMIT) -> Actions:
    """Make the actions of a workspace."""
    host = host or Host()
    return Actions(WorkspaceReader(disk.root, host), host, grace)


# Killing


def test_kill(disk: Disk, started: Started) -> None:
    """The plan lists all processes and changes nothing; performed, all are ended, also those that left the group."""
    actions = make(disk)
    plan = actions.plan_kill(JOB)
    assert plan.refusal == ""
    assert all(str(pid) in plan.what for pid in (started.pid, *started.children))
    assert len(started.alive) == 3
    outcome = actions.perform(plan)
    assert (outcome.success, started.alive) == (True, []), outcome
    assert started.process.wait(LIMIT) == -signal.SIGTERM


def test_kill_what_does_not_listen(disk: Disk, directory: Path) -> None:
    """A process that ignores SIGTERM is killed after the grace."""
    started = Started(directory, "stubborn")
    write_pid(directory, started.pid)
    outcome = make(disk, grace=0.2).perform(make(disk).plan_kill(JOB))
    assert (outcome.success, started.alive) == (True, []), outcome
    started.end()


def test_kill_in_a_group_of_others(disk: Disk, directory: Path) -> None:
    """A process that leads no group is ended with its descendants, and no other process, such as this test."""
    started = Started(directory, leader=False)
    write_pid(directory, started.pid)
    assert make(disk).perform(make(disk).plan_kill(JOB)).success
    assert started.alive == []
    started.end()


def test_pid_of_another_process(disk: Disk, directory: Path) -> None:
    """A reused pid is not killed: the lock is free, and the process does not work in the job."""
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], cwd="/")
    write_pid(directory, other.pid)
    outcome = make(disk).perform(make(disk).plan_kill(JOB))
    assert not outcome.success
    assert "is not the job's" in outcome.message
    assert other.poll() is None
    other.kill()
    other.wait(LIMIT)


def test_process_younger_than_its_pid_file(disk: Disk, directory: Path, started: Started) -> None:
    """A process that was started long after the pid file was written is another one."""
    os.utime(directory / "learn.pid", (1_000_000, 1_000_000))
    assert "younger" in make(disk).plan_kill(JOB).refusal
    assert len(started.alive) == 3


def test_another_process_than_planned(disk: Disk, directory: Path, started: Started) -> None:
    """When the job's process is not that of the plan, nothing is done."""
    plan = make(disk).plan_kill(JOB)
    outcome = make(disk).perform(plan._replace(pid=started.pid + 1))
    assert not outcome.success
    assert "another one" in outcome.message
    assert len(started.alive) == 3


@pytest.mark.parametrize(
    ("pid", "others", "said"),
    [
        (123, {"host": "elsewhere"}, "on the host elsewhere"),
        (2**22 + 1, {}, "has ended"),
        (1, {}, "another kind"),
        (-5, {}, "another kind"),
        ("nonsense", {}, "another kind"),
        (123, {"type": "docker"}, "another kind: docker 123"),
        ("\uff11\uff12\uff13", {}, "another kind"),
        (123, {"type": "oar"}, "another kind: oar 123"),
        ("12; rm -rf /", {"type": "slurm"}, "names no job of SLURM"),
        ("-1", {"type": "slurm"}, "names no job of SLURM"),
        ("\uff14\uff17\uff11\uff11", {"type": "slurm"}, "names no job of SLURM"),
        ("4711_[1-3]", {"type": "slurm"}, "names no job of SLURM"),
        ("4711;cluster", {"type": "slurm"}, "names no job of SLURM"),
        (None, {}, "names no process"),
    ],
)
def test_refused(
    pid: object, others: dict[str, str], said: str, disk: Disk, directory: Path
) -> None:
    """A job of another host, one that is over, and a pid of no job are refused with the reason."""
    write_pid(directory, pid, **others)
    plan = make(disk).plan_kill(JOB)
    assert said in plan.refusal
    assert make(disk).perform(plan).success is False


@pytest.mark.parametrize("action", [KILL, CLEAN])
def test_no_such_job(action: str, disk: Disk) -> None:
    """An unknown job is a failure, without a plan."""
    actions = make(disk)
    plan = actions.plan_kill if action == KILL else actions.plan_clean
    with pytest.raises(NoJobFailure):
        plan(JobId("pkg.learn", "b" * 64))


@pytest.mark.parametrize("action", [KILL, CLEAN])
@pytest.mark.parametrize("name", [".", "learn.pid", ".experimaestro/status.json"])
def test_what_cannot_be_looked_at(
    action: str, name: str, disk: Disk, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job, or a file of it, of which it is not known whether it is there, is not one that is gone, or has ended."""
    disk.job(JOB, {"state": "done"}, done="")
    bad = directory / name
    look = filesystem.lstat

    def fail(path: str, **options: int) -> os.stat_result:
        if str(path) == str(bad):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return look(path, **options)

    if name != ".":
        bad.unlink(missing_ok=True)
    monkeypatch.setattr(filesystem, "lstat", fail)
    plan = make(disk).plan(action, JOB)
    assert (plan.is_over, "Input/output error" in plan.refusal) == (False, True), plan
    outcome = make(disk).perform(plan._replace(refusal=""))
    assert (outcome.success, directory.exists()) == (False, True), outcome
    assert "Input/output error" in outcome.message


def test_process_that_ended_is_not_its_successor() -> None:
    """A process is distinguished from a later one of the same pid by its start."""
    entry = processes.find_process(os.getpid())
    assert entry is not None
    assert processes.is_alive(entry.name)
    assert not processes.is_alive(entry.name._replace(started=entry.name.started + 1))
    assert abs(processes.start_time(entry.name) - time.time()) < 24 * 3600


# Cleaning


def test_clean(disk: Disk, directory: Path) -> None:
    """The directory of a job that has ended is removed, and nothing else; the plan removes nothing."""
    disk.job(JOB, {"state": "done"}, done="")
    other = disk.job(JobId("pkg.learn", "b" * 64), {"state": "done"}, done="")
    before = snapshot(disk.root)
    plan = make(disk).plan_clean(JOB)
    assert snapshot(disk.root) == before
    assert plan.what == f"remove {directory}"
    assert make(disk).perform(plan).success
    assert not directory.exists()
    assert [path.name for path in directory.parent.iterdir()] == [other.name]


def test_clean_leaves_what_links_lead_to(disk: Disk, directory: Path, tmp_path: Path) -> None:
    """A link in the job is removed, and its target is not."""
    disk.job(JOB, {"state": "done"}, done="")
    write(tmp_path / "data" / "precious", "x")
    (directory / "data").symlink_to(tmp_path / "data")
    assert make(disk).perform(make(disk).plan_clean(JOB)).success
    assert (tmp_path / "data" / "precious").exists()


@pytest.mark.parametrize("which", ["job", "task"])
def test_clean_never_through_a_link(
    which: str, disk: Disk, directory: Path, tmp_path: Path
) -> None:
    """A job that is a link, or behind one, is refused, and its target is kept."""
    disk.job(JOB, {"state": "done"}, done="")
    moved = directory if which == "job" else directory.parent
    moved.rename(tmp_path / "archive")
    moved.symlink_to(tmp_path / "archive")
    before = snapshot(tmp_path)
    plan = make(disk).plan_clean(JOB)
    assert "link" in plan.refusal
    assert not make(disk).perform(ActionPlan(JOB, CLEAN, "remove it")).success
    assert snapshot(tmp_path) == before


def test_clean_refuses_what_runs(disk: Disk, started: Started) -> None:
    """A job whose lock is held is not removed, whatever its files say."""
    disk.job(JOB, {"state": "done"}, done="")
    assert "lock is held" in make(disk).plan_clean(JOB).refusal
    assert not make(disk).perform(ActionPlan(JOB, CLEAN)).success
    assert len(started.alive) == 3


@pytest.mark.parametrize("marker", ["done", "failed"])
def test_clean_refuses_what_lives_beside_its_marker(
    marker: str, disk: Disk, directory: Path
) -> None:
    """A process that runs the job's script keeps the job, whatever its marker and its lock say; any other does not."""
    started = Started(directory, "free")
    try:
        disk.job(JOB, {"state": "done"})
        (directory / f"learn.{marker}").write_text('{"code": 1, "reason": "failed"}')
        write_pid(directory, os.getpid())
        assert make(disk).plan_clean(JOB).refusal == ""
        write_pid(directory, started.pid)
        assert f"process {started.pid} lives" in make(disk).plan_clean(JOB).refusal
        assert not make(disk).perform(ActionPlan(JOB, CLEAN, is_forced=True)).success
        report = OrphanReport((Orphan(JOB, directory),))
        (step,) = Cleaner(Layout(disk.root), is_forced=True).plan(report)
        assert f"process {started.pid} lives" in step.reason
    finally:
        started.end()
    assert make(disk).perform(make(disk).plan_clean(JOB)).success


@pytest.mark.parametrize("state", ["running", "waiting", "unscheduled"])
def test_clean_refuses_what_has_not_ended(state: str, disk: Disk, directory: Path) -> None:
    """Only a job that has ended is removed."""
    disk.job(JOB, {"state": state})
    write_pid(directory, 123, host="elsewhere")
    assert make(disk).plan_clean(JOB).refusal
    assert not make(disk).perform(ActionPlan(JOB, CLEAN)).success
    assert directory.exists()


def test_clean_what_died(disk: Disk, directory: Path) -> None:
    """A job whose process was killed has ended, and may be removed."""
    write_pid(directory, 2**22 + 1)
    assert make(disk).perform(make(disk).plan_clean(JOB)).success
    assert not directory.exists()


def test_plans_and_outcomes_travel(disk: Disk) -> None:
    """Plans and outcomes are plain JSON, with the job's id as a text."""
    disk.job(JOB, {"state": "done"}, done="")
    plan = make(disk).plan_clean(JOB)
    assert to_wire(plan)["job"] == str(JOB)
    assert to_wire(make(disk).perform(plan)) == {
        "job": str(JOB),
        "action": "clean",
        "success": True,
        "message": f"removed {disk.root}/jobs/{JOB}",
    }


@pytest.mark.parametrize("which", ["ended", "cleaned", "gone"])
def test_done_before(which: str, disk: Disk, directory: Path) -> None:
    """An action that another one has done since it was planned counts as done: two at once both succeed."""
    write_pid(directory, 2**22 + 1)
    plan = ActionPlan(JOB, KILL, "end it", pid=2**22 + 1)
    if which == "ended":
        assert make(disk).perform(plan).success
        assert make(disk).plan(KILL, JOB).is_over
        assert not make(disk).perform(plan._replace(pid=2**22 + 2)).success
        return
    shutil.rmtree(directory)
    plan = ActionPlan(JOB, CLEAN if which == "cleaned" else KILL)
    assert make(disk).perform(plan).success == (which == "cleaned")
    assert from_wire(ActionPlan, to_wire(plan)) == plan


def test_clean_while_another_process_does(
    disk: Disk, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that another process has locked and then sets aside is removed; one that stays locked is not."""
    disk.job(JOB, {"state": "done"}, done="")
    plan = make(disk).plan(CLEAN, JOB)
    with (directory / "learn.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        monkeypatch.setattr(actions, "REMOVAL_WAIT", 0.1)
        assert "lock is held" in make(disk).perform(plan).message
        monkeypatch.setattr(actions, "REMOVAL_WAIT", LIMIT)
        waits = iter(range(3))

        def pause(_: float) -> None:
            if next(waits, None) is None:
                directory.rename(directory.with_name(".tmp.aside"))

        monkeypatch.setattr(time, "sleep", pause)
        outcome = make(disk).perform(plan)
    assert (outcome.success, outcome.message) == (True, "its directory is gone")
    assert make(disk).plan(CLEAN, JOB).is_over


def test_not_done_before(disk: Disk, directory: Path) -> None:
    """A planned action that was not done is performed."""
    disk.job(JOB, {"state": "done"}, done="")
    outcome = make(disk).perform(make(disk).plan(CLEAN, JOB))
    assert (outcome.success, directory.exists()) == (True, False)
    assert from_wire(ActionOutcome, to_wire(outcome)) == outcome
