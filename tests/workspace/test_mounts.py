"""The mounted file systems, by the tables of the kernel and of the host."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.workspace.jobs_on_disk import JOB, make_job, make_workspace
from xpm_remote.workspace import mounts
from xpm_remote.workspace.failures import BusyFailure, FolderFailure
from xpm_remote.workspace.folders.archiving import archive
from xpm_remote.workspace.folders.finding import check_folder
from xpm_remote.workspace.folders.removing import discard_job
from xpm_remote.workspace.layout import Folder, FolderMode
from xpm_remote.workspace.outcomes import ArchiveStatus


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mount point, with a space in its name, that the host's table names."""
    point = tmp_path / "slow disk"
    point.mkdir()
    table = tmp_path / "fstab"
    table.write_text(
        f"# a comment\n/dev/sdz1 {str(point).replace(' ', chr(92) + '040')}/ ext4 defaults 0 2\n"
    )
    monkeypatch.setattr(mounts, "_TABLE", table)
    return point


@pytest.mark.parametrize("name", ["nlp", ""])
def test_unmounted_disk(disk: Path, tmp_path: Path, name: str) -> None:
    """A folder on a disk that should be mounted and is not is refused, even if the directory exists."""
    folder = Folder(disk / name, FolderMode.MOVE)
    folder.path.mkdir(exist_ok=True)
    with pytest.raises(FolderFailure, match="is not mounted"):
        check_folder(folder, make_workspace(tmp_path / "ws"))


def test_empty_mount_point_stays_empty(disk: Path, tmp_path: Path) -> None:
    """Nothing is archived into the empty directory of a disk that is not mounted, and the workspace keeps the job."""
    workspace = make_workspace(tmp_path / "ws")
    path = make_job(workspace)
    (outcome,) = archive(workspace, [Folder(disk, FolderMode.MOVE)], [JOB])
    assert [each.status for each in outcome.folders] == [ArchiveStatus.UNAVAILABLE]
    assert list(disk.iterdir()) == []
    assert (path / "train.done").is_file()
    assert not path.is_symlink()


def test_table_that_cannot_be_read(
    tmp_path: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the host's table cannot be read, an empty directory may be a disk that is not mounted; others are used."""
    workspace = make_workspace(tmp_path / "ws")
    monkeypatch.setattr(mounts, "_TABLE", tmp_path)
    with pytest.raises(FolderFailure, match=r"may be a disk that is not mounted: .* directory"):
        check_folder(Folder(disk, FolderMode.MOVE), workspace)
    (disk / "jobs").mkdir()
    check_folder(Folder(disk, FolderMode.MOVE), workspace)
    with pytest.raises(FolderFailure, match="does not exist"):
        check_folder(Folder(disk / "nlp", FolderMode.MOVE), workspace)
    monkeypatch.setattr(mounts, "_TABLE", tmp_path / "nowhere")
    (disk / "jobs").rmdir()
    check_folder(Folder(disk, FolderMode.MOVE), workspace)


def test_folder_in_a_job(tmp_path: Path) -> None:
    """A folder that lies in a job, by whatever path, is refused: its copy would have itself in it, without end."""
    workspace = make_workspace(tmp_path / "ws")
    (make_job(workspace) / "out").mkdir(exist_ok=True)
    link = tmp_path / "link"
    link.symlink_to(workspace.job(JOB) / "out")
    (outcome,) = archive(workspace, [Folder(link, FolderMode.MOVE)], [JOB])
    assert [each.status for each in outcome.folders] == [ArchiveStatus.UNAVAILABLE]
    assert "lies in a job of the workspace" in outcome.folders[0].message


def test_mounted_disk(disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same folder is accepted when something is mounted there, and its type is known."""
    mounted = tmp_path / "mountinfo"
    device = disk.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    escaped = str(disk).replace(" ", chr(92) + "040")
    mounted.write_text(
        f"1 0 0:1 / / rw - ext4 /dev/sda rw\n2 1 {number} / {escaped} rw shared:1 - nfs4 server:/x rw\n"
    )
    monkeypatch.setattr(mounts, "_MOUNTS", mounted)
    check_folder(Folder(disk, FolderMode.MOVE), make_workspace(tmp_path / "ws"))
    assert mounts.type_at(disk) == "nfs4"
    assert not mounts.belongs_to_one_host(disk)
    assert mounts.belongs_to_one_host(tmp_path)


def test_job_with_a_mounted_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job is not removed while something is mounted in it, be it a directory of the same file system."""
    workspace = make_workspace(tmp_path / "ws")
    path = make_job(workspace)
    table = tmp_path / "mountinfo"
    table.write_text(
        f"1 0 0:1 / / rw - ext4 /dev/sda rw\n2 1 0:1 /data {path}/out rw - ext4 /dev/sda rw\n"
    )
    with monkeypatch.context() as patch:
        patch.setattr(mounts, "_MOUNTS", table)
        with pytest.raises(BusyFailure, match=r"is mounted at .*/out"):
            discard_job(workspace, JOB)
    assert (path / "train.done").exists()
    discard_job(workspace, JOB)
    assert not path.exists()
