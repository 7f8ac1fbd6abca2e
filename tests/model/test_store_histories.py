"""The store against whole histories: with any loss, repetition or delay, its final state is true."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.model.builders import (
    EXPERIMENT,
    RUN,
    ZONE,
    experiment_record,
    job_record,
    key,
    progress_event,
    scheduler_event,
    state_event,
)
from tests.model.indexing import assert_indexed
from xpm_remote.model.entities import Change, Experiment, ExperimentChange, Job, JobChange, net
from xpm_remote.model.records import Event, ExperimentRecord, JobRecord
from xpm_remote.model.store import Store
from xpm_remote.workspace.states import State

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no failure: the results are tested here, not their speed."""

# The history of a job, step by step, as a real server (2.7.0) announces and reports it


@dataclass(frozen=True)
class Step:
    """A moment of a job's history: its announcement, and the answers from then on."""

    event: Event
    word: str
    record: JobRecord


def attempt(begin: float, outcome: str, *, stuck: bool, retry_count: int) -> list[Step]:
    """Return the steps of one attempt: ends are announced without the start; a stuck one repeats "running"."""
    started, ended = begin + 1, begin + 4
    waiting = job_record(state="scheduled", retry_count=retry_count)
    running = job_record(state="running", started=started, retry_count=retry_count)
    halfway = job_record(
        state="running", started=started, retry_count=retry_count, progress=[(0, 0.5, None)]
    )
    steps = [
        Step(scheduler_event("scheduled", at=begin), "scheduled", waiting),
        Step(state_event("running", started=started, at=started), "scheduled", running),
        Step(progress_event(0.5, at=begin + 2), "scheduled", halfway),
    ]
    if outcome == "running":
        return steps
    reason = "FAILED" if outcome == "error" else None
    over = job_record(
        state=outcome, started=started, ended=ended, reason=reason, retry_count=retry_count
    )
    steps.append(Step(state_event(outcome, ended=ended, at=ended), "scheduled", over))
    if stuck:
        echo = job_record(state="running", started=started, retry_count=retry_count)
        steps.append(Step(state_event("running", at=ended), "scheduled", echo))
    word = f"{outcome}:TIMEOUT" if outcome == "error" else outcome
    steps.append(Step(scheduler_event(word, at=ended + 1), word, steps[-1].record))
    return steps


@st.composite
def histories(draw: st.DrawFn) -> list[Step]:
    """Return the history of a job: attempts that fail, and a last one that fails, succeeds or goes on."""
    failures = draw(st.integers(0, 2))
    steps = [Step(scheduler_event("submitted", at=0), "waiting", job_record(state="waiting"))]
    for index in range(failures):
        steps += attempt(10.0 * index + 1, "error", stuck=False, retry_count=index)
    outcome = draw(st.sampled_from(["done", "error", "running"]))
    stuck = outcome == "done" and draw(st.booleans())
    return steps + attempt(10.0 * failures + 1, outcome, stuck=stuck, retry_count=failures)


def snapshot(store: Store, step: Step) -> None:
    """Apply the server's answers at a step, in the order of the questions."""
    store.apply_experiments([experiment_record({"a": step.word})])
    store.apply_jobs(EXPERIMENT, [step.record])


def announce(store: Store, steps: Iterable[Step]) -> None:
    """Apply what the server announces."""
    for step in steps:
        store.apply_event(step.event)


def seen(store: Store) -> tuple[object, ...]:
    """Return the final state and reason of the job in the store."""
    job = store.jobs[key("a")]
    progress = () if job.state.is_final else job.progress
    return job.state, job.reason, job.started, job.ended, progress, store.counts(EXPERIMENT)


def expected(history: Sequence[Step]) -> tuple[State, str | None]:
    """Return the state and the reason in which the history ends."""
    word, _, reason = history[-1].word.partition(":")
    if word in ("done", "error"):
        return State(word), reason or None
    return State.RUNNING, None


@st.composite
def cuts(draw: st.DrawFn) -> tuple[list[Step], int, int, int]:
    """Return a history and the steps at which a question is sent, answered, and its answer received."""
    history = draw(histories())
    moments = st.integers(1, len(history))
    asked, answered, received = sorted(draw(st.tuples(moments, moments, moments)))
    return history, asked, answered, received


@unhurried
@given(histories())
def test_events_alone(history: list[Step]) -> None:
    """Announcements are sufficient, except for a last "running" that is only an echo."""
    store = Store(ZONE)
    announce(store, history)
    assert seen(store)[:2] == expected(history)


@unhurried
@given(cuts())
def test_events_before_and_after_an_answer(cut: tuple[list[Step], int, int, int]) -> None:
    """An answer that announcements overtook is harmless: they are applied at once and again after it."""
    history, asked, answered, received = cut
    store, reference = Store(ZONE), Store(ZONE)
    announce(store, history[:received])
    snapshot(store, history[answered - 1])
    announce(store, history[asked - 1 : received])
    announce(store, history[received:])
    snapshot(store, history[-1])
    announce(reference, history)
    snapshot(reference, history[-1])
    assert seen(store) == seen(reference)
    assert seen(store)[:2] == expected(history)


