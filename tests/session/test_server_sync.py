"""The store synchronized with a server whose answers, and their times, the test decides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from xpm_remote.errors import RequestError
from xpm_remote.model.entities import JobChange
from xpm_remote.model.records import (
    Event,
    ExperimentRecord,
    JobInfoRecord,
    JobProgressEvent,
    JobRecord,
    JobStateEvent,
    OtherEvent,
    SchedulerEvent,
)
from xpm_remote.model.store import Store
from xpm_remote.session import server_sync as sync_module
from xpm_remote.session.server_sync import FEW_JOBS, ServerSync
from xpm_remote.session.state import Update
from xpm_remote.workspace.states import State

TASK = "demo.task"
PATIENCE = 5.0
"""Seconds for what should happen at once; bounds a test that hangs."""
POLL = 0.005
"""Seconds between two looks at a condition to which no event belongs."""
SOON = 3
"""Reconciliations within which a change is to be found; one may have been on its way when it came."""
NEVER = 3600.0
"""Seconds between reconciliations where a test wants none."""


class ScriptedServer:
    """A server with one experiment whose jobs' states the test sets.

    ``pause`` holds all answers back, after they were made, until it is set; ``run`` is the id of its run.
    """

    def __init__(self, states: dict[str, str]) -> None:
        self.states = states
        self.run = "r"
        self.asked: list[str] = []
        self.pause = asyncio.Event()
        self.pause.set()
        self.failure: RequestError | None = None
        self.missing: set[str] = set()

    async def experiments(self) -> list[ExperimentRecord]:
        """Answer get_experiments."""
        infos = {job: JobInfoRecord(job, TASK) for job in self.states}
        record = ExperimentRecord(
            "e", self.run, "running", job_states=dict(self.states), job_infos=infos
        )
        await self._answer("experiments")
        return [record]

    async def jobs(self, experiment_id: str) -> list[JobRecord]:
        """Answer get_jobs."""
        records = [JobRecord(job, TASK, state=state) for job, state in self.states.items()]
        await self._answer(f"jobs {experiment_id}")
        return records

    async def job(self, task_id: str, job_id: str) -> JobRecord | None:
        """Answer get_job."""
        record = JobRecord(job_id, task_id, state=self.states[job_id])
        await self._answer(f"job {job_id}")
        return None if job_id in self.missing else record

    async def _answer(self, question: str) -> None:
        self.asked.append(question)
        if self.failure is not None:
            raise self.failure
        await self.pause.wait()


class Bench:
    """A server, a store, the synchronization under test, and what it published."""

    def __init__(self, states: dict[str, str]) -> None:
        self.server = ScriptedServer(states)
        self.store = Store()
        self.updates: list[Update] = []
        self.told: list[tuple[str, str]] = []
        self.sync = ServerSync(self.server, self.store, self.publish)  # type: ignore[arg-type]

    def publish(self, update: Update) -> None:
        """Record an update."""
        self.updates.append(update)
        for change in update.changes:
            if isinstance(change, JobChange) and change.after is not None:
                before = change.before.state if change.before else None
                if before is not change.after.state:
                    self.told.append((change.after.job_id, change.after.state.value))

    def dropped(self) -> list[str]:
        """Return the jobs that were told to be in no run any more."""
        changes = (change for update in self.updates for change in update.changes)
        return [
            change.before.job_id
            for change in changes
            if isinstance(change, JobChange) and change.before and change.after is None
        ]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition on answers and updates."""
        await asyncio.wait_for(self._poll(condition), PATIENCE)

    async def _poll(self, condition: Callable[[], bool]) -> None:
        while not condition():  # noqa: ASYNC110 - many things may bring it about
            await asyncio.sleep(POLL)

    async def load(self) -> None:
        """Load the snapshot."""
        await self.sync.snapshot()
        self.sync.catch_up()
        self.server.asked.clear()
        self.updates.clear()
        self.told.clear()

    @asynccontextmanager
    async def following(self, interval: float = NEVER) -> AsyncIterator[asyncio.Task[None]]:
        """Follow while the context lasts."""
        task = asyncio.create_task(self.sync.follow(interval))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait({task})


@pytest.fixture(autouse=True)
def _no_settling(monkeypatch: pytest.MonkeyPatch) -> None:
    """End bursts at once."""
    monkeypatch.setattr(sync_module, "SETTLE_TIME", 0.01)


