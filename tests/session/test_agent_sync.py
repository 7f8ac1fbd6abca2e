"""The store synchronized with an agent: the order of data, and the reports when another agent takes over."""

from __future__ import annotations

import asyncio
import json
import platform
import threading
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.model.builders import experiment_record
from tests.support.pages import folded
from tests.workspace.disk import HOST, Disk, write
from xpm_remote.errors import LinkLostError, ProtocolError, RemoteTimeoutError, XpmRemoteError
from xpm_remote.link.remote.bundle import Bundle, pack
from xpm_remote.model.agent_rows import AgentRows
from xpm_remote.model.entities import ExperimentChange, JobChange
from xpm_remote.model.store import Store
from xpm_remote.rpc.protocol import Notification
from xpm_remote.session import agent_client, agent_sync
from xpm_remote.session.agent_client import open_local_agent
from xpm_remote.session.agent_sync import AgentSync
from xpm_remote.session.monitor import Monitor
from xpm_remote.session.state import Phase, Update
from xpm_remote.session.target import LocalTarget
from xpm_remote.ui.documents import event_documents
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.states import State

PATIENCE = 30.0
"""Seconds for what should happen at once, on a machine that runs other tests, too."""
TASK = "demo.task"
KEY = f"{TASK}/" + "a" * 8


class Rpc:
    """An agent whose messages a test scripts."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.failure: XpmRemoteError | None = None
        self.answer: Callable[[], None] = lambda: None
        self.rpc = self
        self.workspace = "/data/ws/"

    async def call(self, method: str, params: Any = None) -> None:
        """Record a request."""
        self.asked.append((method, params))
        if self.failure is not None:
            raise self.failure
        self.answer()


class Bench:
    """An agent, the synchronization under test, and what it published."""

    def __init__(self, rows: AgentRows | None = None, store: Store | None = None) -> None:
        self.rows = rows or AgentRows()
        self.store = store or Store()
        self.updates: list[Update] = []
        self.published = asyncio.Event()
        self.agent = Rpc()
        self.sync = AgentSync(self.rows, self.store, self._publish)
        self.sync.serve(self.agent)  # type: ignore[arg-type]

    def say(self, kind: str, mark: int = 100, **params: Any) -> None:
        """Receive a notification."""
        raw = json.dumps({"sequence": 1, "mark": mark, **folded(kind, params)}).encode()
        self.sync.hear(Notification(f"notification.{kind}", msgspec.Raw(raw)))

    def say_all(self) -> None:
        """Report an experiment with a job that runs."""
        head = {"experiment_id": "e", "run_id": "1", "status": "running"}
        self.say("runs", experiments=[head], names=["e"])
        row = [0, 0, "a" * 8, 1.5, {}, "waiting"]
        self.say("listed", experiment_id="e", run_id="1", tasks=[TASK], rows=[row])
        self.say("jobs", rows=[[0, "running", None, 2.0]])
        self.say("loaded")

    def _publish(self, update: Update) -> None:
        self.updates.append(update)
        self.published.set()

    async def load(self) -> None:
        """Load the snapshot."""
        self.agent.answer = self.say_all
        await asyncio.wait_for(self.sync.snapshot(), PATIENCE)
        self.agent.answer = lambda: None
        self.sync.catch_up()
        self.updates.clear()

    async def follow(self, until: Callable[[], bool]) -> None:
        """Follow until a condition holds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        task = asyncio.ensure_future(self.sync.follow(3600.0))
        while not until():
            assert not task.done(), task.exception()
            assert loop.time() < deadline
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.wait({task})


async def test_everything_once() -> None:
    """A snapshot requests everything, marks it as found by asking, and ends when all is reported."""
    bench = Bench()
    bench.agent.answer = bench.say_all
    await asyncio.wait_for(bench.sync.snapshot(), PATIENCE)
    assert bench.agent.asked == [("subscribe", {"since": None})]
    assert bench.store.jobs[KEY].state is State.RUNNING
    assert bench.store.jobs[KEY].path == f"/data/ws/jobs/{KEY}"
    assert all(update.recovered for update in bench.updates)
    changes = [change for update in bench.updates for change in update.changes]
    assert isinstance(changes[0], ExperimentChange)


