"""Logs that are followed: each from its position, several at once, to the end of the job."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.workspace.faults import below, make_fail
from xpm_remote.workspace.failures import WorkspaceFailure
from xpm_remote.workspace.layout import JobFiles
from xpm_remote.workspace.watching.following import (
    FAILING_LIMIT,
    FOLLOW_LIMIT,
    LIFE_INTERVAL,
    LOG_PACE,
    ROUND_LIMIT,
    Follower,
)
from xpm_remote.workspace.watching.inotify import Inotify
from xpm_remote.workspace.watching.logs import PIECE, Log
from xpm_remote.workspace.watching.watch import Watcher


class Reading:
    """A follower with a clock that a test advances.

    Args:
        tells: An inotify instance, or None.
    """

    def __init__(self, tells: Inotify | None) -> None:
        self.now = 0.0
        self.sent: list[dict[str, Any]] = []
        self.watcher = Watcher(tells, lambda: self.now)
        self.follower = Follower(
            self.watcher, lambda _, params: self.sent.append(params), lambda: self.now
        )
        self.pause = 0.1 if tells is not None else LOG_PACE.cold

    def settle(self) -> None:
        """Let time pass."""
        end = self.now + self.pause
        while self.now < end:
            self.now = min(end, self.now + max(self.follower.wait_time(), 0.001))
            self.follower.step()

    def text(self, name: str) -> str:
        """Return all text under a name."""
        return "".join(each.get("text", "") for each in self.sent if each["name"] == name)


@pytest.fixture(params=["inotify", "polling"])
def reading(request: pytest.FixtureRequest) -> Iterator[Reading]:
    """A follower, once with inotify and once without."""
    reading = Reading(Inotify() if request.param == "inotify" else None)
    yield reading
    reading.watcher.close()


def follow(reading: Reading, name: str, directory: Path, stream: str = "err") -> Path:
    """Follow a log from its beginning; return its path."""
    directory.mkdir(exist_ok=True)
    files = JobFiles(directory, "learn")

    def is_over() -> bool:
        return files.done.exists() or files.failed.exists()

    reading.follower.follow(name, Log(files, stream), is_over, None)
    return files.stderr if stream == "err" else files.stdout


def test_several_at_once(reading: Reading, tmp_path: Path) -> None:
    """Additions to each of several logs are returned under its name."""
    paths = {name: follow(reading, name, tmp_path / name) for name in "ab"}
    paths["out"] = follow(reading, "out", tmp_path / "a", "out")
    for text in ("1\n", "2\n"):
        for name, path in paths.items():
            with path.open("a") as file:
                file.write(name + text)
        reading.settle()
    assert {name: reading.text(name) for name in paths} == {
        name: f"{name}1\n{name}2\n" for name in paths
    }


def test_end_of_the_job(reading: Reading, tmp_path: Path) -> None:
    """The end of the job is reported after all of its log; and its restart, if it is tried again."""
    path = follow(reading, "a", tmp_path)
    path.write_text("last words\n")
    (tmp_path / "learn.done").touch()
    reading.settle()
    assert reading.text("a") == "last words\n"
    assert reading.sent[-1] == {"name": "a", "ended": True}
    (tmp_path / "learn.done").unlink()
    reading.settle()
    assert reading.sent[-1] == {"name": "a", "ended": False}


def test_no_more(reading: Reading, tmp_path: Path) -> None:
    """A log that is no longer followed is not reported; its neighbour in the same directory still is."""
    error, output = follow(reading, "err", tmp_path), follow(reading, "out", tmp_path, "out")
    reading.settle()
    reading.follower.unfollow("err")
    reading.follower.unfollow("never")
    error.write_text("x\n")
    output.write_text("y\n")
    reading.settle()
    assert (reading.text("err"), reading.text("out")) == ("", "y\n")


def test_long_log_leaves_others_their_turn(reading: Reading, tmp_path: Path) -> None:
    """A huge log is sent in parts, between which the others are served."""
    huge = follow(reading, "a huge one", tmp_path / "huge")
    with huge.open("wb") as file:
        file.truncate(2 * ROUND_LIMIT * PIECE)
    follow(reading, "small", tmp_path / "small").write_text("x")
    reading.follower.step()
    assert len(reading.text("a huge one")) == ROUND_LIMIT * PIECE
    assert reading.text("small") == "x"
    reading.settle()
    assert len(reading.text("a huge one")) == 2 * ROUND_LIMIT * PIECE


def test_broken_log(reading: Reading, tmp_path: Path) -> None:
    """A log that cannot be read is reported with the reason, and the others continue."""
    broken = follow(reading, "broken", tmp_path / "b")
    os.mkfifo(broken)
    follow(reading, "whole", tmp_path / "w").write_text("x")
    reading.settle()
    assert [each["name"] for each in reading.sent if "error" in each] == ["broken"]
    assert reading.text("whole") == "x"


def test_log_that_cannot_be_read_for_a_moment(
    reading: Reading, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log is read on after errors of its file server; only lasting ones end it."""
    path = follow(reading, "a", tmp_path / "a")
    path.write_text("one\n")
    reading.settle()
    with monkeypatch.context() as broken:
        make_fail(broken, "open_file", errno.ESTALE, below(tmp_path / "a"))
        with path.open("a") as file:
            file.write("two\n")
        reading.settle()
        assert not any("error" in each for each in reading.sent)
    reading.now += LIFE_INTERVAL
    reading.settle()
    assert reading.text("a") == "one\ntwo\n"
    make_fail(monkeypatch, "open_file", errno.ESTALE, below(tmp_path / "a"))
    for _ in range(2):
        reading.now += FAILING_LIMIT
        reading.settle()
    assert [each["name"] for each in reading.sent if "error" in each] == ["a"]


def test_too_many(tmp_path: Path) -> None:
    """More logs than can be followed are refused; one that is followed already may be restarted."""
    reading = Reading(None)
    for number in range(FOLLOW_LIMIT):
        reading.follower.check_room(str(number))
        follow(reading, str(number), tmp_path)
    reading.follower.check_room("0")
    with pytest.raises(WorkspaceFailure, match="at most"):
        reading.follower.check_room("one more")