async def test_many_jobs_are_applied_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tasks run between the slices, and what is announced there is not undone by the rest of an older answer."""
    monkeypatch.setattr(sync_module, "SLICE", 2)
    names = [f"{number:02}" for number in range(20)]
    bench = Bench(dict.fromkeys(names, "running"))
    await bench.load()
    heard: list[str] = []

    async def announce() -> None:
        for name in reversed(names):
            bench.sync.hear(state_event(name, "done", at=2.0, started=1.0))
            heard.append(name)
            await asyncio.sleep(0)

    bench.server.pause.clear()
    bench.sync.hear(OtherEvent("?", "e"))
    async with bench.following():
        await bench.until(lambda: bench.server.asked == ["experiments"])
        announcing = asyncio.create_task(announce())
        bench.server.pause.set()
        await announcing
        await bench.until(lambda: "jobs e" in bench.server.asked)
        bench.server.states = dict.fromkeys(names, "done")
        await bench.until(lambda: bench.server.asked.count("jobs e") > 1)
    assert {job.state for job in bench.store.jobs.values()} == {State.DONE}
    assert sorted(bench.told) == [(name, "done") for name in names]
    assert heard == names[::-1]


def state_event(
    job: str, state: str, at: float = 1.0, started: float | None = None
) -> JobStateEvent:
    """Make the announcement of a state."""
    return JobStateEvent(job, TASK, timestamp=at, state=state, started_time=started)


async def test_snapshot_publishes_as_it_comes() -> None:
    """Experiments are published before their jobs are there."""
    bench = Bench({"a": "done", "b": "running"})
    await bench.sync.snapshot()
    assert bench.server.asked == ["experiments", "jobs e"]
    assert len(bench.updates) == 2
    assert {job.state for job in bench.store.jobs.values()} == {State.DONE, State.RUNNING}


async def test_announcements_before_the_snapshot_are_held() -> None:
    """Announcements during the snapshot are applied after it, and reported once."""
    bench = Bench({"a": "running"})
    bench.server.pause.clear()
    loading = asyncio.create_task(bench.sync.snapshot())
    await bench.until(lambda: bench.server.asked == ["experiments"])
    bench.sync.hear(state_event("a", "done"))
    assert bench.told == []
    bench.server.pause.set()
    await loading
    assert ("a", "done") not in bench.told
    bench.sync.catch_up()
    assert bench.told[-1] == ("a", "done")
    assert bench.told.count(("a", "done")) == 1


async def test_announcements_count_at_once_and_are_asked_about() -> None:
    """A state is reported when it is announced; then only its job is requested."""
    bench = Bench({"a": "running", "b": "running"})
    await bench.load()
    async with bench.following():
        bench.server.states["a"] = "done"
        bench.sync.hear(state_event("a", "done"))
        assert bench.told == [("a", "done")]
        await bench.until(lambda: bench.server.asked == ["job a"])
    assert bench.told == [("a", "done")]


async def test_progress_is_not_asked_about() -> None:
    """Progress leads to no request."""
    bench = Bench({"a": "running"})
    await bench.load()
    async with bench.following():
        bench.sync.hear(JobProgressEvent("a", TASK, progress=0.5))
        bench.sync.hear(state_event("a", "done"))
        await bench.until(lambda: bool(bench.server.asked))
    assert bench.store.jobs[f"{TASK}/a"].progress == ()
    assert bench.server.asked == ["job a"]


async def test_a_burst_is_one_question() -> None:
    """Announcements about many jobs lead to one request of their experiment."""
    names = [f"j{number}" for number in range(FEW_JOBS + 1)]
    bench = Bench(dict.fromkeys(names, "running"))
    await bench.load()
    async with bench.following():
        for name in names:
            bench.server.states[name] = "done"
            bench.sync.hear(state_event(name, "done"))
        await bench.until(lambda: len(bench.server.asked) == 2)
    assert bench.server.asked == ["experiments", "jobs e"]
    assert bench.told == [(name, "done") for name in names]


async def test_an_answer_that_was_overtaken_is_not_told() -> None:
    """An answer that was made before an announcement does not undo it, and nothing is reported twice."""
    bench = Bench({"a": "waiting", "b": "waiting"})
    await bench.load()
    async with bench.following():
        bench.server.pause.clear()
        bench.sync.hear(SchedulerEvent("e", "b", TASK, scheduler_state="ready"))
        await bench.until(lambda: bench.server.asked == ["job b"])
        bench.sync.hear(
            SchedulerEvent("e", "a", TASK, scheduler_state="error", failure_reason="DEPENDENCY")
        )
        bench.server.pause.set()
        bench.server.states.update(a="error", b="ready")
        await bench.until(lambda: "job a" in bench.server.asked)
    assert bench.told == [("b", "ready"), ("a", "error")]
    assert bench.store.jobs[f"{TASK}/a"].reason == "DEPENDENCY"


async def test_silence_is_reconciled() -> None:
    """A change without an announcement is found by the next reconciliation, and marked so."""
    bench = Bench({"a": "running"})
    await bench.load()
    async with bench.following(interval=0.02):
        bench.server.states["a"] = "done"
        await bench.until(lambda: ("a", "done") in bench.told)
    assert all(update.recovered for update in bench.updates)


async def test_experiments_at_rest_are_asked_for_rarely() -> None:
    """Where everything has ended, reconciling requests the list only."""
    bench = Bench({"a": "done"})
    await bench.load()
    async with bench.following(interval=0.01):
        await bench.until(lambda: bench.server.asked.count("experiments") >= 3)
    assert bench.server.asked.count("jobs e") == 1


async def test_experiments_at_rest_are_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is deleted in a run that has ended is found, soon where its jobs are few."""
    monkeypatch.setattr(sync_module, "REST_INTERVAL", 0.0)
    monkeypatch.setattr(sync_module, "REST_LOAD", 1.0)
    bench = Bench({"a": "done"})
    await bench.load()
    async with bench.following(interval=0.01):
        await bench.until(lambda: bench.server.asked.count("jobs e") >= 3)


