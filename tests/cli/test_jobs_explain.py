"""``jobs failures``, ``jobs detail`` and ``jobs log --search`` as a person runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.commands import Commands
from tests.cli.local import Local
from xpm_remote.workspace.layout import parse_job_id

TRACEBACK = (
    "INFO:7:26-11-28 16:51:33 [xpm] Running task\n"
    "ERROR:7:26-11-28 16:51:33 [xpm] Got exception while running\n"
    "Traceback (most recent call last):\n"
    '  File "/home/me/learner.py", line 212, in forward\n'
    "    raise ValueError(1)\n"
    "ValueError: bad {number} \x1b[2J\n"
    "INFO:7:26-11-28 16:51:33 [xpm] Exiting\n"
)


@pytest.fixture
def local(commands: Commands, tmp_path: Path) -> Local:
    """A workspace with six jobs that failed by one cause, one by another, and ten that succeeded."""
    local = Local(commands, tmp_path)
    names, tags = [], {}
    for number in range(17):
        name = f"t.learn/{number:04x}"
        is_bad = number < 6
        directory = local.made.job(name, "failed" if number < 7 else "done")
        log = TRACEBACK.format(number=number) if is_bad else "epoch 3\n"
        (directory / "learn.err").write_text(log)
        names.append(name)
        tags[name] = {"lr": 0.1 if is_bad else 0.01, "seed": number % 2}
    run = local.made.run([])
    lines = [
        {
            "job_id": parse_job_id(name).hash,
            "task_id": "t.learn",
            "tags": tags[name],
            "timestamp": 1e9,
        }
        for name in names
    ]
    (run / "jobs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return local


def test_failures(local: Local) -> None:
    """Failures are shown cause by cause, with what tells their jobs apart; what the host printed is escaped."""
    done = local.run("jobs", "failures", "-c", "1")
    assert done.status == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "6  ValueError: bad * \\x1b[*J  learner.py:forward"
    assert lines[1] == "    goes with lr=0.1: 6 of 6 failed have it, 0 of 10 that succeeded"
    assert lines[2].startswith("    t.learn/000")
    assert lines[3] == "    and 5 more jobs"
    assert lines[4] == "1  FAILED: epoch *"
    assert "\x1b" not in done.stdout


def test_failures_of_some_jobs(local: Local) -> None:
    """Jobs are chosen as for a list; none are no error, and an unknown experiment is one."""
    done = local.run("jobs", "failures", "--filter", "lr = 0.01")
    assert done.stdout.splitlines()[0] == "1  FAILED: epoch *"
    done = local.run("jobs", "failures", "--filter", "lr = 7")
    assert (done.status, done.stdout, done.stderr) == (0, "", "No failed jobs found.\n")
    assert local.run("jobs", "failures", "--experiment", "nono").status == 31


def test_failures_as_json(local: Local) -> None:
    """With JSON, each line is a cause with all of its jobs."""
    bad, other = local.objects("jobs", "failures")
    assert (bad["schema"], bad["total"], len(bad["failed"])) == ("xpm-remote/cause/1", 6, 6)
    assert bad["failed"][0]["frames"][0]["line"] == 212
    assert (bad["goes_with"][0]["name"], bad["goes_with"][0]["lift"]) == ("lr", None)
    assert (other["title"], other["goes_with"]) == ("FAILED: epoch *", [])


def test_detail(local: Local) -> None:
    """What is known of a job is shown, a subject a row, and as JSON."""
    done = local.run("jobs", "detail", "t.learn/0003")
    assert done.status == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "FAIL  t.learn/0003"
    rows = [line.split(maxsplit=1) for line in lines]
    assert ["cause", "ValueError: bad * \\x1b[*J"] in rows
    assert ["tags", "lr=0.1 seed=1"] in rows
    (document,) = local.objects("jobs", "detail", "0010")
    assert (document["schema"], document["state"]) == ("xpm-remote/job-detail/1", "done")
    assert document["failure"] is None


def test_detail_of_no_job(local: Local) -> None:
    """A job that is not there is an error with a hint, and so is one whose directory has just gone."""
    done = local.run("jobs", "detail", "9999")
    assert (done.status, done.stdout) == (31, "")
    assert done.error.startswith("xpm-remote: there is no job")


def test_search(local: Local) -> None:
    """The lines of a log that contain a text are shown with their place in it; escapes are shown as such."""
    done = local.run("jobs", "log", "--search", "valueerror", "-i", "0003", "0004")
    log = TRACEBACK.format(number=3)
    assert done.status == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"learn/0003: {log.index('    raise')}:     raise ValueError(1)",
        f"learn/0003: {log.index('ValueError: ')}: ValueError: bad 3 \x1b[2J",
        f"learn/0004: {log.index('    raise')}:     raise ValueError(1)",
        f"learn/0004: {log.index('ValueError: ')}: ValueError: bad 4 \x1b[2J",
    ]
    done = local.run("jobs", "log", "--search", r"bad \d", "--regex", "0003")
    assert done.stdout == f"{log.index('ValueError: ')}: ValueError: bad 3 \x1b[2J\n"
    done = local.run("jobs", "log", "--search", "zebra", "0003")
    assert (done.status, done.stdout, done.stderr) == (0, "", "No lines found.\n")


def test_many_lines_are_counted(local: Local) -> None:
    """Beyond a thousand lines, those that match are only counted."""
    log = local.made.layout.jobs / "t.learn" / "0003" / "learn.err"
    log.write_text("x\n" * 1002)
    done = local.run("jobs", "log", "--search", "x", "0003")
    assert done.status == 0
    assert len(done.stdout.splitlines()) == 1000
    assert done.stderr == "2 more lines of t.learn/0003\n"


def test_an_earlier_try(local: Local) -> None:
    """The log of an earlier try is shown and searched by its name."""
    directory = local.made.layout.jobs / "t.learn" / "0003"
    (directory / "learn.20261128165136.err").write_text("line\n" * 50_000)
    done = local.run("jobs", "log", "--attempt", "20261128165136", "0003")
    assert done.stdout == "line\n" * 50_000
    done = local.run("jobs", "log", "--attempt", "20261128165137", "0003")
    assert done.status == 31
    assert "has no log of the try 20261128165137; see `jobs detail t.learn/0003`" in done.error
    done = local.run("jobs", "log", "--attempt", "20261128165137", "--search", "x", "0003", "0004")
    assert done.status == 31
    done = local.run("jobs", "log", "--search", "x", "--std", "0003")
    assert done.status == 31


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--regex"], "--regex and -i are for --search"),
        (["-i"], "--regex and -i are for --search"),
        (["--search", "x", "-f"], "--search goes with neither -f nor -n"),
        (["--search", "x", "-n", "3"], "--search goes with neither -f nor -n"),
        (["--attempt", "20261128165136", "-f"], "--attempt goes with neither -f nor -n"),
        (["--attempt", "../../x"], "is not a try of a job"),
        (["--search", "(", "--regex"], "no regular expression"),
        (["--search", ""], "the pattern is empty"),
    ],
)
def test_options_that_do_not_fit(local: Local, words: list[str], why: str) -> None:
    """Options of a log that do not fit together, and patterns that cannot be searched for, are errors of a line."""
    done = local.run("jobs", "log", *words, "0003")
    assert done.status != 0
    assert done.stdout == ""
    assert why in done.error
