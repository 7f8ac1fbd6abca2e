"""``jobs list``, ``jobs path`` and ``jobs log`` as a person runs them."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import Commands
from tests.cli.local import Local
from tests.workspace.small import locked

LIMIT = 30.0
"""Seconds for a command that follows a log to end by itself."""


@pytest.fixture
def local(commands: Commands, tmp_path: Path) -> Local:
    """A workspace with two experiments that share a job."""
    local = Local(commands, tmp_path)
    local.made.job("t.x/aaaa1")
    local.made.job("t.x/bbbb1", "failed")
    local.made.job("t.x/cccc1", None)
    for experiment, jobs in {"e": "ab", "f": "bc"}.items():
        run = local.made.run([], experiment)
        lines = [
            {
                "job_id": f"{letter * 4}1",
                "task_id": "t.x",
                "tags": {"lr": 10.0**-number, experiment: letter},
                "timestamp": 1.0e9 + number + (experiment == "f"),
            }
            for number, letter in enumerate(jobs)
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (run / "jobs.jsonl").write_text(text)
    return local


def test_list(local: Local) -> None:
    """Each job is listed once, the last submitted first, in experimaestro's notation."""
    done = local.run("jobs", "list")
    assert done.stdout == "UNSCHED t.x/cccc1\nFAIL    t.x/bbbb1\nDONE    t.x/aaaa1\n"
    assert local.run("jobs", "list", "--experiment", "e", "-c", "1").stdout == "FAIL    t.x/bbbb1\n"


def test_why_a_job_failed(local: Local) -> None:
    """JSON has further details of a failure, such as a dead process; null if there are none."""
    directory = local.made.layout.jobs / "t.x" / "cccc1"
    (directory / ".experimaestro").mkdir(parents=True, exist_ok=True)
    (directory / ".experimaestro" / "status.json").write_text('{"state": "running"}')
    pid = {"type": "local", "pid": 2**22 + 1, "host": platform.node()}
    (directory / "x.pid").write_text(json.dumps(pid))
    told = {job["job_id"]: job["message"] for job in local.objects("jobs", "list")}
    assert told == {"aaaa1": None, "bbbb1": None, "cccc1": "the process died without saying why"}


def test_tags_and_paths(local: Local) -> None:
    """Tags of all experiments are shown, and directories instead of ids."""
    done = local.run("jobs", "list", "--tags", "--fullpath")
    path = local.made.layout.jobs / "t.x" / "bbbb1"
    assert done.stdout.splitlines()[1] == f"FAIL    {path} lr=1.0 e=b f=b"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lr = 1", ["bbbb1", "aaaa1"]),
        ('@state = "DONE" or f = "c"', ["cccc1", "aaaa1"]),
        ('not (e ~ "[ab]")', ["cccc1"]),
        ("lr in [0.1]", ["cccc1"]),
        ("lr = 7", []),
    ],
)
def test_filter(local: Local, text: str, expected: list[str]) -> None:
    """Filters work on tags and states, also without an experiment."""
    found = local.objects("jobs", "list", "--filter", text)
    assert [each["job_id"] for each in found] == expected


def test_mistake_in_a_filter(local: Local) -> None:
    """A mistake in a filter is marked."""
    done = local.run("jobs", "list", "--filter", "lr = 1 und x = 2")
    assert (done.status, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "xpm-remote: the filter cannot be understood at column 8; expected and, or, or the end",
        "  lr = 1 und x = 2",
        "         ^",
    ]


def test_mistake_in_a_long_filter(local: Local) -> None:
    """Of a long filter the part around the mistake is shown, and escaped for the terminal."""
    text = "lr = 1 or " * 30 + "\x1b[31m" + " or lr = 1" * 30
    lines = local.run("jobs", "list", "--filter", text).stderr.splitlines()
    assert len(lines) == 3
    assert len(lines[1]) < 150
    assert lines[1][lines[2].index("^") :].startswith("\\x1b")


def test_json(local: Local) -> None:
    """With JSON, each line is an object with all that is known of a job."""
    job = local.objects("jobs", "list")[1]
    assert (job["schema"], job["id"], job["state"]) == ("xpm-remote/job/1", "t.x/bbbb1", "error")
    assert (job["experiments"], job["tags"]) == (["e", "f"], {"lr": 1.0, "e": "b", "f": "b"})
    assert job["submitted"].startswith("2001-09-0")


def test_nothing_to_list(local: Local) -> None:
    """No jobs are no error; an unknown experiment is one, with suggestions."""
    done = local.run("jobs", "list", "--filter", "lr = 7")
    assert (done.status, done.stdout, done.stderr) == (0, "", "No jobs found.\n")
    done = local.run("jobs", "list", "--experiment", "nono")
    assert done.status == 31
    assert done.error.startswith('xpm-remote: there is no experiment "nono"')


def test_broken_file(local: Local) -> None:
    """A file that cannot be read is reported, and the rest is listed."""
    with (local.made.layout.experiment("e") / "current" / "jobs.jsonl").open("a") as file:
        file.write("{broken}\n")
    done = local.run("jobs", "list")
    assert len(done.stdout.splitlines()) == 3
    assert "warning: " in done.stderr
    assert "jobs.jsonl" in done.stderr
    assert local.run("--quiet", "jobs", "list").stderr == ""


