"""A job is removed completely or not at all, and nothing else."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from tests.workspace.jobs_on_disk import JOB, leftovers, make_job, tree
from xpm_remote.workspace import filesystem
from xpm_remote.workspace.failures import BusyFailure, DamagedFailure
from xpm_remote.workspace.folders.recovery import recover
from xpm_remote.workspace.folders.removing import discard_job, imprint, put_back_interrupted
from xpm_remote.workspace.folders.staging import Sweeper
from xpm_remote.workspace.layout import Layout
from xpm_remote.workspace.locks import StagingLock
from xpm_remote.workspace.outcomes import RecoveryStatus


@pytest.fixture
def workspace(workspace: Layout) -> Layout:
    """A workspace with one job."""
    make_job(workspace)
    return workspace


def test_removed_without_trace(workspace: Layout, tmp_path: Path) -> None:
    """Nothing is left of the job, and the targets of its links are kept."""
    (tmp_path / "precious").write_text("x")
    (workspace.job(JOB) / "data").symlink_to(tmp_path / "precious")
    discard_job(workspace, JOB)
    assert list(workspace.job(JOB).parent.iterdir()) == []
    assert (tmp_path / "precious").exists()


def test_job_that_runs(workspace: Layout) -> None:
    """A job whose lock is held is not changed."""
    path = workspace.job(JOB)
    before = tree(path)
    descriptor = os.open(path / "train.lock", os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(BusyFailure, match="runs"):
        discard_job(workspace, JOB)
    os.close(descriptor)
    assert tree(path) == before
    assert leftovers(workspace.root) == []


def test_job_that_is_being_written(workspace: Layout) -> None:
    """A job that is being archived or recovered is not changed."""
    path = workspace.job(JOB)
    lock = StagingLock(path.with_name(f".tmp.{JOB.hash}.lock"), shared=False)
    with lock, pytest.raises(BusyFailure, match="another process"):
        discard_job(workspace, JOB)
    assert path.is_dir()


@pytest.mark.parametrize("level", ["job", "task"])
def test_never_through_a_link(workspace: Layout, tmp_path: Path, level: str) -> None:
    """A link in the place of the job, or of its task, is refused, and its target is not touched."""
    link = workspace.job(JOB) if level == "job" else workspace.job(JOB).parent
    elsewhere = tmp_path / "elsewhere"
    link.rename(elsewhere)
    before = tree(elsewhere)
    link.symlink_to(elsewhere)
    with pytest.raises((BusyFailure, OSError)):
        discard_job(workspace, JOB)
    assert tree(elsewhere) == before
    assert link.is_symlink()


def test_what_cannot_be_removed_is_named(
    workspace: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest after a failure does not have the job's name, is reported, is unlocked, and is removed later."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(filesystem, "rmdir", refuse)
        with pytest.raises(DamagedFailure, match=r"what is left is in .*\.tmp\."):
            discard_job(workspace, JOB)
    assert [each.name for each in workspace.job(JOB).parent.iterdir()] == [f".tmp.{JOB.hash}"]
    Sweeper(workspace).sweep([JOB.task])
    assert leftovers(workspace.root) == []


def test_set_aside_by_a_removal(workspace: Layout, tmp_path: Path) -> None:
    """A job that an interrupted removal has set aside is put back by what looks for it, and by the next removal."""
    path = workspace.job(JOB)
    before = tree(path)
    aside = path.with_name(f".orphan.{JOB.hash}")
    path.rename(aside)
    (outcome,) = recover(workspace, [], [JOB])
    assert outcome.status is RecoveryStatus.THERE
    assert tree(path) == before
    path.rename(aside)
    Sweeper(workspace).sweep([JOB.task])
    assert tree(path) == before
    path.rename(aside)
    put_back_interrupted(workspace, JOB)
    assert tree(path) == before


def test_changed_since_it_was_looked_at(workspace: Layout) -> None:
    """A job that is started after it was found to have ended stays."""
    path = workspace.job(JOB)
    seen = imprint(workspace.job_files(JOB))
    (path / "train.pid").write_text("{}")
    with pytest.raises(BusyFailure, match="was started"):
        discard_job(workspace, JOB, seen)
    assert (path / "train.done").exists()
    assert leftovers(workspace.root) == []
