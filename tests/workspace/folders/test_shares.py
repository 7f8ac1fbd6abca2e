"""Shares that refuse what disks do: contents are copied, losses are reported, and the side at fault is named."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tests.workspace.faults import below, make_fail
from tests.workspace.folders.one_job import run, statuses
from tests.workspace.jobs_on_disk import JOB, OLD, leftovers, make_job, tree
from xpm_remote.workspace import filesystem
from xpm_remote.workspace.folders.recovery import recover
from xpm_remote.workspace.layout import Folder, Layout
from xpm_remote.workspace.outcomes import ArchiveStatus, RecoveryStatus

REFUSALS = [errno.EPERM, errno.ENOTSUP, errno.EACCES, errno.ENOSYS]
FAULTS = [errno.EDQUOT, errno.ENOSPC, errno.EPERM, errno.EROFS, errno.EIO]
WRITING = ["mkdir", "open_file", "write_at", "truncate", "symlink", "rename"]
READING = ["open_file", "read", "read_at", "readlink", "scan"]


@pytest.mark.parametrize("number", REFUSALS)
@pytest.mark.parametrize(
    ("name", "lost"),
    [
        ("chmod_open", "permissions"),
        ("utime", "times"),
        ("copy_attribute", "extended attributes"),
        ("link", "hard links"),
        ("chown_open", ""),
    ],
)
def test_what_a_share_refuses(
    workspace: Layout,
    backup: Folder,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    lost: str,
    number: int,
) -> None:
    """A share that refuses permissions, times and the like gets all contents; what is lost is told once."""
    path = make_job(workspace)
    os.setxattr(path / "uv.lock", "user.note", b"mine")
    os.chown(path / "uv.lock", 1, 1)
    make_fail(monkeypatch, name, number)
    (outcome,) = run(workspace, backup)
    assert outcome.status is ArchiveStatus.COPIED
    if lost:
        said = f"all contents are copied, but the folder {backup.path} does not keep "
        assert outcome.message.startswith(said)
        assert f"{lost} ({os.strerror(number)})" in outcome.message
    contents = {name: each.read_bytes() for name, each in files(path)}
    assert {name: each.read_bytes() for name, each in files(backup.job(JOB))} == contents
    assert statuses(workspace, backup) == [ArchiveStatus.PRESENT]
    assert leftovers(workspace.root, backup.path) == []


def test_moved_without_modes(
    workspace: Layout, move: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job is moved to such a share, too, and the outcome says what was not kept."""
    make_job(workspace)
    make_fail(monkeypatch, "chmod_open", errno.EPERM)
    (outcome,) = run(workspace, move)
    assert outcome.status is ArchiveStatus.MOVED
    assert outcome.message == (
        f"all contents are copied, but the folder {move.path} does not keep"
        " permissions (Operation not permitted)"
    )


def test_modes_that_are_as_they_should_be(
    workspace: Layout, backup: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal that costs nothing is not reported."""
    path = make_job(workspace)
    for each in (path, *path.rglob("*")):
        if not each.is_symlink():
            each.chmod(0o700 if each.is_dir() else 0o600)
    make_fail(monkeypatch, "chmod_open", errno.EPERM)
    (outcome,) = run(workspace, backup)
    assert (outcome.status, outcome.message) == (ArchiveStatus.COPIED, "")


def test_share_without_links(
    workspace: Layout, move: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job with links stays here where the folder takes none, and the message says so."""
    path = make_job(workspace)
    before = tree(path)
    make_fail(monkeypatch, "symlink", errno.EPERM, below(move.path))
    (outcome,) = run(workspace, move)
    assert outcome.status is ArchiveStatus.FAILED
    assert "takes no such link (Operation not permitted)" in outcome.message
    assert f"{path}/best" in outcome.message
    assert tree(path) == before


def test_time_of_a_link_that_reaches_its_target(
    workspace: Layout, backup: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where setting a link's time changes its target, as through sshfs, the time is not set, and no job is refused."""
    path = make_job(workspace)
    outside = workspace.root.parent / "data"
    outside.touch()
    os.utime(outside, (OLD, OLD))
    (path / "data").symlink_to(outside)
    (path / "dangling").symlink_to("nowhere")
    real = filesystem.utime

    def follow(target: object, *args: object, **options: object) -> None:
        real(target, *args, **{**options, "follow_symlinks": True})  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(filesystem, "utime", follow)
        (outcome,) = run(workspace, backup)
    assert outcome.status is ArchiveStatus.COPIED
    assert "does not keep times of links (those of their targets would be set)" in outcome.message
    assert outside.stat().st_mtime == OLD
    assert (backup.job(JOB) / "out" / "model.bin").stat().st_mtime == OLD
    assert (backup.job(JOB) / "dangling").is_symlink()


@pytest.mark.parametrize("number", FAULTS)
@pytest.mark.parametrize("name", WRITING)
def test_fault_of_the_folder(
    workspace: Layout, move: Folder, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    """A folder that cannot be written is named with the file, keeps nothing, and is written by the next run."""
    path = make_job(workspace)
    before = tree(path)
    with monkeypatch.context() as patch:
        make_fail(patch, name, number, below(move.path / "jobs"))
        (outcome,) = run(workspace, move)
    assert outcome.status in (ArchiveStatus.FAILED, ArchiveStatus.UNAVAILABLE)
    if not (name == "symlink" and number == errno.EPERM):
        state = "is full" if number in (errno.EDQUOT, errno.ENOSPC) else "cannot be used"
        assert outcome.message.startswith(f"the folder {move.path} {state}: ")
        assert f"{move.path}/jobs" in outcome.message
    assert os.strerror(number) in outcome.message
    assert tree(path) == before
    assert statuses(workspace, move) == [ArchiveStatus.MOVED]
    assert leftovers(workspace.root, move.path) == []


@pytest.mark.parametrize("name", READING)
def test_fault_of_the_workspace(
    workspace: Layout, move: Folder, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A file of the workspace that cannot be read is named; the folder is not blamed."""
    path = make_job(workspace)
    before = tree(path)
    with monkeypatch.context() as patch:
        # The lock is opened before anything is copied.
        make_fail(patch, name, errno.EIO, below(path / "out" if name == "open_file" else path))
        (outcome,) = run(workspace, move)
    assert outcome.status is ArchiveStatus.FAILED
    assert outcome.message.startswith(f"{path}")
    assert outcome.message.endswith(": Input/output error")
    assert tree(path) == before
    assert statuses(workspace, move) == [ArchiveStatus.MOVED]


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.ENOSPC])
def test_full_workspace(
    workspace: Layout, backup: Folder, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A workspace that is full when a job is recovered is named as what is full."""
    path = make_job(workspace)
    run(workspace, backup)
    path.rename(workspace.root.parent / "away")
    with monkeypatch.context() as patch:
        make_fail(patch, "write_at", number)
        (outcome,) = recover(workspace, [backup], [JOB])
    assert outcome.status is RecoveryStatus.FAILED
    assert outcome.message.startswith(f"the workspace {workspace.root} is full: no space is left")
    (again,) = recover(workspace, [backup], [JOB])
    assert again.status is RecoveryStatus.RECOVERED


def files(root: Path) -> list[tuple[str, Path]]:
    """Return the files of a tree that are copied, with their paths in it."""
    found = [(str(each.relative_to(root)), each) for each in root.rglob("*") if each.is_file()]
    return sorted((name, each) for name, each in found if name != "train.lock")
