"""The agent as a process: greeting, order, priorities, pages, changes, logs, and its end; with hostile workspaces."""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.link.agent_host import Talk
from tests.support.job_process import Started
from tests.support.pages import unfolded
from tests.support.polling import wait_until
from tests.workspace.agent.test_actions import write_pid
from tests.workspace.disk import Disk, snapshot, write, write_lines
from xpm_remote.link.remote.agent import agent_command
from xpm_remote.workspace.agent.announcing import PAGE
from xpm_remote.workspace.agent.program import END_GRACE, respond
from xpm_remote.workspace.agent.wire import Request
from xpm_remote.workspace.failures import NOT_A_WORKSPACE
from xpm_remote.workspace.layout import JobId

pytestmark = pytest.mark.slow

ONE, TWO = (JobId("pkg.learn", letter * 64) for letter in "ab")
SOON = 10.0
"""Seconds for immediate work, on a machine that runs other tests, too."""


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """A workspace with a job that has ended and one that waits."""
    disk = Disk(tmp_path / "ws")
    (disk.root / ".events" / "jobs").mkdir(parents=True)
    disk.run("exp", [ONE, TWO], job_states={ONE.hash: "done", TWO.hash: "waiting"}, hostname="far")
    disk.job(ONE, {"state": "done", "started_time": "2026-11-01T12:00:01.5"}, done="")
    disk.job(TWO, {"state": "waiting"})
    return disk


@pytest.fixture
def talk(disk: Disk) -> Iterator[Talk]:
    """An agent that serves it."""
    with Talk(disk.root) as talk:
        talk.greet()
        yield talk


def many(disk: Disk, count: int) -> list[JobId]:
    """Add an experiment of many jobs."""
    jobs = [JobId("pkg.eval", f"{number:064d}") for number in range(count)]
    disk.run("many", jobs, status="done", job_states={job.hash: "done" for job in jobs})
    for job in jobs:
        disk.job(job, {"state": "done"}, done="")
    return jobs


def rows(notices: list[dict[str, Any]], method: str) -> list[Any]:
    """Return the rows of notifications."""
    return [row for each in notices if each.get("method") == method for row in unfolded(each)]


# Requests


def test_handshake(talk: Talk, disk: Disk) -> None:
    """The agent reports its identity and its capabilities."""
    info = talk.result("get_sync_info")
    assert info["protocol_version"] == "2.0"
    assert info["workspace_path"] == str(disk.root)
    assert info["agent"]["host"] == socket.gethostname()
    assert {"pages", "since", "logs", "actions", "ping"} <= set(info["agent"]["capabilities"])


@pytest.mark.parametrize("interval", [0, -1, True, "often"])
def test_no_slurm_interval(talk: Talk, interval: object) -> None:
    """How often SLURM is asked is a number above 0, or null for never."""
    refusal = talk.call("get_sync_info", slurm_interval=interval)["error"]
    assert (refusal["code"], "number above 0" in refusal["message"]) == (-32602, True)
    assert talk.result("get_sync_info", slurm_interval=None)


def test_answers_in_order(talk: Talk) -> None:
    """Requests that arrive together are answered one after the other."""
    ids = [talk.ask("list_jobs", experiment=str(number)) for number in range(50)]
    assert [talk.read()["id"] for _ in ids] == ids


def test_errors(talk: Talk) -> None:
    """Refusals have the codes of the reference server; a failure of ours has its parts, too."""
    assert talk.call("nonsense")["error"]["code"] == -32601
    assert talk.call("get_directory", task_id="x")["error"]["code"] == -32602
    error = talk.call("get_directory", task_id="../..", job_id="x")["error"]
    assert (error["code"], error["data"]["kind"]) == (-32603, "bad-id")
    talk.write(b"nonsense\n")
    assert talk.read()["error"]["code"] == -32700
    assert talk.result("list_jobs")["jobs"]


def test_quick_requests_overtake_long_ones(talk: Talk, disk: Disk) -> None:
    """Logs and pings are answered during a long request."""
    many(disk, 3000)
    write(disk.root / "jobs" / ONE.task / ONE.hash / "learn.err", "one\ntwo\n")
    long = talk.ask("list_jobs")
    names = {"task_id": ONE.task, "job_id": ONE.hash}
    quick = [talk.ask("ping"), talk.ask("read_log", lines=1, **names)]
    answers = [talk.read() for _ in range(3)]
    assert {each["id"] for each in answers[:2]} == set(quick)
    assert answers[2]["id"] == long
    (log,) = (each for each in answers if each["id"] == quick[1])
    assert log["result"]["text"] == "two\n"


