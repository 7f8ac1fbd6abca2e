"""The agent's pages made into records: numbers resolved, runs kept apart, and kept over a lost link."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.indexing import assert_indexed
from tests.support.pages import folded
from xpm_remote.model.agent_pages import (
    KEPT_SIZE,
    AgainPage,
    GonePage,
    JobsPage,
    KeptPages,
    ListedPage,
    RunsPage,
    Sequenced,
    decode_page,
)
from xpm_remote.model.agent_rows import SLICE, AgentRows
from xpm_remote.model.entities import JobChange
from xpm_remote.model.records import ExperimentRecord, JobRecord
from xpm_remote.model.store import Store
from xpm_remote.workspace.reading.jobs import CurrentJob, JobFacts
from xpm_remote.workspace.rows import Phase, Row
from xpm_remote.workspace.states import State


def page(name: str, **params: Any) -> Any:
    """Decode a notification as it comes."""
    where = {"sequence": 1, "mark": 5.0}
    sent = json.dumps({**where, **folded(name, params)})
    return decode_page(f"notification.{name}", sent.encode())


def runs(*experiments: tuple[str, str], jobs: int = 0, **others: Any) -> RunsPage:
    """Make a page of runs with so many jobs each."""
    heads = [
        {"experiment_id": name, "run_id": run, "jobs_count": jobs} for name, run in experiments
    ]
    found = page("runs", experiments=heads, **others)
    assert isinstance(found, RunsPage)
    return found


def listed(name: str, *rows: list[Any]) -> ListedPage:
    """Make a page of listed jobs of one task."""
    found = page("listed", experiment_id=name, run_id="1", tasks=["t.a", "t.b"], rows=rows)
    assert isinstance(found, ListedPage)
    return found


@pytest.fixture
def rows() -> AgentRows:
    """The rows of two experiments with a job each."""
    rows = AgentRows()
    rows.take_runs(runs(("one", "1"), ("two", "1"), names=["one", "two"]))
    rows.take_listed(listed("one", [0, 0, "a" * 8, 1.5, {"x": 1}, "running"]))
    rows.take_listed(listed("two", [1, 1, "b" * 8, 2.5, {}, None]))
    return rows


def known(rows: AgentRows) -> dict[str, list[str]]:
    """Return the jobs of each experiment."""
    return {each.experiment_id: list(each.job_infos or {}) for each in rows.experiments()}


def test_kinds() -> None:
    """Each notification of the agent has its shape; other notifications have none."""
    assert isinstance(page("gone", numbers=[1]), GonePage)
    assert page("loaded") == Sequenced(1, 5.0)
    assert page("log", text="x") is None
    with pytest.raises(msgspec.DecodeError):
        decode_page("notification.jobs", b'{"rows": [["x"]]}')
    with pytest.raises(msgspec.DecodeError):
        decode_page("notification.listed", b'{"experiment_id": "e", "hashes": "x", "rows": []}')


def test_experiments(rows: AgentRows) -> None:
    """Experiments have their jobs and scheduler's states, as from a server of the protocol."""
    one, two = rows.experiments()
    assert (one.experiment_id, one.job_states) == ("one", {"a" * 8: "running"})
    assert one.job_infos is not None
    info = one.job_infos["a" * 8]
    assert (info.task_id, info.tags, info.timestamp) == ("t.a", {"x": 1}, 1.5)
    assert two.job_states == {}


def test_jobs(rows: AgentRows) -> None:
    """Rows are records of the jobs of their numbers; missing columns set nothing."""
    short, long = (
        [0, "done"],
        [1, "error", "TIMEOUT", 1.0, 2.0, 3, 4, [[0, 0.5, "half"]], {"message": "m"}],
    )
    found = page("jobs", rows=[short, long, [99, "done"]])
    assert isinstance(found, JobsPage)
    first, second = rows.jobs(found)
    assert first == JobRecord("a" * 8, "t.a", state="done", scheduler_state="done", progress=[])
    assert (second.task_id, second.failure_reason, second.retry_count, second.exit_code) == (
        "t.b",
        "TIMEOUT",
        3,
        4,
    )
    assert second.progress is not None
    assert second.progress[0].desc == "half"


def test_into_the_store(rows: AgentRows) -> None:
    """The store accepts the records."""
    store = Store()
    store.apply_experiments(rows.experiments())
    found = page("jobs", rows=[[0, "done", None, 1.0, 2.0]])
    assert isinstance(found, JobsPage)
    store.apply_jobs(None, rows.jobs(found))
    job = store.jobs["t.a/" + "a" * 8]
    assert (job.state, job.tags, job.experiments) == (State.DONE, {"x": 1}, ("one",))


