"""An experiment that is started again: its jobs are kept until the new run has listed them."""

from __future__ import annotations

from tests.model.builders import (
    EXPERIMENT,
    RUN,
    ZONE,
    experiment_record,
    job_record,
    key,
    scheduler_event,
)
from tests.model.test_doubt import CRASHED, LIVE, doubting, head, job, judge
from xpm_remote.model.entities import Change, JobChange
from xpm_remote.model.records import ExperimentRecord
from xpm_remote.model.store import Store
from xpm_remote.workspace.states import State

NEXT = f"{RUN}.1"
DONE = job_record("a", "done", started=1, ended=2)


def states(changes: list[Change]) -> dict[str, State | None]:
    """Return the states of the jobs that changed, by their hashes."""
    return {
        each.key.rpartition("/")[2]: each.after.state if each.after else None
        for each in changes
        if isinstance(each, JobChange)
        and (each.before and each.before.state) != (each.after and each.after.state)
    }


def ended() -> Store:
    """Return a store with a run that has ended: one job is done, another one ran out of time."""
    failed = job_record("b", "error", reason="FAILED", started=1, ended=2)
    store = doubting({"a": "done", "b": "error"}, [DONE, failed], status="done")
    judge(store, job_record("b", "error", reason="TIMEOUT", started=1, ended=2))
    assert job(store, "b").certain
    return store


def again(words: dict[str, str] | None = None) -> ExperimentRecord:
    """Return the record of the next run."""
    return experiment_record(words, run_id=NEXT)


def test_kept_until_listed() -> None:
    """A run that begins keeps the jobs of the one before, with what is known of them, until it has listed them."""
    store = ended()
    before = dict(store.jobs)
    assert states(store.apply_experiments([again()])) == {}
    assert (dict(store.jobs), store.filling()) == (before, {EXPERIMENT: 0})
    (experiment,) = store.experiments
    assert (experiment.run_id, experiment.jobs) == (NEXT, (key("a"), key("b")))
    assert store.counts(EXPERIMENT).total == 2
    assert store.apply_experiments([again()]) == []
    store.apply_verdicts([head("running", alive=True, run_id=NEXT)], [])
    assert store.jobs_in_doubt() == {}

    store.apply_event(scheduler_event("waiting", job_id="b", at=5, run_id=NEXT))
    assert store.jobs_in_doubt() == {EXPERIMENT: ["b"]}
    changes = store.apply_verdicts([], [job_record("b", "waiting", scheduler="waiting")])
    assert states(changes) == {"b": State.WAITING}
    assert store.filling() == {EXPERIMENT: 1}
    assert store.experiments[0].jobs == (key("a"), key("b"))
    store.apply_experiments([again({"b": "waiting", "a": "done"})])
    judge(store, job_record("b", "waiting", scheduler="waiting"))
    assert (job(store).state, job(store, "b").state) == (State.DONE, State.WAITING)
    assert store.filling() == {}
    assert store.experiments[0].jobs == (key("b"), key("a"))


def test_no_longer_listed() -> None:
    """A job that the new run turns out not to list is dropped, unless another experiment has it."""
    store = ended()
    other = experiment_record({"b": "error"}, name="other", status="done")
    former = experiment_record({"a": "done", "b": "error"}, status="done")
    store.apply_experiments([former, other])
    store.apply_experiments([again({"c": "waiting"}), other])
    assert store.filling() == {EXPERIMENT: 1}
    changes = store.forget_former([EXPERIMENT])
    assert states(changes) == {"a": None}
    assert job(store, "b").experiments == ("other",)
    assert store.experiments[0].jobs == (key("c"),)
    assert (store.counts(EXPERIMENT).total, store.filling()) == (1, {})


def test_end_before_all_are_listed() -> None:
    """When the new run ends, it has the jobs that it lists."""
    store = ended()
    store.apply_experiments([again()])
    over = experiment_record({"b": "error:TIMEOUT"}, run_id=NEXT, status="done")
    assert states(store.apply_experiments([over])) == {"a": None}
    assert store.filling() == {}


def test_crashed_run_before() -> None:
    """What was judged of a run whose scheduler died still counts while the next one begins."""
    store = doubting({"a": "waiting"})
    judge(store, run=LIVE)
    store.apply_verdicts([CRASHED], [])
    judge(store, job_record("a", "unscheduled"))
    store.apply_experiments([again()])
    store.apply_verdicts([head("running", alive=True, run_id=NEXT)], [])
    assert (job(store).state, job(store).certain) == (State.UNSCHEDULED, True)
    # Started once more, before it has listed anything.
    store.apply_experiments([experiment_record(run_id=f"{RUN}.2")])
    assert (job(store).state, job(store).certain) == (State.UNSCHEDULED, True)
    assert states(store.forget_former([EXPERIMENT])) == {"a": None}


def test_agent_decides() -> None:
    """What our agent lists is complete: it waits itself until a run has its jobs."""
    store = Store(ZONE)
    store.apply_experiments([experiment_record({"a": "done"}, status="done")])
    assert states(store.apply_experiments([again()])) == {"a": None}