def test_compression_saves(disk: Disk) -> None:
    """Compressed, the same data takes a tenth of the bytes."""
    many(disk, 500)
    with Talk(disk.root, compress=True) as talk:
        talk.greet()
        jobs = talk.result("list_jobs")["jobs"]
        assert len(jobs) == 502
        assert talk.greeting.compressed


# Pages and changes


def test_pages(talk: Talk, disk: Disk) -> None:
    """All is reported in pages of rows: runs, what they list, jobs; each job once, active ones first."""
    jobs = many(disk, PAGE + 10)
    talk.result("subscribe")
    talk.notice("notification.loaded")
    heads = talk.notice("notification.runs")
    assert (
        [head["experiment_id"] for head in heads["experiments"]]
        == heads["names"]
        == ["exp", "many"]
    )
    assert [head["jobs_count"] for head in heads["experiments"]] == [2, PAGE + 10]
    listed = rows(talk.notices, "notification.listed")
    numbers = {row[2]: row[0] for row in listed}
    assert set(numbers) == {job.hash for job in (ONE, TWO, *jobs)}
    told = rows(talk.notices, "notification.jobs")
    assert len(told) == len({row[0] for row in told}) == PAGE + 12
    assert told[0][0] == numbers[TWO.hash]
    assert [row[1] for row in told if row[0] == numbers[ONE.hash]] == ["done"]
    sequence = [each["params"]["sequence"] for each in talk.notices]
    assert sequence == sorted(sequence)


def test_changes_follow(talk: Talk, disk: Disk) -> None:
    """After the pages, a change on disk is reported as a row of the job's number."""
    talk.result("subscribe")
    talk.notice("notification.loaded")
    numbers = {row[2]: row[0] for row in rows(talk.notices, "notification.listed")}
    talk.notices.clear()
    disk.job(TWO, {"state": "running"}, pid={"type": "local", "pid": 5, "host": "far"})
    event = {"event_type": "JobProgressEvent", "level": 0, "progress": 0.5, "desc": "half"}
    disk.events(TWO, event)
    row: list[Any] = []
    while len(row) < 8 or row[7] is None:  # the files are written one after the other
        row = talk.notice("notification.jobs")["rows"][0]
    assert row[:2] == [numbers[TWO.hash], "running"]
    assert row[7] == [[0, 0.5, "half"]]


def test_second_subscription(talk: Talk) -> None:
    """All is reported once; a second subscription is answered with that."""
    assert talk.result("subscribe") == {"subscribed": True}
    assert talk.result("subscribe") == {"subscribed": False}
    assert talk.call("subscribe", since="yesterday")["error"]["code"] == -32602


def test_continues_after_a_gap(disk: Disk) -> None:
    """A new agent with the mark of an old one reports active jobs, and of the others only those that changed."""
    jobs = many(disk, 20)
    mark = time.time() + 10_000
    with Talk(disk.root) as talk:
        talk.greet()
        talk.result("subscribe", since=mark)
        assert talk.notice("notification.loaded")["mark"] >= mark - 10_001
        told = {row[2] for row in rows(talk.notices, "notification.listed")}
        assert told == {ONE.hash, TWO.hash}
        assert not told & {job.hash for job in jobs}


def test_pages_that_the_client_has(disk: Disk) -> None:
    """A new agent sends only the digest of a page that an old one has sent, and all of one that has changed."""

    def load(known: list[str]) -> list[dict[str, Any]]:
        with Talk(disk.root) as talk:
            talk.greet()
            talk.result("subscribe", since=None, known=known)
            talk.notice("notification.loaded")
            paged = ("listed", "jobs", "again")
            return [each for each in talk.notices if each["method"].partition(".")[2] in paged]

    first = load([])
    known = [each["params"]["digest"] for each in first]
    again = load(known)
    assert [each["method"] for each in again] == ["notification.again"] * len(first)
    assert [each["params"]["digest"] for each in again] == known
    disk.job(TWO, {"state": "error"}, failed="1")
    changed = load(known)
    assert {each["method"] for each in changed} == {"notification.again", "notification.jobs"}
    (row,) = [row for row in rows(changed, "notification.jobs") if row[0] == 1]
    assert row[1] == "error"


