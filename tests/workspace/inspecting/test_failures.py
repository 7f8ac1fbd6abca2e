"""Why jobs failed: by their logs, of any size and content, by their markers, and by the jobs that they needed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from tests.support.peer import SCRIPTS, peer_python
from tests.workspace.small import SmallWorkspace
from xpm_remote.workspace.inspecting import failures
from xpm_remote.workspace.inspecting.answers import Failure
from xpm_remote.workspace.inspecting.failures import FailureReader, newest_first
from xpm_remote.workspace.layout import JobId, parse_job_id
from xpm_remote.workspace.reading import disk
from xpm_remote.workspace.reading.jobs import DIED
from xpm_remote.workspace.reading.reader import WorkspaceReader, current_jobs

REAL_LIMIT = 600.0
"""Seconds for some forty short jobs of the real experimaestro on a busy machine: ten times what they take."""

ANNOUNCED = "ERROR:7:26-11-28 16:51:33 [xpm] Got exception while running\n"
EXITING = "INFO:7:26-11-28 16:51:33 [xpm] Exiting\n"
TRACEBACK = (
    "Traceback (most recent call last):\n"
    '  File "/home/me/learner.py", line 212, in forward\n'
    "    raise ValueError(1)\n"
)
JOB = "demo.learn/ab"


@pytest.fixture
def made(tmp_path: Path) -> SmallWorkspace:
    """A workspace."""
    return SmallWorkspace(tmp_path / "ws")


def read(made: SmallWorkspace, name: str = JOB, known: str = "") -> Failure | None:
    """Read why a job failed."""
    return FailureReader(WorkspaceReader(made.root)).read(parse_job_id(name), known)


def failure(
    made: SmallWorkspace, log: str | bytes | None, content: object = None, name: str = JOB
) -> Failure:
    """Make a failed job with a log and a marker, and return why it failed."""
    directory = made.job(name, "failed")
    script = parse_job_id(name).script_name
    if content is not None:
        (directory / f"{script}.failed").write_text(json.dumps(content))
    if log is not None:
        data = log.encode() if isinstance(log, str) else log
        (directory / f"{script}.err").write_bytes(data)
    found = read(made, name)
    assert found is not None
    return found


def test_a_traceback_is_the_cause(made: SmallWorkspace) -> None:
    """A failure has class, message, frames, the offset of its traceback, reason and exit code."""
    log = f"start\n{ANNOUNCED}{TRACEBACK}mod.BadError: lr 0.1 in '/x'\n{EXITING}"
    found = failure(made, log)
    assert found.cause == "BadError: lr * in *\nlearner.py:forward"
    assert (found.exception, found.message) == ("BadError", "lr 0.1 in '/x'")
    assert found.offset == log.index("Traceback")
    assert (found.log_size, found.reason, found.exit_code) == (len(log), "FAILED", 1)
    assert found.ended is not None


@pytest.mark.parametrize("after", [100_000, 3_000_000])
def test_a_traceback_may_be_far_from_the_end(made: SmallWorkspace, after: int) -> None:
    """A traceback is found above a long message, where the process announced it."""
    log = f"{'x' * 99}\n{ANNOUNCED}{TRACEBACK}ValueError: {'y' * after}\n{EXITING}"
    found = failure(made, log)
    assert found.exception == "ValueError"
    assert found.offset == log.index("Traceback")


def test_a_traceback_of_an_earlier_run_does_not_count(made: SmallWorkspace) -> None:
    """Where a log goes on from an earlier run, what that announced is not the cause of this one."""
    begin = "INFO:7:26-11-28 16:51:33 [xpm] Running task\n"
    log = f"{begin}{ANNOUNCED}{TRACEBACK}ValueError: old\n{EXITING}{begin}"
    for more in ("epoch\n", "epoch\n" * 100_000):
        assert failure(made, log + more).cause == "FAILED: epoch"
        shutil.rmtree(made.layout.job(parse_job_id(JOB)))


def test_only_a_bounded_part_is_read(made: SmallWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a log of 1 GB the end is read, and an announcement looked for within a bound."""
    monkeypatch.setattr(failures, "SEARCH_BACK", 2 * failures.BLOCK)
    directory = made.job(JOB, "failed")
    log = directory / "learn.err"
    log.write_text(f"{ANNOUNCED}{TRACEBACK}ValueError: far away\n")
    os.truncate(log, 1 << 30)
    with log.open("a") as file:
        file.write("\nlast words\n")
    read_bytes = 0
    pread = disk.read_at

    def count(handle: int, size: int, offset: int, path: str) -> bytes:
        nonlocal read_bytes
        read_bytes += size
        return pread(handle, size, offset, path)

    monkeypatch.setattr(disk, "read_at", count)
    found = read(made)
    assert found is not None
    assert (found.exception, found.message) == ("", "last words")
    assert read_bytes < 4 * failures.BLOCK


