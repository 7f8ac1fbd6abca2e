"""A workspace, and its folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workspace.jobs_on_disk import make_folder, make_workspace
from xpm_remote.workspace.layout import Folder, FolderMode, Layout


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