@pytest.mark.parametrize(("script", "sent"), [(None, 0), ("#!/bin/sh", 0), ("#SBATCH -n 1", 1)])
def test_modules_of_schedulers(script: str | None, sent: int, disk: Disk) -> None:
    """For jobs that run without a process that is known, they are asked for only where SLURM has a script of one."""
    job = JobId("pkg.learn", "c" * 64)
    disk.run("live", [job], job_states={job.hash: "running"}, hostname="far")
    disk.job(job, {"state": "running"})
    if script is not None:
        (disk.root / "jobs" / job.task / job.hash / "learn.sh").write_text(f"{script}\n")
    with Talk(disk.root) as talk:
        talk.greet()
        talk.result("subscribe")
        talk.notice("notification.loaded")
        assert talk.modules_sent == sent


def test_known_pages_must_be_a_list(talk: Talk) -> None:
    """Digests that are no list are refused."""
    assert talk.call("subscribe", known=5)["error"]["code"] == -32602


# Logs


def test_follow_logs(talk: Talk, disk: Disk) -> None:
    """A log is read from its end and then followed from that position, as also by a later agent."""
    path = disk.root / "jobs" / TWO.task / TWO.hash / "learn.out"
    path.write_text("one\ntwo\n")
    names = {"task_id": TWO.task, "job_id": TWO.hash, "stream": "out"}
    piece = talk.result("read_log", lines=1, **names)
    assert piece["text"] == "two\n"
    talk.result("follow_log", name="a", position=piece["position"], **names)
    with path.open("a") as file:
        file.write("three\n")
    assert talk.notice("notification.log")["text"] == "three\n"
    talk.result("unfollow_log", name="a")
    assert talk.result("read_log", position=piece["position"], **names)["text"] == "three\n"
    assert talk.call("read_log", **{**names, "stream": "x"})["error"]["code"] == -32602
    assert talk.call("read_log", **{**names, "lines": "x"})["error"]["code"] == -32602


# Actions


def test_actions(talk: Talk, disk: Disk) -> None:
    """Jobs are killed and cleaned by a plan, which is returned first."""
    directory = disk.root / "jobs" / TWO.task / TWO.hash
    started = Started(directory)
    write_pid(directory, started.pid)
    jobs = [{"task_id": job.task, "job_id": job.hash} for job in (ONE, TWO)]
    plans = talk.result("plan_action", action="kill", jobs=jobs)
    assert [bool(plan["refusal"]) for plan in plans] == [True, False]
    done = talk.result("carry_out", name="a", plans=plans)
    assert done == {"outcomes": 2, "stopped": False}
    outcomes = [talk.notice("notification.outcome")["outcome"] for _ in plans]
    assert [each["success"] for each in outcomes] == [False, True]
    assert started.alive == []
    started.end()
    plans = talk.result("plan_action", action="clean", jobs=jobs[:1])
    talk.result("carry_out", name="b", plans=plans)
    assert talk.notice("notification.outcome")["outcome"]["success"]
    assert not (disk.root / "jobs" / ONE.task / ONE.hash).exists()
    assert talk.call("plan_action", action="burn", jobs=jobs)["error"]["code"] == -32602


def test_action_is_finished_when_the_client_is_lost(disk: Disk) -> None:
    """A running action is completed after the end of stdin; then the agent ends."""
    directory = disk.root / "jobs" / TWO.task / TWO.hash
    started = Started(directory, "stubborn")
    write_pid(directory, started.pid)
    with Talk(disk.root) as talk:
        talk.greet()
        names = {"task_id": TWO.task, "job_id": TWO.hash}
        talk.ask(
            "carry_out", name="a", plans=talk.result("plan_action", action="kill", jobs=[names])
        )
        wait_until(lambda: started.alive == [started.pid], SOON, "the first signal")
        _, err, status = talk.end()
    assert (started.alive, err, status) == ([], "", 0)
    started.end()


# The end


def test_end(talk: Talk) -> None:
    """At the end of stdin all requests are answered, the end is reported, and the status is 0."""
    ids = [talk.ask("list_jobs") for _ in range(20)]
    out, err, status = talk.end()
    messages = [json.loads(line) for line in (talk._buffer + out).splitlines()]
    assert [each["id"] for each in messages[:-1]] == ids
    assert messages[-1]["method"] == "notification.shutdown"
    assert (err, status) == ("", 0)