@unhurried
@given(cuts())
def test_answer_is_current_before_the_next_one(cut: tuple[list[Step], int, int, int]) -> None:
    """After the announcements were applied again, a job that started is up to date, without another question."""
    history, asked, answered, received = cut
    assume(history[received - 1].record.started_time is not None)
    store, told = Store(ZONE), Store(ZONE)
    announce(store, history[:received])
    snapshot(store, history[answered - 1])
    announce(store, history[asked - 1 : received])
    announce(told, history[:received])
    job, reference = store.jobs[key("a")], told.jobs[key("a")]
    assert (job.state, job.reason) == (reference.state, reference.reason)
    assert (job.started, job.ended) == (reference.started, reference.ended)


@unhurried
@given(histories(), st.data())
def test_lost_and_repeated_events(history: list[Step], data: st.DataObject) -> None:
    """After lost, repeated or unordered announcements, one answer of the server makes the state true."""
    heard = data.draw(st.lists(st.sampled_from(history), max_size=12))
    store = Store(ZONE)
    announce(store, heard)
    snapshot(store, history[-1])
    assert seen(store)[:2] == expected(history)


# The end of a run, in which the server lists less than it has announced

ENDS = {"failed": "error", "killed": "running", "blocked": "unscheduled", "late": "error"}
"""How a run lists jobs in the end that failed, were killed, or were stopped by a dependency; measured with 2.7.0."""


@st.composite
def endings(draw: st.DrawFn) -> list[Event | ExperimentRecord | JobRecord]:
    """Return what a server sends of jobs that failed each in its way, to the end of their run and after it."""
    told: list[Event] = [
        scheduler_event("error:FAILED", job_id="failed", at=5),
        state_event("error", job_id="failed", started=1, ended=4, at=4),
        scheduler_event("error:FAILED", job_id="killed", at=6),
        scheduler_event("error:DEPENDENCY", job_id="blocked", at=7),
        scheduler_event("error:TIMEOUT", job_id="late", at=8),
    ]
    early: list[Event] = [
        scheduler_event(word, job_id=name, at=at)
        for name in ENDS
        for at, word in enumerate(["submitted", "scheduled"])
    ]
    listed: list[Event | ExperimentRecord | JobRecord] = [
        experiment_record(ENDS, status=status) for status in ("running", "done")
    ]
    listed += [
        job_record("failed", "error", started=1, ended=4, reason="FAILED", scheduler="error"),
        job_record("killed", "running", started=2, scheduler="running"),
        job_record("blocked", "unscheduled", scheduler="unscheduled"),
        job_record("late", "error", started=3, reason="FAILED", scheduler="error"),
        *early,
        *told,
    ]
    return [*told, *draw(st.lists(st.sampled_from(listed), max_size=20))]


@unhurried
@given(endings())
def test_ends_are_never_unlearned(news: list[Event | ExperimentRecord | JobRecord]) -> None:
    """Within one run and one try, whatever is repeated, outdated or listed after an end, the job has ended."""
    store, ended = Store(ZONE), dict[str, str | None]()
    store.apply_experiments([experiment_record(dict.fromkeys(ENDS, "waiting"))])
    for each in news:
        if isinstance(each, ExperimentRecord):
            store.apply_experiments([each])
        elif isinstance(each, JobRecord):
            store.apply_jobs(EXPERIMENT, [each])
        else:
            store.apply_event(each)
        for name in ENDS:
            job = store.jobs[key(name)]
            if name in ended:
                assert job.state is State.ERROR
                assert job.reason == ended[name] or ended[name] == "FAILED"
            if job.state.is_final:
                ended[name] = job.reason
    assert ended == {
        "failed": "FAILED",
        "killed": "FAILED",
        "blocked": "DEPENDENCY",
        "late": "TIMEOUT",
    }
    store.apply_experiments([experiment_record(dict.fromkeys(ENDS, "waiting"), run_id=f"{RUN}.1")])
    assert store.jobs[key("blocked")].state is State.WAITING


# Any sequence of inputs

