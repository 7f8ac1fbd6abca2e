"""What the reference server cannot tell is judged by the agent, and published when it has been judged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from tests.session.test_server_sync import NEVER, TASK, Bench, state_event
from xpm_remote.errors import RequestError, StartError
from xpm_remote.model.agent_rows import AgentRows
from xpm_remote.model.entities import Change
from xpm_remote.session import judging
from xpm_remote.session import server_sync as sync_module
from xpm_remote.session.judging import ATTEMPTS, Judge
from xpm_remote.session.server_sync import ServerSync
from xpm_remote.workspace.states import State


class ScriptedAgent:
    """An agent whose judgements the test sets: the status of the run, and rows of jobs."""

    workspace = "/ws/"

    def __init__(self) -> None:
        self.head: dict[str, Any] = {"status": "running", "scheduler_alive": True}
        self.rows: dict[str, list[Any]] = {}
        self.asked: list[list[str]] = []
        self.missing: list[str] = []
        self.looks: list[list[str]] = []
        self.starts = 0
        self.is_open = False
        self.failure: Exception | None = None
        self.at_answer: Callable[[list[str]], object] = lambda _: None
        self.start_failure: StartError | None = None

    async def start(self) -> Any:
        """Start it."""
        self.starts += 1
        if self.start_failure is not None:
            raise self.start_failure
        self.is_open = True
        return self

    async def call(self, method: str, params: dict[str, Any]) -> msgspec.Raw:
        """Answer ``judge`` and ``find_missing``."""
        if method == "find_missing":
            self.looks.append(params["experiments"])
            return msgspec.Raw(json.dumps({"jobs": self.missing}).encode())
        assert method == "judge"
        (jobs,) = params["experiments"].values()
        self.asked.append(jobs)
        if self.failure is not None:
            raise self.failure
        head = {"experiment_id": "e", "run_id": "r", **self.head}
        known = [job for job in jobs if job in self.rows]
        rows = [[number, *self.rows[job]] for number, job in enumerate(known)]
        names = [f"{TASK}/{job}" for job in known]
        self.at_answer(jobs)
        return msgspec.Raw(
            json.dumps({"experiments": [head], "jobs": names, "rows": rows}).encode()
        )

    async def aclose(self) -> None:
        """End it."""
        self.is_open = False


class JudgedBench(Bench):
    """A bench with an agent that judges."""

    def __init__(self, states: dict[str, str]) -> None:
        super().__init__(states)
        self.agent = ScriptedAgent()
        self.rows = AgentRows()
        self.changes: list[Change] = []
        self.judge = Judge(self.agent.start, self.store, self.rows)
        self.sync = ServerSync(self.server, self.store, self.publish, self.judge)  # type: ignore[arg-type]

    def certain(self, name: str) -> bool:
        """Return whether a job's state is certain."""
        return self.store.jobs[f"{TASK}/{name}"].certain


@pytest.fixture(autouse=True)
def _no_settling(monkeypatch: pytest.MonkeyPatch) -> None:
    """End bursts at once."""
    monkeypatch.setattr(sync_module, "SETTLE_TIME", 0.01)


TIMED_OUT = ["error", "TIMEOUT", 1.0, 2.0, 0, 1, None, {"message": "too slow"}]


async def test_snapshot() -> None:
    """The snapshot ends with the judgement of what is in doubt, first of the run, then of the jobs that need it."""
    bench = JudgedBench({"a": "running", "b": "error", "c": "done"})
    bench.agent.rows["b"] = TIMED_OUT
    await bench.load()
    # What runs is asked about, too: it may have died.
    assert bench.agent.asked == [[], ["b", "c", "a"]]
    assert (bench.certain("a"), bench.certain("b")) == (True, True)
    job = bench.store.jobs[f"{TASK}/b"]
    assert (job.reason, job.path) == ("TIMEOUT", f"/ws/jobs/{TASK}/b")
    assert bench.rows.messages == {f"{TASK}/b": "too slow"}


async def test_nothing_in_doubt() -> None:
    """Where nothing is in doubt no agent is started."""
    bench = JudgedBench({})
    bench.store.apply_experiments([])
    await bench.judge.judge(bench.changes.extend)
    assert (bench.agent.starts, bench.changes) == (0, [])


async def test_failure_is_told_once_with_its_reason() -> None:
    """A failure without a cause is published when it has been judged, as happening now, and once."""
    bench = JudgedBench({"a": "running", "b": "running"})
    await bench.load()
    bench.agent.rows["a"] = TIMED_OUT
    async with bench.following():
        bench.server.states["a"] = "error"
        bench.sync.hear(state_event("a", "error"))
        assert bench.told == []
        assert not bench.certain("a")
        bench.sync.hear(state_event("b", "done"))
        assert bench.told == [("b", "done")]
        await bench.until(lambda: ("a", "error") in bench.told)
        bench.server.states["b"] = "done"
    assert bench.told == [("b", "done"), ("a", "error")]
    assert bench.store.jobs[f"{TASK}/a"].reason == "TIMEOUT"
    (update,) = [each for each in bench.updates if f"{TASK}/a" in [c.key for c in each.changes]]
    assert not update.recovered