def test_end_while_busy(talk: Talk, disk: Disk) -> None:
    """The agent ends with its stdin, also when it is busy and its output is not read."""
    many(disk, 2000)
    talk.result("subscribe")
    for _ in range(200):
        talk.ask("list_jobs")
    assert talk.process.stdin is not None
    began = time.monotonic()
    talk.process.stdin.close()
    talk.process.wait(SOON + END_GRACE)
    assert time.monotonic() - began < SOON + END_GRACE
    talk.process.stdin = open(os.devnull, "wb")  # noqa: PTH123, SIM115  (so that it can be closed)


def test_hangup_is_no_end(talk: Talk) -> None:
    """A hangup alone does not end the agent, so that an action is not interrupted; the end of stdin does."""
    pid = talk.result("get_sync_info")["agent"]["pid"]
    os.kill(pid, signal.SIGHUP)
    assert talk.result("ping")


def test_no_workspace(tmp_path: Path) -> None:
    """A directory that is no workspace is reported on stderr, with a status of its own."""
    with Talk(tmp_path) as talk:
        out, err, status = talk.end()
    assert (out, status) == (b"", NOT_A_WORKSPACE)
    assert "is no experimaestro workspace" in err


# Judging


def test_judge(talk: Talk) -> None:
    """Runs and jobs that are named are judged as when they are tracked; what is not there is left out."""
    talk.result("subscribe")
    talk.notice("notification.loaded")
    numbers = {row[2]: row[0] for row in rows(talk.notices, "notification.listed")}
    tracked = {row[0]: row[1:] for row in rows(talk.notices, "notification.jobs")}
    heads = [
        each
        for page in talk.notices
        if page["method"] == "notification.runs"
        for each in page["params"]["experiments"]
    ]
    found = talk.result("judge", experiments={"exp": [*numbers, "nowhere"], "none": ["a"], "": []})
    assert found["experiments"] == [each for each in heads if each["experiment_id"] == "exp"]
    judged = {
        name.rpartition("/")[2]: row for name, row in zip(found["jobs"], found["rows"], strict=True)
    }
    assert judged.keys() == numbers.keys()
    assert all(row[1:] == tracked[numbers[job]] for job, row in judged.items())
    assert talk.result("judge", experiments={"exp": []})["jobs"] == []


@pytest.mark.parametrize("experiments", [None, [], {"exp": None}, {"exp": "abc"}])
def test_judge_of_something_else(talk: Talk, experiments: object) -> None:
    """Other parameters are refused."""
    assert talk.call("judge", experiments=experiments)["error"]["code"] == -32602


def test_find_missing(talk: Talk, disk: Disk) -> None:
    """Jobs of current runs without a directory are found, but none whose task's directory cannot be listed."""
    assert talk.result("find_missing", experiments=["exp", "none", ""]) == {"jobs": []}
    directory = disk.root / "jobs" / ONE.task / ONE.hash
    shutil.rmtree(directory)
    assert talk.result("find_missing", experiments=["exp"]) == {"jobs": [str(ONE)]}
    directory.symlink_to("nowhere")
    assert talk.result("find_missing", experiments=["exp"]) == {"jobs": []}
    directory.unlink()
    (disk.root / "jobs" / ONE.task).rename(disk.root / "jobs" / "aside")
    (disk.root / "jobs" / ONE.task).symlink_to(ONE.task)
    assert talk.result("find_missing", experiments=["exp"]) == {"jobs": []}
    assert talk.call("find_missing", experiments={})["error"]["code"] == -32602


# Read-only; hostile workspaces


def test_reading_writes_nothing(disk: Disk) -> None:
    """After every kind of request, no file of the workspace has changed."""
    before = snapshot(disk.root)
    names = {"task_id": ONE.task, "job_id": ONE.hash}
    with Talk(disk.root) as talk:
        talk.greet()
        talk.result("get_sync_info")
        talk.result("subscribe")
        for method in ("ping", "list_jobs", "get_references", "find_orphans"):
            talk.result(method)
        talk.result("plan_orphans", force=True)
        talk.result("list_jobs", experiment="exp")
        talk.result("judge", experiments={"exp": [ONE.hash]})
        talk.result("find_missing", experiments=["exp"])
        talk.result("find_jobs", texts=["pkg.learn/*"])
        for method in ("plan_recovery", "plan_archive"):
            talk.result(method, jobs=[str(ONE)])
        for method in ("get_directory", "read_log"):
            talk.result(method, **names)
        talk.result("follow_log", name="x", **names)
        talk.result("plan_action", action="clean", jobs=[names])
        talk.end()
    assert snapshot(disk.root) == before


