"""A job that is followed while experimaestro writes its files: what is sent of one try never steps back."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.effort import examples
from tests.workspace.agent.test_tracking import View
from tests.workspace.disk import RUN_ID, Disk, write
from xpm_remote.workspace.agent.filling import FILLING, FILLING_LIMIT
from xpm_remote.workspace.agent.tracking import CORRECTION, SECOND_LOOK
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.reading.jobs import CLAIM, JobFacts
from xpm_remote.workspace.states import State
from xpm_remote.workspace.watching.places import JobSubject, RunSubject

JOB = JobId("pkg.learn", "a" * 64)
PID = {"type": "local", "pid": 77, "host": "node01"}
BEGAN = datetime(2026, 11, 1, 12, 0, 5).timestamp()  # noqa: DTZ001  (as the files have it)
LOCK = "learn.lock"

Write = Callable[[], object]


class Peer:
    """The writes of experimaestro 2.7 for one job, in its own order.

    Args:
        view: Follows the workspace.
        disk: The workspace.
    """

    def __init__(self, view: View, disk: Disk) -> None:
        self.view = view
        self.disk = disk
        self.directory = disk.root / "jobs" / JOB.task / JOB.hash
        self.status: dict[str, Any] = {"state": "waiting", "retry_count": 0, "process": None}
        self.words: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.time = BEGAN

    def submitted(self) -> Iterator[Write]:
        """The scheduler submits the job, prepares its directory, and starts its process."""
        yield lambda: self.word("submitted")
        yield lambda: self.word("waiting")
        yield from self.prepared()

    def prepared(self) -> Iterator[Write]:
        """The scheduler removes what an earlier try left, and starts the process."""
        yield self.forget_events
        yield lambda: self.remove("failed")
        yield from self.stated(started_time=None, ended_time=None)
        yield lambda: self.view.host.pids.add(77)
        yield lambda: write(self.directory / "learn.pid", "")
        yield lambda: write(self.directory / "learn.pid", PID)

    def launched(self) -> Iterator[Write]:
        """The scheduler writes that it has started the process, which may run already."""
        yield from self.stated(state="scheduled", process=PID)
        yield lambda: self.word("scheduled")

    def started(self) -> Iterator[Write]:
        """The process starts."""
        yield lambda: self.view.host.locked.add(LOCK)
        yield lambda: self.remove("failed")
        yield from self.stated(lambda: {"state": "running", "started_time": self.now()})
        yield lambda: self.event("running", started_time=self.now())
        yield lambda: self.event(None, progress=0.5)

    def succeeded(self) -> Iterator[Write]:
        """The process ends well: its marker is the last thing that it writes, and its lock is free before."""
        yield lambda: self.remove("pid")
        yield from self.stated()
        yield lambda: self.view.host.locked.discard(LOCK)
        yield lambda: self.event("done", ended_time=self.now())
        yield self.archive_events
        yield lambda: write(self.directory / "learn.done", "")
        yield lambda: self.view.host.pids.discard(77)
        yield from self.finalized("done", "done")

    def failed(self, reason: str = "failed") -> Iterator[Write]:
        """The process fails."""
        yield lambda: write(self.directory / "learn.failed", "")
        yield lambda: write(self.directory / "learn.failed", {"code": 1, "reason": reason})
        yield lambda: self.remove("pid")
        yield from self.stated(lambda: {"state": "error", "ended_time": self.now()})
        yield lambda: self.view.host.locked.discard(LOCK)
        yield lambda: self.event("error", ended_time=self.now())
        yield self.archive_events
        yield lambda: self.view.host.pids.discard(77)
        yield from self.finalized("error", "error")

    def killed(self) -> Iterator[Write]:
        """The process is killed: its files stay as they are."""
        yield lambda: self.view.host.pids.discard(77)
        yield lambda: self.view.host.locked.discard(LOCK)
        yield from self.finalized("running", "error")

    def tried_again(self) -> Iterator[Write]:
        """The process times out, and its scheduler starts another."""
        yield from self.failed("timeout")
        yield lambda: self.word("waiting")
        yield from self.prepared()
        yield from self.launched()
        yield from self.started()
        yield from self.succeeded()

    def finalized(self, state: str, word: str) -> Iterator[Write]:
        """The scheduler takes the job's lock, writes its status, and says what it has seen."""
        yield lambda: self.view.host.locked.add(LOCK)
        yield from self.stated(
            lambda: {
                "state": state,
                "scheduler_state": word,
                "process": None,
                "retry_count": self.status["retry_count"] + (word == "error"),
            }
        )
        yield lambda: self.view.host.locked.discard(LOCK)
        yield lambda: self.word(word)

    def stated(
        self, change: Callable[[], dict[str, Any]] | None = None, **fields: Any
    ) -> Iterator[Write]:
        """Write status.json: it is emptied first."""
        path = self.directory / ".experimaestro" / "status.json"

        def empty() -> None:
            self.status.update(fields, **(change() if change else {}))
            write(path, "")

        yield empty
        yield lambda: write(path, self.status)

    def word(self, state: str) -> None:
        """The scheduler announces a state."""
        names = {"experiment_id": "exp", "run_id": RUN_ID, "job_id": JOB.hash, "task_id": JOB.task}
        kind = {"event_type": "ExperimentJobStateEvent", "tags": [], "timestamp": self.tick()}
        self.words.append({**names, **kind, "scheduler_state": state})
        self.disk.experiment_events("exp", *self.words)

    def event(self, state: str | None, **fields: Any) -> None:
        """The process announces a state, or progress."""
        kind = "JobProgressEvent" if state is None else "JobStateChangedEvent"
        said = {"event_type": kind, "timestamp": self.tick(), "level": 0, **fields}
        self.events.append(said if state is None else {**said, "state": state})
        self.disk.events(JOB, *self.events)

    def forget_events(self) -> None:
        """Delete the events of the earlier try."""
        self.events.clear()
        self.archive_events()

    def archive_events(self) -> None:
        """Unlink the live events."""
        for path in (self.disk.root / ".events" / "jobs").glob("*.jsonl"):
            path.unlink()

    def remove(self, ending: str) -> None:
        """Remove a file of the job."""
        (self.directory / f"learn.{ending}").unlink(missing_ok=True)

    def now(self) -> str:
        """Return the time as files have it."""
        return datetime.fromtimestamp(self.tick()).isoformat()  # noqa: DTZ006

    def tick(self) -> float:
        """Return the time of the next write."""
        self.time += 0.01
        return self.time


