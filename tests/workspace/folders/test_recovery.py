"""A job that the workspace has lost is recovered completely or not at all, and no only copy is replaced."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from pathlib import Path

import pytest

from tests.workspace.jobs_on_disk import JOB, leftovers, make_folder, make_job, tree
from xpm_remote.workspace import filesystem
from xpm_remote.workspace.failures import BadIdFailure
from xpm_remote.workspace.folders.archiving import archive
from xpm_remote.workspace.folders.recovery import plan_recovery, recover
from xpm_remote.workspace.layout import Folder, FolderMode, JobId, Layout, parse_job_id
from xpm_remote.workspace.locks import StagingLock
from xpm_remote.workspace.outcomes import (
    RecoveryOutcome,
    RecoveryPlan,
    RecoveryStatus,
    from_wire,
    to_wire,
)


@pytest.fixture
def workspace(workspace: Layout) -> Layout:
    """A workspace with a job that was archived."""
    make_job(workspace)
    return workspace


@pytest.fixture
def folder(tmp_path: Path, workspace: Layout) -> Folder:
    """A folder that has that job."""
    folder = make_folder(tmp_path / "folder", FolderMode.BACKUP)
    list(archive(workspace, [folder], [JOB]))
    return folder


def run(workspace: Layout, *folders: Folder, incomplete: bool = False) -> RecoveryOutcome:
    """Recover the one job; the plan must say the same."""
    (plan,) = plan_recovery(workspace, folders, [JOB], incomplete=incomplete)
    (outcome,) = recover(workspace, folders, [JOB], incomplete=incomplete)
    assert plan.status is outcome.status
    assert from_wire(RecoveryPlan, to_wire(plan)) == plan
    assert from_wire(RecoveryOutcome, to_wire(outcome)) == outcome
    assert leftovers(workspace.root) == []
    return outcome


@pytest.mark.parametrize("mode", list(FolderMode))
def test_missing_job(workspace: Layout, folder: Folder, mode: FolderMode) -> None:
    """A missing job is restored from a folder of any mode, completely."""
    wanted = tree(workspace.job(JOB))
    shutil.rmtree(workspace.jobs)
    outcome = run(workspace, Folder(folder.path, mode))
    assert outcome.status is RecoveryStatus.RECOVERED
    assert outcome.source is not None
    assert outcome.size > 0
    assert tree(workspace.job(JOB)) == wanted == tree(folder.job(JOB))


def make_dangling(path: Path) -> None:
    """A link to a folder that is not mounted."""
    path.symlink_to("/not/mounted/jobs")


def make_loop(path: Path) -> None:
    """A link to itself."""
    path.symlink_to(path.name)


def make_empty(path: Path) -> None:
    """A directory without files."""
    (path / "out").mkdir(parents=True)


def make_prepared(path: Path) -> None:
    """Make the files that a scheduler writes before a job starts."""
    (path / ".experimaestro").mkdir(parents=True)
    (path / ".experimaestro" / "status.json").write_text('{"state": "waiting"}')
    (path / "train.lock").touch()
    (path / "params.json").write_text('{"version":3}')


def make_part(path: Path) -> None:
    """Make the rest of an interrupted removal."""
    path.mkdir()
    (path / "uv.lock").write_text("the user's own")


@pytest.mark.parametrize("make", [make_dangling, make_loop, make_empty, make_prepared, make_part])
def test_useless_things_give_way(workspace: Layout, folder: Folder, make: object) -> None:
    """What has nothing that the folder lacks is replaced by the job."""
    assert callable(make)
    wanted = tree(workspace.job(JOB))
    shutil.rmtree(workspace.job(JOB))
    make(workspace.job(JOB))
    assert run(workspace, folder).status is RecoveryStatus.RECOVERED
    assert tree(workspace.job(JOB)) == wanted


@pytest.mark.parametrize("make", [make_dangling, make_loop, make_empty])
def test_nothing_is_touched_when_no_folder_has_it(
    workspace: Layout, folder: Folder, make: object
) -> None:
    """Without a copy nothing is changed, and the reason names what is there."""
    assert callable(make)
    shutil.rmtree(workspace.job(JOB))
    shutil.rmtree(folder.job(JOB))
    make(workspace.job(JOB))
    outcome = run(workspace, folder)
    assert outcome.status is RecoveryStatus.NOT_FOUND
    assert "no folder has it" in outcome.message
    assert os.path.lexists(workspace.job(JOB))


def test_data_that_no_folder_has_stays(workspace: Layout, folder: Folder) -> None:
    """An unfinished directory with files of its own is reported, not replaced."""
    path = workspace.job(JOB)
    (path / "train.done").unlink()
    (path / "train.failed").write_text("{}")
    before = tree(path)
    outcome = run(workspace, folder)
    assert outcome.status is RecoveryStatus.OBSTRUCTED
    assert "train.failed" in outcome.message
    assert tree(path) == before


def test_file_in_its_place(workspace: Layout, folder: Folder) -> None:
    """A file in the place of the job is kept."""
    shutil.rmtree(workspace.job(JOB))
    workspace.job(JOB).write_text("precious")
    assert run(workspace, folder).status is RecoveryStatus.OBSTRUCTED
    assert workspace.job(JOB).read_text() == "precious"


@pytest.mark.parametrize("text", ["../x", "a/..", "demo.train", "a/b/c", "/a", "a/", ".tmp/x", ""])
def test_ids_that_leave_the_jobs(text: str) -> None:
    """An id that could lead out of jobs/ is refused."""
    with pytest.raises(BadIdFailure):
        parse_job_id(text)


def test_job_that_is_there(workspace: Layout, folder: Folder, tmp_path: Path) -> None:
    """An existing job, as a directory or as the link of a moved one, is not changed."""
    assert run(workspace, folder).status is RecoveryStatus.THERE
    list(archive(workspace, [make_folder(tmp_path / "move", FolderMode.MOVE)], [JOB]))
    assert workspace.job(JOB).is_symlink()
    assert run(workspace, folder).status is RecoveryStatus.THERE
    assert run(workspace).status is RecoveryStatus.THERE


def test_move_folder_that_is_gone(workspace: Layout, folder: Folder, tmp_path: Path) -> None:
    """A moved job whose folder is not mounted is recovered from another, or the reason names the missing one."""
    wanted = tree(workspace.job(JOB))
    move = make_folder(tmp_path / "move", FolderMode.MOVE)
    list(archive(workspace, [move], [JOB]))
    move.path.rename(tmp_path / "unplugged")
    outcome = run(workspace, move)
    assert outcome.status is RecoveryStatus.NOT_FOUND
    assert "does not exist" in outcome.unavailable[0]
    assert run(workspace, move, folder).status is RecoveryStatus.RECOVERED
    assert tree(workspace.job(JOB)) == wanted


def test_first_whole_copy_wins(workspace: Layout, folder: Folder, tmp_path: Path) -> None:
    """A copy without success marker is skipped in favour of a complete one further down."""
    wanted = tree(workspace.job(JOB))
    first = make_folder(tmp_path / "first", FolderMode.USE)
    make_job(Layout(first.path), done=False)
    shutil.rmtree(workspace.jobs)
    outcome = run(workspace, first, folder, incomplete=True)
    assert outcome.source == folder
    assert tree(workspace.job(JOB)) == wanted


def test_incomplete_copy(workspace: Layout, folder: Folder) -> None:
    """A copy without success marker is restored only on request."""
    (folder.job(JOB) / "train.done").unlink()
    shutil.rmtree(workspace.jobs)
    assert run(workspace, folder).status is RecoveryStatus.INCOMPLETE
    assert not workspace.jobs.exists()
    assert run(workspace, folder, incomplete=True).status is RecoveryStatus.RECOVERED
    assert run(workspace, folder).status is RecoveryStatus.THERE


def test_unknown_job(workspace: Layout, folder: Folder) -> None:
    """An unknown job leaves no trace."""
    other = JobId("demo.other", "00")
    (outcome,) = recover(workspace, [folder], [other])
    assert outcome.status is RecoveryStatus.NOT_FOUND
    assert not workspace.job(other).parent.exists()


def test_job_that_is_being_recovered(workspace: Layout, folder: Folder) -> None:
    """A job that another process is restoring is left to it."""
    shutil.rmtree(workspace.job(JOB))
    staged = workspace.job(JOB).with_name(f".tmp.{JOB.hash}")
    staged.mkdir()
    with StagingLock(staged.with_name(f"{staged.name}.lock"), shared=False):
        (outcome,) = recover(workspace, [folder], [JOB])
        assert outcome.status is RecoveryStatus.BUSY
        assert staged.is_dir()
    assert run(workspace, folder).status is RecoveryStatus.RECOVERED


def test_job_that_runs(workspace: Layout, folder: Folder) -> None:
    """A job whose process holds its lock is not replaced."""
    path = workspace.job(JOB)
    shutil.rmtree(path)
    make_prepared(path)
    with (path / "train.lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert run(workspace, folder).status is RecoveryStatus.BUSY
    assert run(workspace, folder).status is RecoveryStatus.RECOVERED


def test_bad_disk_passes_to_the_next_folder(
    workspace: Layout, folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that cannot be read is skipped in favour of the next one."""
    wanted = tree(workspace.job(JOB))
    second = make_folder(tmp_path / "second", FolderMode.BACKUP)
    list(archive(workspace, [second], [JOB]))
    shutil.rmtree(workspace.jobs)
    bad = (folder.job(JOB) / "uv.lock").stat().st_ino
    real = filesystem.read

    def fail(descriptor: int, count: int) -> bytes:
        if os.fstat(descriptor).st_ino == bad:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(descriptor, count)

    monkeypatch.setattr(filesystem, "read", fail)
    outcome = run(workspace, folder, second)
    assert (outcome.status, outcome.source) == (RecoveryStatus.RECOVERED, second)
    assert tree(workspace.job(JOB)) == wanted
    shutil.rmtree(workspace.jobs)
    (outcome,) = recover(workspace, [folder], [JOB])
    assert outcome.status is RecoveryStatus.FAILED
    assert "uv.lock" in outcome.message
    assert not workspace.job(JOB).exists()


def test_interrupted_move_is_put_back(workspace: Layout, tmp_path: Path) -> None:
    """A job that an interrupted move left aside is put back, even without a folder."""
    path = workspace.job(JOB)
    wanted = tree(path)
    path.rename(path.with_name(f".tmp.{JOB.hash}.aside"))
    list(recover(workspace, [Folder(tmp_path / "gone", FolderMode.MOVE)], [JOB]))
    assert tree(path) == wanted
    assert leftovers(workspace.root) == []
