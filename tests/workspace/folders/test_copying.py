"""The copy of a job, for any form of its tree."""

from __future__ import annotations

import errno
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workspace.folders.one_job import run, statuses
from tests.workspace.jobs_on_disk import JOB, leftovers, make_folder, make_job, tree
from xpm_remote.workspace import filesystem
from xpm_remote.workspace.layout import Folder, FolderMode, Layout
from xpm_remote.workspace.outcomes import ArchiveStatus


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory on another file system."""
    root = Path("/dev/shm") / f"xpm-{os.getpid()}-{tmp_path.name}"
    root.mkdir()
    assert root.stat().st_dev != tmp_path.stat().st_dev
    yield root
    shutil.rmtree(root)


def test_copy_keeps_everything(workspace: Layout, backup: Folder) -> None:
    """A copy has files, modes, times, links, hard links and directories of the job, and nothing is left beside it."""
    path = make_job(workspace)
    assert statuses(workspace, backup) == [ArchiveStatus.COPIED]
    assert tree(backup.job(JOB)) == tree(path)
    assert not path.is_symlink()
    assert leftovers(workspace.root, backup.path) == []


@pytest.mark.parametrize("mode", [FolderMode.BACKUP, FolderMode.MOVE])
def test_users_locks_and_pids_are_kept(workspace: Layout, tmp_path: Path, mode: FolderMode) -> None:
    """Files of the user named *.lock and *.pid are archived; the job's own lock, pid and .scheduler are not."""
    path = make_job(workspace)
    (path / ".lock").write_text("mine")
    (path / "server.pid").write_text("1")
    (path / "train.pid").write_text("{}")
    (path / ".scheduler").mkdir()
    (path / "out" / "train.lock").write_text("deeper, so the user's")
    folder = make_folder(tmp_path / "folder", mode)
    run(workspace, folder)
    copy = folder.job(JOB)
    assert {each.name for each in copy.iterdir()} == {
        *(".experimaestro", ".lock", "best", "out", "params.json"),
        *("server.pid", "train.done", "uv.lock"),
    }
    assert (copy / "out" / "train.lock").read_text() == "deeper, so the user's"


def test_other_file_system(workspace: Layout, other_disk: Path) -> None:
    """A job is moved to another file system as within one."""
    path = make_job(workspace)
    wanted = tree(path)
    folder = Folder(other_disk, FolderMode.MOVE)
    assert statuses(workspace, folder) == [ArchiveStatus.MOVED]
    assert tree(path.resolve()) == wanted