@pytest.fixture
def followed(tmp_path: Path) -> Iterator[tuple[Peer, list[JobFacts]]]:
    """A job that is about to be started, and what is sent of it."""
    disk = Disk(tmp_path / "ws")
    (disk.root / ".events" / "jobs").mkdir(parents=True)
    (disk.root / ".events" / "experiments").mkdir(parents=True)
    disk.run("exp", [JOB])
    view = View(disk, None)
    view.host.pids.clear()
    view.host.locked = {"exp/lock"}
    view.load()
    sent: list[JobFacts] = []
    show = view.picture.jobs

    def jobs(found: list[JobFacts]) -> None:
        sent.extend(found)
        show(found)

    view.picture.jobs = jobs  # type: ignore[method-assign,assignment]
    disk.job(JOB)
    yield Peer(view, disk), sent
    view.watcher.close()


def look(view: View) -> None:
    """Read the job and its run anew, a little later."""
    view.now += 0.01
    view.tracker._not_before.clear()
    view.tracker._update_all({RunSubject("exp"), JobSubject(*JOB)})


def follow(peer: Peer, writes: list[Write]) -> None:
    """Read after each write."""
    for each in writes:
        each()
        look(peer.view)


def states(sent: list[JobFacts]) -> list[str]:
    """Return the states that were sent, each once in a row."""
    return [state for state, _ in itertools.groupby(facts.state for facts in sent)]


def reasons(sent: list[JobFacts]) -> list[str | None]:
    """Return the reasons that were sent with failures, each once in a row."""
    found = (facts.failure_reason for facts in sent if facts.state == State.ERROR)
    return [reason for reason, _ in itertools.groupby(found)]