async def test_scheduler_that_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that goes on is judged again at each reconciliation, and its jobs when it has crashed."""
    monkeypatch.setattr(judging, "GOING_ON", 0.0)
    bench = JudgedBench({"a": "running", "b": "waiting"})
    await bench.load()
    bench.agent.rows = {"a": ["running", None, 1.0], "b": ["unscheduled"]}
    async with bench.following(interval=0.02):
        bench.agent.head = {"status": "crashed", "scheduler_alive": False}
        await bench.until(lambda: ("b", "unscheduled") in bench.told)
        assert bench.store.experiments[0].status == "crashed"
        bench.agent.rows["a"] = ["error", "FAILED", 1.0, 3.0]
        await bench.until(lambda: ("a", "error") in bench.told)
    assert bench.told == [("b", "unscheduled"), ("a", "error")]
    assert all(update.recovered for update in bench.updates)


async def test_no_agent() -> None:
    """Where no agent can run, changes are published at once, and what is in doubt stays uncertain."""
    bench = JudgedBench({"a": "running"})
    bench.agent.start_failure = StartError("no python")
    await bench.load()
    assert bench.judge.is_out
    assert not bench.certain("a")
    bench.sync.hear(state_event("a", "error"))
    assert bench.told == [("a", "error")]
    assert not bench.certain("a")
    await bench.judge.judge(bench.changes.extend)
    assert (bench.agent.starts, bench.changes) == (1, [])


async def test_agent_that_fails() -> None:
    """An agent that fails is started again once more; what was kept is published as uncertain."""
    bench = JudgedBench({"a": "running"})
    await bench.load()
    bench.agent.failure = RequestError("judge", -32603, "no")
    async with bench.following():
        bench.server.states["a"] = "error"
        bench.sync.hear(state_event("a", "error"))
        await bench.until(lambda: ("a", "error") in bench.told)
    assert not bench.certain("a")
    assert not bench.agent.is_open
    for _ in range(ATTEMPTS):
        bench.store.runs_in_doubt()
        bench.judge._look_due = -NEVER
        await bench.judge.judge(bench.changes.extend)
    assert bench.judge.is_out
    assert bench.agent.starts == ATTEMPTS


async def test_what_is_kept_is_published_in_the_end() -> None:
    """When the link ends before a change has been judged, it is published as it is; the agent ends with the link."""
    bench = JudgedBench({"a": "running"})
    await bench.load()
    bench.server.pause.clear()
    async with bench.following():
        bench.sync.hear(state_event("a", "error"))
        await bench.until(lambda: bench.server.asked != [])
        assert bench.told == []
    assert bench.told == [("a", "error")]
    await bench.judge.aclose()
    assert not bench.agent.is_open
    assert bench.judge.is_out


async def test_announcements_during_a_judgement() -> None:
    """What is announced between a judgement and its publication is told after it, each once."""
    bench = JudgedBench({"a": "running", "b": "running"})
    await bench.load()
    bench.agent.rows = {"a": TIMED_OUT, "b": TIMED_OUT}

    def announce(jobs: list[str]) -> None:
        if jobs == ["a"]:
            bench.sync.hear(state_event("a", "running", at=9.0, started=9.0))

    bench.agent.at_answer = announce
    async with bench.following():
        bench.server.states["a"] = "error"
        bench.sync.hear(state_event("a", "error", at=2.0))
        await bench.until(lambda: bench.told != [])
        bench.server.states["a"] = "running"
        await bench.until(
            lambda: ("a", "running") in bench.told or bench.server.asked[-1] == "job a"
        )
    told = [state for name, state in bench.told if name == "a"]
    assert all(one != other for one, other in pairwise(told))
    befores = [c.before for update in bench.updates for c in update.changes if c.key == f"{TASK}/a"]
    afters = [c.after for update in bench.updates for c in update.changes if c.key == f"{TASK}/a"]
    assert befores[1:] == afters[:-1]


async def test_later_changes_of_what_is_kept() -> None:
    """What follows a change that is kept is published with it, as one."""
    bench = JudgedBench({"a": "waiting"})
    await bench.load()
    bench.server.pause.clear()
    async with bench.following():
        bench.sync.hear(state_event("a", "error", at=1.0))
        await bench.until(lambda: bench.server.asked != [])
        bench.server.states["a"] = "done"
        bench.sync.hear(state_event("a", "done", at=2.0))
        assert bench.told == []
        bench.server.pause.set()
        await bench.until(lambda: bench.told != [])
    assert bench.told == [("a", "done")]
    assert bench.store.jobs[f"{TASK}/a"].state is State.DONE


async def test_job_that_died_under_a_scheduler_that_does_not_act(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Jobs that run are asked about again and again, all in one request, although their scheduler lives."""
    bench = JudgedBench({"a": "running", "b": "running"})
    bench.agent.rows = {"a": ["running", None, 1.0], "b": ["running", None, 1.0]}
    await bench.load()
    assert bench.agent.asked == [[], ["a", "b"]]
    monkeypatch.setattr(judging, "GOING_ON", 0.0)
    monkeypatch.setattr(judging, "LOOKING_LOAD", 1.0)
    bench.judge._look_due = 0.0
    async with bench.following(interval=0.02):
        bench.agent.rows["a"] = ["error", "FAILED", 1.0, 3.0]
        await bench.until(lambda: ("a", "error") in bench.told)
        # The server goes on to say that it runs.
        asked = len(bench.server.asked)
        await bench.until(lambda: len(bench.server.asked) >= asked + 6)
    assert bench.told == [("a", "error")]
    assert bench.certain("a")


