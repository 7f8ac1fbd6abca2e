"""A job is moved only where the link to it can be followed, and what a reader has open is removed later."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workspace.faults import make_fail
from tests.workspace.folders.one_job import run, statuses
from tests.workspace.jobs_on_disk import (
    JOB,
    OLD,
    leftovers,
    make_folder,
    make_job,
    make_workspace,
    tree,
)
from xpm_remote.workspace import filesystem
from xpm_remote.workspace.folders.archiving import archive
from xpm_remote.workspace.folders.recovery import recover
from xpm_remote.workspace.layout import Folder, FolderMode, JobId, Layout
from xpm_remote.workspace.outcomes import ArchiveStatus, RecoveryStatus

OTHER = JobId(JOB.task, "cd" * 32)
SERVER = Path("/usr/lib/openssh/sftp-server")
SILLY = ".nfs00000000000a1b2c00000001"
"""The name that NFS lets a file have that is removed while it is open."""


@pytest.mark.parametrize("exchange", [True, False])
@pytest.mark.parametrize("number", [errno.EPERM, errno.ELOOP, errno.EACCES, errno.ENOENT])
def test_link_that_cannot_be_followed(
    workspace: Layout, move: Folder, monkeypatch: pytest.MonkeyPatch, number: int, exchange: bool
) -> None:
    """Where links are made but not followed, as through sshfs, the workspace keeps its directory and says why."""
    path = make_job(workspace)
    before = tree(path)
    refuse_links(monkeypatch, path, number)
    if not exchange:
        make_fail(monkeypatch, "exchange", errno.EINVAL)
    for _ in range(2):
        (outcome,) = run(workspace, move)
        assert outcome.status is ArchiveStatus.KEPT
        assert outcome.message == (
            "the workspace keeps its directory: "
            f"a link to the folder cannot be followed there ({os.strerror(number)})"
        )
        assert tree(path) == before
        assert tree(move.job(JOB)) == before
        assert leftovers(workspace.root, move.path) == []


@pytest.mark.parametrize("exchange", [True, False])
def test_link_that_is_looked_at_after_the_swap(
    workspace: Layout, move: Folder, monkeypatch: pytest.MonkeyPatch, exchange: bool
) -> None:
    """A link that cannot be followed only where the job was gives its place back."""
    path = make_job(workspace)
    before = tree(path)
    make_fail(
        monkeypatch,
        "lstat",
        errno.EPERM,
        lambda name, **_: path.is_symlink() and str(name) == f"{path}/train.done",
    )
    if not exchange:
        make_fail(monkeypatch, "exchange", errno.EINVAL)
    assert statuses(workspace, move) == [ArchiveStatus.KEPT]
    assert tree(path) == before
    assert leftovers(workspace.root, move.path) == []


def test_link_that_leads_elsewhere(
    workspace: Layout, move: Folder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A link that a server follows on its own side leads to another file: the directory stays."""
    path = make_job(workspace)
    other = tmp_path / "train.done"
    other.touch()
    real = filesystem.lstat

    def follow(name: str, **options: int) -> os.stat_result:
        parent = Path(name).parent
        is_through_link = parent.parent == path.parent and parent.is_symlink()
        return real(other if is_through_link else name, **options)

    monkeypatch.setattr(filesystem, "lstat", follow)
    (outcome,) = run(workspace, move)
    assert outcome.status is ArchiveStatus.KEPT
    assert "lead elsewhere" in outcome.message
    assert not path.is_symlink()


def refuse_links(monkeypatch: pytest.MonkeyPatch, path: Path, number: int) -> None:
    """Let no absolute link beside a job be followed."""

    def is_through_link(name: object, *_: object, **__: object) -> bool:
        above = Path(os.fsdecode(name)).parent if isinstance(name, (str, Path)) else Path("/")
        return path.parent in above.parents and above.is_symlink()

    for name in ("stat", "lstat"):
        make_fail(monkeypatch, name, number, is_through_link)