def jobs(*rows: list[Any]) -> JobsPage:
    """Make a page of jobs."""
    found = page("jobs", rows=list(rows))
    assert isinstance(found, JobsPage)
    return found


def state_of_a(store: Store) -> str:
    """Return the state of the first job."""
    return store.jobs["t.a/" + "a" * 8].state.value


def test_judgement_over_word(rows: AgentRows) -> None:
    """The state from all files of a job counts for every run that lists it, whatever a scheduler said or repeats."""
    rows.take_listed(listed("two", [0, 0, "a" * 8, 1.5, {}, "waiting"]))
    store = Store()
    store.apply_experiments(rows.experiments())
    assert state_of_a(store) == "running"
    store.apply_judged(
        rows.jobs(jobs([0, "unscheduled", *[None] * 6, {"scheduler_state": "waiting"}]))
    )
    assert state_of_a(store) == "unscheduled"
    rows.take_listed(listed("one", [0, 0, "a" * 8, 1.5, {"x": 1}, "running"]))
    store.apply_experiments(rows.experiments())
    assert state_of_a(store) == "unscheduled"


def progress_at(rows: AgentRows, store: Store, fraction: float, told: float | None) -> list[Any]:
    """Apply that the first job runs since 1.0 and told its progress; return the times of what changed."""
    others = {} if told is None else {"progressed": told}
    row = [0, "running", None, 1.0, None, None, None, [[0, fraction, None]], others]
    changes = store.apply_judged(rows.jobs(jobs(row)))
    return [
        at.timestamp() if isinstance(each, JobChange) and (at := each.at) else None
        for each in changes
    ]


def test_times_of_progress(rows: AgentRows) -> None:
    """A job has run since its start; its progress, then, has the time at which it told that, or none."""
    store = Store()
    store.apply_experiments(rows.experiments())
    store.apply_judged(rows.jobs(jobs([0, "waiting"])))
    assert progress_at(rows, store, 0.1, 1.5) == [1.0]
    assert progress_at(rows, store, 0.2, 2.5) == [2.5]
    assert progress_at(rows, store, 0.3, None) == [None]


def test_a_judgement_is_no_echo(rows: AgentRows) -> None:
    """A job that counted as dead and is found alive runs, though it was not started again."""
    store = Store()
    store.apply_experiments(rows.experiments())
    for state in ("error", "running"):
        store.apply_judged(rows.jobs(jobs([0, state, None, 1.0])))
    assert state_of_a(store) == "running"


def test_a_scheduler_behind(rows: AgentRows) -> None:
    """A scheduler whose state is behind a job's files keeps its state."""
    (record,) = rows.jobs(jobs([0, "done", *[None] * 6, {"scheduler_state": "running"}]))
    assert (record.state, record.scheduler_state) == ("done", "running")


def test_gone(rows: AgentRows) -> None:
    """Jobs that no run lists any more are in none; unknown numbers are ignored."""
    rows.jobs(jobs([0, "done"]))
    gone = page("gone", numbers=[0, 99])
    assert isinstance(gone, GonePage)
    rows.take_gone(gone)
    assert known(rows) == {"one": [], "two": ["b" * 8]}
    assert rows.jobs(jobs([0, "done"])) == []


def test_gone_and_back(rows: AgentRows) -> None:
    """A job that was gone is new again, with the scheduler's state first."""
    rows.jobs(jobs([0, "done"]))
    gone = page("gone", numbers=[0])
    assert isinstance(gone, GonePage)
    rows.take_gone(gone)
    rows.take_listed(listed("one", [0, 0, "a" * 8, 1.5, {}, "waiting"]))
    assert rows.experiments()[0].job_states == {"a" * 8: "waiting"}


def test_a_judged_job_that_left_a_run(rows: AgentRows) -> None:
    """A job that is no longer in the run that listed it leaves no state there."""
    rows.take_listed(listed("two", [0, 0, "a" * 8, 1.5, {}, None]))
    rows.take_runs(runs(("one", "2"), ("two", "1")))
    rows.jobs(jobs([0, "done"]))
    one, two = rows.experiments()
    assert one.job_states == {}
    assert two.job_states == {"a" * 8: "done"}
    rows.take_gone(page("gone", numbers=[0]))
    assert known(rows) == {"one": [], "two": ["b" * 8]}


def test_next_run(rows: AgentRows) -> None:
    """Another run of an experiment that lists no jobs has none; the same run keeps them."""
    rows.take_runs(runs(("one", "2"), ("two", "1")))
    assert known(rows) == {"one": [], "two": ["b" * 8]}


