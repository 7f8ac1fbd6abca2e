"""Files of events that grow: what was added is read, and the events mean the same as all that are in the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xpm_remote.workspace.reading import disk, growing
from xpm_remote.workspace.reading.growing import GrowingFiles
from xpm_remote.workspace.reading.jobs import JobFacts, from_status, with_event
from xpm_remote.workspace.reading.json_files import Problems, read_lines


def progress(fraction: float, at: float, level: int = 0) -> dict[str, Any]:
    """Make an event of progress."""
    return {
        "event_type": "JobProgressEvent",
        "timestamp": at,
        "level": level,
        "progress": fraction,
        "desc": None,
    }


def state(word: str, at: float) -> dict[str, Any]:
    """Make an event of a state."""
    return {"event_type": "JobStateChangedEvent", "timestamp": at, "state": word}


def add(path: Path, *events: dict[str, Any], end: str = "\n") -> None:
    """Add events to a file."""
    with path.open("a") as file:
        file.write("".join(json.dumps(each) + end for each in events))


class Reads:
    """Counts the bytes that are read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.size = 0
        read_at = disk.read_at

        def counted(handle: int, size: int, offset: int, path: str) -> bytes:
            data = read_at(handle, size, offset, path)
            self.size += len(data)
            return data

        monkeypatch.setattr(disk, "read_at", counted)


def test_only_what_was_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a file with a thousand events only the new one is read, and of those that progress replaced few are kept."""
    files, path, reads = GrowingFiles(), tmp_path / "e", Reads(monkeypatch)
    add(path, *(progress(number / 1000, number) for number in range(1000)))
    first = files.read(str(path), Problems())
    assert first is not None
    assert first[-1] == progress(0.999, 999)
    assert len(first) <= 3
    reads.size = 0
    add(path, progress(1.0, 1000))
    again = files.read(str(path), Problems())
    assert again is not None
    assert again[-1] == progress(1.0, 1000)
    assert reads.size < 500


def test_a_line_that_is_being_written(tmp_path: Path) -> None:
    """A last line counts once it is whole, with its end or without, and is not counted twice."""
    files, path = GrowingFiles(), tmp_path / "e"
    add(path, progress(0.1, 1))
    with path.open("a") as file:
        file.write('{"event_type": "JobStateChang')
    assert files.read(str(path), Problems()) == [progress(0.1, 1)]
    with path.open("a") as file:
        file.write('edEvent", "timestamp": 2, "state": "done"}')
    both = [progress(0.1, 1), state("done", 2)]
    assert files.read(str(path), Problems()) == both
    with path.open("a") as file:
        file.write("\n\n")
    assert files.read(str(path), Problems()) == both


@pytest.mark.parametrize("events", [(), (progress(0.3, 9),), (progress(0.2, 5), state("done", 6))])
def test_another_file_of_the_name(tmp_path: Path, events: tuple[dict[str, Any], ...]) -> None:
    """A file that was written anew, with the same inode or another one, longer or shorter, is read from its start."""
    for write in ("in place", "renamed"):
        files, path, new = GrowingFiles(), tmp_path / "e", tmp_path / "new"
        path.unlink(missing_ok=True)
        add(path, progress(0.1, 1), progress(0.2, 2))
        files.read(str(path), Problems())
        new.write_text("")
        add(new, *events)
        if write == "in place":
            path.write_text(new.read_text())
        else:
            new.rename(path)
        assert files.read(str(path), Problems()) == list(events)


def test_what_is_read_line_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing or broken file, one that is none, and one with too much is left to the reader of lines."""
    files = GrowingFiles()
    assert files.read(str(tmp_path / "none"), Problems()) is None
    assert files.read(str(tmp_path), Problems()) is None
    for content in ("nonsense\n", "[1]\n"):
        (tmp_path / "bad").write_text(content)
        assert files.read(str(tmp_path / "bad"), Problems()) is None
    monkeypatch.setattr(growing, "GROWTH_LIMIT", 100)
    add(tmp_path / "long", *(progress(0.1, number) for number in range(9)))
    assert files.read(str(tmp_path / "long"), Problems()) is None


def test_few_files_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of very many files, those that were read last are kept."""
    monkeypatch.setattr(growing, "FILES_KEPT", 2)
    files = GrowingFiles()
    for name in ("a", "b", "a", "c"):
        add(tmp_path / name, progress(0.1, 1))
        files.read(str(tmp_path / name), Problems())
    assert list(files._known) == [str(tmp_path / "a"), str(tmp_path / "c")]


EVENTS = st.one_of(
    st.builds(progress, st.sampled_from([0.1, 0.2, 0.3]), st.integers(0, 9), st.integers(0, 2)),
    st.builds(state, st.sampled_from(["running", "done", "error"]), st.integers(0, 9)),
)


def folded(events: list[dict[str, Any]]) -> JobFacts:
    """Return a job after events."""
    facts = from_status("t", "j", "/jobs", {"state": "running"})
    for event in events:
        facts = with_event(facts, event)
    return facts


@settings(deadline=None)
@given(st.lists(st.lists(EVENTS, max_size=8), max_size=6))
def test_same_meaning(tmp_path_factory: pytest.TempPathFactory, parts: list[list[Any]]) -> None:
    """However a file grows, what is returned of it says the same of the job as all of its lines."""
    path, files = tmp_path_factory.getbasetemp() / "growing", GrowingFiles()
    path.write_text("")
    for part in parts:
        add(path, *part)
        found = files.read(str(path), Problems())
        assert found is not None
        every = list(read_lines(str(path), Problems()))
        assert folded(found) == folded(every)
        assert [each["timestamp"] for each in found][-1:] == [each["timestamp"] for each in every][
            -1:
        ]
        assert max((e["timestamp"] for e in found), default=0) == max(
            (e["timestamp"] for e in every), default=0
        )


def test_a_link_is_followed(tmp_path: Path) -> None:
    """As by the reader of lines, a file may be a link."""
    add(tmp_path / "real", progress(0.1, 1))
    (tmp_path / "e").symlink_to(tmp_path / "real")
    assert GrowingFiles().read(str(tmp_path / "e"), Problems()) == [progress(0.1, 1)]
