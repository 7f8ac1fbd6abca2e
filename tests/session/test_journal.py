"""The journal: changes kept in a ring, what has not been seen, and what is kept of it between two runs."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.model.builders import ZONE, experiment_record, job_record, key, progress_event
from xpm_remote.model.entities import Change
from xpm_remote.model.records import JobRecord
from xpm_remote.model.store import Store
from xpm_remote.session.journal import Journal
from xpm_remote.session.seen_files import SeenFiles, seen_folder
from xpm_remote.session.state import Digest, LinkState, Phase, Picture, Update

NAME = "jz"


class Program:
    """One run of the program: a workspace whose updates go to a journal."""

    def __init__(
        self, folder: Path | None, now: float = 1000.0, host: str = "h", name: str = NAME
    ) -> None:
        self.now = now
        self.journal = Journal(folder, clock=lambda: self.now)
        self.store = Store(ZONE)
        self.host, self.name = host, name
        self.link = LinkState(Phase.LOADING, now)

    def tell(self, changes: Iterable[Change] = ()) -> None:
        """Pass an update on."""
        picture = Picture(self.host, "/ws", self.link, None, 0.0, self.store)
        self.journal.note(self.name, Update(tuple(changes)), picture)

    def live(self, away: float | None = None) -> None:
        """Enter the live phase, after the link was lost for some time or for the first time."""
        digest = None if away is None else Digest(away)
        self.link = LinkState(Phase.LIVE, self.now, digest=digest)
        self.tell()

    def load(self, states: dict[str, str], status: str = "running") -> None:
        """Load a workspace of these jobs."""
        self.run(states, status)
        self.live()

    def run(self, states: dict[str, str], status: str = "running") -> None:
        """Take jobs of an experiment as they are now."""
        self.tell(self.store.apply_experiments([experiment_record(jobs=states, status=status)]))
        self.tell(self.store.apply_judged([record(*each) for each in states.items()]))


def record(name: str, state: str) -> JobRecord:
    """Make a job's record."""
    ended = 5.0 if state in ("done", "error") else None
    started = 1.0 if ended or state == "running" else None
    return job_record(name, state, started=started, ended=ended)


def test_two_runs_of_the_program(tmp_path: Path) -> None:
    """What changed between two runs is named exactly: failures, experiments that ended, how many jobs are done."""
    first = Program(tmp_path)
    first.load({"a": "running", "b": "running", "c": "error", "d": "waiting"})
    second = Program(tmp_path, now=30_000.0)
    second.load({"a": "error", "b": "done", "c": "error", "d": "error"}, status="failed")
    causes = {key("a"): "memory", key("c"): "memory", key("d"): "dependency"}
    digest = second.journal.digest(NAME, causes)
    assert digest is not None
    assert digest.news.failures == {"memory": [key("a")], "dependency": [key("d")]}
    assert (digest.news.done, digest.news.ended) == (1, (("exp", "failed"),))
    assert digest.news.since == 1000.0
    # Not seen yet: the next run tells it again, and after it was seen, no more.
    third = Program(tmp_path, now=40_000.0)
    third.load({"a": "error", "b": "done", "c": "error", "d": "error"}, status="failed")
    again = third.journal.digest(NAME, causes)
    assert again is not None
    assert again.news == digest.news
    third.journal.mark_seen(NAME)
    assert not third.journal.digest(NAME)
    fourth = Program(tmp_path, now=50_000.0)
    fourth.load({"a": "error", "b": "done", "c": "error", "d": "error"}, status="failed")
    assert not fourth.journal.digest(NAME)


def test_first_look(tmp_path: Path) -> None:
    """A workspace that was never looked at has no news; before it is live, nothing is known."""
    program = Program(tmp_path)
    assert program.journal.digest(NAME) is None
    program.run({"a": "error"})
    assert program.journal.digest(NAME) is None
    program.journal.mark_seen(NAME)
    assert not list(tmp_path.iterdir())
    program.live()
    assert not program.journal.digest(NAME)
    assert program.journal.digest(NAME) is not None
    program.run({"a": "error", "b": "error"})
    digest = program.journal.digest(NAME)
    assert digest is not None
    assert digest.news.failures == {"": [key("b")]}