async def test_an_experiment_that_came_to_rest_is_asked_for() -> None:
    """When a run ends, its jobs are requested once more, though all seemed to have ended."""
    bench = Bench({"a": "error"})
    await bench.load()
    async with bench.following(interval=0.01):
        await bench.until(lambda: bench.server.asked.count("experiments") >= 2)
        bench.server.asked.clear()
        bench.server.states["a"] = "done"
        await bench.until(lambda: ("a", "done") in bench.told)
    assert "jobs e" in bench.server.asked
    assert bench.server.asked.count("experiments") <= SOON


async def test_other_announcements_lead_to_a_look_at_everything() -> None:
    """An announcement of an unknown kind, or about a run, leads to a full reconciliation."""
    bench = Bench({"a": "running"})
    await bench.load()
    async with bench.following():
        bench.sync.hear(OtherEvent("RunCompletedEvent"))
        await bench.until(lambda: bench.server.asked == ["experiments", "jobs e"])


class TestFlood:
    """More announcements than are kept."""

    @pytest.fixture(autouse=True)
    def _little_room(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sync_module, "EVENTS_KEPT", 5)
        monkeypatch.setattr(sync_module, "NEW_JOBS_KEPT", 3)

    async def test_before_the_snapshot(self) -> None:
        """What does not fit before the snapshot is dropped, and everything is queried again after it."""
        bench = Bench({"a": "running", "b": "done"})
        for number in range(100):
            bench.sync.hear(state_event(f"new{number}", "running"))
        assert len(bench.sync._events) == 5
        await bench.load()
        bench.server.states["a"] = "done"
        async with bench.following():
            await bench.until(lambda: ("a", "done") in bench.told)
            await bench.until(lambda: bench.server.asked[:2] == ["experiments", "jobs e"])

    @pytest.mark.parametrize("kind", ["state", "progress", "scheduler", "experiments"])
    async def test_ever_new_jobs(self, kind: str) -> None:
        """Of jobs that no answer has confirmed only so many are taken; then everything is queried."""
        bench = Bench({"a": "running"})
        await bench.load()
        for number in range(100):
            job = f"new{number}"
            events: dict[str, Event] = {
                "state": state_event(job, "running"),
                "progress": JobProgressEvent(job, TASK, progress=0.5),
                "scheduler": SchedulerEvent("e", job, TASK, scheduler_state="ready"),
                "experiments": SchedulerEvent(job, "a", TASK, scheduler_state="ready"),
            }
            bench.sync.hear(events[kind])
        assert len(bench.store.jobs) <= 4
        assert len(bench.store.experiments) <= 4
        assert len(bench.sync._dirty_jobs) <= 5
        bench.sync.hear(state_event("a", "done"))
        assert ("a", "done") in bench.told  # what is known is still followed
        async with bench.following():
            await bench.until(lambda: "jobs e" in bench.server.asked)
            await bench.until(lambda: not bench.sync._new_jobs)

    async def test_jobs_of_no_experiment(self) -> None:
        """Of the jobs that no experiment lists the latest are kept."""
        bench = Bench({"a": "running"})
        await bench.load()
        async with bench.following():
            for turn in range(3):
                for number in range(3):
                    bench.server.states[f"new{turn}{number}"] = "running"
                    bench.sync.hear(state_event(f"new{turn}{number}", "running"))
                bench.server.states = {"a": "running"}
                bench.sync.hear(OtherEvent("RunCompletedEvent"))
                await bench.until(lambda: not bench.sync._new_jobs)
        assert sorted(job.job_id for job in bench.store.jobs.values()) == [
            "a",
            "new20",
            "new21",
            "new22",
        ]