def test_path(local: Local) -> None:
    """The path of a job is printed for scripts; an unknown job is an error."""
    path = local.made.layout.jobs / "t.x" / "aaaa1"
    assert local.run("jobs", "path", "aaaa").stdout == f"{path}\n"
    assert local.run("jobs", "path", "T.X/aaaa1").stdout == f"{path}\n"
    done = local.run("jobs", "path", "zzzz")
    assert (done.status, done.error) == (
        31,
        "xpm-remote: there is no job 'zzzz'; list them with `jobs list`",
    )
    assert local.run("jobs", "path", "../..").status == 32
    assert "means 3 jobs" in local.run("jobs", "path", "t.x/*").error
    local.made.link("t.x/dddd1", Path("/nowhere"))
    done = local.run("jobs", "path", "dddd")
    assert (done.status, "jobs recover t.x/dddd1" in done.error) == (31, True)


def test_log(local: Local) -> None:
    """A log is printed unchanged, whole or its last lines, standard error or standard output."""
    path = local.made.layout.jobs / "t.x" / "aaaa1"
    (path / "x.err").write_text("".join(f"line {n}\n" for n in range(30)) + "\x1b[1mend")
    (path / "x.out").write_text("output\n")
    whole = local.run("jobs", "log", "aaaa").stdout
    assert whole.startswith("line 0\n")
    assert whole.endswith("\x1b[1mend")
    assert local.run("jobs", "log", "aaaa", "-n", "2").stdout == "line 29\n\x1b[1mend"
    assert local.run("jobs", "log", "aaaa", "--std").stdout == "output\n"
    assert local.run("jobs", "log", "-f", "aaaa", "-n", "1").stdout == "\x1b[1mend"
    latin = "caf\xe9\r\nprêt à\xa0".encode("latin-1")
    (path / "x.err").write_bytes(latin)
    for more in ([], ["-n", "9"]):
        assert os.fsencode(local.run("jobs", "log", "aaaa", *more).stdout) == latin
    for more in ([], ["-n", "3"]):
        done = local.run("jobs", "log", "bbbb", *more)
        assert (done.status, done.stdout) == (31, "")
        assert "has no log" in done.error


@pytest.mark.parametrize(
    ("status", "marker", "why"),
    [
        ({"state": "error", "scheduler_failure_reason": "DEPENDENCY"}, None, "not started, since"),
        ({"state": "unscheduled"}, None, "nothing is going to run it; run its experiment again"),
        ({"state": "waiting"}, None, "it is waiting; wait until it has started"),
        ({"state": "running"}, None, "not opened it yet; wait a moment"),
        ({"state": "running"}, "done", "ended without one; look at standard output with --std"),
        ({"state": "running"}, "failed", "it has ended without one"),
    ],
)
def test_why_there_is_no_log(
    local: Local, status: dict[str, str], marker: str | None, why: str
) -> None:
    """The error for a log that is not there fits the state of the job."""
    directory = local.made.job("t.x/dddd1", marker)
    (directory / ".experimaestro" / "status.json").write_text(json.dumps(status))
    run = local.made.run(["t.x/dddd1"], "g")
    if status["state"] == "waiting":
        words = {
            "status": "running",
            "hostname": platform.node(),
            "job_states": {"dddd1": "waiting"},
        }
        (run / "status.json").write_text(json.dumps(words))
    with locked(run.parent / "lock"):
        done = local.run("jobs", "log", "dddd1")
    assert (done.status, done.stdout) == (31, "")
    assert why in done.error


def test_follow(local: Local) -> None:
    """A log is followed through additions and a rotation, until the job ends."""
    path = local.made.layout.jobs / "t.x" / "cccc1"
    log = path / "x.err"
    log.write_text("first\n")
    words = local.commands._argv(("jobs", "log", "-f", "cccc"))
    with subprocess.Popen(
        words, env=local.commands._environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "first\n"
        with log.open("a") as file:
            file.write("second\n")
        assert process.stdout.readline() == "second\n"
        log.rename(path / "x.20261122120000.err")
        log.write_text("again\n")
        assert process.stdout.readline() == "again\n"
        with log.open("a") as file:
            file.write("last")
        (path / "x.done").touch()
        said, _ = process.communicate(timeout=LIMIT)
    assert (said, process.returncode) == ("last", 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_follow_several_until_a_signal(local: Local, number: signal.Signals) -> None:
    """When several logs are followed, a signal prints the unfinished lines and ends the command."""
    for job in ("aaaa1", "cccc1"):
        (local.made.layout.jobs / "t.x" / job / "x.err").write_text("whole\nhalf")
    (local.made.layout.jobs / "t.x" / "aaaa1" / "x.done").unlink(missing_ok=True)
    words = local.commands._argv(("jobs", "log", "-f", "cccc", "aaaa"))
    with subprocess.Popen(
        words, env=local.commands._environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = {process.stdout.readline(), process.stdout.readline()}
        process.send_signal(number)
        said, _ = process.communicate(timeout=LIMIT)
    assert lines == {"x/aaaa1: whole\n", "x/cccc1: whole\n"}
    assert set(said.splitlines()) == {"x/aaaa1: half", "x/cccc1: half"}
    assert process.returncode == 128 + number
