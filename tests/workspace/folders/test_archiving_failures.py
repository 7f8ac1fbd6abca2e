"""Unwritable folders, failing disks, and concurrent writers: no job is lost by them."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workspace.folders.one_job import run, statuses
from tests.workspace.jobs_on_disk import JOB, leftovers, make_job, tree
from xpm_remote.workspace import filesystem
from xpm_remote.workspace.layout import Folder, FolderMode, JobId, Layout
from xpm_remote.workspace.locks import StagingLock
from xpm_remote.workspace.outcomes import ArchiveStatus

SCRIPTS = Path(__file__).parents[2] / "support" / "scripts"


def test_missing_folder_is_not_created(workspace: Layout, backup: Folder, tmp_path: Path) -> None:
    """A missing folder is skipped alone, and is never created."""
    make_job(workspace)
    missing = Folder(tmp_path / "not-mounted", FolderMode.MOVE)
    assert statuses(workspace, missing, backup) == [ArchiveStatus.UNAVAILABLE, ArchiveStatus.COPIED]
    assert not missing.path.exists()


@pytest.mark.parametrize("path", ["relative/folder", "ws"])
def test_impossible_folders(workspace: Layout, tmp_path: Path, path: str) -> None:
    """A relative folder, and the workspace itself, are refused: each would lose the job."""
    primary = make_job(workspace)
    folder = Folder(Path(path) if "/" in path else tmp_path / path, FolderMode.MOVE)
    before = tree(primary)
    assert statuses(workspace, folder) == [ArchiveStatus.UNAVAILABLE]
    assert tree(primary) == before


def test_folder_whose_jobs_are_the_workspaces(workspace: Layout, move: Folder) -> None:
    """A folder whose jobs/ is a link to the workspace's is refused: a move would remove the only copy."""
    path = make_job(workspace)
    (move.path / "jobs").symlink_to(workspace.jobs)
    assert statuses(workspace, move) == [ArchiveStatus.UNAVAILABLE]
    assert not path.is_symlink()


def test_folder_whose_task_is_the_workspaces(workspace: Layout, move: Folder) -> None:
    """A folder in which a task is a link to the workspace's has the job already, and it is not moved."""
    path = make_job(workspace)
    (move.path / "jobs").mkdir()
    (move.path / "jobs" / JOB.task).symlink_to(path.parent)
    assert statuses(workspace, move) == [ArchiveStatus.PRESENT]
    assert not path.is_symlink()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_full_or_read_only_folder(
    workspace: Layout, move: Folder, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A folder that cannot be written is skipped alone: nothing is left there, and the next run succeeds."""
    path = make_job(workspace)
    before = tree(path)

    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(filesystem, "write_at", refuse)
        (outcome,) = run(workspace, move)
    assert outcome.status is ArchiveStatus.UNAVAILABLE
    assert os.strerror(number) in outcome.message
    assert tree(path) == before
    assert leftovers(workspace.root, move.path) == []
    assert statuses(workspace, move) == [ArchiveStatus.MOVED]


def test_disk_that_is_really_full(tmp_path: Path) -> None:
    """A disk that fills up keeps what fitted, has no part of the next job, and takes it when there is space."""
    alone = ["unshare", "--map-root-user", "--mount"]
    if sys.platform != "linux" or subprocess.run([*alone, "true"], check=False).returncode:
        pytest.skip("this system lets nobody mount; the errors of a full disk are injected above")
    words = [*alone, sys.executable, str(SCRIPTS / "full_disk.py"), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["first"] == ["moved", "unavailable", "moved"]
    assert "no space is left" in said["message"]
    assert said["left"] == []
    assert said["again"] == ["present", "moved", "present"]
    assert said["whole"] == [True, True, True]


def test_unreadable_file(workspace: Layout, move: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be read is named, and the job is kept here."""
    path = make_job(workspace)
    real = filesystem.open_file

    def refuse(name: str, *args: int, **options: int) -> int:
        if name == "uv.lock":
            raise PermissionError(errno.EACCES, "Permission denied", name)
        return real(name, *args, **options)

    monkeypatch.setattr(filesystem, "open_file", refuse)
    (outcome,) = run(workspace, move)
    assert outcome.status is ArchiveStatus.FAILED
    assert outcome.message == f"{path}/uv.lock: Permission denied"
    assert not path.is_symlink()
    assert not move.job(JOB).exists()


def test_damaged_copy_is_noticed(
    workspace: Layout, move: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that does not keep what was written is noticed before anything is removed."""
    path = make_job(workspace)
    before = tree(path)
    real = filesystem.write_at

    def corrupt(descriptor: int, data: bytes, offset: int) -> int:
        return real(descriptor, b"?" * len(data), offset)

    monkeypatch.setattr(filesystem, "write_at", corrupt)
    monkeypatch.setattr(filesystem, "copy_range", lambda *_: 0)
    (outcome,) = run(workspace, move)
    assert outcome.status is ArchiveStatus.FAILED
    assert tree(path) == before
    assert not move.job(JOB).exists()


def test_concurrent_change_is_noticed(
    workspace: Layout, backup: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job in whose directories files are made or removed during the copy is not published."""
    path = make_job(workspace)
    real = filesystem.truncate

    def write_meanwhile(descriptor: int, size: int) -> None:
        (path / "out" / "late").touch()
        real(descriptor, size)

    monkeypatch.setattr(filesystem, "truncate", write_meanwhile)
    (outcome,) = run(workspace, backup)
    assert outcome.status is ArchiveStatus.FAILED
    assert "changed" in outcome.message
    assert not backup.job(JOB).exists()


def test_write_after_the_copy_is_noticed(
    workspace: Layout, move: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is written while its job is moved keeps the job here."""
    path = make_job(workspace)
    real = filesystem.exchange

    def write_first(first: str, second: str, *, dir_fd: int) -> None:
        (path / "late.txt").write_text("late")
        real(first, second, dir_fd=dir_fd)

    monkeypatch.setattr(filesystem, "exchange", write_first)
    (outcome,) = run(workspace, move)
    assert outcome.status is ArchiveStatus.BUSY
    assert (path / "late.txt").read_text() == "late"
    assert not path.is_symlink()


def test_living_writer_is_left_alone(workspace: Layout, backup: Folder) -> None:
    """The staging of another process is kept while it holds its lock, and removed when it is dead."""
    make_job(workspace)
    staged = backup.job(JOB).with_name(f".tmp.{JOB.hash}")
    staged.mkdir(parents=True)
    (staged / "half").touch()
    with StagingLock(staged.with_name(f"{staged.name}.lock"), shared=False):
        assert statuses(workspace, backup) == [ArchiveStatus.BUSY]
        assert (staged / "half").exists()
    assert statuses(workspace, backup) == [ArchiveStatus.COPIED]
    assert leftovers(backup.path) == []


def test_leftovers_of_other_jobs_are_swept(workspace: Layout, backup: Folder) -> None:
    """The staging of a dead process for another job of the task is removed, too."""
    make_job(workspace)
    other = backup.job(JobId(JOB.task, "ff")).with_name(".tmp.ff")
    other.mkdir(parents=True)
    run(workspace, backup)
    assert leftovers(backup.path) == []
