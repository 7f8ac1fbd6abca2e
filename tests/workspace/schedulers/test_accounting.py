"""What SLURM's accounting has of one job, and why that is not known."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.slurm import FakeSlurm, slurm_job
from tests.workspace.disk import Disk, TextHost, write
from xpm_remote.workspace.layout import JobFiles, JobId, Layout
from xpm_remote.workspace.reading.reader import WorkspaceReader
from xpm_remote.workspace.rows import Account
from xpm_remote.workspace.schedulers import accounting as module
from xpm_remote.workspace.schedulers import slurm as slurm_module
from xpm_remote.workspace.schedulers.accounting import ask_account
from xpm_remote.workspace.schedulers.queue import Queue

JOB = JobId("pkg.learn", "a" * 64)
PID = {"type": "slurm", "pid": "15", "options": [], "host": "login"}


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """A SLURM in the PATH."""
    made = FakeSlurm(tmp_path)
    monkeypatch.setenv("PATH", f"{made.bin}:{os.environ['PATH']}")
    monkeypatch.setenv("SACCT_FORMAT", "JobID")
    return made


@pytest.fixture
def files(tmp_path: Path) -> JobFiles:
    """The files of a job of SLURM."""
    disk = Disk(tmp_path / "ws")
    disk.job(JOB, {"state": "running"}, pid=PID)
    return Layout(disk.root).job_files(JOB)


def line(number: str, files: JobFiles | str, state: str, **others: str) -> dict[str, str]:
    """Return a line of sacct."""
    where = files if isinstance(files, str) else str(files.directory)
    return {"JobID": number, "State": state, "WorkDir": where, **others}


def test_ended(slurm: FakeSlurm, files: JobFiles) -> None:
    """The values are those of the job, with the most memory of its steps; what is unknown is left out."""
    slurm.settle(
        sacct=[
            line("15", files, "OUT_OF_MEMORY", ExitCode="0:125", ReqMem="1G", Elapsed="00:01:00"),
            line("15.batch", "", "OUT_OF_MEMORY", MaxRSS="900K"),
            line("15.0", "", "COMPLETED", MaxRSS="1000M", NodeList="Unknown"),
            line("150", "/other", "RUNNING", MaxRSS="9G"),
        ]
    )
    assert ask_account(files) == Account(
        (
            ("state", "OUT_OF_MEMORY"),
            ("exit code", "0:125"),
            ("elapsed", "00:01:00"),
            ("memory asked for", "1G"),
            ("most memory", "1000M"),
        )
    )
    assert slurm.asked == ["sacct"], "sstat is for jobs that run"


def test_running(slurm: FakeSlurm, files: JobFiles) -> None:
    """Of a job that runs, what it takes now is asked, too; sstat may fail."""
    jobs = [line("15", files, "RUNNING", NodeList="n1")]
    steps = [{"MaxRSS": "5M", "AveCPU": "00:01"}, {"MaxRSS": "70M", "AveCPU": "00:09"}]
    slurm.settle(sacct=jobs, sstat=steps)
    found = ask_account(files)
    assert found is not None
    assert dict(found.values) == {
        "state": "RUNNING",
        "nodes": "n1",
        "most memory now": "70M",
        "cpu time of a task": "00:09",
    }
    slurm.settle(sacct=jobs)
    found = ask_account(files)
    assert found is not None
    assert dict(found.values) == {"state": "RUNNING", "nodes": "n1"}


def test_number_that_was_given_again(slurm: FakeSlurm, files: JobFiles) -> None:
    """A job that ran elsewhere under the same number is not this one, and its values are not shown."""
    slurm.settle(sacct=[line("15", "/home/other/job", "COMPLETED")])
    found = ask_account(files)
    assert found is not None
    assert (found.values, "it ran in /home/other/job" in found.why) == ((), True)
    slurm.settle(sacct=[line("15", "/old", "FAILED"), line("15", files, "COMPLETED")])
    assert ask_account(files) == Account((("state", "COMPLETED"),))
    slurm.settle()
    assert ask_account(files) == Account((), "it does not have the job (any more)")


def test_number_that_is_not_known_any_more(slurm: FakeSlurm, files: JobFiles) -> None:
    """A job whose pid file is gone is found by its script, its time and its directory."""
    files.pid.unlink()
    write(files.directory / "learn.sh", "#SBATCH --x\n")
    slurm.settle(sacct=[line("14", "/other", "FAILED"), line("16", files, "COMPLETED")])
    assert ask_account(files) == Account((("state", "COMPLETED"),))
    (asked,) = slurm.lines
    assert "--name=learn.sh" in asked
    assert f"-u {os.geteuid()} " in asked


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        ("off", "Slurm accounting storage is disabled"),
        ("frozen", "sacct has not answered in 0.3 s"),
    ],
)
def test_no_answer(
    slurm: FakeSlurm, files: JobFiles, mode: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where accounting is off or slow, that is said."""
    if mode == "frozen":
        monkeypatch.setattr(slurm_module, "ANSWER_LIMIT", 0.3)
    slurm.settle(accounting=mode)
    found = ask_account(files)
    assert found is not None
    assert (found.values, why in found.why) == ((), True)
    assert "sstat" not in slurm.asked
    files.pid.write_text("{")
    found = ask_account(files)
    assert found is not None
    assert f"{files.pid} is no JSON" in found.why


def test_other_jobs(slurm: FakeSlurm, tmp_path: Path) -> None:
    """Nothing is asked of a job that is not of SLURM."""
    disk = Disk(tmp_path / "ws")
    disk.job(JOB, {"state": "running"}, pid={"type": "local", "pid": 77, "host": "node01"})
    assert ask_account(Layout(disk.root).job_files(JOB)) is None
    assert slurm.asked == []


def test_not_asked_by_looking(slurm: FakeSlurm, files: JobFiles, tmp_path: Path) -> None:
    """Neither a list nor a watched workspace asks sacct."""
    slurm.settle(slurm_job("15", files.directory, uid=os.geteuid()))
    queue = Queue(Layout(tmp_path / "ws"), TextHost())
    facts = WorkspaceReader(tmp_path / "ws").job(JOB)
    assert facts is not None
    assert [each.state for each in queue.all_judged([facts])] == ["running"]
    assert slurm.asked == ["squeue"]


@pytest.mark.parametrize(
    ("text", "size"), [("2K", 2048.0), ("1.5M", 1572864.0), ("", -1.0), ("?", -1.0), ("7", 7.0)]
)
def test_sizes(text: str, size: float) -> None:
    """Sizes are compared by their units."""
    assert module._size(text) == size
