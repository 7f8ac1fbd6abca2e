"""Changes are found by inotify or by polling; the number of looks is counted, not timed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from xpm_remote.workspace.watching import inotify
from xpm_remote.workspace.watching.inotify import Inotify, RawEvent
from xpm_remote.workspace.watching.watch import (
    HOT_TIME,
    LIVE,
    LOOKS_PER_SECOND,
    REST,
    Pace,
    Signature,
    Watcher,
    signature,
)


class Clock:
    """A clock that a test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class Looks:
    """Counts the looks at paths."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def __call__(self, path: str) -> Signature:
        """Look."""
        self.paths.append(path)
        return signature(path)


class BlindInotify(Inotify):
    """As on a network file system: every watch is accepted, and only a test's events are reported."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[RawEvent] = []
        self.watches: list[str] = []

    def add(self, directory: str, mask: int) -> int:
        """Accept a watch."""
        self.watches.append(directory)
        return len(self.watches)

    def remove(self, watch: int) -> None:
        """Do nothing."""

    def read(self) -> list[RawEvent]:
        """Return a test's events."""
        events, self.events = self.events, []
        return events


@pytest.fixture
def clock() -> Clock:
    """A clock that a test advances."""
    return Clock()


def polling(clock: Clock) -> tuple[Watcher, Looks]:
    """Return a watcher without inotify."""
    looks = Looks()
    return Watcher(None, clock, looks), looks


def watched_blindly(
    clock: Clock, directory: Path, pace: Pace = LIVE
) -> tuple[Path, Watcher, BlindInotify]:
    """Return a file of a watched directory, its watcher, and its source of events that a test controls."""
    path = directory / "file"
    path.touch()
    blind = BlindInotify()
    watcher = Watcher(blind, clock)
    watcher.tell(str(directory), lambda _: None, contents=True)
    watcher.add(str(path), "it", pace)
    return path, watcher, blind


def run(watcher: Watcher, clock: Clock, seconds: float) -> set[object]:
    """Let time pass as an agent does, each step when it is due; return all that was found."""
    found: set[object] = set()
    end = clock.now + seconds
    while clock.now < end:
        clock.now = min(end, clock.now + max(watcher.due(), 0.001))
        found |= watcher.collect()
    return found


@pytest.mark.parametrize("change", ["append", "replace", "remove", "touch"])
def test_polling_finds_each_kind_of_change(change: str, clock: Clock, tmp_path: Path) -> None:
    """A file that grows, is replaced, removed or touched has changed; this is reported once."""
    path = tmp_path / "file"
    path.write_text("one")
    watcher, _ = polling(clock)
    watcher.add(str(path), "it", LIVE)
    assert run(watcher, clock, 10) == set()
    if change == "append":
        path.write_text("one, two")
    elif change == "replace":
        (tmp_path / "other").write_text("two")
        (tmp_path / "other").replace(path)
    elif change == "remove":
        path.unlink()
    else:
        os.utime(path, (1, 1))
    assert run(watcher, clock, LIVE.cold) == {"it"}
    assert run(watcher, clock, 100) == set()


def test_file_that_appears(clock: Clock, tmp_path: Path) -> None:
    """A missing path is watched, too."""
    watcher, _ = polling(clock)
    watcher.add(str(tmp_path / "later"), "it", LIVE)
    (tmp_path / "later").touch()
    assert run(watcher, clock, LIVE.cold) == {"it"}


def test_what_runs_is_seen_within_a_second(clock: Clock, tmp_path: Path) -> None:
    """A file that has just changed is looked at every second; a quiet one ever more rarely, but for ever."""
    path = tmp_path / "file"
    path.touch()
    watcher, looks = polling(clock)
    watcher.add(str(path), "it", LIVE)
    path.write_text("x")
    run(watcher, clock, LIVE.cold)
    before = len(looks.paths)
    run(watcher, clock, HOT_TIME)
    assert len(looks.paths) - before >= HOT_TIME / LIVE.hot - 2
    run(watcher, clock, 100)
    before = len(looks.paths)
    run(watcher, clock, 100 * LIVE.cold)
    assert 99 <= len(looks.paths) - before <= 101


def test_a_quiet_workspace_costs_little(clock: Clock, tmp_path: Path) -> None:
    """Of a thousand finished experiments, few files are looked at per second."""
    watcher, looks = polling(clock)
    for number in range(3000):
        watcher.add(str(tmp_path / str(number)), number, REST)
    run(watcher, clock, 2000)
    before = len(looks.paths)
    run(watcher, clock, 1000)
    assert len(looks.paths) - before <= 1000 * 3000 / REST.cold * 1.1


def test_looks_are_bounded(clock: Clock, tmp_path: Path) -> None:
    """The number of looks per second is bounded, for any number of paths; and each path has its turn."""
    watcher, looks = polling(clock)
    count = 20 * LOOKS_PER_SECOND
    for number in range(count):
        watcher.add(str(tmp_path / str(number)), number, LIVE)
    looks.paths.clear()
    run(watcher, clock, 25)
    assert len(looks.paths) <= 26 * LOOKS_PER_SECOND
    assert len(set(looks.paths)) == count


def test_inotify_tells_at_once(clock: Clock, tmp_path: Path) -> None:
    """With inotify, a change is found without a look, by the name of the file or that of the directory."""
    known = tmp_path / "known"
    known.touch()
    looks = Looks()
    watcher = Watcher(Inotify(), clock, looks)
    watcher.tell(str(tmp_path), lambda name: f"new {name}" if name != "dull" else None)
    watcher.add(str(known), "known", LIVE)
    looks.paths.clear()
    known.write_text("x")
    (tmp_path / "other").touch()
    (tmp_path / "dull").touch()
    assert watcher.collect() == {"known", "new other"}
    assert looks.paths == []
    watcher.close()