def test_experiment_that_cannot_be_read(rows: AgentRows) -> None:
    """What is known of an experiment stays while it cannot be read; one that never was read is listed as it comes."""
    unread = [
        {"experiment_id": name, "status": "unreadable", "is_unread": True}
        for name in ("one", "three")
    ]
    rows.take_runs(page("runs", experiments=unread))
    heads = {each.experiment_id: (each.run_id, each.status) for each in rows.experiments()}
    assert heads["one"] == ("1", None)
    assert heads["three"] == (None, "unreadable")
    assert known(rows)["one"] == ["a" * 8]


def test_removed(rows: AgentRows) -> None:
    """An experiment that is no longer listed, or is reported as removed, is gone; a new one comes last."""
    rows.take_runs(runs(("three", "1"), removed=["one"]))
    assert known(rows) == {"two": ["b" * 8], "three": []}
    rows.take_runs(runs(names=["three", "never told"]))
    assert known(rows) == {"three": []}


def test_another_agent(rows: AgentRows) -> None:
    """Another agent counts anew, and what it does not report is unchanged."""
    rows.begin()
    rows.take_runs(runs(("one", "1"), ("two", "1"), names=["one", "two"]))
    rows.take_listed(listed("two", [0, 1, "b" * 8, 2.5, {}, "done"]))
    assert known(rows) == {"one": ["a" * 8], "two": ["b" * 8]}
    found = page("jobs", rows=[[0, "done"], [1, "done"]])
    assert isinstance(found, JobsPage)
    assert [record.job_id for record in rows.jobs(found)] == ["b" * 8]


def test_heads_are_records() -> None:
    """A head is the protocol's experiment without its jobs."""
    assert runs(("one", "1")).experiments == [ExperimentRecord("one", run_id="1")]


def test_paths(rows: AgentRows) -> None:
    """A job has its directory in the remote workspace; none while that is unknown."""
    told = jobs([0, "done"], [1, "done"])
    assert [each.path for each in rows.jobs(told)] == [None, None]
    rows.root = "/data/my ws"
    paths = [each.path for each in rows.jobs(told)]
    assert paths == ["/data/my ws/jobs/t.a/aaaaaaaa", "/data/my ws/jobs/t.b/bbbbbbbb"]


def test_messages(rows: AgentRows) -> None:
    """Further details of a failure are kept until the job is reported again, or gone."""
    died = [None, None, None, None, None, None, {"message": "it died"}]
    rows.jobs(jobs([0, "error", *died], [1, "error", *died]))
    both = {"t.a/aaaaaaaa": "it died", "t.b/bbbbbbbb": "it died"}
    assert rows.messages == both
    rows.begin()
    assert rows.messages == both
    rows.take_listed(listed("one", [0, 0, "a" * 8], [1, 1, "b" * 8]))
    rows.jobs(jobs([0, "running"]))
    assert rows.messages == {"t.b/bbbbbbbb": "it died"}
    rows.take_gone(page("gone", numbers=[1]))
    assert rows.messages == {}


def test_a_new_run(rows: AgentRows) -> None:
    """A new run keeps the jobs of the one before until it has listed its own, which have their places in it."""
    rows.take_listed(listed("one", [2, 0, "c" * 8, 1.6, {}, "done"]))
    rows.take_runs(runs(("one", "2"), jobs=2))
    assert known(rows)["one"] == ["a" * 8, "c" * 8]
    rows.take_listed(listed("one", [3, 0, "d" * 8, 3.5, {}, "waiting"]))
    assert known(rows)["one"] == ["a" * 8, "c" * 8, "d" * 8]
    rows.take_listed(listed("one", [2, 0, "c" * 8, 3.6, {}, "waiting"]))
    assert known(rows)["one"] == ["d" * 8, "c" * 8]
    assert rows.experiments()[0].job_states == {"d" * 8: "waiting", "c" * 8: "waiting"}


def test_gone_while_a_new_run_is_listed(rows: AgentRows) -> None:
    """A job of the run before that is gone does not count among those that the new run has listed."""
    rows.take_runs(runs(("one", "2"), jobs=1))
    rows.take_gone(page("gone", numbers=[0]))
    rows.take_listed(listed("one", [3, 0, "d" * 8, 3.5, {}, "waiting"]))
    assert known(rows)["one"] == ["d" * 8]


