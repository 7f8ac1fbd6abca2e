"""``jobs kill`` and ``jobs clean`` of a workspace of this machine."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.commands import Commands
from tests.cli.local import Local
from tests.support.job_process import LIMIT, Started
from tests.support.slurm import FakeSlurm, slurm_job


@pytest.fixture
def local(commands: Commands, tmp_path: Path) -> Local:
    """A workspace with a job that is done, one that failed, one without a process, and one of no run."""
    local = Local(commands, tmp_path)
    local.made.job("t.x/done1")
    local.made.job("t.x/fail1", "failed")
    local.made.job("u/none1", None)
    local.made.job("u/lost1")
    local.made.run(["t.x/done1", "t.x/fail1", "u/none1", "u/gone1"])
    return local


@pytest.fixture
def running(local: Local) -> Iterator[subprocess.Popen[str]]:
    """The process of a job that holds its lock."""
    directory = local.made.job("u/runs1", None)
    started = Started(directory, name="u")
    (directory / "u.pid").write_text(json.dumps({"type": "local", "pid": started.pid}))
    yield started.process
    started.end()


def test_clean_shows_and_does(local: Local) -> None:
    """The jobs of current runs that have ended are listed, those of a filter removed; others stay."""
    done = local.run("jobs", "clean")
    assert (done.status, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert sorted(line.split()[1] for line in lines[:2]) == ["t.x/done1", "t.x/fail1"]
    assert lines[2:] == ["2 jobs to clean (--perform does it)."]
    assert local.made.layout.jobs.joinpath("t.x/fail1").exists()
    words = ("jobs", "clean", "--filter", '@state = "error"', "--perform")
    done = local.run(*words, "--yes")
    assert (done.status, done.stdout.splitlines()[1]) == (0, "1 job to clean.")
    assert not local.made.layout.jobs.joinpath("t.x/fail1").exists()
    assert local.made.layout.jobs.joinpath("t.x/done1").exists()
    done = local.run("jobs", "clean", "--experiment", "e", "--filter", '@state = "error"')
    assert (done.status, done.stdout) == (0, "Nothing is to be cleaned.\n")


@pytest.mark.parametrize("words", [(), ("--experiment", "e"), ("--filter", '@state = "done"')])
def test_clean_asks(local: Local, words: tuple[str, ...]) -> None:
    """Jobs that are not named are removed after a question only, so without a terminal not at all."""
    done = local.run("jobs", "clean", *words, "--perform")
    assert (done.status, "There is no terminal to ask at" in done.error) == (2, True)
    assert local.made.layout.jobs.joinpath("t.x/done1").exists()
    assert local.made.layout.jobs.joinpath("t.x/fail1").exists()
    assert local.run("jobs", "clean", *words, "--perform", "--yes").status == 0
    assert not local.made.layout.jobs.joinpath("t.x/done1").exists()
    assert local.run("jobs", "clean", *words, "--perform").status == 0, "there is nothing to ask"


def test_named_jobs_that_cannot_be(local: Local, running: subprocess.Popen[str]) -> None:
    """A named job that runs is not removed, which is an error, as is a job that does not exist."""
    done = local.run("jobs", "clean", "runs1", "lost1", "--perform")
    assert (done.status, "1 job of 2 cannot be cleaned" in done.error) == (34, True)
    assert "lock is held" in done.stdout
    assert not local.made.layout.jobs.joinpath("u/lost1").exists()
    assert running.poll() is None
    assert local.run("jobs", "clean", "lost1", "--perform").status == 31


def test_kill(local: Local, running: subprocess.Popen[str]) -> None:
    """The process of a job is ended with its children; other jobs are mentioned only if they are named."""
    local.made.run(["u/runs1", "t.x/done1"], "two")
    done = local.run("jobs", "kill", "--experiment", "two")
    assert (done.status, len(done.stdout.splitlines())) == (0, 2)
    assert running.poll() is None
    (killed,) = local.objects("jobs", "kill", "--experiment", "two", "--perform")
    assert (killed["schema"], killed["id"], killed["status"]) == (
        "xpm-remote/action/1",
        "u/runs1",
        "killed",
    )
    assert running.wait(LIMIT) != 0
    done = local.run("jobs", "kill", "runs1", "--perform")
    assert (done.status, "has ended" in done.stdout) == (34, True)


def test_clean_by_force(local: Local, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job of SLURM is removed without an answer of SLURM by --force only, and never while SLURM has it."""
    slurm = FakeSlurm(tmp_path)
    monkeypatch.setenv("PATH", f"{slurm.bin}:{os.environ['PATH']}")
    directory = local.made.layout.jobs / "t.x" / "fail1"
    (directory / "x.pid").write_text(json.dumps({"type": "slurm", "pid": "4711", "options": []}))
    slurm.settle(slurm_job("4711", directory, "PENDING", uid=os.geteuid()))
    done = local.run("jobs", "clean", "fail1", "--force", "--perform")
    assert (done.status, "SLURM has it: job 4711, PENDING" in done.stdout) == (34, True)
    slurm.settle(mode="down")
    assert local.run("jobs", "clean", "fail1", "--perform").status == 34
    assert directory.exists()
    assert local.run("jobs", "clean", "fail1", "--force", "--perform").status == 0
    assert not directory.exists()


def test_documents(local: Local) -> None:
    """The plan is one document per job."""
    (plan,) = local.objects("jobs", "clean", "lost1")
    assert (plan["schema"], plan["status"]) == ("xpm-remote/action-plan/1", "clean")


def test_several_logs(local: Local) -> None:
    """Logs of several jobs have the job before each line, whole or followed to their end."""
    for name in ("t.x/done1", "t.x/fail1"):
        job = local.made.layout.jobs / name
        (job / "x.err").write_text(f"first\nlast of {job.name}")
    done = local.run("jobs", "log", "t.x/*", "-n", "1")
    assert (done.status, done.stdout) == (0, "x/done1: last of done1\nx/fail1: last of fail1\n")
    done = local.run("jobs", "log", "-f", "t.x/*")
    assert done.status == 0
    assert sorted(done.stdout.splitlines()) == [
        "x/done1: first",
        "x/done1: last of done1",
        "x/fail1: first",
        "x/fail1: last of fail1",
    ]
    done = local.run("jobs", "log", "t.x/done1", "u/lost1")
    assert (done.status, "has no log" in done.error) == (30, True)
