"""Jobs of SLURM are cancelled and removed only on its word, and an answer that does not come is none."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.support.slurm import FakeSlurm, slurm_job
from tests.workspace.disk import Disk, write
from xpm_remote.workspace.agent.actions import Actions
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.outcomes import ActionPlan
from xpm_remote.workspace.processes import Host
from xpm_remote.workspace.reading.reader import WorkspaceReader
from xpm_remote.workspace.rows import Phase, Row
from xpm_remote.workspace.schedulers import slurm as slurm_module
from xpm_remote.workspace.schedulers.slurm import Slurm, trusted_binpath

JOB = JobId("pkg.learn", "a" * 64)
ME = os.geteuid()
CLAIM = {"code": 1, "reason": "failed", "message": "Process died without writing markers"}
"""What the peer's server writes for a job that SLURM has and ``sacct`` does not list."""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """A SLURM in the PATH."""
    made = FakeSlurm(tmp_path)
    monkeypatch.setenv("PATH", f"{made.bin}:{os.environ['PATH']}")
    monkeypatch.setattr(slurm_module, "CANCEL_LOOKS", (0.0, 0.0))
    monkeypatch.setattr(slurm_module, "ANSWER_LIMIT", 20.0)
    return made


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """A workspace with a job of SLURM."""
    disk = Disk(tmp_path / "ws")
    disk.job(JOB, {"state": "running"}, pid=pid_file())
    disk.run("exp", [JOB])
    return disk


@pytest.fixture
def directory(disk: Disk) -> Path:
    """The job's directory."""
    return disk.root / "jobs" / JOB.task / JOB.hash


def pid_file(number: object = "4711", **others: object) -> dict[str, object]:
    """Return the content of the pid file."""
    return {"type": "slurm", "pid": number, "options": [], "host": "login", **others}


def make(disk: Disk) -> Actions:
    """Make the actions of the workspace, which ask anew."""
    host = Host()
    return Actions(WorkspaceReader(disk.root, host), host)


def mine(directory: Path, state: str = "RUNNING", number: str = "4711") -> dict[str, Any]:
    """Return a job of the user in SLURM."""
    return slurm_job(number, directory, state, uid=ME)


# Killing


@pytest.mark.parametrize(
    ("state", "number"), [("RUNNING", "4711"), ("PENDING", "4711_3"), ("SUSPENDED", "4711+1")]
)
def test_kill(state: str, number: str, slurm: FakeSlurm, disk: Disk, directory: Path) -> None:
    """A job that runs or waits in the job's directory is cancelled, and that is looked at."""
    write(directory / "learn.pid", pid_file(number))
    slurm.settle(mine(directory, state, number), mine(directory, "COMPLETED", "12"))
    plan = make(disk).plan_kill(JOB)
    assert (plan.what, plan.refusal, slurm.cancelled) == (f"scancel {number}", "", [])
    outcome = make(disk).perform(plan)
    assert (outcome.success, slurm.cancelled) == (True, [number]), outcome
    assert slurm.asked[-2:] == ["scancel", "squeue"]


@pytest.mark.parametrize("trace", ["status", "script"])
def test_kill_without_pid_file(trace: str, slurm: FakeSlurm, disk: Disk, directory: Path) -> None:
    """A job whose pid file the peer's server has removed is cancelled by its directory; one that has ended is over."""
    (directory / "learn.pid").unlink()
    process = pid_file("99") if trace == "status" else None
    disk.job(JOB, {"state": "error", "process": process}, failed=CLAIM, sh="#SBATCH --x\n")
    slurm.settle(mine(directory, "TIMEOUT"))
    assert make(disk).plan_kill(JOB).is_over
    slurm.settle(mine(directory, "PENDING"))
    plan = make(disk).plan_kill(JOB)
    assert (plan.what, plan.pid) == ("scancel 4711", "4711")
    assert make(disk).perform(plan).success
    assert slurm.cancelled == ["4711"]
    slurm.settle(mine(directory), mode="down")
    assert "does not say" in make(disk).plan_kill(JOB).refusal