async def test_changes_have_just_happened() -> None:
    """Reports after the snapshot are new changes, and the agent's mark is kept for another agent."""
    bench = Bench()
    await bench.load()
    bench.say("jobs", mark=200, rows=[[0, "done", None, 2.0, 3.0]])
    await bench.follow(lambda: bool(bench.updates))
    (update,) = bench.updates
    (change,) = update.changes
    assert isinstance(change, JobChange)
    assert (update.recovered, bench.store.jobs[KEY].state) == (False, State.DONE)
    assert bench.rows.mark == 200


async def test_another_agent() -> None:
    """Another agent is asked for changes since the mark of the last one; what it does not report is kept."""
    first = Bench()
    await first.load()
    second = Bench(first.rows, first.store)

    def answer() -> None:
        head = {"experiment_id": "e", "run_id": "1", "status": "running"}
        second.say("runs", experiments=[head], names=["e"])
        second.say("loaded", mark=300)

    second.agent.answer = answer
    await asyncio.wait_for(second.sync.snapshot(), PATIENCE)
    assert second.agent.asked == [("subscribe", {"since": 100.0})]
    assert second.store.jobs[KEY].state is State.RUNNING
    assert second.updates == []
    assert second.rows.mark == 300


async def test_pages_that_are_the_same() -> None:
    """A page that the last agent has sent is known again by its digest; the mark is that of the new agent."""
    first = Bench()
    row = [0, 0, "a" * 8, 1.5, {}, "waiting"]

    def say(bench: Bench, mark: int, *, again: bool) -> None:
        bench.say("runs", experiments=[{"experiment_id": "e", "run_id": "1"}], names=["e"])
        for kind, digest, params in (
            ("listed", "l", {"experiment_id": "e", "run_id": "1", "tasks": [TASK], "rows": [row]}),
            ("jobs", "j", {"rows": [[0, "running", None, 2.0]]}),
        ):
            bench.say("again" if again else kind, digest=digest, **({} if again else params))
        bench.say("loaded", mark=mark)

    first.agent.answer = lambda: say(first, 100, again=False)
    await asyncio.wait_for(first.sync.snapshot(), PATIENCE)
    second = Bench(first.rows)
    second.agent.answer = lambda: say(second, 300, again=True)
    await asyncio.wait_for(second.sync.snapshot(), PATIENCE)
    assert second.agent.asked == [("subscribe", {"since": 100.0, "known": ["l", "j"]})]
    assert second.store.jobs[KEY].state is State.RUNNING
    assert second.rows.mark == 300
    third = Bench(first.rows)
    third.agent.answer = third.say_all  # none of them again
    await asyncio.wait_for(third.sync.snapshot(), PATIENCE)
    assert third.rows.kept.digests == []


async def test_a_page_that_was_never_sent() -> None:
    """A digest that is not known here ends the link, and the next agent is asked for everything."""
    bench = Bench()
    bench.rows.kept.decode("notification.jobs", b'{"digest": "j", "rows": []}')
    bench.agent.answer = lambda: bench.say("again", digest="x")
    with pytest.raises(ProtocolError, match="has not sent"):
        await asyncio.wait_for(bench.sync.snapshot(), PATIENCE)
    assert bench.rows.kept.digests == []


async def test_after_another_kind_of_server() -> None:
    """What the reference server has said is replaced, once the agent has sent all: what it does not list is gone."""
    store = Store()
    store.has_doubts = True
    store.apply_experiments(
        [experiment_record({"x": "done"}, name="e"), experiment_record({"y": "done"}, name="old")]
    )
    bench = Bench(store=store)
    await bench.load()
    assert [each.experiment_id for each in store.experiments] == ["e"]
    assert list(store.jobs) == [KEY]