def hostile(disk: Disk) -> None:
    """Fill a workspace with files that a reader may fail on."""
    jobs, run = disk.root / "jobs", disk.root / "experiments" / "exp" / "20261101_120000"
    (jobs / "loop").symlink_to(jobs)
    (jobs / "pkg.learn" / "self").symlink_to("self")
    (disk.root / "experiments" / "loop").symlink_to(disk.root / "experiments")
    os.mkfifo(disk.root / ".events" / "jobs" / f"00000000-{ONE.hash}-0.jsonl")
    evil = disk.root / "experiments" / "e\n\x1b[2Jvil"
    evil.mkdir()
    os.mkdir(os.fsencode(disk.root / "experiments") + b"/\xff\xfe")  # noqa: PTH102
    names = [JobId("pkg.evil", name * 64) for name in "cdefg"]
    with (run / "jobs.jsonl").open("a") as lines:
        for job in names:
            lines.write(
                json.dumps({"job_id": job.hash, "task_id": job.task, "tags": {"\x1b": "\n"}}) + "\n"
            )
        lines.write('{"job_id": "../../x", "task_id": "/etc"}\n[[[\n"x"\n' + "[" * 50_000 + "\n")
    os.mkfifo(write(disk.job(names[0]) / "x", "").with_name("params.json"))
    status = disk.job(names[1]) / ".experimaestro" / "status.json"
    os.mkfifo(status)
    write(disk.job(names[2]) / ".experimaestro" / "status.json", b"[" * 1_000_000)
    with (disk.job(names[3]) / ".experimaestro" / "status.json").open("wb") as file:
        file.truncate(1 << 30)
    with (disk.job(names[4]) / "evil.err").open("wb") as file:
        file.truncate(1 << 30)
    write_lines(
        disk.root / ".events" / "experiments" / "exp-0.jsonl", [{"event_type": 5}, [], {"a": "b"}]
    )


def test_hostile_workspace(disk: Disk) -> None:
    """Loops, FIFOs, and huge, deep and nameless files neither stop nor slow the rest."""
    hostile(disk)
    began = time.monotonic()
    with Talk(disk.root) as talk:
        talk.greet()
        talk.result("subscribe")
        talk.notice("notification.loaded")
        states = {row[0]: row[1] for row in rows(talk.notices, "notification.jobs")}
        numbers = {row[2]: row[0] for row in rows(talk.notices, "notification.listed")}
        assert states[numbers[ONE.hash]] == "done"
        assert len(numbers) == 7
        assert len(talk.result("list_jobs", experiment="exp")["jobs"]) == 7
        piece = talk.result("read_log", task_id="pkg.evil", job_id="g" * 64)
        assert piece["note"] == "cut"
        talk.result("find_orphans")
        _, err, status = talk.end()
    assert (err, status) == ("", 0)
    assert time.monotonic() - began < 2 * SOON


def as_unprivileged(command: str) -> str:
    """Return a command that may read only what its user's permissions allow, also for root."""
    if os.geteuid() != 0:
        return command
    rights = "-dac_override,-dac_read_search"
    return f"setpriv --bounding-set {rights} --inh-caps {rights} sh -c {shlex.quote(command)}"


def test_unreadable_directories(disk: Disk) -> None:
    """Unreadable directories are left out, and the rest is served."""
    secret = disk.root / "experiments" / "secret"
    secret.mkdir(mode=0)
    (disk.root / "jobs" / TWO.task / TWO.hash).chmod(0)
    plain = agent_command(str(disk.root), python=sys.executable, compress=False)
    command = as_unprivileged(plain)
    with Talk(disk.root, command=command) as talk:
        talk.greet()
        jobs = talk.result("list_jobs")["jobs"]
        assert {job["facts"]["job_id"] for job in jobs} == {ONE.hash, TWO.hash}
    secret.chmod(0o755)
    (disk.root / "jobs" / TWO.task / TWO.hash).chmod(0o755)


@pytest.mark.parametrize("named", [b"/data/x", "/data/x", 5, None])
def test_error_of_the_system(capsys: pytest.CaptureFixture[str], named: object) -> None:
    """An error of the system is told in a line, whatever its file name is: it is no bug."""

    def fail(_: dict[str, Any]) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), named)

    error = json.loads(respond(Request(1, "look", {}), {"look": fail}))["error"]
    where = "/data/x" if isinstance(named, (bytes, str)) else "the workspace"
    assert error["message"] == f"{where}: Input/output error"
    assert error["data"]["kind"] == "workspace"
    assert capsys.readouterr().err == ""