@pytest.mark.parametrize("case", ["none", "ended", "another", "several", "hidden"])
def test_kill_what_is_not_the_job(
    case: str, slurm: FakeSlurm, disk: Disk, directory: Path, tmp_path: Path
) -> None:
    """An id that there is not has ended; one that runs elsewhere, or that was given again, is not cancelled."""
    plan = ActionPlan(JOB, "kill", "scancel 4711", pid="4711", kind="slurm")
    said = "has ended"
    if case == "ended":
        slurm.settle(mine(directory, "TIMEOUT"))
    elif case == "another":
        slurm.settle(mine(tmp_path))
        said = f"runs in {tmp_path}"
    elif case == "several":
        slurm.settle(mine(directory), mine(tmp_path / "jobs" / JOB.task / JOB.hash))
        said = "is not this one"
    elif case == "hidden":
        if ME != 0:
            pytest.skip("only root can give a file to another user")
        os.chown(directory / "learn.pid", 3002, 3002)
        slurm.settle(slurm_job("4711", directory, uid=3002, is_hidden=True))
        said = "is hidden as another user's"
    found = make(disk).plan_kill(JOB)
    assert said in found.refusal, found
    assert found.is_over == (said == "has ended")
    outcome = make(disk).perform(plan)
    assert (outcome.success, slurm.cancelled) == (said == "has ended", []), outcome


@pytest.mark.parametrize("mode", ["down", "frozen", "away"])
def test_kill_without_an_answer(
    mode: str, slurm: FakeSlurm, disk: Disk, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A controller that does not answer, and a host without SLURM, are said, and nothing is cancelled."""
    slurm.settle(mine(directory), mode=mode)
    if mode == "frozen":
        monkeypatch.setattr(slurm_module, "ANSWER_LIMIT", 0.3)
    if mode == "away":
        monkeypatch.setenv("PATH", "relative:/nowhere")
    said = {
        "down": "Unable to contact",
        "frozen": "not answered in 0.3 s",
        "away": "not in the PATH",
    }
    plan = make(disk).plan_kill(JOB)
    assert said[mode] in plan.refusal
    assert not plan.is_over
    assert not make(disk).perform(plan._replace(what="scancel 4711", refusal="")).success
    assert slurm.cancelled == []


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("refused", "refuses to cancel 4711: scancel failed with exit status 210: "),
        ("frozen", "is unknown whether SLURM cancels 4711: scancel has not answered"),
        ("ignored", "is unknown whether SLURM cancels 4711: SLURM still has the job"),
        ("lost", "is unknown whether SLURM cancels 4711: squeue failed"),
        ("timeout", "is unknown whether SLURM cancels 4711: scancel failed with exit status 140"),
    ],
)
def test_cancellation_that_is_not_done(
    how: str,
    said: str,
    slurm: FakeSlurm,
    disk: Disk,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A refusal is one; where scancel or SLURM does not answer, or SLURM still has the job, it is unknown."""
    slurm.settle(mine(directory), scancel=how)
    plan = make(disk).plan_kill(JOB)
    if how == "frozen":
        monkeypatch.setattr(slurm_module, "ANSWER_LIMIT", 0.5)
    outcome = make(disk).perform(plan)
    assert not outcome.success
    assert said in outcome.message


def test_cancellation_that_failed_and_is_done(
    slurm: FakeSlurm, disk: Disk, directory: Path
) -> None:
    """What a scancel that timed out has reached is found by looking."""
    slurm.settle(mine(directory), scancel="late")
    assert make(disk).perform(make(disk).plan_kill(JOB)).success


# Cleaning


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "COMPLETING", "REQUEUE_HOLD", "NEW_WORD"])
@pytest.mark.parametrize(("trace", "force"), [("pid", False), ("status", True), ("script", False)])
def test_clean_what_slurm_has(
    state: str, trace: str, force: bool, slurm: FakeSlurm, disk: Disk, directory: Path
) -> None:
    """A job that SLURM has is not removed, whatever its files say, and whatever the peer's server removed of them."""
    (directory / "learn.pid").unlink()
    process = pid_file() if trace == "status" else None
    disk.job(JOB, {"state": "error", "process": process}, failed=CLAIM)
    if trace == "pid":
        write(directory / "learn.pid", pid_file())
    if trace == "script":
        (directory / "learn.sh").write_text("#!/bin/sh\n\n#SBATCH --chdir=x\n")
    slurm.settle(mine(directory, "CANCELLED", "12"), mine(directory, state, "13"))
    plan = make(disk).plan_clean(JOB, is_forced=force)
    assert f"SLURM has it: job 13, {state}" in plan.refusal
    assert not make(disk).perform(ActionPlan(JOB, "clean", "x", is_forced=force)).success
    assert directory.exists()


