"""``jobs recover`` as a person runs it."""

from __future__ import annotations

import errno
import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import Commands
from tests.cli.local import Local
from tests.workspace.faults import below, make_fail
from tests.workspace.small import locked

pytestmark = pytest.mark.slow


@pytest.fixture
def local(commands: Commands, tmp_path: Path) -> Local:
    """A workspace that has lost three jobs which its backup has, and that still has one."""
    local = Local(commands, tmp_path)
    names = ["t.x/aaaa1", "t.x/aaaa2", "u/bbbb1"]
    for name in names:
        local.backup.job(name)
    local.made.job("u/here1")
    local.made.run([*names, "u/here1", "u/gone1"])
    return local


def there(local: Local) -> list[str]:
    """Return the jobs whose result is in the workspace."""
    found = local.made.layout.jobs.glob("*/*/result.txt")
    return sorted(f"{each.parent.parent.name}/{each.parent.name}" for each in found)


def test_several(local: Local) -> None:
    """Jobs are named by ids, prefixes and patterns; the plan is printed first, then each outcome."""
    done = local.run("jobs", "recover", "t.x/aaaa1", "bbbb", "u/here*")
    assert (done.status, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].split()[:4] == ["recover", "t.x/aaaa1", "from", str(local.backup.root)]
    assert lines[0].endswith("complete")
    assert lines[3].startswith("2 jobs to recover, ")
    assert lines[4].startswith("recovered t.x/aaaa1 from ")
    assert there(local) == ["t.x/aaaa1", "u/bbbb1", "u/here1"]


def test_dry_run(local: Local) -> None:
    """A dry run shows the plan, and does nothing."""
    (plan,) = local.objects("jobs", "recover", "t.x/aaaa1", "--dry-run")
    assert (plan["schema"], plan["id"]) == ("xpm-remote/recovery-plan/1", "t.x/aaaa1")
    assert (plan["status"], plan["complete"]) == ("recover", True)
    assert plan["source"] == {"path": str(local.backup.root), "mode": "backup"}
    assert plan["size"] > 0
    assert there(local) == ["u/here1"]


def test_missing(local: Local) -> None:
    """All jobs that runs refer to are recovered; one in no folder is reported, also by the exit status."""
    done = local.run("jobs", "recover", "--missing")
    assert done.status == 30
    assert done.error == ("xpm-remote: 1 job of 4 cannot be recovered; see the lines above")
    assert there(local) == ["t.x/aaaa1", "t.x/aaaa2", "u/bbbb1", "u/here1"]
    again = local.run("jobs", "recover", "--missing")
    assert again.status == 31
    local.backup.job("u/gone1")
    assert local.run("jobs", "recover", "--missing").status == 0
    done = local.run("jobs", "recover", "--missing")
    assert (done.status, done.stdout) == (0, "Nothing is to be recovered.\n")