class Share:
    """A share on which a file that is open keeps a name when it is removed, until it is closed.

    Args:
        monkeypatch: Puts it in the place of the file system.
        name: The file that is open.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self._unlink = filesystem.unlink
        self._name = name
        self.is_open = True
        monkeypatch.setattr(filesystem, "unlink", self.unlink)

    def unlink(self, name: str, *, dir_fd: int | None = None) -> None:
        """Remove a file, or give it another name."""
        last = Path(name).name
        if self.is_open and last == SILLY:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), name)
        if self.is_open and last == self._name:
            os.rename(name, Path(name).with_name(SILLY), src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
        else:
            self._unlink(name, dir_fd=dir_fd)


@pytest.mark.parametrize("name", ["uv.lock", "model.bin", "status.json"])
def test_file_that_is_open(
    workspace: Layout, move: Folder, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A job of which a file is open on a share is moved, what is left is reported, found, and removed later."""
    path = make_job(workspace)
    wanted = tree(path)
    share = Share(monkeypatch, name)
    (outcome,) = run(workspace, move)
    assert outcome.status is ArchiveStatus.MOVED
    assert "still open" in outcome.message
    assert path.is_symlink()
    assert tree(path.resolve()) == wanted
    assert statuses(workspace, move) == [ArchiveStatus.PRESENT]  # still open
    assert leftovers(workspace.root, move.path) != []
    share.is_open = False
    assert statuses(workspace, move) == [ArchiveStatus.PRESENT]
    assert leftovers(workspace.root, move.path) == []
    assert tree(path.resolve()) == wanted


def test_open_file_of_what_is_replaced(
    workspace: Layout, backup: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a recovery replaces is removed later, too, if a file of it is open."""
    path = make_job(workspace)
    run(workspace, backup)
    wanted = tree(path)
    (path / "train.done").unlink()
    share = Share(monkeypatch, "uv.lock")
    (outcome,) = recover(workspace, [backup], [JOB])
    assert outcome.status is RecoveryStatus.RECOVERED
    assert tree(path) == wanted
    share.is_open = False
    run(workspace, backup)
    assert leftovers(workspace.root, backup.path) == []
    assert tree(path) == wanted


def test_names_of_open_files_do_not_count(workspace: Layout, backup: Folder) -> None:
    """A copy made while a removed file was open is the same job when that is closed."""
    path = make_job(workspace)
    (path / "out" / SILLY).touch()
    run(workspace, backup)
    (path / "out" / SILLY).unlink()
    (path / "out" / ".fuse_hidden0000000500000001").touch()
    assert statuses(workspace, backup) == [ArchiveStatus.PRESENT]


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A directory of this machine, mounted through sshfs without a network."""
    real, mount, ssh = tmp_path / "real", tmp_path / "mount", tmp_path / "ssh"
    real.mkdir()
    mount.mkdir()
    ssh.write_text(f"#!/bin/sh\nexec {SERVER}\n")
    ssh.chmod(0o755)
    program = shutil.which("sshfs")
    if program is None or not SERVER.exists() or not Path("/dev/fuse").exists():
        pytest.skip("this machine has no sshfs; what it refuses is injected above")
    plain = ["dir_cache=no", "attr_timeout=0", "entry_timeout=0", f"ssh_command={ssh}"]
    options = [word for each in plain for word in ("-o", each)]
    words = [program, *options, f"host:{real}", str(mount)]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("sshfs may not be mounted here; what it refuses is injected above")
    yield mount
    subprocess.run(["fusermount3", "-uz", str(mount)], check=True)


@pytest.mark.slow
def test_sshfs(mounted: Path, tmp_path: Path) -> None:
    """Through sshfs, a workspace keeps what it could not find again, and a folder gets all contents."""
    data = tmp_path / "data"
    data.touch()
    os.utime(data, (OLD, OLD))
    there = make_workspace(mounted / "ws")
    here = make_workspace(tmp_path / "ws")
    near = make_folder(tmp_path / "near", FolderMode.MOVE)
    far = make_folder(mounted / "far", FolderMode.MOVE)
    make_job(there)
    assert statuses(there, near) == [ArchiveStatus.KEPT]
    assert (there.job(JOB) / "train.done").exists()
    assert not there.job(JOB).is_symlink()
    path = make_job(here)
    (path / "dangling").symlink_to("nowhere")
    (outcome,) = run(here, far)
    assert outcome.status is ArchiveStatus.MOVED
    assert "does not keep times of links" in outcome.message
    path = make_job(here, OTHER)
    (path / "data").symlink_to(data)
    (refused,) = archive(here, [far], [OTHER])
    assert "takes no such link" in refused.folders[0].message
    assert data.stat().st_mtime == OLD
    assert leftovers(there.root, here.root, near.path, far.path) == []