async def test_cut_in_the_middle() -> None:
    """An agent that was lost before the end of its snapshot leaves the mark unchanged."""
    bench = Bench()
    bench.say("runs", experiments=[{"experiment_id": "e"}], names=["e"])
    task = asyncio.ensure_future(bench.sync.snapshot())
    await asyncio.wait_for(bench.published.wait(), PATIENCE)
    assert bench.store.experiments
    task.cancel()
    await asyncio.wait({task})
    assert bench.rows.mark is None


async def test_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """While too much waits to be applied, the client is told to read no more; later it goes on."""
    monkeypatch.setattr(agent_sync, "QUEUE_SIZE", 500)
    bench = Bench()
    page = Notification("notification.jobs", msgspec.Raw(b'{"rows": [[0, "done"]]}'))
    room = None
    while room is None:
        room = bench.sync.hear(page)
    assert bench.sync._notices.qsize() < 50
    assert not room.is_set()
    bench.agent.answer = bench.say_all
    await asyncio.wait_for(bench.sync.snapshot(), PATIENCE)
    assert room.is_set()
    assert bench.sync.hear(page) is None


async def test_gone() -> None:
    """A job that no run lists any more is gone from the store."""
    bench = Bench()
    await bench.load()
    bench.say("gone", numbers=[0])
    await bench.follow(lambda: KEY not in bench.store.jobs)


async def test_another_run() -> None:
    """A job that another run lists is told once, when it is judged, and not as gone meanwhile."""
    bench = Bench()
    await bench.load()
    head = {"experiment_id": "e", "run_id": "2", "status": "running", "jobs_count": 2}
    bench.say("runs", experiments=[head])
    await bench.follow(lambda: bool(bench.updates))
    # By the words of their former run, both have failed.
    rows = [[number, 0, letter * 8, 9.5, {}, "error"] for number, letter in enumerate("ab")]
    bench.say("listed", experiment_id="e", run_id="2", tasks=[TASK], rows=rows)
    await bench.follow(bench.sync._notices.empty)
    bench.say("jobs", rows=[[1, "waiting"]])
    await bench.follow(lambda: len(bench.store.jobs) == 2)
    changes = [change for update in bench.updates for change in update.changes]
    told = [
        change.after and change.after.state
        for change in changes
        if isinstance(change, JobChange) and change.key != KEY
    ]
    assert told == [State.WAITING]
    assert bench.store.jobs[KEY].state is State.RUNNING
    assert all(change.after is not None for change in changes)


async def test_progress_lines_have_their_own_times() -> None:
    """What several jobs told of their progress comes in one page; each line of the event stream has its own time."""
    bench = Bench()
    await bench.load()
    rows: list[list[Any]] = [[number, 0, str(number) * 8, 1.5, {}, "running"] for number in (1, 2)]
    bench.say("listed", experiment_id="e", run_id="1", tasks=[TASK], rows=rows)
    bench.say("jobs", rows=[[number, "running", None, 2.0] for number in (1, 2)])
    await bench.follow(lambda: len(bench.store.jobs) == 3)
    bench.updates.clear()
    told = [
        [number, "running", None, 2.0, *[None] * 3, [[0, 0.5, None]], {"progressed": at}]
        for number, at in ((0, 3.25), (1, 4.5), (2, 5.75))
    ]
    bench.say("jobs", rows=told)
    await bench.follow(lambda: bool(bench.updates))
    (update,) = bench.updates
    documents = list(event_documents(update, bench.store, 100.0))
    assert [each["event"] for each in documents] == ["progress"] * 3
    times = [datetime.fromisoformat(each["time"]).timestamp() for each in documents]
    assert times == [3.25, 4.5, 5.75]


async def test_what_cannot_be_read(caplog: pytest.LogCaptureFixture) -> None:
    """An unreadable notification is left out and logged; others, and unknown kinds, are processed."""
    bench = Bench()
    await bench.load()
    bench.say("jobs", rows="nonsense")
    bench.say("weather", sun=True)
    bench.say("jobs", rows=[[0, "done"]])
    await bench.follow(lambda: bench.store.jobs[KEY].state is State.DONE)
    assert "notification.jobs cannot be read" in caplog.text


