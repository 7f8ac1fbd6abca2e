"""``jobs`` and ``orphans`` of a workspace on a host with only python3."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.cli.commands import Commands
from tests.cli.far import Far
from tests.support.proxy import Proxy
from tests.support.server import Server

pytestmark = pytest.mark.slow

LIMIT = 60.0
"""Seconds for what a command does on a busy machine."""


@pytest.fixture
def far(commands: Commands, server: Server, tmp_path: Path) -> Far:
    """A workspace, not sent yet, that lost two jobs which are in its backup and one which is not, and has a fourth."""
    far = Far(commands, server, tmp_path, "bare")
    names = ["t.x/aaaa1", "t.x/aaaa2"]
    for name in names:
        far.backup.job(name)
    far.made.job("u/here1")
    far.made.run([*names, "u/here1", "u/gone1"])
    return far


def test_recover(far: Far) -> None:
    """Jobs are recovered from a folder there, by id, prefix and pattern, with the reports of local commands."""
    far.send()
    done = far.run("jobs", "recover", "t.x/aaaa1", "aaaa2", "u/here*")
    assert (done.status, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].split()[:4] == ["recover", "t.x/aaaa1", "from", f"{far.place}/backup"]
    assert lines[3].startswith("2 jobs to recover, ")
    assert lines[4].startswith(f"recovered t.x/aaaa1 from {far.place}/backup into {far.place}/ws/")
    assert far.there() == ["t.x/aaaa1", "t.x/aaaa2", "u/here1"]


def test_recover_missing(far: Far) -> None:
    """All jobs that runs refer to are recovered; one in no folder is reported, also by the exit status."""
    far.send()
    (plan, *_) = [
        json.loads(each)
        for each in far.run(
            "jobs", "recover", "--missing", "--dry-run", "--format", "json"
        ).stdout.splitlines()
    ]
    assert plan["schema"] == "xpm-remote/recovery-plan/1"
    done = far.run("jobs", "recover", "--missing")
    assert (done.status, done.error) == (
        30,
        "xpm-remote: 1 job of 3 cannot be recovered; see the lines above",
    )
    assert far.run("jobs", "recover", "--missing").status == 31


@pytest.mark.parametrize(
    ("words", "status", "error"),
    [
        (("recover", "../x"), 32, "is not the id of a job"),
        (("recover", "t.x/none9"), 31, "cannot be recovered"),
        (("recover", "aaaa"), 31, "could be 2 jobs"),
        (("path", "none9"), 31, "there is no job"),
        (("log", "u/here1"), 31, "has no log"),
        (("archive", "--watch"), 2, "--watch is for workspaces of this machine"),
        (("list", "--experiment", "f"), 31, 'there is no experiment "f"'),
        (("kill", "here1", "--filter", "x = 1"), 2, "leave one of them out"),
        (("kill", "here1"), 34, "cannot be killed"),
    ],
)
def test_refused(words: tuple[str, ...], status: int, error: str, far: Far) -> None:
    """A refusal is one line, with the exit status of the local command."""
    far.send()
    done = far.run("jobs", *words)
    assert (done.status, error in done.error) == (status, True), done.error


def test_folder_is_away(far: Far) -> None:
    """An unavailable folder is reported, and no job is reported as missing everywhere."""
    far.send()
    far.settle(folder="elsewhere")
    done = far.run("jobs", "recover", "t.x/aaaa1")
    assert done.status == 33
    assert f"{far.place}/elsewhere does not exist" in done.stdout


def test_archive_and_path(far: Far) -> None:
    """Jobs that succeeded are archived to the folder there; the path of a job is the remote one."""
    far.send()
    (archived,) = far.objects("jobs", "archive", "--filter", '@state = "done"')
    assert archived["id"] == "u/here1"
    assert archived["folders"][0]["status"] == "copied"
    done = far.run("jobs", "archive", "--all")
    assert (done.status, done.stdout.splitlines()[-1]) == (
        0,
        f"present u/here1 in {far.place}/backup",
    )
    done = far.run("jobs", "path", "here1")
    assert (done.status, done.stdout) == (0, f"{far.place}/ws/jobs/u/here1\n")


def test_list(far: Far) -> None:
    """The jobs of current runs are listed, filtered by their tags and states."""
    far.made.job("t.x/fail1", "failed")
    far.made.run(["t.x/fail1"], "other")
    far.send()
    jobs = {each["id"]: each for each in far.objects("jobs", "list")}
    assert set(jobs) == {"t.x/aaaa1", "t.x/aaaa2", "u/here1", "u/gone1", "t.x/fail1"}
    assert jobs["u/here1"]["state"] == "done"
    assert jobs["u/here1"]["path"] == f"{far.place}/ws/jobs/u/here1"
    done = far.run("jobs", "list", "--filter", 'x = 1 and @state = "error"', "--tags")
    assert (done.status, done.stdout) == (0, "FAIL    t.x/fail1 x=1\n")


def test_orphans(far: Far) -> None:
    """Orphans are listed, and deleted after a yes; what a folder has is kept."""
    far.made.job("u/lost1")
    far.made.job("u/kept1")
    far.backup.job("u/kept1")
    far.send()
    found = {each["id"]: each["kind"] for each in far.objects("orphans", "--size")}
    assert found == {"u/lost1": "orphan", "u/kept1": "recoverable"}
    done = far.run("orphans", "--clean")
    assert (done.status, "give --yes" in done.error) == (2, True)
    (cleaned,) = far.objects("orphans", "--clean", "--yes")
    assert (cleaned["id"], cleaned["status"]) == ("u/lost1", "removed")
    assert far.there() == ["u/here1", "u/kept1"]


def test_clean(far: Far) -> None:
    """A job that has ended is shown, then removed with --perform."""
    far.send()
    done = far.run("jobs", "clean", "--filter", '@state = "done"')
    assert (done.status, done.stdout.splitlines()[-1]) == (0, "1 job to clean (--perform does it).")
    assert far.there() == ["u/here1"]
    (cleaned,) = far.objects("jobs", "clean", "here1", "--perform")
    assert (cleaned["id"], cleaned["status"]) == ("u/here1", "cleaned")
    assert far.there() == []


def test_kill(far: Far) -> None:
    """A job that runs is shown with its processes, then ended with --perform, with all that it started."""
    script = "import fcntl, os; lock = open('u.lock'); fcntl.flock(lock, 2); os.system('sleep 617')"
    (far.made.job("u/runs1", None) / "u.py").write_text(script)
    far.send()
    far.shell(
        "cd jobs/u/runs1 && (setsid python3 u.py >/dev/null 2>&1 & "
        'sleep 1; printf \'{"type": "local", "pid": %d}\' $! > u.pid)'
    )
    done = far.run("jobs", "kill", "runs1")
    assert (done.status, "SIGTERM, then SIGKILL" in done.stdout) == (0, True)
    done = far.run("jobs", "kill", "runs1", "--perform")
    assert (done.status, "killed u/runs1" in done.stdout) == (0, True), done.stdout
    assert far.shell("pgrep -f 'slee[p] 617' || true") == ""


def test_log(far: Far) -> None:
    """The last lines of a log are printed, or all of it, or several logs with the job before each line."""
    for name in ("u/logs1", "u/logs2"):
        (far.made.job(name) / "u.err").write_text("".join(f"{n}\n" for n in range(30)))
    far.send()
    done = far.run("jobs", "log", "-n", "2", "logs1")
    assert (done.status, done.stdout) == (0, "28\n29\n")
    assert far.run("jobs", "log", "logs1").stdout.split() == [str(n) for n in range(30)]
    latin = "café\nprêt".encode("latin-1")
    (far.made.job("u/latin1") / "u.err").write_bytes(latin)
    far.send()
    for more in ((), ("-n", "5"), ("-f",)):
        assert os.fsencode(far.run("jobs", "log", *more, "latin1").stdout) == latin
    done = far.run("jobs", "log", "-n", "1", "u/logs*")
    assert done.stdout == "u/logs1: 29\nu/logs2: 29\n"
    done = far.run("jobs", "log", "-f", "-n", "1", "u/logs*")
    assert (done.status, sorted(done.stdout.splitlines())) == (0, ["u/logs1: 29", "u/logs2: 29"])


def test_why_jobs_failed(far: Far) -> None:
    """Failures, details and searches of logs are those of the host, whose python runs regular expressions."""
    directory = far.made.job("t.x/fail1", "failed")
    far.made.run(["t.x/fail1"], "other")
    frame = '  File "/home/me/code.py", line 3, in work\n    raise ValueError(7)\n'
    log = f"start\nTraceback (most recent call last):\n{frame}ValueError: bad 7\n"
    (directory / "x.err").write_text(log)
    far.send()
    (cause,) = far.objects("jobs", "failures")
    assert (cause["title"], cause["where"]) == ("ValueError: bad *", "code.py:work")
    assert cause["failed"][0]["offset"] == len("start\n")
    (detail,) = far.objects("jobs", "detail", "fail1")
    assert detail["path"] == f"{far.place}/ws/jobs/t.x/fail1"
    assert detail["failure"]["exception"] == "ValueError"
    for words in (("bad 7",), ("BAD", "-i"), (r"bad \d", "--regex")):
        done = far.run("jobs", "log", "--search", *words, "fail1")
        assert (done.status, done.stdout) == (
            0,
            f"{log.index('ValueError: bad')}: ValueError: bad 7\n",
        )
    done = far.run("jobs", "log", "--search", "(", "--regex", "fail1")
    assert done.status != 0
    assert "no regular expression" in done.error


def test_log_over_a_lost_link(far: Far) -> None:
    """A followed log continues at its position after the link is lost, and ends with its job."""
    (far.made.job("u/live1", None) / "u.err").write_text("0\n1\n")
    far.send()
    far.shell(
        "cd jobs/u/live1 && (setsid flock u.lock sleep 600 >/dev/null 2>&1 & "
        'sleep 1; printf \'{"type": "local", "pid": %d}\' $! > u.pid)'
    )
    with Proxy(far.server.host, far.server.port) as proxy:
        far.settle(proxy.port)
        with far.commands.started(*far.words("jobs", "log", "-f", "-n", "1", "live1")) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "1\n"
            far.shell("echo 2 >> jobs/u/live1/u.err")
            assert process.stdout.readline() == "2\n"
            proxy.cut()
            far.shell("echo 3 >> jobs/u/live1/u.err")
            assert process.stdout.readline() == "3\n"
            far.shell("echo 4 >> jobs/u/live1/u.err; touch jobs/u/live1/u.done")
            rest, errors = process.communicate(timeout=LIMIT)
    assert (process.returncode, rest) == (0, "4\n")
    assert "connected again" in errors


def test_recovery_over_a_lost_link(far: Far) -> None:
    """Of 200 jobs whose recovery is interrupted, all are whole afterwards, each reported once."""
    names = [f"pkg.train/{number:04x}" for number in range(200)]
    for name in names:
        far.backup.job(name, text="x" * 20_000)
    far.made.run(names, "many")
    far.send()
    with Proxy(far.server.host, far.server.port) as proxy:
        far.settle(proxy.port)
        # What is in transit when the link is cut is lost, so that there is a rest in any case.
        proxy.delay(to_client_ms=300)
        words = far.words("jobs", "recover", "pkg.train/*", "--format", "json")
        with far.commands.started(*words) as process:
            assert process.stdout is not None
            reported = [json.loads(process.stdout.readline())]
            proxy.cut()
            proxy.restore()
            # Not communicate(), which ignores lines that were read together with the first.
            reported += [json.loads(line) for line in process.stdout]
            _, errors = process.communicate(timeout=LIMIT)
    assert (process.returncode, "connected again" in errors) == (0, True), errors
    assert sorted(each["id"] for each in reported) == names
    assert {each["status"] for each in reported} <= {"recovered", "there"}
    assert far.shell("ls -d jobs/pkg.train/*/train.done | wc -l").strip() == "200"
    assert far.shell("cat jobs/pkg.train/*/result.txt | wc -c").strip() == "4000000"
    assert far.shell("ls -A jobs/pkg.train | grep '^[.]' || true") == ""


def test_interrupted(far: Far) -> None:
    """Ctrl-C ends the command with its status, and begun work is finished on the host."""
    names = [f"pkg.train/{number:04x}" for number in range(1000)]
    for name in names:
        far.backup.job(name, text="x" * 20_000)
    far.send()
    with far.commands.started(*far.words("jobs", "recover", "pkg.train/*")) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("recovered"):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=LIMIT)
    assert (process.returncode, "finished there" in errors) == (130, True), errors
    assert far.shell("ls -A jobs/pkg.train | grep '^[.]' || true") == ""


def test_link_cannot_be_made(far: Far) -> None:
    """An unreachable host has the exit status of the link."""
    far.send()
    far.settle(1)
    assert far.run("jobs", "recover", "t.x/aaaa1").status == 11


def test_options_of_the_way(far: Far) -> None:
    """SSH options of the command line count, also on commands before the agent; a local workspace has none."""
    far.send()
    done = far.run("jobs", "list", "--remote-shell-init", "exit 3")
    assert done.status == 20
    done = far.commands.run("orphans", str(far.made.root), "-o", "-p 22")
    assert (done.status, "options of SSH" in done.error) == (2, True)
