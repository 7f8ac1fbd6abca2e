"""The contents of task directories, listed once for each task."""

from __future__ import annotations

from pathlib import Path

from xpm_remote.workspace.reading.directories import ABSENT, DIRECTORY, LINK, UNKNOWN, Directories


def test_places(tmp_path: Path) -> None:
    """A directory, a link to anything, and nothing are distinguished."""
    task = tmp_path / "demo.ok"
    (task / "aa").mkdir(parents=True)
    (task / "bb").symlink_to("nowhere")
    directories = Directories(str(tmp_path))
    found = [directories.at("demo.ok", name) for name in ("aa", "bb", "cc")]
    assert found == [DIRECTORY, LINK, ABSENT]
    assert directories.at("demo.none", "aa") == ABSENT


def test_task_that_cannot_be_listed(tmp_path: Path) -> None:
    """The contents of a task that cannot be listed are unknown."""
    (tmp_path / "demo.ok").symlink_to("demo.ok")
    assert Directories(str(tmp_path)).at("demo.ok", "aa") == UNKNOWN


def test_listed_once(tmp_path: Path) -> None:
    """Entries made after the listing are not seen."""
    directories = Directories(str(tmp_path))
    assert directories.at("demo.ok", "aa") == ABSENT
    (tmp_path / "demo.ok" / "aa").mkdir(parents=True)
    assert directories.at("demo.ok", "aa") == ABSENT