def test_names_that_are_no_text(clock: Clock, tmp_path: Path) -> None:
    """A name of any bytes is reported in Python's usual form."""
    watcher = Watcher(Inotify(), clock)
    watcher.tell(str(tmp_path), lambda name: name)
    with open(os.fsencode(tmp_path) + b"/a\xff\n\x1b[2J", "wb"):  # noqa: PTH123  (bytes)
        pass
    assert watcher.collect() == {os.fsdecode(b"a\xff\n\x1b[2J")}
    watcher.close()


def test_inotify_that_tells_is_believed(clock: Clock, tmp_path: Path) -> None:
    """After an event of inotify, a file is looked at rarely."""
    path = tmp_path / "file"
    path.touch()
    looks = Looks()
    watcher = Watcher(Inotify(), clock, looks)
    watcher.tell(str(tmp_path), lambda _: None)
    watcher.add(str(path), "it", LIVE)
    path.write_text("x")
    assert run(watcher, clock, 10) == {"it"}
    before = len(looks.paths)
    run(watcher, clock, 10 * LIVE.told)
    assert len(looks.paths) - before <= 10
    watcher.close()


def test_blind_inotify_is_found_out(clock: Clock, tmp_path: Path) -> None:
    """A watch without events, as for writes of other hosts, does not slow polling down."""
    path, watcher, _ = watched_blindly(clock, tmp_path)
    for text in ("1", "12", "123"):
        path.write_text(text)
        assert run(watcher, clock, LIVE.cold) == {"it"}


def test_inotify_that_goes_blind_is_found_out(clock: Clock, tmp_path: Path) -> None:
    """A path whose events have stopped, as of a job that went to another host, is polled at its pace again."""
    path, watcher, blind = watched_blindly(clock, tmp_path)
    path.write_text("1")
    blind.events = [RawEvent(1, inotify.MODIFY, "file")]
    assert run(watcher, clock, 10) == {"it"}
    path.write_text("12")
    assert run(watcher, clock, LIVE.told) == {"it"}
    path.write_text("123")
    assert run(watcher, clock, LIVE.cold) == {"it"}


def test_told_and_written_again_unseen(clock: Clock, tmp_path: Path) -> None:
    """A change of another host right behind an event is found by the next look."""
    path, watcher, blind = watched_blindly(clock, tmp_path)
    blind.events = [RawEvent(1, inotify.MODIFY, "file")]
    assert watcher.collect() == {"it"}
    path.write_text("by somebody else")
    assert run(watcher, clock, LIVE.cold) == {"it"}


def test_watches_used_up(clock: Clock, tmp_path: Path) -> None:
    """Without free watches, polling does the rest."""

    class Full(BlindInotify):
        def add(self, directory: str, mask: int) -> int:
            """Refuse."""
            raise OSError(errno.ENOSPC, "no space left on device")

    watcher = Watcher(Full(), clock)
    watcher.tell(str(tmp_path), lambda _: None)
    watcher.add(str(tmp_path), "it", LIVE)
    assert watcher.refused == 1
    (tmp_path / "new").touch()
    assert run(watcher, clock, LIVE.cold) == {"it"}


def test_lost_events(clock: Clock, tmp_path: Path) -> None:
    """When the kernel had to drop events, everything is looked at, at once."""
    path, watcher, blind = watched_blindly(clock, tmp_path, REST)
    run(watcher, clock, 1000)
    path.write_text("x")
    blind.events = [RawEvent(-1, inotify.OVERFLOW, "")]
    assert watcher.collect() == {"it"}


def test_directory_that_goes_and_comes_back(clock: Clock, tmp_path: Path) -> None:
    """The end of a watched directory is reported; watched again, it has events again."""
    directory = tmp_path / "directory"
    directory.mkdir()
    watcher = Watcher(Inotify(), clock)
    watcher.tell(str(directory), lambda name: name)
    watcher.add(str(directory), "it", LIVE)
    directory.rmdir()
    assert watcher.collect() == {"it"}
    directory.mkdir()
    watcher.tell(str(directory), lambda name: name)
    (directory / "new").touch()
    assert "new" in watcher.collect()
    watcher.close()


def test_forgotten(clock: Clock, tmp_path: Path) -> None:
    """A forgotten path is neither reported nor looked at."""
    looks = Looks()
    watcher = Watcher(Inotify(), clock, looks)
    watcher.tell(str(tmp_path), lambda name: name)
    watcher.add(str(tmp_path), "it", LIVE)
    watcher.forget(str(tmp_path))
    looks.paths.clear()
    (tmp_path / "new").touch()
    assert watcher.due() == float("inf")
    assert (watcher.collect(), looks.paths, watcher.paths) == (set(), [], 0)
    watcher.close()


def test_pace_changes(clock: Clock, tmp_path: Path) -> None:
    """A path that becomes active is looked at at the pace of active ones."""
    watcher, looks = polling(clock)
    watcher.add(str(tmp_path), "it", REST)
    run(watcher, clock, 2000)
    watcher.add(str(tmp_path), "it", Pace(1.0, 1.0, 1.0))
    before = len(looks.paths)
    run(watcher, clock, 20)
    assert len(looks.paths) - before >= 19


def test_links_are_not_followed(clock: Clock, tmp_path: Path) -> None:
    """A link itself is watched; its target is not."""
    (tmp_path / "target").mkdir()
    link = tmp_path / "link"
    link.symlink_to("target")
    watcher = Watcher(Inotify(), clock)
    watcher.tell(str(link), lambda name: name)
    watcher.add(str(link), "it", LIVE)
    (tmp_path / "target" / "new").touch()
    assert run(watcher, clock, 10) == set()
    watcher.close()