def listing(rows: AgentRows, *, judged_only: bool = False) -> dict[str, list[str]]:
    """Take all news; return the jobs of each experiment that were listed, and with a sign those that have left."""
    found: dict[str, list[str]] = {}
    while rows.has_news:
        for entry in rows.take_news(judged_only=judged_only).entries:
            sign = "" if entry.info else "-"
            found.setdefault(entry.experiment_id, []).append(sign + entry.key)
    return found


A, B, C = ("t.a/" + "a" * 8, "t.b/" + "b" * 8, "t.a/" + "c" * 8)


def test_judged_jobs_only(rows: AgentRows) -> None:
    """A job can be kept back until it is judged, or another agent takes over."""
    rows.jobs(page("jobs", rows=[[1, "done"]]))
    assert listing(rows, judged_only=True) == {"two": [B]}
    rows.jobs(page("jobs", rows=[[0, "done"]]))
    assert listing(rows, judged_only=True) == {"one": [A]}
    rows.take_listed(listed("one", [2, 0, "c" * 8, 1.6, {}, "done"]))
    assert listing(rows, judged_only=True) == {}
    rows.begin()
    assert listing(rows) == {"one": [C]}


def test_news_are_taken_once(rows: AgentRows) -> None:
    """What was taken is news again only where it differs; a job that leaves or is gone is named once."""
    assert listing(rows) == {"one": [A], "two": [B]}
    rows.take_listed(listed("one", [0, 0, "a" * 8, 1.5, {"x": 1}, "running"]))
    assert listing(rows) == {}
    rows.take_listed(listed("one", [0, 0, "a" * 8, 1.5, {"x": 2}, "running"]))
    assert listing(rows) == {"one": [A]}
    rows.take_gone(page("gone", numbers=[0, 1]))
    assert listing(rows, judged_only=True) == {"one": ["-" + A], "two": ["-" + B]}
    rows.take_listed(listed("one", [5, 1, "a" * 8, 1.5, {}, None]))
    assert listing(rows) == {"one": ["t.b/" + "a" * 8]}


def test_a_kept_back_job_that_is_gone(rows: AgentRows) -> None:
    """A job that is gone before it was judged is not listed later."""
    assert listing(rows, judged_only=True) == {}
    rows.take_gone(page("gone", numbers=[0]))
    assert listing(rows, judged_only=True) == {"one": ["-" + A]}
    rows.jobs(jobs([0, "done"]))
    assert listing(rows) == {}


def test_news_come_in_slices(rows: AgentRows) -> None:
    """Experiments come before jobs, both in slices; the last one has all names."""
    count = 2 * SLICE + 1
    rows.take_runs(runs(*((f"e{number}", "1") for number in range(count))))
    rows.take_listed(listed("e0", *([n, 0, f"{n:08}", 1.5, {}, None] for n in range(count))))
    found = []
    while rows.has_news:
        found.append(rows.take_news())
    assert [len(each.heads) for each in found] == [SLICE, SLICE, 3, 0, 0]
    assert [len(each.entries) for each in found] == [0, 0, SLICE, SLICE, 3]
    assert [each.names is None for each in found] == [True] * 4 + [False]


def test_slices_of_jobs(rows: AgentRows) -> None:
    """The jobs of a page come in slices, in their order."""
    count = SLICE + 1
    rows.take_listed(listed("one", *([n, 0, f"{n:08}", 1.5, {}, None] for n in range(count))))
    parts = list(rows.slices(jobs(*([n, "done"] for n in range(count)))))
    assert [len(part) for part in parts] == [SLICE, 1]
    assert parts[1][0].job_id == f"{SLICE:08}"


def test_pages_that_say_how_the_reading_goes(rows: AgentRows) -> None:
    """What cannot be read and what is waited for is kept; another page changes neither."""
    rows.take(page("unreadable", files=[["/d", "denied"]]))
    rows.take(page("waiting", path="/d", since=3.0))
    rows.take(page("loaded"))
    assert rows.waiting is not None
    assert (rows.waiting.path, rows.unreadable.files[0].path) == ("/d", "/d")
    rows.take(page("waiting"))
    assert rows.waiting is None


NAMES = st.sampled_from(["one", "two", "three"])
NUMBERS = st.integers(0, 4)


