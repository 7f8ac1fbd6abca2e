"""A workspace, and its folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workspace.jobs_on_disk import make_folder, make_workspace
from xpm_remote.workspace import mounts
from xpm_remote.workspace.layout import Folder, FolderMode, Layout


@pytest.fixture(autouse=True)
def _local_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat every directory as one of a local disk: a container's own file system is not known as one."""
    monkeypatch.setattr(mounts, "belongs_to_one_host", lambda _: True)


@pytest.fixture
def workspace(tmp_path: Path) -> Layout:
    """A workspace without jobs."""
    return make_workspace(tmp_path / "ws")


@pytest.fixture
def backup(tmp_path: Path) -> Folder:
    """A folder that jobs are copied to."""
    return make_folder(tmp_path / "backup", FolderMode.BACKUP)


@pytest.fixture
def move(tmp_path: Path) -> Folder:
    """A folder that jobs are moved to."""
    return make_folder(tmp_path / "move", FolderMode.MOVE)