@pytest.mark.parametrize("state", ["", "OUT_OF_MEMORY", "NODE_FAIL", "CANCELLED", "TIMEOUT"])
def test_clean_what_slurm_has_ended(
    state: str, slurm: FakeSlurm, disk: Disk, directory: Path, tmp_path: Path
) -> None:
    """A job that SLURM has ended, or no longer has, is removed, by its path; other jobs of SLURM do not count."""
    other = tmp_path / "other" / "jobs" / JOB.task / JOB.hash
    other.mkdir(parents=True)
    slurm.settle(*([mine(directory, state)] if state else []), mine(other, number="15"))
    assert make(disk).perform(make(disk).plan_clean(JOB)).success
    assert not directory.exists()


def test_clean_what_slurm_has_by_another_path(
    slurm: FakeSlurm, disk: Disk, directory: Path, tmp_path: Path
) -> None:
    """The directory is that of the job by whatever path; one that leads nowhere here may be it."""
    (tmp_path / "link").symlink_to(disk.root)
    for root in (tmp_path / "link", tmp_path / "not-mounted-here"):
        slurm.settle(mine(root / "jobs" / JOB.task / JOB.hash))
        assert "SLURM has it" in make(disk).plan_clean(JOB).refusal
    assert directory.exists()


@pytest.mark.parametrize(
    ("state", "has_it"), [("RUNNING", True), ("PENDING", True), ("TIMEOUT", False)]
)
def test_clean_what_slurm_has_where_the_same_path_is_another_disk(
    state: str, has_it: bool, slurm: FakeSlurm, disk: Disk, directory: Path, tmp_path: Path
) -> None:
    """The job of the very id, in a directory of the same name, may be the job: a path may be another disk's there."""
    other = tmp_path / "home" / "jobs" / JOB.task / JOB.hash
    other.mkdir(parents=True)
    slurm.settle(mine(other, state), mine(other, number="12"))
    plan = make(disk).plan_clean(JOB)
    assert ("SLURM has it: job 4711" in plan.refusal) == has_it, plan
    slurm.settle(mine(tmp_path))
    assert make(disk).plan_clean(JOB).refusal == ""