async def test_looking_takes_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the answers take long, it is looked less often whether all is as it was."""
    bench = JudgedBench({"a": "running"})
    await bench.load()
    monkeypatch.setattr(judging, "LOOKING_LOAD", 1e-9)
    bench.judge._look_due = 1.0
    await bench.judge.judge(bench.changes.extend)
    assert bench.judge._look_due > asyncio.get_running_loop().time() + judging.GOING_ON


async def test_deleted_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that is deleted after all has ended is found by the agent, which lists directories only."""
    monkeypatch.setattr(judging, "GOING_ON", 0.0)
    monkeypatch.setattr(sync_module, "REST_INTERVAL", NEVER)
    bench = JudgedBench({"a": "done", "b": "done"})
    bench.agent.head = {"status": "done"}
    for name in ("a", "b"):
        bench.agent.rows[name] = ["done", None, 1.0, 2.0]
    await bench.load()
    assert bench.agent.looks == []
    async with bench.following(interval=0.02):
        bench.agent.missing = [f"{TASK}/a", f"{TASK}/never"]
        bench.agent.rows["a"] = ["error", "MISSING_OUTPUTS"]
        await bench.until(lambda: ("a", "error") in bench.told)
    assert bench.agent.looks[0] == ["e"]
    assert bench.told == [("a", "error")]
    assert bench.store.jobs[f"{TASK}/a"].reason == "MISSING_OUTPUTS"


async def test_evidence_that_changes_during_a_judgement() -> None:
    """What was judged by evidence that has changed meanwhile is judged again before it is told."""
    bench = JudgedBench({"a": "waiting"})
    bench.agent.head = {"status": "crashed", "scheduler_alive": False}
    await bench.load()
    bench.agent.rows["a"] = ["running", None, 1.0]
    starts = iter(range(2, 2 + judging.ROUNDS))

    def announce(jobs: list[str]) -> None:
        start = next(starts, None)
        if jobs and start is not None:
            bench.sync.hear(state_event("a", "error", at=start + 0.5, started=float(start)))

    bench.agent.at_answer = announce
    async with bench.following():
        bench.sync.hear(state_event("a", "error", at=1.5, started=1.0))
        await bench.until(lambda: bench.told != [])
    assert bench.told == [("a", "running")]


async def test_evidence_that_never_rests() -> None:
    """Evidence that changes with every judgement is told in the end, as uncertain."""
    bench = JudgedBench({"a": "waiting"})
    bench.agent.head = {"status": "crashed", "scheduler_alive": False}
    await bench.load()
    bench.agent.rows["a"] = ["running", None, 1.0]
    starts = iter(range(2, 1000))

    def announce(jobs: list[str]) -> None:
        start = float(next(starts))
        bench.sync.hear(state_event("a", "error", at=start + 0.5, started=start))

    bench.agent.at_answer = announce
    async with bench.following():
        bench.sync.hear(state_event("a", "error", at=1.5, started=1.0))
        await bench.until(lambda: bench.told != [])
    assert bench.told == [("a", "error")]
    assert not bench.certain("a")


async def test_many_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Very many jobs are asked about in several requests."""
    monkeypatch.setattr(judging, "AT_ONCE", 2)
    bench = JudgedBench({f"j{number}": "error" for number in range(5)})
    await asyncio.wait_for(bench.load(), 5)
    assert [len(jobs) for jobs in bench.agent.asked] == [0, 2, 2, 1]


async def test_steps_of_a_run_that_nothing_is_known_of() -> None:
    """Where the agent does not find the run, each step of a job is told in order, its end once."""
    bench = JudgedBench({"a": "waiting"})
    bench.agent.head = {"experiment_id": "other"}
    await bench.load()
    async with bench.following():
        bench.server.states["a"] = "done"
        for state, at in (("scheduled", 1.0), ("running", 2.0), ("done", 3.0)):
            bench.sync.hear(state_event("a", state, at=at, started=2.0 if at > 1 else None))
        await bench.until(lambda: ("a", "done") in bench.told)
    assert bench.told == [("a", "scheduled"), ("a", "running"), ("a", "done")]