async def test_warnings_are_told() -> None:
    """A warning of an experiment is passed on."""
    bench = Bench({})
    await bench.load()
    bench.sync.hear(OtherEvent("WarningEvent", "e", "the disk is nearly full"))
    assert [update.notice for update in bench.updates] == ["the disk is nearly full"]


async def test_a_folder_that_is_gone() -> None:
    """A job without a folder is what its experiment has of it."""
    bench = Bench({"a": "waiting"})
    await bench.load()
    bench.server.missing.add("a")
    async with bench.following():
        bench.sync.hear(state_event("a", "running", started=5.0))
        await bench.until(lambda: bench.told == [("a", "running"), ("a", "waiting")])


async def test_a_question_that_fails_ends_it() -> None:
    """A refusal is raised to the caller."""
    bench = Bench({"a": "running"})
    await bench.load()
    bench.server.failure = RequestError("get_experiments", -32603, "no")
    async with bench.following(interval=0.01) as following:
        await asyncio.wait({following}, timeout=PATIENCE)
        with pytest.raises(RequestError):
            following.result()


class TestStartedAgain:
    """An experiment that is started again, and lists its jobs one after another."""

    @pytest.fixture(autouse=True)
    def _fill_fast(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sync_module, "FILLING", 0.2)

    async def test_jobs_that_are_listed_again(self) -> None:
        """Its jobs stay as they are until they are listed; none is dropped and new."""
        bench = Bench({"a": "done", "b": "waiting"})
        await bench.load()
        async with bench.following(interval=0.02):
            bench.server.run, bench.server.states = "s", {}
            await bench.until(lambda: bench.store.experiments[0].run_id == "s")
            bench.server.states = {"a": "done"}
            await bench.until(lambda: bench.store.filling() == {"e": 1})
            bench.server.states = {"a": "done", "b": "running"}
            await bench.until(lambda: ("b", "running") in bench.told)
        assert bench.told == [("b", "running")]
        assert bench.dropped() == []

    async def test_jobs_that_are_not_listed_any_more(self) -> None:
        """A job that it does not list is dropped when it seems to have listed all."""
        bench = Bench({"a": "done", "b": "error"})
        await bench.load()
        async with bench.following(interval=NEVER):
            bench.server.run, bench.server.states = "s", {"a": "done"}
            bench.sync.hear(OtherEvent("RunUpdatedEvent"))
            await bench.until(lambda: bench.dropped() != [])
        assert bench.dropped() == ["b"]
        assert bench.told == []

    async def test_jobs_that_are_listed_for_ever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A script that goes on to submit jobs does not keep those of the former run for ever."""
        monkeypatch.setattr(sync_module, "FILLING", NEVER)
        monkeypatch.setattr(sync_module, "FILLING_LIMIT", 0.1)
        bench = Bench({"a": "done"})
        await bench.load()
        async with bench.following(interval=0.02):
            bench.server.run, bench.server.states = "s", {}
            await bench.until(lambda: bench.dropped() == ["a"])