async def test_a_page_that_is_missing() -> None:
    """A page whose content was too large, or too deep, is an error: without it the picture would not be true."""
    bench = Bench()
    await bench.load()
    bench.sync.hear(Notification("notification.jobs", msgspec.Raw(b"null")))
    with pytest.raises(ProtocolError, match=r"notification\.jobs is too large, or nested"):
        await asyncio.wait_for(bench.sync.follow(PATIENCE), PATIENCE)


async def test_silence() -> None:
    """A silent agent is asked for a sign of life; its failure is ours."""
    bench = Bench()
    await bench.load()
    bench.agent.failure = RemoteTimeoutError("silent")
    with pytest.raises(RemoteTimeoutError):
        await asyncio.wait_for(bench.sync.follow(0.01), PATIENCE)
    assert bench.agent.asked[-1][0] == "ping"


async def test_lost_while_it_is_asked() -> None:
    """The end of the link during the snapshot is raised."""
    bench = Bench()
    bench.agent.failure = LinkLostError("cut")
    with pytest.raises(LinkLostError):
        await asyncio.wait_for(bench.sync.snapshot(), PATIENCE)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """A workspace with a crashed run: a job that is done, one that died, one that waited."""
    disk = Disk(tmp_path / "ws")
    done, died, waited = (JobId(TASK, letter * 8) for letter in "abc")
    states = {done.hash: "done", died.hash: "running", waited.hash: "waiting"}
    disk.run("e", (done, died, waited), job_states=states, hostname=platform.node())
    disk.job(done, {"state": "done"}, done="")
    pid = {"type": "local", "pid": 2**22 + 1, "host": platform.node()}
    disk.job(died, {"state": "running", "started_time": "2026-11-01T12:00:00"}, pid=pid)
    return disk


async def test_a_real_workspace(disk: Disk) -> None:
    """Dead schedulers and jobs are shown as dead; a change on disk arrives without a request."""
    monitor = Monitor(LocalTarget(HOST, str(disk.root)))
    live, changed = asyncio.Event(), asyncio.Event()

    def note(update: Update) -> None:
        if monitor.picture.link.phase is Phase.LIVE:
            live.set()
            if update.changes:
                changed.set()

    monitor.subscribe(note)
    task = asyncio.ensure_future(monitor.run())
    try:
        await asyncio.wait_for(live.wait(), PATIENCE)
        states = {key[-1]: job.state.value for key, job in monitor.store.jobs.items()}
        assert states == {"a": "done", "b": "error", "c": "unscheduled"}
        (experiment,) = monitor.store.experiments
        assert experiment.status == "crashed"
        directory = disk.root / "jobs" / TASK / ("c" * 8)
        write(directory / ".experimaestro" / "status.json", {"state": "done"})
        write(directory / "task.done", "")
        await asyncio.wait_for(changed.wait(), PATIENCE)
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_client_of_this_machine(disk: Disk) -> None:
    """A client owns its agent, calls it, and ends it."""
    client = await open_local_agent(LocalTarget(HOST, str(disk.root)))
    assert "subscribe" in client.about.capabilities
    assert client.workspace == str(disk.root)
    assert client.clock is not None
    assert b"time" in bytes(await client.call("ping"))
    await client.aclose()
    assert isinstance(await client.wait_ended(), XpmRemoteError)


async def test_packed_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several that need the agent at the same time have it packed once, and not in the event loop."""
    packed_in = []

    @cache
    def pack_nothing() -> Bundle:
        packed_in.append(threading.get_ident())
        return pack({})

    monkeypatch.setattr(agent_client, "agent_bundle", pack_nothing)
    packing = [agent_client.packed_bundle() for _ in range(3)]
    assert await asyncio.gather(*packing) == [pack({})] * 3
    assert len(packed_in) == 1
    assert threading.get_ident() not in packed_in