def test_single_failures(tmp_path: Path) -> None:
    """A failure is new or not by itself; at the first look at a workspace none is new, and none has been seen."""
    first = Program(tmp_path)
    failed = {"a": "error", "b": "running"}
    first.load(failed)
    jobs = first.store.jobs
    assert first.journal.is_first_look(NAME)
    assert not first.journal.is_new(NAME, jobs[key("a")])
    first.journal.mark_seen(NAME)
    assert not first.journal.is_first_look(NAME)
    second = Program(tmp_path, now=30_000.0)
    second.load({"a": "error", "b": "error"})
    assert not second.journal.is_first_look(NAME)
    found = [second.journal.is_new(NAME, second.store.jobs[key(name)]) for name in ("a", "b")]
    assert found == [False, True]
    assert not second.journal.is_new("another", second.store.jobs[key("b")])
    assert not second.journal.is_first_look("another")


def test_links_that_came_back(tmp_path: Path) -> None:
    """A link that came back is told until it has been seen, once however often its state is told."""
    program = Program(tmp_path)
    program.load({})
    program.link = LinkState(Phase.WAITING, 1100.0)
    program.tell()
    program.now = 1200.0
    program.live(away=100.0)
    program.tell()
    digest = program.journal.digest(NAME)
    assert digest is not None
    assert [tuple(each) for each in digest.returns] == [(1200.0, 100.0)]
    program.journal.mark_seen(NAME)
    assert not program.journal.digest(NAME)


def test_ring_of_changes(tmp_path: Path) -> None:
    """Changes of states are kept with the workspace and their times, the first load and mere progress are not."""
    program = Program(tmp_path)
    program.load({"a": "running"})
    assert not program.journal.entries
    program.tell(program.store.apply_event(progress_event(0.5, at=3)))
    assert not program.journal.entries
    program.run({"a": "done"})
    program.run({"a": "done"}, status="done")
    job, run = program.journal.entries
    assert (job.workspace, job.change.key) == (NAME, key("a"))
    assert job.at == program.store.jobs[key("a")].ended.timestamp()  # type: ignore[union-attr]
    assert (run.change.key, run.at) == ("exp", 1000.0)
    small = Journal(tmp_path, kept=1)
    assert small.entries.maxlen == 1


def test_samples(tmp_path: Path) -> None:
    """The progress of jobs that run is kept until the link is lost."""
    program = Program(tmp_path)
    program.load({"a": "running"})
    assert program.journal.samples("other", key("a")) is None
    program.tell(program.store.apply_event(progress_event(0.25, at=3)))
    program.tell(program.store.apply_event(progress_event(0.5, at=4)))
    samples = program.journal.samples(NAME, key("a"))
    assert samples is not None
    assert samples.fractions == [0.25, 0.5]
    program.link = LinkState(Phase.WAITING, 1100.0)
    program.tell()
    assert samples.fractions == []


def test_muted_causes(tmp_path: Path) -> None:
    """A muted cause stays so in the next run, until it is told again; without a workspace there is none."""
    first = Program(tmp_path)
    first.journal.mute(NAME, "noise")
    assert first.journal.muted(NAME) == ()
    first.load({})
    first.journal.mute(NAME, "noise")
    first.journal.mute(NAME, "noise")
    second = Program(tmp_path)
    second.load({})
    second.journal.mark_seen(NAME)
    assert second.journal.muted(NAME) == ("noise",)
    second.journal.mute(NAME, "noise", is_muted=False)
    third = Program(tmp_path)
    third.load({})
    assert third.journal.muted(NAME) == ()
    third.journal.mark_seen("another")
    third.journal.forget(NAME)
    assert third.journal.digest(NAME) is None


# Files


def file_of(folder: Path, name: str = NAME) -> Path:
    """Return the file of a workspace."""
    return SeenFiles(folder).path(name)


