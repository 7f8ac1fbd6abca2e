"""What is new since a workspace was seen: failures by cause, ended experiments, jobs that are done."""

from __future__ import annotations

import msgspec
import pytest

from tests.model.builders import ZONE, experiment_record, job_record, key
from xpm_remote.model import seen as seen_module
from xpm_remote.model.seen import ExperimentNews, Seen, SeenRun, news, see
from xpm_remote.model.store import Store

NOW = 1000.0


def store_of(ends: dict[str, float], *, done: int = 0, status: str = "running") -> Store:
    """Make a store of jobs that failed at these times, and of some that are done."""
    store = Store(ZONE)
    names = [*ends, *(f"d{number}" for number in range(done))]
    store.apply_experiments([experiment_record(jobs=names, status=status)])
    failed = [job_record(name, "error", started=0, ended=at) for name, at in ends.items()]
    fine = [job_record(f"d{number}", "done", started=0, ended=1) for number in range(done)]
    store.apply_judged([*failed, *fine])
    return store


def saved(store: Store, muted: tuple[str, ...] = ()) -> Seen:
    """Return what is remembered of a store, as the next run of the program reads it."""
    return msgspec.json.decode(msgspec.json.encode(see(store, "h:/ws", NOW, muted)), type=Seen)


def test_nothing_new() -> None:
    """What has been seen is not new, however a backend rounds its times."""
    seen = saved(store_of({"a": 5.0}, done=2))
    found = news(seen, store_of({"a": 5.6}, done=2))
    assert not found
    assert (found.since, found.failed) == (NOW, 0)


def test_new_failures_by_cause() -> None:
    """Failures are named by their cause, the latest first; of muted causes they are only counted."""
    seen = saved(store_of({"a": 5.0}), muted=("noise",))
    causes = {key("b"): "memory", key("c"): "memory", key("d"): "noise"}
    found = news(seen, store_of({"a": 5.0, "b": 6.0, "c": 9.0, "d": 7.0, "e": 8.0}), causes)
    assert found.failures == {"memory": [key("c"), key("b")], "": [key("e")]}
    assert (found.failed, found.muted) == (3, 1)


def test_a_job_that_failed_again() -> None:
    """A job that was tried again and failed again is new."""
    seen = saved(store_of({"a": 5.0}))
    assert news(seen, store_of({"a": 50.0})).failures == {"": [key("a")]}


def test_a_clock_that_was_set_back() -> None:
    """A job that failed again is new also where its host's clock was set back between."""
    seen = saved(store_of({"a": 5000.0}))
    assert news(seen, store_of({"a": 50.0})).failures == {"": [key("a")]}


def test_failures_in_doubt_are_not_told() -> None:
    """A failure that may be none is told once it is certain."""
    store = store_of({})
    record = msgspec.structs.replace(job_record("a", "error", ended=6), certain=False)
    store.apply_judged([record])
    assert not news(saved(store_of({})), store)


def test_jobs_that_are_done() -> None:
    """Jobs that are done are counted; fewer than before are none."""
    assert news(saved(store_of({}, done=2)), store_of({}, done=5)).done == 3
    assert news(saved(store_of({}, done=2)), store_of({})).done == 0


@pytest.mark.parametrize("status", ["done", "failed", "crashed"])
def test_ended_experiments(status: str) -> None:
    """An experiment that went on, or was not there, and has ended is named; one that had ended is not."""
    ended = store_of({}, status=status)
    assert news(saved(store_of({})), ended).ended == (("exp", status),)
    assert news(saved(Store()), ended).ended == (("exp", status),)
    assert news(saved(ended), ended).ended == ()
    assert news(saved(ended), store_of({})).ended == ()


def test_many_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of very many failures the latest are remembered; earlier ones count as seen."""
    monkeypatch.setattr(seen_module, "FAILURES_KEPT", 2)
    seen = saved(store_of({"a": 1.0, "b": 5.0, "c": 9.0}))
    assert len(seen.failed) == 2
    later = store_of({"a": 1.0, "b": 5.0, "c": 9.0, "x": 3.0, "y": 11.0})
    monkeypatch.setattr(seen_module, "FAILURES_KEPT", 10)
    assert news(seen, later).failures == {"": [key("y")]}


def test_many_experiments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of very many experiments the newest are remembered; older ones count as seen."""
    monkeypatch.setattr(seen_module, "EXPERIMENTS_KEPT", 2)
    store = Store(ZONE)
    names = ["r1", "r2", "r3"]
    store.apply_experiments([experiment_record(name=each, run_id=each) for each in names])
    seen = saved(store)
    assert seen.experiments == {
        each: SeenRun(each, has_ended=False, done=0) for each in ("r2", "r3")
    }
    names = ["r0", "r1", "r2", "r9"]
    store.apply_experiments(
        [experiment_record(name=each, run_id=each, status="done") for each in names]
    )
    assert news(seen, store).ended == (("r2", "done"), ("r9", "done"))


def test_by_experiment() -> None:
    """What is new is told by experiment: what is done there and failed, and that it ended."""
    seen = saved(store_of({"a": 5.0}, done=2))
    store = store_of({"a": 5.0, "b": 6.0}, done=5, status="done")
    assert news(seen, store, {key("b"): "memory"}).experiments == {
        "exp": ExperimentNews(3, {"memory": [key("b")]}, "done")
    }
    assert not news(seen, store_of({"a": 5.0}, done=1)).experiments
    # A program before this one has not counted.
    run = SeenRun(seen.experiments["exp"].run_id, has_ended=False)
    older = msgspec.structs.replace(seen, experiments={"exp": run})
    assert news(older, store_of({"a": 5.0}, done=5)).experiments == {}
    again = msgspec.structs.replace(seen, experiments={"exp": SeenRun("0", has_ended=True, done=2)})
    assert news(again, store).experiments["exp"].done == 5


def test_jobs_of_no_experiment() -> None:
    """A failure of a job that no current run lists is told, too."""
    store = Store(ZONE)
    store.apply_judged([job_record("a", "error", started=0, ended=5)])
    assert news(saved(Store(ZONE)), store).experiments == {"": ExperimentNews(0, {"": [key("a")]})}
