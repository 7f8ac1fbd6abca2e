"""The files of live events."""

from __future__ import annotations

from pathlib import Path

from tests.workspace.disk import Disk
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.reading.json_files import Problems
from xpm_remote.workspace.reading.live_events import LiveEvents
from xpm_remote.workspace.reading.looks import Look


def test_experiments_whose_names_are_alike(tmp_path: Path) -> None:
    """Events of an experiment are distinguished from those of one with the same prefix."""
    disk = Disk(tmp_path)
    disk.experiment_events("a", {"x": 1})
    disk.experiment_events("a-0", {"x": 2})
    events, look = LiveEvents(str(tmp_path), Problems()), Look(str(tmp_path), Problems())
    assert list(events.of_experiment("a", 0, look)) == [{"x": 1}]
    assert list(events.of_experiment("a-0", 0, look)) == [{"x": 2}]


def test_older_layout(tmp_path: Path) -> None:
    """Events of experiments are found in the directory of releases before 2.1.1."""
    path = Disk(tmp_path).experiment_events("a", {"x": 1})
    (path.parent / "b").mkdir()
    path.rename(path.parent / "b" / "events-0.jsonl")
    events, look = LiveEvents(str(tmp_path), Problems()), Look(str(tmp_path), Problems())
    assert list(events.of_experiment("b", 0, look)) == [{"x": 1}]


def test_listed_knows_only_what_was_there(tmp_path: Path) -> None:
    """A list of the names is read once; later ones are for the next list."""
    disk = Disk(tmp_path)
    events, look = LiveEvents(str(tmp_path), Problems()), Look(str(tmp_path), Problems())
    listed = events.listed()
    disk.events(JobId("t", "aa"), {"x": 1})
    assert list(listed.of_job("t", "aa", 0, look)) == []
    assert list(events.of_job("t", "aa", 0, look)) == [{"x": 1}]
    assert list(events.listed().of_job("t", "aa", 0, look)) == [{"x": 1}]


def test_unreadable_directory_is_noted(tmp_path: Path) -> None:
    """A directory of events that cannot be read is reported."""
    problems = Problems()
    (tmp_path / ".events").mkdir()
    (tmp_path / ".events" / "jobs").symlink_to("jobs")
    LiveEvents(str(tmp_path), problems).listed()
    assert len(problems) == 1