def has_news(folder: Path, host: str = "h") -> bool:
    """Return whether a run of the program with a failure has news: a file was read that had none."""
    program = Program(folder, host=host)
    program.load({"a": "error"})
    return bool(program.journal.digest(NAME))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in which a workspace without failures has been seen."""
    Program(tmp_path / "state").load({})
    first = Program(tmp_path / "state")
    first.load({})
    return tmp_path / "state"


def test_file(folder: Path) -> None:
    """The file and its folder are private, and nothing else is left in it."""
    assert [each.name for each in folder.iterdir()] == ["jz.json"]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert file_of(folder).stat().st_mode & 0o777 == 0o600
    assert has_news(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"[" * 100_000,
        b'{"version": 1}',
        b'{"version": 1, "workspace": "h:/ws", "at": "x"}',
        b'{"version": 0, "workspace": "h:/ws", "at": 1.0}',
    ],
)
def test_broken_file(folder: Path, content: bytes) -> None:
    """A broken file, or one of an older version, is ignored and replaced."""
    file_of(folder).write_bytes(content)
    assert not has_news(folder)
    assert json.loads(file_of(folder).read_bytes())["version"] == 1


def test_newer_file(folder: Path) -> None:
    """The file of a newer version is ignored and left alone, which is told."""
    newer = b'{"version": 2, "workspace": "h:/ws", "at": 1.0}'
    file_of(folder).write_bytes(newer)
    program = Program(folder)
    program.load({"a": "error"})
    assert not program.journal.digest(NAME)
    assert "newer version" in program.journal.trouble[NAME]
    assert file_of(folder).read_bytes() == newer
    file_of(folder).unlink()
    program.journal.mark_seen(NAME)
    assert not program.journal.trouble


def test_another_place_of_the_same_name(folder: Path) -> None:
    """What has been seen of another workspace that had the name is ignored."""
    assert not has_news(folder, host="elsewhere")


def test_links_and_other_files(folder: Path, tmp_path: Path) -> None:
    """A link, a FIFO or a directory in the place of the file is not read, and a link is not written through."""
    kept = tmp_path / "kept"
    file_of(folder).rename(kept)
    file_of(folder).symlink_to(kept)
    before = kept.read_bytes()
    assert not has_news(folder)
    assert kept.read_bytes() == before
    file_of(folder).unlink()
    os.mkfifo(file_of(folder))
    assert not has_news(folder)
    file_of(folder).unlink()
    file_of(folder).mkdir()
    program = Program(folder)
    program.load({})
    assert "cannot be written" in program.journal.trouble[NAME]
    assert [each.name for each in folder.iterdir()] == ["jz.json"]


def test_another_user_s_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is not ours is ignored."""
    owner = file_of(folder).stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert not has_news(folder)


def test_full_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk the old file stays whole, and why is told."""
    before = file_of(folder).read_bytes()

    def fail(path: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    program = Program(folder)
    program.load({"a": "error"})
    monkeypatch.setattr(Path, "replace", fail)
    program.journal.mark_seen(NAME)
    expected = f"{file_of(folder)} cannot be written: No space left on device"
    assert program.journal.trouble == {NAME: expected}
    assert file_of(folder).read_bytes() == before
    assert [each.name for each in folder.iterdir()] == ["jz.json"]


@pytest.mark.parametrize(
    "name",
    ["../x", "/etc/passwd", ".", "..", "", "a/b", "A", "a\x00b", "x" * 300, "ünïcode", "\ud800"],
)
def test_names_do_not_become_paths(tmp_path: Path, name: str) -> None:
    """Whatever a workspace is called, its file is in the folder, and another one than that of any other name."""
    path = SeenFiles(tmp_path).path(name)
    assert path.parent == tmp_path
    assert path != SeenFiles(tmp_path).path(name.lower() + "_")
    program = Program(tmp_path, name=name)
    program.load({})
    assert list(tmp_path.iterdir()) == [path]


def test_seen_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is where XDG says; a path that is not absolute is ignored. Other files of the state are not in it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert seen_folder() == Path("/state/xpm-remote/seen")
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_STATE_HOME", value)
        assert seen_folder() == tmp_path / ".local/state/xpm-remote/seen"


def test_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a home directory nothing is kept, which is told; the journal works."""

    def unknown(uid: int) -> pwd.struct_passwd:
        raise KeyError(uid)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    program = Program(None)
    program.load({})
    program.run({"a": "error"})
    assert program.journal.digest(NAME)
    assert "no home directory" in program.journal.trouble[NAME]


def test_paths_and_names_that_are_no_text(tmp_path: Path) -> None:
    """A path of any bytes is kept; the name of an experiment of such bytes is told, and nothing else is lost."""
    program = Program(tmp_path, host="h\udcff")
    program.load({})
    program.run({"a": "error"})
    assert has_news(tmp_path, host="h\udcff")
    named = experiment_record(name="e\udcff", jobs=(), status="running")
    program.tell(program.store.apply_experiments([named]))
    program.journal.mark_seen(NAME)
    assert "not UTF-8" in program.journal.trouble[NAME]
    assert not program.journal.digest(NAME)


def test_two_programs_at_once(tmp_path: Path) -> None:
    """What one program mutes stays muted when another one, which has run since before, marks and mutes."""
    first, second = Program(tmp_path), Program(tmp_path)
    first.load({})
    second.load({})
    first.journal.mute(NAME, "one")
    second.journal.mark_seen(NAME)
    second.journal.mute(NAME, "two")
    first.journal.mark_seen(NAME)
    assert first.journal.muted(NAME) == ("one", "two")