@pytest.mark.parametrize(
    ("log", "content", "cause"),
    [
        ("epoch 3\n", {"code": 1, "reason": "failed"}, "FAILED: epoch *"),
        ("epoch 3\n", {"code": 3, "reason": "failed"}, "FAILED, exit code 3: epoch *"),
        ("", {"code": 1, "reason": "failed"}, "FAILED"),
        (None, {"code": 1, "reason": "failed"}, "FAILED"),
        (
            "epoch\n",
            {"code": 1, "reason": "timeout", "message": "no time at 5"},
            "TIMEOUT: no time at *",
        ),
        (
            "epoch\n",
            {"code": 15, "reason": "cancelled", "message": "Job terminated by SIGTERM"},
            "CANCELLED, exit code 15: Job terminated by SIGTERM",
        ),
        (
            "slurmstepd: error: Detected 2 oom-kill event(s)\n",
            {"code": 1, "reason": "failed", "message": "Process died without writing markers"},
            f"{DIED}: slurmstepd: error: Detected * oom-kill event(s)",
        ),
    ],
)
def test_without_a_traceback_the_reason_counts(
    made: SmallWorkspace, log: str | None, content: object, cause: str
) -> None:
    """Without a traceback, the cause is the reason, and what the marker or the log says last."""
    assert failure(made, log, content).cause == cause


@pytest.mark.parametrize(
    "log",
    [
        b"",
        b"\x00" * 100_000,
        b"\xff\xfe\x1b]0;title\x07" * 50_000,
        b"\n" * 300_000,
        b"x" * 2_000_000,
        b"Traceback (most recent call last):\n" * 20_000,
        (TRACEBACK * 5000).encode() + b"Fake: x\n" * 5000,
        b'  File "' + b"a" * 1_000_000 + b'", line 1, in f\nValueError: x\n',
        ANNOUNCED.encode() * 5000,
    ],
)
def test_hostile_logs_are_bounded(made: SmallWorkspace, log: bytes) -> None:
    """Whatever a log holds, what is returned of it is short text that can be sent."""
    found = failure(made, log)
    assert len(json.dumps(found.to_wire()).encode()) < 20_000
    assert Failure.from_wire(json.loads(json.dumps(found.to_wire()))) == found


def test_a_log_that_is_a_link_is_not_followed(made: SmallWorkspace, tmp_path: Path) -> None:
    """The directory of a job may be another user's: what a link there leads to is not read."""
    secret = tmp_path / "secret"
    secret.write_text("secret words\n")
    directory = made.job(JOB, "failed")
    (directory / "learn.err").symlink_to(secret)
    found = read(made)
    assert found is not None
    assert found.unread is not None
    assert "is a link" in found.unread.why
    assert found.cause == "FAILED: the log * is a link, which is not followed"
    assert "secret" not in found.message
    (directory / "learn.err").unlink()
    os.mkfifo(directory / "learn.err")
    told = read(made)
    assert told is not None
    assert told.cause == "FAILED: the log * is no regular file"


def test_a_job_without_a_directory(made: SmallWorkspace) -> None:
    """A job whose directory is gone has lost its outputs."""
    found = read(made)
    assert found is not None
    assert (found.reason, found.cause) == (
        "MISSING_OUTPUTS",
        "MISSING_OUTPUTS: its directory is gone",
    )


def test_what_is_known_is_not_read_again(made: SmallWorkspace) -> None:
    """A failure whose files are the same is left out; one whose log or marker changed is read again."""
    first = failure(made, "one\n")
    assert read(made, known=first.stamp) is None
    (made.layout.job(JobId("demo.learn", "ab")) / "learn.err").write_text("another\n")
    again = read(made, known=first.stamp)
    assert again is not None
    assert again.stamp != first.stamp
    assert again.cause == "FAILED: another"


