"""``orphans`` as a person runs it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import COMMAND_LIMIT, Commands
from tests.cli.local import Local
from tests.workspace.small import locked

pytestmark = pytest.mark.slow


@pytest.fixture
def local(commands: Commands, tmp_path: Path) -> Local:
    """A workspace with a job that is needed, an orphan, and one that its backup has too."""
    local = Local(commands, tmp_path)
    for name in ("t.x/known", "t.x/lone", "t.x/saved"):
        local.made.job(name)
    local.backup.job("t.x/saved")
    local.made.run(["t.x/known"])
    return local


def left(local: Local) -> list[str]:
    """Return the entries of the task's directory."""
    return sorted(each.name for each in (local.made.layout.jobs / "t.x").iterdir())


def test_list(local: Local) -> None:
    """Orphans and recoverable jobs are listed, and nothing is changed."""
    done = local.run("orphans", "--workspace", "w")
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "Found 1 orphan job:",
        " t.x/lone",
        "Found 1 recoverable job, which a folder has too:",
        f" t.x/saved  backup {local.backup.root}",
    ]
    assert left(local) == ["known", "lone", "saved"]


def test_json(local: Local) -> None:
    """With JSON, an object a line, with sizes if wanted."""
    lone, saved = local.objects("orphans", "--size")
    assert (lone["schema"], lone["id"], lone["kind"]) == (
        "xpm-remote/orphan/1",
        "t.x/lone",
        "orphan",
    )
    assert lone["size"] > 0
    assert saved["folder"] == {"path": str(local.backup.root), "mode": "backup"}
    assert local.objects("orphans")[0]["size"] is None


def test_without_folders(local: Local) -> None:
    """Without folders, the backup's jobs are orphans as well; a path has its workspace's folders."""
    path = str(local.made.root)
    found = [each["kind"] for each in local.objects("orphans", path, "--no-folders")]
    assert found == ["orphan", "orphan"]
    found = [each["kind"] for each in local.objects("orphans", path)]
    assert found == ["orphan", "recoverable"]


def test_none(local: Local) -> None:
    """Without orphans there is one line."""
    local.made.run(["t.x/lone", "t.x/saved"], "f")
    assert local.run("orphans").stdout == "No orphan jobs found.\n"


def test_clean(local: Local) -> None:
    """Cleaning deletes orphans, and keeps what the backup has."""
    done = local.run("orphans", "--clean", "--yes")
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "removed t.x/lone"
    assert left(local) == ["known", "saved"]
    assert local.run("orphans", "--clean", "--yes").status == 0


def test_clean_what_cannot_be_read(local: Local) -> None:
    """An orphan that is kept since it is not known whether it runs is told by the exit status, too."""
    lone = local.made.layout.jobs / "t.x" / "lone"
    (lone / "x.done").unlink()
    (lone / "x.pid").mkdir()
    done = local.run("orphans", "--clean", "--yes")
    assert (done.status, done.error) == (
        33,
        "xpm-remote: 1 job could not be deleted; see the lines above",
    )
    assert done.stdout.splitlines()[-1].startswith("failed t.x/lone: it may run: ")
    assert left(local) == ["known", "lone", "saved"]


def test_clean_unasked(local: Local) -> None:
    """Without a terminal and without ``--yes``, the plan is shown, and nothing is done."""
    done = local.run("orphans", "--clean")
    assert done.status == 2
    assert "t.x/lone" in done.stdout
    assert done.error == (
        "xpm-remote: Delete 1 job for good? There is no terminal to ask at, so nothing is done; give --yes"
    )
    assert left(local) == ["known", "lone", "saved"]


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("n\n", 130), ("\n", 130)])
def test_clean_asked(local: Local, answer: str, status: int) -> None:
    """On a terminal there is a prompt, and only yes is a yes."""
    person, terminal = pty.openpty()
    try:
        os.write(person, answer.encode())
        done = subprocess.run(
            local.commands._argv(("orphans", "--clean")),
            env=local.commands._environment(),
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=terminal,
            timeout=COMMAND_LIMIT,
            check=False,
        )
    finally:
        os.close(person)
        os.close(terminal)
    assert done.returncode == status
    assert ("lone" in left(local)) is (status != 0)