def test_chosen(local: Local) -> None:
    """--experiment and --filter choose among the jobs of current runs; --missing leaves out those that are there."""
    local.made.run(["t.x/aaaa1", "u/here1"], "first")
    done = local.run("jobs", "recover", "--experiment", "first", "--missing", "--dry-run")
    assert done.status == 0
    assert [line.split()[:2] for line in done.stdout.splitlines()[:-1]] == [
        ["recover", "t.x/aaaa1"]
    ]
    found = local.objects("jobs", "recover", "--experiment", "first", "--filter", "x = 1")
    assert {each["id"]: each["status"] for each in found} == {
        "t.x/aaaa1": "recovered",
        "u/here1": "there",
    }
    assert local.run("jobs", "recover", "--filter", "x = 2").status == 0
    assert there(local) == ["t.x/aaaa1", "u/here1"]
    assert local.run("jobs", "recover", "--experiment", "nope").status == 31
    assert local.run("jobs", "recover", "--experiment", "first", "t.x/aaaa1").status == 2


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES])
def test_read_errors(local: Local, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A copy that cannot be read costs the status 33, and no other job; the next run recovers it."""
    local.backup.job("u/gone1")
    with monkeypatch.context() as patch:
        for name in ("stat", "lstat", "scan", "open_file"):
            make_fail(patch, name, number, below(local.backup.layout.jobs / "t.x" / "aaaa1"))
        done = local.run("jobs", "recover", "--missing")
    assert done.status == 33
    assert f"cannot be read: {local.backup.layout.jobs}/t.x/aaaa1" in done.stdout
    assert there(local) == ["t.x/aaaa2", "u/bbbb1", "u/gone1", "u/here1"]
    assert local.run("jobs", "recover", "--missing").status == 0


def test_from_file(local: Local, tmp_path: Path) -> None:
    """Ids come from a file, too; comments and empty lines do not count."""
    (tmp_path / "ids").write_text("# mine\n\nt.x/aaaa1  # the first\nt.x/aaaa2\n")
    found = local.objects("jobs", "recover", "--from-file", str(tmp_path / "ids"))
    assert {each["id"]: each["status"] for each in found} == {
        "t.x/aaaa1": "recovered",
        "t.x/aaaa2": "recovered",
    }
    done = local.run("jobs", "recover", "--from-file", str(tmp_path / "no"))
    assert done.status == 2
    assert "No such file" in done.error


def test_not_found(local: Local) -> None:
    """Some or all of the named jobs are not found."""
    done = local.run("jobs", "recover", "t.x/aaaa1", "u/nope1", "nope*")
    assert done.status == 30
    assert "not-found  nope*" in done.stdout
    assert "u/nope1" in done.stdout
    assert local.run("jobs", "recover", "u/nope1").status == 31
    assert local.run("jobs", "recover", "nope").status == 31
    done = local.run("jobs", "recover", "nope", "t.x/aaaa2", "--format", "json")
    assert '"id":"nope","status":"not-found"' in done.stdout


@pytest.mark.parametrize(
    "text", ["../../x", "t.x/..", "t.x/../../..", "/etc", "t.x/", "a/b/c", ".."]
)
def test_bad_id(local: Local, text: str) -> None:
    """An id that could lead out of ``jobs/`` is refused before any work."""
    done = local.run("jobs", "recover", "t.x/aaaa1", text)
    assert (done.status, done.stdout) == (32, "")
    assert "is not the id of a job" in done.error
    assert there(local) == ["u/here1"]


def test_ambiguous(local: Local) -> None:
    """A prefix of several ids is refused, and the ids are listed."""
    done = local.run("jobs", "recover", "t.x/aaaa")
    assert done.status == 31
    assert "t.x/aaaa1, t.x/aaaa2" in done.error


def test_incomplete(local: Local) -> None:
    """A copy without its success marker is used only with --incomplete."""
    local.backup.job("t.x/half1", None)
    done = local.run("jobs", "recover", "t.x/half1")
    assert done.status == 31
    assert "has no success marker; --incomplete takes it" in done.stdout
    assert there(local) == ["u/here1"]
    assert local.run("jobs", "recover", "t.x/half1", "--incomplete").status == 0
    assert there(local) == ["t.x/half1", "u/here1"]


@pytest.mark.parametrize("obstacle", ["file", "loop"])
def test_obstacle(local: Local, obstacle: str) -> None:
    """A file in the job's place is left alone; a loop of links is replaced or reported."""
    place = local.made.layout.jobs / "t.x" / "aaaa1"
    place.parent.mkdir()
    if obstacle == "file":
        place.write_text("mine")
        done = local.run("jobs", "recover", "t.x/aaaa1")
        assert done.status == 31
        assert "in its place" in done.stdout
        assert place.read_text() == "mine"
        return
    place.symlink_to(place.name)
    done = local.run("jobs", "recover", "t.x/aaaa1")
    assert done.status in (0, 31)
    assert (done.status == 0) is (place / "result.txt").exists()
    assert done.stdout


@pytest.mark.parametrize("leftover", ["dangling", "empty"])
def test_leftover(local: Local, leftover: str) -> None:
    """A dangling link and an empty directory are replaced."""
    place = local.made.layout.jobs / "t.x" / "aaaa1"
    if leftover == "dangling":
        local.made.link("t.x/aaaa1", Path("/nowhere"))
    else:
        place.mkdir(parents=True)
    assert local.run("jobs", "recover", "t.x/aaaa1").status == 0
    assert (place / "result.txt").read_text() == "result"


def test_busy(local: Local) -> None:
    """A job that another process is recovering is left to it."""
    lock = local.made.layout.jobs / "t.x" / ".tmp.aaaa1.lock"
    with locked(lock):
        done = local.run("jobs", "recover", "t.x/aaaa1", "t.x/aaaa2")
    lock.unlink()  # one that is left counts for a while, where other hosts may have the file system too
    assert done.status == 34
    assert there(local) == ["t.x/aaaa2", "u/here1"]
    assert local.run("jobs", "recover", "t.x/aaaa1").status == 0


def test_folder_that_is_not_there(local: Local, tmp_path: Path) -> None:
    """A folder that cannot be read may have the missing job, which has another exit status."""
    local.backup.root.rename(tmp_path / "elsewhere")
    done = local.run("jobs", "recover", "t.x/aaaa1")
    assert done.status == 33
    assert f"{local.backup.root} does not exist" in done.stdout


def test_workdir_brings_its_folders(local: Local, tmp_path: Path) -> None:
    """A directory that is a workspace of the settings has that workspace's folders, by any path."""
    (tmp_path / "alias").symlink_to(local.made.root)
    done = local.run("jobs", "--workdir", str(tmp_path / "alias"), "recover", "t.x/aaaa1")
    assert done.status == 0
    done = local.run("jobs", "recover", "--workdir", str(tmp_path / "alias"), "u/bbbb1")
    assert done.status == 0
    assert there(local) == ["t.x/aaaa1", "u/bbbb1", "u/here1"]


def test_other_workspaces(local: Local, tmp_path: Path) -> None:
    """An unknown workspace and a directory that is no workspace are errors of one line each."""
    local.settle([], {"id": "far", "path": "/far", "ssh": {"host": "cluster"}})
    done = local.run("jobs", "--workspace", "no", "recover", "t.x/aaaa1")
    assert (done.status, 'no workspace "no"' in done.error) == (4, True)
    done = local.run("jobs", "--workspace", "no", "recover", "t.x/aaaa1")
    assert done.status == 4
    done = local.run("jobs", "--workdir", str(tmp_path), "recover", "t.x/aaaa1")
    assert (done.status, "is no experimaestro workspace" in done.error) == (4, True)


def test_nothing_named(local: Local) -> None:
    """Naming no job is a usage error."""
    done = local.run("jobs", "recover")
    assert (done.status, done.error) == (
        2,
        "xpm-remote: no job is named; give ids, --from-file, --experiment, --filter or --missing",
    )


def test_killed(local: Local) -> None:
    """A command that is killed leaves no half job, and the next one finishes the work."""
    for number in range(40):
        local.backup.job(f"big/job{number:02}", text="x" * 200_000)
    words = local.commands._argv(("jobs", "recover", "big/*"))
    with subprocess.Popen(
        words, env=local.commands._environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    assert local.run("jobs", "recover", "big/*").status == 0
    found = sorted(each.parent.name for each in local.made.layout.jobs.glob("big/*/result.txt"))
    assert found == [f"job{number:02}" for number in range(40)]
    left = [each.name for each in (local.made.layout.jobs / "big").iterdir()]
    assert not [name for name in left if name.startswith(".tmp.")]


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES])
def test_run_that_cannot_be_read(
    local: Local, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """While it is not known what a run refers to, the rest is recovered, and the status is 35."""
    local.made.run(["t.x/aaaa1"], "other")
    path = local.made.layout.experiments / "e"
    for name in ("open_file", "stat", "lstat", "scan"):
        make_fail(monkeypatch, name, number, below(path))
    done = local.run("jobs", "recover", "--missing")
    assert done.status == 35
    assert f"{path}" in done.stderr
    assert there(local) == ["t.x/aaaa1", "u/here1"]
    done = local.run("jobs", "recover", "--filter", "x = 1")
    assert done.status == 35
    assert f"{path}" in done.stderr
