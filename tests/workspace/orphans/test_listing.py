"""Jobs that no run refers to."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.workspace.small import SmallWorkspace
from xpm_remote.workspace.layout import Folder, FolderMode
from xpm_remote.workspace.orphans.listing import disk_usage, find_orphans
from xpm_remote.workspace.outcomes import OrphanReport, from_wire, to_wire


@pytest.fixture
def made(tmp_path: Path) -> SmallWorkspace:
    """A workspace with a job that a run refers to."""
    made = SmallWorkspace(tmp_path / "ws")
    made.job("t/known")
    made.run(["t/known"])
    return made


def orphans(report: OrphanReport) -> list[str]:
    """Return the ids of the orphans."""
    return [str(each.job) for each in report.orphans]


def test_kinds(made: SmallWorkspace, tmp_path: Path) -> None:
    """Backup and move folders make a job recoverable, in their order; a ``use`` folder does not."""
    folders = []
    for mode in ("use", "backup", "move"):
        folder = SmallWorkspace(tmp_path / mode)
        folder.job(f"t/{mode}")
        folder.job("t/all")
        folders.append(folder.as_folder(mode))
    for name in ("use", "backup", "move", "all", "only"):
        made.job(f"t/{name}")
    report = find_orphans(made.layout, folders)
    assert orphans(report) == ["t/only", "t/use"]
    owners = {each.job.hash: each.folder for each in report.recoverable}
    assert owners == {"all": folders[1], "backup": folders[1], "move": folders[2]}
    without = find_orphans(made.layout, folders, with_folders=False)
    assert orphans(without) == ["t/all", "t/backup", "t/move", "t/only", "t/use"]


def test_link_into_a_folder_that_is_only_used(made: SmallWorkspace, tmp_path: Path) -> None:
    """The target of a link in a ``use`` folder is never a candidate, with any options."""
    folder = SmallWorkspace(tmp_path / "use")
    made.link("t/linked", folder.job("t/linked"))
    for with_folders in (True, False):
        report = find_orphans(made.layout, [folder.as_folder("use")], with_folders=with_folders)
        assert report == OrphanReport()


def test_same_directory_by_another_name(made: SmallWorkspace) -> None:
    """A directory that a referred job links to is needed, and a link to a referred job is no orphan."""
    made.job("t/real")
    made.link("t/alias", made.layout.jobs / "t" / "real")
    made.link("t/other", made.layout.jobs / "t" / "known")
    made.run(["t/alias"], "f")
    assert orphans(find_orphans(made.layout)) == []


def test_link_of_version_1_with_another_name(made: SmallWorkspace) -> None:
    """A link of version 1 refers to its target."""
    made.job("t/real")
    made.first_links(["t/known"])
    (made.layout.first_experiments / "v" / "jobs" / "t" / "old").symlink_to(
        made.layout.jobs / "t" / "real"
    )
    assert orphans(find_orphans(made.layout)) == []


def test_no_jobs(made: SmallWorkspace) -> None:
    """Files, hidden directories, loops and staging directories are no jobs."""
    task = made.layout.jobs / "t"
    (task / "file").touch()
    (task / ".tmp.aaaa").mkdir()
    (task / ".hidden").mkdir()
    (task / "loop").symlink_to("loop")
    (made.layout.jobs / ".trash" / "x").mkdir(parents=True)
    (made.layout.jobs / "note.txt").touch()
    assert find_orphans(made.layout) == OrphanReport()


def test_nothing_there(tmp_path: Path) -> None:
    """A workspace without jobs has no orphans."""
    made = SmallWorkspace(tmp_path / "ws")
    made.layout.jobs.rmdir()
    assert find_orphans(made.layout) == OrphanReport()


def test_folder_that_is_not_there(made: SmallWorkspace, tmp_path: Path) -> None:
    """A folder that cannot be read is reported."""
    made.job("t/a")
    missing = Folder(tmp_path / "no", FolderMode.BACKUP)
    report = find_orphans(made.layout, [missing])
    assert orphans(report) == ["t/a"]
    assert str(tmp_path / "no") in report.unavailable[0]
    assert find_orphans(made.layout, [missing], with_folders=False).unavailable == ()


def test_sizes(made: SmallWorkspace) -> None:
    """Sizes are those on the disk: of links themselves, and of a file with two names once."""
    directory = made.job("t/a", text="x" * 100_000)
    os.link(directory / "result.txt", directory / "again.txt")
    (directory / "away").symlink_to("/usr")
    (orphan,) = find_orphans(made.layout, with_sizes=True).orphans
    assert orphan.size == disk_usage(directory)
    assert 100_000 <= orphan.size < 180_000
    assert disk_usage(directory / "nowhere") == 0


def test_wire(made: SmallWorkspace, tmp_path: Path) -> None:
    """A report is the same after it was sent."""
    folder = SmallWorkspace(tmp_path / "backup")
    folder.job("t/a")
    made.job("t/a")
    made.job("t/b")
    with (made.layout.experiment("e") / "current" / "jobs.jsonl").open("a") as file:
        file.write("broken\n")
    missing = Folder(tmp_path / "no", FolderMode.MOVE)
    report = find_orphans(made.layout, [folder.as_folder("backup"), missing], with_sizes=True)
    assert from_wire(OrphanReport, json.loads(json.dumps(to_wire(report)))) == report
    assert (len(report.orphans), len(report.recoverable), len(report.unread)) == (1, 1, 1)