NAMES = st.sampled_from(["a", "b", "c"])
EXPERIMENTS = st.sampled_from(["x", "y"])
WORDS = st.sampled_from(
    ["submitted", "unscheduled", "scheduled", "running", "done", "error", "error:DEPENDENCY", "odd"]
)
SECONDS = st.none() | st.integers(0, 5).map(float)
TAGS = st.none() | st.fixed_dictionaries({"lr": st.sampled_from([0.1, [1], None])})
EVENTS = st.one_of(
    st.builds(scheduler_event, WORDS, job_id=NAMES, name=EXPERIMENTS, at=SECONDS, tags=TAGS),
    st.builds(state_event, WORDS, job_id=NAMES, at=SECONDS, started=SECONDS, ended=SECONDS),
    st.builds(progress_event, st.floats(0, 1), job_id=NAMES, level=st.integers(0, 2)),
)
EXPERIMENT_RECORDS = st.builds(
    experiment_record,
    st.dictionaries(NAMES, WORDS),
    name=EXPERIMENTS,
    run_id=st.sampled_from(["r1", "r2"]),
    status=st.sampled_from(["running", "done"]),
    tags=TAGS,
)
JOB_RECORDS = st.builds(
    job_record, NAMES, WORDS, started=SECONDS, ended=SECONDS, scheduler=st.none() | WORDS
)


@dataclass(frozen=True)
class Experiments:
    """A list of experiments."""

    records: list[ExperimentRecord]


@dataclass(frozen=True)
class Jobs:
    """An answer about jobs."""

    experiment_id: str | None
    records: list[JobRecord]


@dataclass(frozen=True)
class Absence:
    """An answer that a job has no folder."""

    job_id: str


@dataclass(frozen=True)
class Verdicts:
    """The agent's answer to all that is in doubt."""

    again: bool
    runs: list[ExperimentRecord]
    jobs: list[JobRecord]


News = Event | Experiments | Jobs | Absence | Verdicts

NEWS: st.SearchStrategy[News] = st.one_of(
    EVENTS,
    st.builds(
        Experiments,
        st.lists(EXPERIMENT_RECORDS, max_size=2, unique_by=lambda record: record.experiment_id),
    ),
    st.builds(
        Jobs,
        st.none() | EXPERIMENTS,
        st.lists(JOB_RECORDS, max_size=3, unique_by=lambda record: record.job_id),
    ),
    st.builds(Absence, NAMES),
    st.builds(
        Verdicts,
        st.booleans(),
        st.lists(EXPERIMENT_RECORDS, max_size=2, unique_by=lambda record: record.experiment_id),
        st.lists(JOB_RECORDS, max_size=3, unique_by=lambda record: record.job_id),
    ),
)


def tell(store: Store, news: News) -> list[Change]:
    """Apply one input to the store."""
    if isinstance(news, Experiments):
        return store.apply_experiments(news.records)
    if isinstance(news, Jobs):
        return store.apply_jobs(news.experiment_id, news.records)
    if isinstance(news, Absence):
        return store.apply_absence(key(news.job_id))
    if isinstance(news, Verdicts):
        store.runs_in_doubt(again=news.again)
        store.jobs_in_doubt(again=news.again)
        return net(store.apply_verdicts(news.runs, news.jobs))
    return store.apply_event(news)


def store_of(*, has_doubts: bool) -> Store:
    """Make an empty store."""
    store = Store(ZONE)
    store.has_doubts = has_doubts
    return store


def tell_all(news: Iterable[News], *, has_doubts: bool) -> Store:
    """Make a store with these inputs."""
    store = store_of(has_doubts=has_doubts)
    for each in news:
        tell(store, each)
    return store


@unhurried
@given(st.lists(NEWS, max_size=10), st.booleans())
def test_changes_tell_all(news: list[News], has_doubts: bool) -> None:
    """The changes contain all that the store has, and each call returns an entity once."""
    store = store_of(has_doubts=has_doubts)
    jobs: dict[str, Job | None] = {}
    experiments: dict[str, Experiment | None] = {}
    for each in news:
        changes = tell(store, each)
        names = [(type(change), change.key) for change in changes]
        assert len(names) == len(set(names))
        for change in changes:
            assert change.before != change.after
            if isinstance(change, JobChange):
                assert jobs.get(change.key) == change.before
                jobs[change.key] = change.after
            elif isinstance(change, ExperimentChange):
                assert experiments.get(change.key) == change.before
                experiments[change.key] = change.after
    assert {name: job for name, job in jobs.items() if job} == store.jobs
    assert {each.experiment_id: each for each in store.experiments} == {
        name: each for name, each in experiments.items() if each
    }


@unhurried
@given(st.lists(NEWS, max_size=10), st.booleans())
def test_indices_agree_with_the_jobs(news: list[News], has_doubts: bool) -> None:
    """Indexes are those of the jobs, at every moment, though they are updated incrementally."""
    store = store_of(has_doubts=has_doubts)
    store.by_tag("lr")
    for each in news:
        tell(store, each)
        assert_indexed(store)


@unhurried
@given(st.lists(NEWS, max_size=8), NEWS, st.booleans())
def test_anything_twice(before: list[News], news: News, has_doubts: bool) -> None:
    """Repeated input changes nothing; nor do verdicts, once jobs were asked anew whose runs they have judged."""
    store = tell_all([*before, news], has_doubts=has_doubts)
    if isinstance(news, Verdicts):
        assert net(store.apply_verdicts(news.runs, news.jobs)) == []
        tell(store, news)
    assert tell(store, news) == []