@pytest.mark.parametrize("case", ["down", "frozen", "away", "oar", "garbage", "no file"])
def test_clean_without_an_answer(
    case: str, slurm: FakeSlurm, disk: Disk, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it cannot be known whether a scheduler has the job, it is removed by force only."""
    disk.job(JOB, {"state": "error"}, failed=CLAIM)
    slurm.settle(mode=case if case in ("down", "frozen") else "up")
    if case == "frozen":
        monkeypatch.setattr(slurm_module, "ANSWER_LIMIT", 0.3)
    elif case == "away":
        monkeypatch.setenv("PATH", "/nowhere")
    elif case == "oar":
        write(directory / "learn.pid", {"type": "oar", "pid": 5})
    elif case == "garbage":
        write(directory / "learn.pid", "{")
    elif case == "no file":
        (directory / "learn.pid").unlink()
        os.mkfifo(directory / "learn.pid")
    plan = make(disk).plan_clean(JOB)
    assert "--force" in plan.refusal
    assert not make(disk).perform(plan).success
    assert make(disk).perform(make(disk).plan_clean(JOB, is_forced=True)).success
    assert not directory.exists()


def test_clean_what_has_ended_by_its_own_word(
    slurm: FakeSlurm, disk: Disk, directory: Path
) -> None:
    """A job that wrote its success marker and removed its pid file is removed without a question to SLURM."""
    (directory / "learn.pid").unlink()
    disk.job(JOB, {"state": "done", "process": pid_file()}, done="", sh="#SBATCH --x\n")
    slurm.settle(mode="down")
    assert make(disk).perform(make(disk).plan_clean(JOB)).success
    assert slurm.asked == []


@pytest.mark.skipif(ME != 0, reason="only root can give a file to another user")
def test_clean_job_of_another_user(slurm: FakeSlurm, disk: Disk, directory: Path) -> None:
    """SLURM may hide the jobs of others: that it shows none of theirs is no answer."""
    os.chown(directory / "learn.pid", 3002, 3002)
    slurm.settle(slurm_job("4711", directory, uid=3002, is_hidden=True))
    assert "of another user" in make(disk).plan_clean(JOB).refusal
    slurm.settle(slurm_job("4711", directory, uid=3002))
    assert "SLURM has it" in make(disk).plan_clean(JOB).refusal
    slurm.settle(slurm_job("4711", directory, "FAILED", uid=3002))
    assert make(disk).plan_clean(JOB).refusal == ""


def test_many_jobs_are_one_question(slurm: FakeSlurm, disk: Disk) -> None:
    """SLURM is asked once for many jobs."""
    jobs = [JobId("pkg.learn", f"{number:064}") for number in range(20)]
    for job in jobs:
        disk.job(job, {"state": "running"}, pid=pid_file())
    actions = make(disk)
    assert all(actions.perform(actions.plan_clean(job)).success for job in jobs)
    assert slurm.asked == ["squeue"]


# The programs


@pytest.mark.parametrize(
    ("what", "is_trusted"),
    [
        ("", True),
        ("pid of another", False),
        ("pid writable", False),
        ("job writable", False),
        ("directory of another", False),
        ("directory writable", False),
        ("program writable", False),
        ("program of another", False),
        ("relative", False),
        ("no options", False),
    ],
)
def test_whose_programs_are_run(
    what: str, is_trusted: bool, slurm: FakeSlurm, disk: Disk, directory: Path, tmp_path: Path
) -> None:
    """A pid file names the directory of the programs only where no other user can have written either."""
    mine = tmp_path / "mine"
    mine.mkdir(mode=0o755)
    shutil.copy(slurm.bin / "squeue", mine / "squeue")
    file = directory / "learn.pid"
    options = [["interval", 60.0], ["binpath", "mine" if what == "relative" else str(mine)]]
    write(file, pid_file(options={} if what == "no options" else options))
    file.chmod(0o644)
    directory.chmod(0o755)
    first = what.partition(" ")[0]
    place = {"pid": file, "job": directory, "directory": mine, "program": mine / "squeue"}
    if what.endswith("of another"):
        if ME != 0:
            pytest.skip("only root can give a file to another user")
        os.chown(place[first], 3002, 3002)
    elif what.endswith("writable"):
        place[first].chmod(place[first].stat().st_mode | stat.S_IWOTH)
    content = {} if what == "no options" else options
    found = trusted_binpath(file, content)
    assert found == (mine if is_trusted else None)
    assert Slurm(found).ask([ME]) == {}
    assert slurm.asked == ["squeue"], "by the trusted one, or that of the PATH"


def test_environment_changes_no_answer(
    slurm: FakeSlurm, disk: Disk, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables of squeue are not passed on; rows are read by the format that was asked for."""
    script = slurm.bin / "squeue"
    script.write_text(
        f'#!/bin/sh\nenv > {slurm.bin}/env\necho "1|PENDING|main||||||||Priority|/a|b"\n'
    )
    monkeypatch.setenv("SQUEUE_STATES", "COMPLETED")
    monkeypatch.setenv("SLURM_CONF", "/etc/x")
    row = Row("1", Phase.QUEUED, "PENDING", "/a|b", "Priority", "main")
    assert Slurm().ask([ME]) == {"/a|b": row}
    seen = (slurm.bin / "env").read_text()
    assert "SQUEUE" not in seen
    assert "SLURM_CONF=/etc/x" in seen
    script.write_text("not a program")
    answering = Slurm()
    assert answering.ask([ME]) is None
    assert "cannot be run" in answering.why


def test_host_of_the_pid_file_does_not_matter(
    slurm: FakeSlurm, disk: Disk, directory: Path
) -> None:
    """Any host may cancel a job of SLURM, whichever submitted it."""
    slurm.settle(mine(directory))
    write(directory / "learn.pid", pid_file(host=f"not-{socket.gethostname()}"))
    assert make(disk).perform(make(disk).plan_kill(JOB)).success