def test_a_dependency_has_its_root(made: SmallWorkspace) -> None:
    """Jobs that were not started name the job that they needed, and the one that failed first."""
    names = ["demo.learn/ab", "demo.mid/cd", "demo.last/ef", "demo.alone/99"]
    failure(made, "bad\n")
    for name in names[1:]:
        directory = made.job(name, None)
        status = {
            "state": "unscheduled",
            "scheduler_state": "error",
            "scheduler_failure_reason": "DEPENDENCY",
        }
        (directory / ".experimaestro" / "status.json").write_text(json.dumps(status))
    run = made.run(names)
    objects = [
        {"id": 1, "identifier": "ab", "fields": {}},
        {"id": 2, "identifier": "zz", "fields": {"of": {"type": "python", "value": 1}}},
        {"id": 3, "identifier": "cd", "fields": {"of": {"type": "python", "value": 2}}},
        # Numbers are used again once their object is gone.
        {"id": 1, "identifier": "ef", "fields": {"of": [{"type": "python", "value": 3}]}},
    ]
    (run / "objects.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in objects))
    mid, last, alone = (read(made, name, known="x") for name in names[1:])
    assert mid is not None
    assert (str(mid.needs), str(mid.root)) == (names[0], names[0])
    assert last is not None
    assert (str(last.needs), str(last.root)) == (names[1], names[0])
    assert last.cause == mid.cause == f"DEPENDENCY of {names[0]}"
    assert alone is not None
    assert (alone.cause, alone.root) == ("DEPENDENCY", None)


def test_dependencies_in_a_circle_end(made: SmallWorkspace) -> None:
    """Objects that refer to each other, as only broken files have them, end the way to the root."""
    names = ["demo.a/aa", "demo.b/bb"]
    for name, other in zip(names, reversed(names), strict=True):
        directory = made.job(name, None)
        status = {"scheduler_state": "error", "scheduler_failure_reason": "DEPENDENCY"}
        (directory / ".experimaestro" / "status.json").write_text(json.dumps(status))
        source = {"id": 1, "identifier": other.partition("/")[2], "task": 1}
        own = {"id": 2, "task": 2, "fields": {"x": {"type": "python", "value": 1}}}
        (directory / "params.json").write_text(json.dumps({"objects": [source, own]}))
    made.run(names)
    found = read(made, names[0])
    assert found is not None
    assert str(found.root) in names


def test_the_newest_come_first() -> None:
    """Failures are sorted by their end."""
    found = [Failure(JobId("a", str(end)), "", "", ended=end) for end in (None, 1.0, 2.0)]
    assert [each.ended for each in sorted(found, key=newest_first)] == [2.0, 1.0, None]


@pytest.mark.slow
def test_real_failures_are_grouped_as_a_person_would(tmp_path: Path) -> None:
    """Jobs of the real experimaestro that fail in one way have one cause, and those that do not have others."""
    home, workspace = tmp_path / "home", tmp_path / "ws"
    home.mkdir()
    script = SCRIPTS / "failures" / "fail.py"
    subprocess.run(
        [peer_python(), "-B", script, workspace],
        cwd=script.parent,
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        timeout=REAL_LIMIT,
        check=False,
    )
    reader = WorkspaceReader(workspace)
    jobs = current_jobs(reader)
    assert jobs is not None
    asked = FailureReader(reader)
    causes: dict[str, list[str]] = defaultdict(list)
    for job in jobs:
        found = asked.read(job.facts.id)
        assert found is not None
        way = str(job.tags["how"]) if job.task_id == "failing_tasks.fail" else job.task_id
        causes[way].append(found.cause)
    assert {way: len(found) for way, found in causes.items() if len(set(found)) != 1} == {}
    where = "failing_tasks.py"
    execute = f"{where}:execute"
    expected = {
        "value": f"ValueError: bad value * in *\n{where}:fail_plainly\n{execute}",
        "memory": "OutOfMemoryError: CUDA out of memory. Tried to allocate *. GPU * has *.* GiB free"
        f"\n{where}:allocate\n{where}:forward",
        "cause": f"RuntimeError: cannot load *\n{where}:fail_with_cause\n{execute}",
        "handler": f"ValueError: invalid literal for int() with base *: *\n{where}:fail_in_handler\n{execute}",
        "syntax": f"SyntaxError: invalid syntax\n{where}:fail_by_syntax\n{execute}",
        "lines": f"ValueError: first line *\n{where}:fail_with_lines\n{execute}",
        "key": f"KeyError: *\n{where}:fail_by_key\n{execute}",
        "exit": "FAILED, exit code 3",
        "killed": f"{DIED}: epoch *",
        "oom": f"{DIED}: slurmstepd: error: Detected * oom-kill event(s) in StepId=*.batch.",
        "handled": f"{DIED}: step *",
        "failing_tasks.late": "TIMEOUT: no time left at step *",
    }
    assert {way: causes[way][0] for way in expected} == expected
    assert causes["exit-text"][0].startswith("SystemExit: configuration * is wrong")
    assert causes["group"][0].startswith(
        "ExceptionGroup: workers (* sub-exceptions): ValueError: worker *; TypeError: other"
    )
    assert causes["recursion"][0].startswith("RecursionError: maximum recursion depth exceeded")
    root = next(
        str(job.facts.id)
        for job in jobs
        if job.task_id == "failing_tasks.fail"
        and (job.tags["how"], job.tags["number"]) == ("value", 1)
    )
    assert {*causes["failing_tasks.after"], *causes["failing_tasks.last"]} == {
        f"DEPENDENCY of {root}"
    }
    assert len({found[0] for found in causes.values()}) == len(causes) - 1  # the last two are one