@st.composite
def pages(draw: st.DrawFn) -> list[Any]:
    """Return pages as an agent may send them: runs begin, list jobs, are judged; jobs go."""
    listed_rows = st.lists(
        st.tuples(NUMBERS, st.sampled_from([{}, {"x": 1}]), st.sampled_from(["waiting", "done"])),
        max_size=4,
    )
    one = st.one_of(
        st.builds(
            lambda name, run, count: runs((name, run), jobs=count),
            NAMES,
            st.sampled_from(["1", "2"]),
            st.integers(0, 3),
        ),
        st.builds(lambda names: runs(names=names), st.lists(NAMES, unique=True)),
        st.builds(
            lambda name, rows: listed(
                name, *([n, n % 2, str(n) * 8, 1.5, tags, word] for n, tags, word in rows)
            ),
            NAMES,
            listed_rows,
        ),
        st.builds(
            lambda number, state: jobs([number, state, None, 1.0]),
            NUMBERS,
            st.sampled_from(["done", "error", "running"]),
        ),
        st.builds(lambda numbers: page("gone", numbers=numbers), st.lists(NUMBERS, max_size=2)),
    )
    return draw(st.lists(one, max_size=14))


@settings(deadline=None)
@given(pages())
def test_news_add_up_to_the_lists(told: list[Any]) -> None:
    """A store that applies the news alone has the experiments and jobs of the whole lists, and right indexes."""
    rows, store, whole = AgentRows(), Store(), Store()
    for each in told:
        headed = {head.experiment_id for head in rows.experiments()}
        if isinstance(each, ListedPage) and each.experiment_id not in headed:
            continue
        records = rows.jobs(each) if isinstance(each, JobsPage) else []
        rows.take(each)
        while rows.has_news:
            changes = store.apply_listing(rows.take_news())
            assert all(change.before != change.after for change in changes)
        store.apply_judged(records)
        assert_indexed(store)
        whole.apply_experiments(rows.experiments())
        whole.apply_judged(records)
        assert shown(store) == shown(whole)


def shown(store: Store) -> Any:
    """Return what a store shows."""
    experiments = {
        each.experiment_id: (each.run_id, each.status, each.jobs) for each in store.experiments
    }
    # A job of several experiments has the tags of the one that listed it first.
    return list(experiments.items()), {
        key: (job.state, set(job.experiments), job.tags if len(job.experiments) == 1 else None)
        for key, job in store.jobs.items()
    }


def test_row_of_slurm(rows: AgentRows) -> None:
    """What SLURM has of a job comes with it, and is gone with the next row that has nothing."""
    row = Row("15", Phase.QUEUED, "PENDING", "/ws/jobs/t.a/a", "Priority", starts=1e9)
    store = Store()
    for others, expected in (({"row": list(row)}, row), ({}, None)):
        sent = page("jobs", rows=[[0, "scheduled", None, None, None, None, None, None, others]])
        records = rows.jobs(sent)
        assert [each.row for each in records] == [expected]
        store.apply_judged(records)
        assert [job.row for job in store.jobs.values()] == [expected]
    facts = JobFacts("t.a", "a" * 8, "/ws/jobs", row=row)
    job = CurrentJob(facts, {}, ("one",))
    (again,) = [CurrentJob.from_wire(json.loads(json.dumps(job.to_wire())))]
    assert again.facts == facts
    assert again.row is not None
    assert again.row.phase is Phase.QUEUED


def test_reason_by_slurm(rows: AgentRows) -> None:
    """The reason of SLURM takes the place of the one that the process had for its end, also where it says less."""
    row = Row("15", Phase.ENDED, "NODE_FAIL", "/ws/jobs/t.a/a")
    store = Store()
    for reason, others in (("CANCELLED", {}), ("FAILED", {"row": list(row)})):
        sent = page("jobs", rows=[[0, "error", reason, 1.0, 2.0, None, None, None, others]])
        store.apply_judged(rows.jobs(sent))
        assert [job.reason for job in store.jobs.values()] == [reason]


def test_kept_pages() -> None:
    """Pages are kept up to a limit, and those that the next list lacks are forgotten."""
    kept = KeptPages()
    large = json.dumps({"digest": "l", "rows": [[0, "x" * KEPT_SIZE]]}).encode()
    small = b'{"digest": "s", "rows": [[0, "done"]]}'
    for params in (large, small, small):
        assert isinstance(kept.decode("notification.jobs", params), JobsPage)
    assert kept.digests == ["s"]
    kept.settle()
    assert kept.digests == ["s"]
    again = kept.decode("notification.again", b'{"digest": "s", "sequence": 9, "mark": 7.0}')
    assert isinstance(again, JobsPage)
    assert (again.sequence, again.mark, again.rows[0].state) == (9, 7.0, "done")
    assert isinstance(kept.decode("notification.again", b'{"digest": "l"}'), AgainPage)
    kept.settle()
    kept.settle()
    assert kept.digests == []
    kept.decode("notification.jobs", small)
    kept.clear()
    assert kept.digests == []