ENDS = {
    "succeeded": (["waiting", "scheduled", "running", "done"], []),
    "failed": (["waiting", "scheduled", "running", "error"], ["FAILED"]),
    "killed": (["waiting", "scheduled", "running", "error"], ["FAILED"]),
    "tried_again": (
        ["waiting", "scheduled", "running", "error", "waiting", "scheduled", "running", "done"],
        ["TIMEOUT"],
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_each_write_in_turn(end: str, followed: tuple[Peer, list[JobFacts]]) -> None:
    """Read after each write of experimaestro, a job goes through its states in order, with one reason."""
    peer, sent = followed
    for part in (peer.submitted, peer.launched, peer.started, getattr(peer, end)):
        follow(peer, list(part()))
    assert (states(sent), reasons(sent)) == ENDS[end]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("number", range(examples(6, 30)))
def test_scheduler_and_process_at_once(
    end: str, number: int, followed: tuple[Peer, list[JobFacts]]
) -> None:
    """A process that is faster than its scheduler's note that it was started is shown in order, too."""
    peer, sent = followed
    follow(peer, list(peer.submitted()))
    process = [*peer.started(), *getattr(peer, end)()]
    note = list(peer.launched())
    final = len(list(peer.finalized("", "")))  # the scheduler writes these after its note
    own = process if end == "tried_again" else process[:-final]
    chance = random.Random(number)
    places = sorted(chance.sample(range(min(len(own), 12)), len(note)))
    for place, each in reversed(list(zip(places, note, strict=True))):
        process.insert(place, each)
    follow(peer, process)
    expected, why = ENDS[end]
    assert (without(states(sent), "scheduled"), reasons(sent)) == (
        without(expected, "scheduled"),
        why,
    )


def without(words: list[str], word: str) -> list[str]:
    """Return the words that are left without one that may be missed."""
    return [each for each, _ in itertools.groupby(each for each in words if each != word)]


def test_end_of_the_run(followed: tuple[Peer, list[JobFacts]]) -> None:
    """The end of a run, whose list has less than its events had, takes nothing back."""
    peer, sent = followed
    for part in (peer.submitted, peer.launched, peer.started, peer.killed):
        follow(peer, list(part()))
    before = len(sent)
    status = {"experiment_id": "exp", "run_id": RUN_ID, "status": "done"}
    path = peer.disk.root / "experiments" / "exp" / RUN_ID / "status.json"
    write(path, {**status, "job_states": {JOB.hash: "running"}})
    look(peer.view)
    (peer.disk.root / ".events" / "experiments" / "exp-0.jsonl").unlink()
    look(peer.view)
    assert {(facts.state, facts.failure_reason) for facts in sent[before - 1 :]} == {
        ("error", "FAILED")
    }


def test_claim_of_a_monitor(followed: tuple[Peer, list[JobFacts]]) -> None:
    """A job that a monitor declares dead while it runs goes on running."""
    peer, sent = followed
    for part in (peer.submitted, peer.launched, peer.started):
        follow(peer, list(part()))
    claim = {"code": 1, "reason": "failed", "message": CLAIM}
    write(peer.directory / "learn.failed", claim)
    peer.remove("pid")
    look(peer.view)
    follow(peer, list(peer.succeeded()))
    assert states(sent) == ENDS["succeeded"][0]


def test_correction(followed: tuple[Peer, list[JobFacts]]) -> None:
    """A failure that was a monitor's mistake is taken back once the job has shown itself twice."""
    peer, sent = followed
    for part in (peer.submitted, peer.launched, peer.started):
        follow(peer, list(part()))
    peer.view.host.pids.clear()
    peer.view.host.locked.discard(LOCK)
    write(peer.directory / "learn.failed", {"code": 1, "reason": "failed", "message": CLAIM})
    peer.remove("pid")
    look(peer.view)
    assert sent[-1].state == "error"
    peer.view.host.locked.add(LOCK)
    look(peer.view)
    assert sent[-1].state == "error"
    peer.view.run(2 * SECOND_LOOK)
    assert sent[-1].state == "running"


def test_wrong_death(followed: tuple[Peer, list[JobFacts]]) -> None:
    """A death without a marker is taken back only if the files contradict it for a minute."""
    peer, sent = followed
    for part in (peer.submitted, peer.launched, peer.started):
        follow(peer, list(part()))
    peer.view.host.pids.clear()
    peer.view.host.locked.discard(LOCK)
    look(peer.view)
    peer.view.host.locked.add(LOCK)
    look(peer.view)
    peer.view.run(CORRECTION - 5 * SECOND_LOOK)
    assert sent[-1].state == "error"
    peer.view.run(10 * SECOND_LOOK)
    assert sent[-1].state == "running"


def relaunched(disk: Disk) -> None:
    """Begin another run, which has not submitted any job yet."""
    disk.run("exp", [], run_id="20261101_130000", started_at="2026-11-01T13:00:00")


def test_jobs_of_a_run_that_begins(followed: tuple[Peer, list[JobFacts]]) -> None:
    """Jobs are not gone while the next run has not listed them yet, and what it does with them is not mistaken."""
    peer, sent = followed
    for part in (peer.submitted, peer.launched, peer.started):
        follow(peer, list(part()))
    follow(peer, list(peer.failed("timeout")))
    relaunched(peer.disk)
    look(peer.view)
    peer.remove("failed")
    look(peer.view)
    assert "gone" not in peer.view.picture.told
    assert reasons(sent) == ["TIMEOUT"]
    lines = peer.disk.root / "experiments" / "exp" / RUN_ID / "jobs.jsonl"
    begun = lines.parents[1] / "20261101_130000" / "jobs.jsonl"
    begun.write_text(lines.read_text())
    look(peer.view)
    assert peer.view.picture.heads["exp"].run_id == "20261101_130000"
    assert (states(sent)[-1], "gone" in peer.view.picture.told) == ("error", False)


def test_run_without_the_jobs_of_the_one_before(followed: tuple[Peer, list[JobFacts]]) -> None:
    """A run that does not list the jobs of the one before is sent after a while."""
    peer, _ = followed
    relaunched(peer.disk)
    look(peer.view)
    assert peer.view.picture.heads["exp"].run_id == RUN_ID
    peer.view.run(2 * FILLING)
    assert peer.view.picture.heads["exp"].run_id == "20261101_130000"
    assert "gone" in peer.view.picture.told
    assert not peer.view.tracker._filling


def test_run_that_grows_for_long(followed: tuple[Peer, list[JobFacts]]) -> None:
    """A run that goes on listing other jobs is sent all the same."""
    peer, _ = followed
    relaunched(peer.disk)
    path = peer.disk.root / "experiments" / "exp" / "20261101_130000" / "jobs.jsonl"
    for number in range(int(FILLING_LIMIT) + 2):
        with path.open("a") as lines:
            lines.write(f'{{"job_id": "{number:064}", "task_id": "pkg.learn", "tags": {{}}}}\n')
        look(peer.view)
        peer.view.now += 1.0
    assert peer.view.picture.heads["exp"].run_id == "20261101_130000"
