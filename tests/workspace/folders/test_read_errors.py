"""A read error costs one job or one folder, and is never taken for the absence of something."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from tests.support.effort import ALL
from tests.workspace.faults import below, make_fail
from tests.workspace.jobs_on_disk import JOB, leftovers, make_job, tree
from xpm_remote.workspace.folders.archiving import archive, opt_out, plan_archive
from xpm_remote.workspace.folders.finding import why_unavailable
from xpm_remote.workspace.folders.recovery import plan_recovery, recover
from xpm_remote.workspace.layout import Folder, JobId, Layout
from xpm_remote.workspace.outcomes import (
    ArchiveOutcome,
    ArchiveStatus,
    ArchiveVerdict,
    RecoveryStatus,
)

NUMBERS = [errno.EIO, errno.EACCES, *([errno.ESTALE, errno.ETIMEDOUT, errno.EPERM] if ALL else [])]
READING = ["stat", "lstat", "scan", "open_file", "read", "read_at", "readlink"]
OTHER = JobId(JOB.task, "cd" * 32)
BOTH = [JOB, OTHER]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("name", READING)
def test_archiving(
    workspace: Layout, move: Folder, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    """A job that cannot be read is planned and archived as far as that goes, alone; the next run archives it."""
    path = make_job(workspace)
    make_job(workspace, OTHER)
    before = tree(path)
    with monkeypatch.context() as patch:
        make_fail(patch, name, number, below(path))
        plans = list(plan_archive(workspace, [move], BOTH))
        bad, good = archive(workspace, [move], BOTH)
    assert len(plans) == 2
    assert not bad.is_archived
    assert bad.is_worth_another_try
    assert str(path) in reason_of(bad)
    assert good.is_archived
    assert tree(path) == before
    (again,) = archive(workspace, [move], [JOB])
    assert again.is_archived
    assert leftovers(workspace.root, move.path) == []


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("name", READING)
def test_archiving_where_a_copy_is(
    workspace: Layout, backup: Folder, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    """A copy that cannot be read is neither replaced nor taken for whole, and is named."""
    path = make_job(workspace)
    make_job(workspace, OTHER)
    list(archive(workspace, [backup], BOTH))
    before = tree(path)
    with monkeypatch.context() as patch:
        make_fail(patch, name, number, below(backup.job(JOB)))
        plans = list(plan_archive(workspace, [backup], BOTH))
        bad, good = archive(workspace, [backup], BOTH)
    assert len(plans) == 2
    if bad.folders[0].status is not ArchiveStatus.PRESENT:  # as where small files are compared
        assert bad.is_worth_another_try
        assert str(backup.job(JOB)) in reason_of(bad)
    assert good.folders[0].status is ArchiveStatus.PRESENT
    assert tree(backup.job(JOB)) == tree(path) == before


@pytest.mark.parametrize("side", ["workspace", "folder"])
@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("name", READING)
def test_recovering(
    workspace: Layout,
    backup: Folder,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    number: int,
    side: str,
) -> None:
    """A job that cannot be looked at is not replaced, and a copy that cannot be read is not used; each alone."""
    path = make_job(workspace)
    make_job(workspace, OTHER)
    list(archive(workspace, [backup], BOTH))
    shutil.rmtree(workspace.job(OTHER))
    (path / "train.done").unlink()  # a part, which the copy would replace
    before, copy = tree(path), tree(backup.job(JOB))
    root = path if side == "workspace" else backup.job(JOB)
    with monkeypatch.context() as patch:
        make_fail(patch, name, number, below(root))
        plans = list(plan_recovery(workspace, [backup], BOTH))
        bad, good = recover(workspace, [backup], BOTH)
    assert len(plans) == 2
    assert good.status is RecoveryStatus.RECOVERED
    if bad.status is not RecoveryStatus.RECOVERED:
        assert tree(path) == before
        said = f"{bad.message} {bad.unavailable}"
        assert str(root) in said
        assert bad.status is RecoveryStatus.FAILED or bad.unavailable
    assert tree(backup.job(JOB)) == copy
    (again,) = recover(workspace, [backup], [JOB])
    assert again.is_there
    assert tree(path) == copy
    assert leftovers(workspace.root, backup.path) == []


@pytest.mark.parametrize("number", NUMBERS)
def test_link_that_cannot_be_followed_is_not_lost(
    workspace: Layout, move: Folder, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The link of a moved job stays while the folder answers with an error: the job is not recovered elsewhere."""
    path = make_job(workspace)
    list(archive(workspace, [move], [JOB]))
    with monkeypatch.context() as patch:
        make_fail(patch, "stat", number, below(path))
        (outcome,) = recover(workspace, [move], [JOB])
    assert outcome.status is RecoveryStatus.FAILED
    assert "its link is kept: remove it" in outcome.message
    assert path.is_symlink()


@pytest.mark.parametrize("number", NUMBERS)
def test_mark_that_cannot_be_read(
    workspace: Layout, backup: Folder, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A job that may be marked as not to be archived is not archived while that cannot be read."""
    path = make_job(workspace)
    opt_out(workspace, JOB)
    make_fail(monkeypatch, "lstat", number, below(path / ".experimaestro" / "no-backup"))
    (outcome,) = archive(workspace, [backup], [JOB])
    assert outcome.verdict is ArchiveVerdict.UNREADABLE
    assert not backup.job(JOB).exists()


@pytest.mark.parametrize("number", NUMBERS)
def test_folder_that_may_be_the_workspace(
    workspace: Layout, move: Folder, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A folder is not used while it cannot be told from the workspace: to move there would remove the only copy."""
    make_job(workspace)
    make_fail(monkeypatch, "stat", number, lambda path, **_: Path(path) == workspace.jobs)
    assert "may be the workspace itself" in why_unavailable(move, workspace)


def test_interrupted_move_whose_link_cannot_be_followed(
    workspace: Layout, move: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole directory that was set aside is put back while the link in its place leads nowhere that can be read."""
    path = make_job(workspace)
    wanted = tree(path)
    with monkeypatch.context() as patch:
        make_fail(patch, "unlink", errno.EIO, lambda name, **_: str(name).endswith("train.done"))
        list(archive(workspace, [move], [JOB]))
    assert tree(path.with_name(f".tmp.{JOB.hash}.aside")) == wanted
    with monkeypatch.context() as patch:
        make_fail(patch, "stat", errno.EPERM, below(path))
        list(archive(workspace, [move], [JOB]))
    assert not path.is_symlink()
    assert tree(path) == wanted
    list(archive(workspace, [move], [JOB]))
    assert path.is_symlink()
    assert leftovers(workspace.root, move.path) == []


def reason_of(outcome: ArchiveOutcome) -> str:
    """Return why a job was not archived."""
    return outcome.reason or outcome.folders[0].message
