"""``jobs archive`` as a person runs it."""

from __future__ import annotations

import errno
import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import END_LIMIT, Commands
from tests.cli.local import Local
from tests.workspace.faults import below, make_fail
from tests.workspace.small import locked

pytestmark = pytest.mark.slow


@pytest.fixture
def local(commands: Commands, tmp_path: Path) -> Local:
    """A workspace with two jobs that succeeded, and two that did not."""
    local = Local(commands, tmp_path)
    local.made.job("t.x/aaaa1")
    local.made.job("t.x/aaaa2")
    local.made.job("t.x/failed1", "failed")
    local.made.job("t.x/going1", None)
    return local


def archived(local: Local) -> list[str]:
    """Return the jobs in the backup."""
    return sorted(each.parent.name for each in local.backup.layout.jobs.glob("t.x/*/result.txt"))


def test_some(local: Local) -> None:
    """Named jobs are copied; one that has not succeeded is reported."""
    done = local.run("jobs", "archive", "t.x/aaaa1")
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == f"copied t.x/aaaa1 in {local.backup.root}"
    assert archived(local) == ["aaaa1"]
    done = local.run("jobs", "archive", "t.x/aaaa*", "going1")
    assert done.status == 30
    assert f"present t.x/aaaa1 in {local.backup.root}" in done.stdout
    assert "unfinished t.x/going1: it has no success marker" in done.stdout
    assert local.run("jobs", "archive", "t.x/failed1").status == 31


def test_all(local: Local) -> None:
    """All jobs that succeeded are archived; that others did not is no error."""
    assert local.run("jobs", "archive", "--all").status == 0
    assert archived(local) == ["aaaa1", "aaaa2"]


def test_chosen(local: Local) -> None:
    """--experiment and --filter choose among the jobs of current runs; of those, the ones that succeeded."""
    local.made.run(["t.x/aaaa1", "t.x/failed1", "t.x/gone1"], "first")
    local.made.run(["t.x/aaaa2", "t.x/going1"], "second")
    assert local.run("jobs", "archive", "--experiment", "first").status == 0
    assert archived(local) == ["aaaa1"]
    done = local.run("jobs", "archive", "--filter", '@state = "done"', "--dry-run")
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        ["verify", "t.x/aaaa1"],
        ["copy", "t.x/aaaa2"],
    ]
    words = ("--experiment", "second", "--filter", "x = 2")
    assert local.run("jobs", "archive", *words).status == 0
    assert archived(local) == ["aaaa1"]
    assert local.run("jobs", "archive", "--filter", "x = 1").status == 0
    assert archived(local) == ["aaaa1", "aaaa2"]
    done = local.run("jobs", "archive", "--experiment", "third")
    assert (done.status, "there is no experiment" in done.error) == (31, True)
    for more in (("t.x/aaaa1",), ("--all",), ("--watch",)):
        assert local.run("jobs", "archive", "--experiment", "first", *more).status == 2


def test_what_cannot_be_listed(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a directory that cannot be listed nothing is taken for absent: the rest is archived, and the status is 35."""
    local.made.job("u/bbbb1")
    make_fail(monkeypatch, "scan", errno.EIO, below(local.made.layout.jobs / "u"))
    done = local.run("jobs", "archive", "--all")
    assert done.status == 35
    path = f"{local.made.layout.jobs}/u"
    assert f"{path} cannot be read, so there may be more jobs" in done.stderr
    assert archived(local) == ["aaaa1", "aaaa2"]
    done = local.run("jobs", "archive", "bbbb")
    assert (done.status, "not known whether there is a job" in done.error) == (35, True)
    assert local.run("jobs", "archive", "t.x/aaaa1").status == 0


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES])
def test_read_errors(local: Local, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A job that cannot be read costs the status 33, and no other job; the next run archives it."""
    with monkeypatch.context() as patch:
        for name in ("stat", "lstat", "scan", "open_file"):
            make_fail(patch, name, number, below(local.made.layout.jobs / "t.x" / "aaaa1"))
        done = local.run("jobs", "archive", "--all")
    assert done.status == 33
    assert f"unreadable t.x/aaaa1: {local.made.layout.jobs}/t.x/aaaa1: " in done.stdout
    assert archived(local) == ["aaaa2"]
    assert local.run("jobs", "archive", "--all").status == 0
    assert archived(local) == ["aaaa1", "aaaa2"]


def test_dry_run(local: Local) -> None:
    """A dry run shows the plan, and changes nothing."""
    done = local.run("jobs", "archive", "--all", "--dry-run")
    assert done.status == 0
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        ["copy", "t.x/aaaa1"],
        ["copy", "t.x/aaaa2"],
    ]
    (plan,) = local.objects("jobs", "archive", "t.x/going1", "--dry-run")
    assert (plan["schema"], plan["verdict"]) == ("xpm-remote/archive-plan/1", "unfinished")
    assert archived(local) == []


def test_move(local: Local) -> None:
    """A move folder gets the job, and the workspace keeps a link."""
    local.settle([(local.backup, "move")])
    (job,) = local.objects("jobs", "archive", "t.x/aaaa1")
    assert (job["schema"], job["folders"][0]["status"]) == ("xpm-remote/archive/1", "moved")
    place = local.made.layout.jobs / "t.x" / "aaaa1"
    assert place.is_symlink()
    assert (place / "result.txt").read_text() == "result"


def test_errors(local: Local, tmp_path: Path) -> None:
    """No job to archive, an unknown job and no folder have a message and an exit status each."""
    for words in ((), ("--all", "t.x/aaaa1"), ("--watch", "--dry-run"), ("--watch", "t.x/aaaa1")):
        assert local.run("jobs", "archive", *words).status == 2
    assert local.run("jobs", "archive", "nope").status == 31
    assert local.run("jobs", "archive", "../..").status == 32
    with locked(local.backup.layout.jobs / "t.x" / ".tmp.aaaa1.lock"):
        assert local.run("jobs", "archive", "--all").status == 34
    local.backup.root.rename(tmp_path / "elsewhere")
    done = local.run("jobs", "archive", "--all")
    assert (done.status, "does not exist" in done.stdout) == (33, True)
    local.settle([])
    done = local.run("jobs", "archive", "--all")
    assert (done.status, "has no folder of the mode backup or move" in done.error) == (33, True)


@pytest.mark.parametrize(("words", "first"), [((), "going1"), (("--all",), "aaaa1")])
def test_watch(local: Local, words: tuple[str, ...], first: str) -> None:
    """Jobs are archived as they succeed until a signal comes; with --all those that succeeded before, too."""
    argv = local.commands._argv(("jobs", "archive", "--watch", "--format", "json", *words))
    with subprocess.Popen(
        argv,
        env=local.commands._environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stderr.readline().startswith("watching ")
        (local.made.layout.jobs / "t.x" / "going1" / "x.done").touch()
        assert json.loads(process.stdout.readline())["id"] == f"t.x/{first}"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=4 * END_LIMIT) == 0
    # Whether the last one was found yet depends on the moment of the last look.
    assert archived(local)[:2] == (["aaaa1", "aaaa2"] if words else ["going1"])