def test_fifo_is_reported(
    workspace: Layout, move: Folder, backup: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FIFOs and sockets are named, the rest is copied, and the workspace keeps the directory with them."""
    path = make_job(workspace)
    os.mkfifo(path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(path)  # the address of a socket must be short
        server.bind("s")
    first, second = run(workspace, backup, move)
    assert first.status is ArchiveStatus.COPIED
    assert "pipe" in first.message
    assert second.status is ArchiveStatus.KEPT
    assert (path / "pipe").is_fifo()
    assert (move.job(JOB) / "uv.lock").exists()


def test_link_that_would_break_keeps_the_directory(workspace: Layout, move: Folder) -> None:
    """A relative link to something beside the job keeps the job where the link works."""
    path = make_job(workspace)
    (workspace.jobs / "shared.txt").write_text("x")
    (path / "shared").symlink_to("../../shared.txt")
    (outcome,) = run(workspace, move)
    assert outcome.status is ArchiveStatus.KEPT
    assert (path / "shared").read_text() == "x"


def test_absolute_link_within_the_job_stays_valid(workspace: Layout, move: Folder) -> None:
    """An absolute link to a file of the job leads there through the link of the moved job."""
    path = make_job(workspace)
    (path / "absolute").symlink_to(path / "uv.lock")
    assert statuses(workspace, move) == [ArchiveStatus.MOVED]
    assert (path / "absolute").read_text() == "the user's own"


def test_holes_stay_holes(workspace: Layout, backup: Folder) -> None:
    """A sparse file takes no more space in the folder, and has the same contents."""
    path = make_job(workspace)
    with (path / "sparse").open("wb") as file:
        file.seek(50_000_000)
        file.write(b"data")
        file.truncate(90_000_000)
    run(workspace, backup)
    copy = backup.job(JOB) / "sparse"
    assert copy.stat().st_size == 90_000_000
    assert copy.stat().st_blocks * 512 < 1_000_000
    with copy.open("rb") as file:
        file.seek(50_000_000)
        assert file.read(6) == b"data\0\0"
    assert statuses(workspace, backup) == [ArchiveStatus.PRESENT]


def test_attributes_are_kept(workspace: Layout, backup: Folder) -> None:
    """Extended attributes are copied."""
    path = make_job(workspace)
    os.setxattr(path / "uv.lock", "user.note", b"hello")
    run(workspace, backup)
    assert os.getxattr(backup.job(JOB) / "uv.lock", "user.note") == b"hello"


def test_directory_without_write_permission(workspace: Layout, move: Folder) -> None:
    """A directory that its owner may not write is moved with its permissions."""
    path = make_job(workspace)
    (path / "out").chmod(0o500)
    assert statuses(workspace, move) == [ArchiveStatus.MOVED]
    assert (path / "out").stat().st_mode & 0o777 == 0o500


IN_FIELDS = {"st_mode", "st_ino", "st_dev", "st_nlink", "st_uid", "st_gid", "st_size"}
"""The names of the first fields of a status, which must not be given twice; those of the times are others."""


class Ownership:
    """Owners and groups of files, as the copying is shown them: those given are at most recorded.

    Attributes:
        given: The owners that the copy was given.
        modes: The permissions that the copies were given, by the inode.
    """

    def __init__(
        self, patch: pytest.MonkeyPatch, source: tuple[int, int], *, may_give: bool
    ) -> None:
        self.given: dict[int, tuple[int, int]] = {}
        self.modes: dict[int, int] = {}
        self._source = source
        self._may_give = may_give
        self._stat, self._chmod = filesystem.stat_open, filesystem.chmod_open
        patch.setattr(filesystem, "stat_open", self.stat)
        patch.setattr(filesystem, "chown_open", self.chown)
        patch.setattr(filesystem, "chmod_open", self.chmod)

    def stat(self, descriptor: int) -> os.stat_result:
        """Return a status with the owner of this pretence: that of the source, or that of the copy."""
        real = self._stat(descriptor)
        inode = os.fstat(descriptor).st_ino
        is_copy = ".tmp." in str(Path(f"/proc/self/fd/{descriptor}").readlink())
        owner = self.given.get(inode, (1001, 1001)) if is_copy else self._source
        fields = list(real[:10])
        fields[4:6] = owner
        others = {name for name in dir(real) if name.startswith("st_")} - IN_FIELDS
        return os.stat_result(fields, {name: getattr(real, name) for name in others})

    def chown(self, descriptor: int, uid: int, gid: int) -> None:
        """Give an owner, where this user may; nothing but its own group otherwise."""
        if not self._may_give:
            raise PermissionError(errno.EPERM, "not yours to give")
        self.given[os.fstat(descriptor).st_ino] = (uid, gid)

    def chmod(self, descriptor: int, mode: int) -> None:
        """Record permissions."""
        self.modes[os.fstat(descriptor).st_ino] = mode
        self._chmod(descriptor, mode)


@pytest.mark.parametrize(
    ("source", "may_give", "mode", "is_directory", "wanted"),
    [
        ((1002, 1001), False, 0o4755, False, 0o755),
        ((1002, 1001), False, 0o2755, False, 0o755),
        ((1002, 1002), False, 0o7755, False, 0o755),
        ((1001, 1002), False, 0o6755, False, 0o755),
        ((1002, 1002), True, 0o6755, False, 0o6755),
        ((1001, 1001), False, 0o6755, False, 0o6755),
        ((1002, 1001), False, 0o2770, True, 0o2770),
        ((1002, 1002), False, 0o2770, True, 0o770),
        ((1002, 1001), False, 0o1777, True, 0o777),
        ((1002, 1001), False, 0o4770, True, 0o770),
    ],
)
def test_rights_of_another_owner_are_not_lent(
    workspace: Layout,
    backup: Folder,
    monkeypatch: pytest.MonkeyPatch,
    source: tuple[int, int],
    may_give: bool,
    mode: int,
    is_directory: bool,
    wanted: int,
) -> None:
    """A copy that this user owns is not setuid, setgid or sticky because another user's file was, as with ``cp -p``."""
    path = make_job(workspace) / ("out" if is_directory else "uv.lock")
    path.chmod(mode)
    with monkeypatch.context() as patch:
        Ownership(patch, source, may_give=may_give)
        assert statuses(workspace, backup) == [ArchiveStatus.COPIED]
    copy = backup.job(JOB) / path.relative_to(workspace.job(JOB))
    assert oct(copy.stat().st_mode & 0o7777) == oct(wanted)


def test_capabilities_of_another_owner_are_not_copied(
    workspace: Layout, backup: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attributes that lend rights are not copied to a file of another owner; those of the data are."""
    make_job(workspace)
    names = ["security.capability", "system.posix_acl_access", "trusted.x", "user.note"]
    copied: list[str] = []
    with monkeypatch.context() as patch:
        Ownership(patch, (1002, 1001), may_give=False)
        patch.setattr(filesystem, "list_attributes", lambda _: names)
        patch.setattr(filesystem, "copy_attribute", lambda *args: copied.append(args[2]))
        run(workspace, backup)
    assert set(copied) == {"system.posix_acl_access", "user.note"}
