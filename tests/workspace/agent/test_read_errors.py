"""A read error is not an absence: an error at each call that reads a tracked workspace, and what the agent tells."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.effort import ALL
from tests.workspace.agent.test_tracking import Picture, View
from tests.workspace.disk import Disk
from xpm_remote.workspace import filesystem
from xpm_remote.workspace.agent.unread import LAST_RETRY, Unread
from xpm_remote.workspace.layout import MARKER, JobId
from xpm_remote.workspace.processes import lock_held
from xpm_remote.workspace.reading.jobs import JobFacts
from xpm_remote.workspace.reading.reader import WorkspaceReader, current_jobs
from xpm_remote.workspace.reading.runs import RUN_UNREADABLE, RunFacts
from xpm_remote.workspace.watching.places import (
    JobSubject,
    ListSubject,
    LiveSubject,
    RunSubject,
    TaskSubject,
)
from xpm_remote.workspace.watching.watch import REST, Subject

RUNNING, WAITING, DONE, FAILED = (JobId("pkg.learn", letter * 64) for letter in "abcd")
DEAD, SKIPPED = JobId("pkg.other", "e" * 64), JobId("pkg.other", "f" * 64)
JOBS = (RUNNING, WAITING, DONE, FAILED, DEAD, SKIPPED)
PID = {"type": "local", "pid": 77, "host": "node01"}
CALLS = ("open_file", "read", "stat_open", "lstat", "stat", "scan", "readlink", "lock")
NUMBERS = (errno.ESTALE, errno.EIO, errno.EACCES, errno.ETIMEDOUT, errno.EMFILE, errno.ENOTCONN)


class Door:
    """The agent's door to the file system: counts the calls on a workspace, and fails those that a test selects."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = str(root)
        self.calls: list[str] = []
        self.fails: Callable[[int, str], OSError | None] = lambda *_: None
        self.failed: list[str] = []
        self.is_polled = False
        for name in CALLS:
            monkeypatch.setattr(filesystem, name, self._watched(getattr(filesystem, name)))

    def break_path(self, path: Path, number: int) -> None:
        """Fail every call on a path and on what is below it."""
        start = str(path)

        def fails(_: int, called: str) -> OSError | None:
            is_below = called == start or called.startswith(f"{start}/")
            return OSError(number, os.strerror(number), called) if is_below else None

        self.fails = fails

    def break_call(self, index: int, number: int) -> None:
        """Fail the call of that index, counted from now, once."""
        first = len(self.calls)
        self.fails = lambda at, path: (
            OSError(number, os.strerror(number), path) if at == first + index else None
        )

    def mend(self) -> None:
        """Let all calls work."""
        self.fails = lambda *_: None

    def _watched(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(path: str | int, *arguments: Any) -> Any:
            name = (
                str(Path(f"/proc/self/fd/{path}").readlink())
                if isinstance(path, int)
                else str(path)
            )
            is_ours = name == self.root or name.startswith(f"{self.root}/")
            if is_ours and not self.is_polled:
                error = self.fails(len(self.calls), name)
                self.calls.append(name)
                if error is not None:
                    self.failed.append(name)
                    raise error
            return call(path, *arguments)

        return watched


class Told(Picture):
    """A picture that also records what cannot be read, and refuses that something known is gone or unknown."""

    def __init__(self) -> None:
        super().__init__()
        self.unread: list[Unread] = []
        self.history: list[list[str]] = []

    def unreadable(self, files: list[Unread], left_out: int) -> None:
        """Record what cannot be read."""
        assert left_out == 0
        self.unread = files
        self.history.append([each.file.path for each in files])

    def runs(self, runs: list[RunFacts], removed: list[str], names: list[str] | None) -> None:
        """Record runs; fail if one is removed, or not named."""
        assert not removed
        assert names is None or not self.heads or names == sorted(self.heads)
        if runs:
            super().runs(runs, removed, names)

    def gone(self, job_ids: list[JobId]) -> None:
        """Fail: nothing is gone."""
        pytest.fail(f"{job_ids} gone")

    def content(self) -> tuple[dict[str, Any], dict[JobId, JobFacts], dict[Any, str | None]]:
        """Return what is told of experiments and jobs."""
        return dict(self.heads), dict(self.facts), dict(self.words)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """A workspace with a running experiment whose jobs are in four states, and one that has ended."""
    disk = Disk(tmp_path / "ws")
    (disk.root / ".events" / "jobs").mkdir(parents=True)
    words = {RUNNING.hash: "running", WAITING.hash: "waiting", DONE.hash: "done"}
    words |= {DEAD.hash: "running", SKIPPED.hash: "error:DEPENDENCY"}
    disk.run("exp", [RUNNING, WAITING, DONE, DEAD, SKIPPED], job_states=words)
    (disk.root / "experiments" / "exp" / "lock").touch()
    disk.run("old", [DONE, FAILED], status="done", job_states={FAILED.hash: "error"})
    disk.experiment_events("exp", {"event_type": "Other"})
    disk.job(RUNNING, {"state": "running"}, pid=PID)
    disk.job(WAITING, {"state": "waiting"})
    disk.job(DONE, {"state": "done"}, done="")
    disk.job(FAILED, {"state": "error"}, failed={"code": 1, "reason": "timeout"})
    disk.job(DEAD, {"state": "running"}, pid={**PID, "pid": 78}, out="some output")
    disk.job(SKIPPED, {"state": "unscheduled"}, lock="")
    disk.events(RUNNING, {"event_type": "JobProgressEvent", "level": 0, "progress": 0.5})
    return disk


class Watched(View):
    """A view that also tells what cannot be read."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(disk, None)
        self.disk = disk
        self._door: Door | None = None
        self.told = self.picture = Told()
        self.tracker._told = self.told
        self.host.locked = {"exp/lock", "learn.lock"}
        is_locked = self.host.is_locked
        self.host.is_locked = lambda path: lock_held(path) or is_locked(path)

    def read_all(self, door: Door | None = None) -> None:
        """Read everything again, as if all had changed; polls do not count at a door, and nothing else is due."""
        root = self.disk.root
        subjects: list[Subject] = [
            ListSubject(),
            RunSubject("exp"),
            RunSubject("old"),
            TaskSubject("pkg.learn"),
            TaskSubject("pkg.other"),
        ]
        if door is None:  # else what fails would be read again at once, for its live events
            subjects.append(LiveSubject(str(root / ".events" / "experiments")))
        subjects += [JobSubject(*job) for job in JOBS]
        self.now += 10.0  # runs that took long are not read again at once
        self.watcher._pending.update(subjects)
        self._door = door
        self.tracker._pulses._last = self.now
        self.tracker.step()
        self._door = None

    def _look(self, path: str) -> tuple[int, ...] | None:
        if self._door is None:
            return super()._look(path)
        self._door.is_polled = True
        found = super()._look(path)
        self._door.is_polled = False
        return found


@pytest.fixture
def door(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> Door:
    """The door through which the workspace is read."""
    return Door(disk.root, monkeypatch)


@pytest.fixture
def view(disk: Disk) -> Watched:
    """A view before its first look."""
    return Watched(disk)


PLACES = (
    "",
    MARKER,
    "experiments",
    "experiments/exp",
    "experiments/exp/lock",
    "experiments/exp/current",
    "experiments/exp/20261101_120000",
    "experiments/exp/20261101_120000/jobs.jsonl",
    "experiments/exp/20261101_120000/status.json",
    "experiments/old",
    f"jobs/pkg.other/{DEAD.hash}/other.out",
    f"jobs/pkg.other/{DEAD.hash}/other.lock",
    f"jobs/pkg.other/{SKIPPED.hash}/other.lock",
    "jobs",
    "jobs/pkg.learn",
    *(f"jobs/{job.task}/{job.hash}" for job in JOBS),
    f"jobs/pkg.learn/{RUNNING.hash}/learn.pid",
    f"jobs/pkg.learn/{RUNNING.hash}/learn.done",
    f"jobs/pkg.learn/{DONE.hash}/learn.done",
    f"jobs/pkg.learn/{FAILED.hash}/learn.failed",
    f"jobs/pkg.learn/{DONE.hash}/.experimaestro",
    ".events",
    ".events/jobs",
    ".events/experiments/exp-0.jsonl",
)
CASES = [
    (place, number)
    for index, place in enumerate(PLACES)
    for number in (NUMBERS if ALL else NUMBERS[index % len(NUMBERS) :][:1])
]
"""Each place with each error, or with one of them."""


@pytest.mark.parametrize(("place", "number"), CASES)
def test_error_at_each_place(view: Watched, door: Door, place: str, number: int) -> None:
    """A place that cannot be read for long is told with the error; nothing is gone or changed, nor new afterwards."""
    view.load()
    content = view.told.content()
    broken = view.disk.root / place if place else view.disk.root
    door.break_path(broken, number)
    view.read_all()
    view.run(100.0)
    assert view.told.content() == content
    assert door.failed
    assert view.told.unread, f"{door.failed} is not told"
    assert {each.file.error for each in view.told.unread} == {errno.errorcode[number]}
    assert all(each.file.path.startswith(str(broken)) for each in view.told.unread)
    told = list(view.told.told)
    door.mend()
    view.run(2 * LAST_RETRY)
    assert view.told.unread == []
    assert view.told.content() == content
    assert view.told.told == told


@pytest.mark.slow
def test_error_at_each_call(view: Watched, door: Door) -> None:
    """One error of any call that reads everything again is told, and changes nothing."""
    view.load()
    content = view.told.content()
    before = len(door.calls)
    view.read_all(door)
    count = len(door.calls) - before
    assert count > 60
    for index in range(count):
        number = NUMBERS[index % len(NUMBERS)]
        view.told.history.clear()
        door.failed.clear()
        door.break_call(index, number)
        view.read_all(door)
        (failed,) = door.failed
        # Live events that cannot be read in one way, as a list or on from where they had been read, are in another.
        assert view.told.history or "/.events/jobs" in failed, f"{failed} is not told"
        door.mend()
        view.run(2.0)
        assert view.told.unread == [], failed
        assert view.told.content() == content, failed


@pytest.mark.parametrize("number", NUMBERS)
def test_error_at_each_call_of_the_first_look(disk: Disk, door: Door, number: int) -> None:
    """What cannot be read at first is told, and there as soon as it can be read; no experiment is left out."""
    whole = Watched(disk)
    whole.load()
    content = whole.told.content()
    before = len(door.calls)
    Watched(disk).load()
    for index in range(0, len(door.calls) - before, 1 if ALL else len(NUMBERS)):
        view = Watched(disk)
        door.break_call(index + NUMBERS.index(number) * (not ALL), number)
        view.load()
        assert any(view.told.history) or view.told.content() == content, door.failed
        door.mend()
        view.run(10.0)
        assert view.told.unread == []
        assert view.told.content() == content, door.failed


def test_what_cannot_be_read_at_first_is_listed(view: Watched, door: Door) -> None:
    """An experiment that cannot be read is listed as unreadable, and a job as unknown, until they can be read."""
    door.break_path(view.disk.root / "experiments" / "exp", errno.ESTALE)
    view.load()
    assert view.told.heads["exp"].status == RUN_UNREADABLE
    assert view.told.heads["old"].status == "done"
    assert [each.file.error for each in view.told.unread] == ["ESTALE"]
    door.mend()
    view.run(5.0)
    assert view.told.heads["exp"].status == "running"
    assert set(view.told.facts) == set(JOBS)


def test_job_that_cannot_be_read_at_first_is_unknown(view: Watched, door: Door) -> None:
    """A job that cannot be read is unknown; where its marker of success can be read, that is proof."""
    for job in (DONE, FAILED, RUNNING):
        door.break_path(view.disk.root / "jobs" / job.task / job.hash / ".experimaestro", 5)
        other = Watched(view.disk)
        other.load()
        assert other.told.facts[job].state == ("done" if job is DONE else "unknown")
        assert other.told.facts[job].unread is not None
        assert len(other.told.unread) == 1
        door.mend()
        other.run(5.0)
        assert other.told.facts[job].state in ("done", "error", "running")
        assert other.told.facts[job].unread is None


@pytest.mark.parametrize("is_empty", [True, False], ids=["empty", "skeleton"])
def test_disk_that_is_not_mounted(view: Watched, is_empty: bool) -> None:
    """An empty directory in place of the workspace, or one without its marker, is a disk that is not mounted."""
    view.load()
    content = view.told.content()
    root = view.disk.root
    root.rename(root.with_name("away"))
    root.mkdir()
    if not is_empty:
        for name in ("jobs", "experiments", ".events/jobs", ".events/experiments"):
            (root / name).mkdir(parents=True)
    view.run(2 * REST.cold)
    assert view.told.content() == content
    (unread,) = view.told.unread
    assert unread.file.path == str(root / MARKER)
    assert "not mounted" in unread.file.why
    told = list(view.told.told)
    shutil.rmtree(root)
    root.with_name("away").rename(root)
    view.run(20.0)
    assert view.told.unread == []
    assert view.told.content() == content
    assert view.told.told == told


@pytest.mark.parametrize("name", ["jobs", "experiments"])
def test_part_on_a_disk_that_is_not_mounted(
    view: Watched, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A part of the workspace on a disk of its own is an empty directory while that is not mounted: nothing is gone."""
    part = view.disk.root / name
    device = os.lstat(part).st_dev + 1
    stat = filesystem.stat

    def with_device(path: str) -> os.stat_result:
        found = stat(path)
        is_mounted = str(path) == str(part) and any(part.iterdir())
        return os.stat_result((*found[:2], device, *found[3:10])) if is_mounted else found

    monkeypatch.setattr(filesystem, "stat", with_device)
    view.load()
    view.run(5.0)
    content = view.told.content()
    part.rename(part.with_name("away"))
    part.mkdir()
    view.run(2 * REST.cold)
    assert view.told.content() == content
    assert [each.file.path for each in view.told.unread] == [str(part)]
    part.rmdir()
    part.with_name("away").rename(part)
    view.run(2 * LAST_RETRY)
    assert view.told.unread == []
    assert view.told.content() == content


@pytest.mark.parametrize(
    "place",
    [
        "experiments",
        "experiments/exp/20261101_120000/jobs.jsonl",
        "experiments/exp/20261101_120000/status.json",
        "jobs",
        "jobs/pkg.learn",
        *(f"jobs/{job.task}/{job.hash}" for job in JOBS),
        f"jobs/pkg.learn/{DONE.hash}/.experimaestro",
    ],
)
def test_link_into_a_disk_that_is_not_mounted(view: Watched, place: str) -> None:
    """A link that dangles since the disk that it leads into is not mounted does not make anything absent."""
    path, mount = view.disk.root / place, view.disk.root.with_name("mount")
    elsewhere = mount / "data" / "here"
    elsewhere.parent.mkdir(parents=True)
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    view.load()
    content = view.told.content()
    mount.rename(mount.with_name("away"))
    mount.mkdir()
    view.read_all()
    view.run(10.0)
    assert view.told.content() == content
    assert {each.file.path for each in view.told.unread} == {str(path)}
    mount.rmdir()
    mount.with_name("away").rename(mount)
    view.run(2 * LAST_RETRY)
    assert view.told.unread == []
    assert view.told.content() == content


def test_link_to_what_was_removed(disk: Disk) -> None:
    """A link whose own target was removed dangles, and what it led to is gone: a run that was pruned, a moved job."""
    (disk.root / "experiments" / "old" / "current").unlink()
    (disk.root / "experiments" / "old" / "current").symlink_to("20251101_120000")
    moved = disk.root / "jobs" / FAILED.task / FAILED.hash
    shutil.rmtree(moved)
    moved.symlink_to(disk.root.with_name("gone"))
    view = Watched(disk)
    view.load()
    assert view.told.unread == []
    assert view.told.heads["old"].run_id == "20261101_120000"
    assert not view.told.facts[FAILED].has_directory


def test_what_is_gone_is_gone(disk: Disk) -> None:
    """Experiments and jobs that were removed are told as gone: their directories can be read."""
    view = View(disk, None)
    view.load()
    shutil.rmtree(disk.root / "experiments" / "exp")
    view.run(2 * REST.cold)
    assert set(view.picture.heads) == {"old"}
    assert set(view.picture.facts) == {DONE, FAILED}


def test_directory_of_all_experiments_is_away(disk: Disk) -> None:
    """Where experiments/ itself is away, perhaps for a moment, nothing is told as gone, and that it is away."""
    view = Watched(disk)
    view.load()
    heads, facts = set(view.told.heads), dict(view.told.facts)
    (disk.root / "experiments").rename(disk.root / "away")
    view.run(2 * REST.cold)
    assert (set(view.told.heads), view.told.facts) == (heads, facts)
    assert {each.file.path for each in view.told.unread} == {str(disk.root / "experiments")}
    (disk.root / "away").rename(disk.root / "experiments")
    view.run(2 * REST.cold)
    assert (view.told.facts, view.told.unread) == (facts, [])


def test_list_of_jobs_has_what_cannot_be_read(disk: Disk, door: Door) -> None:
    """A list of jobs names what could not be read, and leaves none out."""
    door.break_path(disk.root / "jobs" / RUNNING.task / RUNNING.hash, errno.EIO)
    reader = WorkspaceReader(disk.root)
    found = {job.facts.id: job.state for job in current_jobs(reader) or []}
    assert set(found) == set(JOBS)
    assert found[RUNNING] == "unknown"
    assert {each.error for each in reader.problems} == {"EIO"}