def test_clean_with_json(local: Local) -> None:
    """With JSON, each line is an object with the outcome for one orphan."""
    (cleaned,) = local.objects("orphans", "--clean", "--yes")
    assert cleaned == {
        "schema": "xpm-remote/cleaned/1",
        "id": "t.x/lone",
        "status": "removed",
        "message": None,
    }


def test_moved_job(local: Local, tmp_path: Path) -> None:
    """Cleaning without regard to folders removes the link of a moved job, and never the archived data."""
    archived = local.backup.job("t.x/moved")
    local.made.link("t.x/moved", archived)
    local.made.link("t.x/private", tmp_path)
    done = local.run("orphans", "--clean", "--yes", "--no-folders")
    assert done.status == 0
    assert f"keep  t.x/private  it is a link to {tmp_path}, which" in done.stdout
    assert left(local) == ["known", "private"]
    assert (archived / "result.txt").exists()
    assert local.run("jobs", "recover", "t.x/moved").status == 0


def test_running(local: Local) -> None:
    """While an experiment runs nothing is deleted; with --force, a running job is kept."""
    lock = local.made.layout.scheduler_lock("e")
    with locked(lock), locked(local.made.layout.jobs / "t.x" / "lone" / "x.lock"):
        done = local.run("orphans", "--clean", "--yes")
        assert (done.status, "the experiment e runs" in done.error) == (34, True)
        assert local.run("orphans", "--clean", "--yes", "--force").status == 0
        assert left(local) == ["known", "lone", "saved"]
    assert local.run("orphans", "--clean", "--yes").status == 0
    assert left(local) == ["known", "saved"]


def test_unreadable_run(local: Local) -> None:
    """When a run cannot be read, its jobs are unknown, and nothing is deleted."""
    file = local.made.layout.experiment("e") / "current" / "jobs.jsonl"
    with file.open("a") as written:
        written.write("{broken\n")
    done = local.run("--quiet", "orphans", "--clean", "--yes")
    assert (done.status, "it is not known which jobs it refers to" in done.error) == (33, True)
    assert left(local) == ["known", "lone", "saved"]


def test_folder_that_is_not_there(local: Local, tmp_path: Path) -> None:
    """When a folder is unavailable, its jobs are listed with a warning, and nothing is deleted."""
    local.backup.root.rename(tmp_path / "elsewhere")
    done = local.run("orphans")
    assert (done.status, "does not exist" in done.stderr) == (0, True)
    done = local.run("--quiet", "orphans", "--clean", "--yes")
    assert done.status == 33
    assert left(local) == ["known", "lone", "saved"]


def test_folder_of_another_workspace(local: Local, tmp_path: Path) -> None:
    """A workspace that is a folder of another one is not cleaned: the other's runs may refer to its jobs."""
    other = {"id": "o", "path": str(tmp_path / "o")}
    used = {"path": str(local.made.root), "mode": "use"}
    local.settle([(local.backup, "backup")], {**other, "folders": [used]})
    done = local.run("orphans", "--clean", "--yes")
    assert (done.status, "is a folder of the workspace o" in done.error) == (4, True)
    assert local.run("orphans", "--clean", "--yes", "--force").status == 0


def test_no_workspace(local: Local, tmp_path: Path) -> None:
    """A directory that is no workspace is an error, and so are options without effect."""
    done = local.run("orphans", str(tmp_path))
    assert (done.status, "is no experimaestro workspace" in done.error) == (4, True)
    assert local.run("orphans", "--yes").status == 2


def test_hostile_names(local: Local) -> None:
    """A name cannot move the cursor, in text; in JSON it stands escaped."""
    local.made.job("t.x/\u202eevil")
    done = local.run("orphans")
    assert "\u202e" not in done.stdout
    assert "\\u202eevil" in done.stdout
    names = [
        json.loads(line)["id"]
        for line in local.run("orphans", "--format", "json").stdout.splitlines()
    ]
    assert "t.x/\u202eevil" in names
