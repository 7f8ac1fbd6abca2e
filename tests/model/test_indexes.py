"""Indexes of jobs: what they hold after each change, and that asking for the first jobs looks at no others."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.model.builders import (
    EXPERIMENT,
    TASK,
    experiment_record,
    job_record,
    key,
    scheduler_event,
    store_with,
)
from tests.model.indexing import assert_indexed
from xpm_remote.model.entities import Counts
from xpm_remote.model.indexes import KEPT, Foremost
from xpm_remote.model.store import Store
from xpm_remote.workspace.states import State


def test_jobs_by_experiment_and_state() -> None:
    """Keys are found by experiment, by state, and by both; an unknown experiment has none."""
    store = store_with({"a": "done", "b": "waiting", "c": "done"})
    assert list(store.keys_in(experiment=EXPERIMENT)) == [key("a"), key("b"), key("c")]
    assert list(store.keys_in(state=State.WAITING)) == [key("b")]
    assert list(store.keys_in(experiment=EXPERIMENT, state=State.DONE)) == [key("a"), key("c")]
    assert not store.keys_in(experiment="none")
    assert not store.keys_in(experiment="none", state=State.DONE)


def test_jobs_by_task_and_tag() -> None:
    """Values of tags are found by their text, also those that cannot be hashed; an index follows later changes."""
    store = Store()
    store.apply_experiments([experiment_record({"a": "done"}, tags={"lr": 0.1, "layers": [1, 2]})])
    assert {value: list(found) for value, found in store.by_tag("lr").items()} == {
        "0.1": [key("a")]
    }
    assert list(store.by_tag("layers")) == ["[1, 2]"]
    store.apply_event(scheduler_event("submitted", job_id="b", tags={"lr": 0.2}))
    assert {value: list(found) for value, found in store.by_tag("lr").items()} == {
        "0.1": [key("a")],
        "0.2": [key("b")],
    }
    assert list(store.by_task[TASK]) == [key("a"), key("b")]
    store.apply_experiments([experiment_record({"a": "done"}, tags={"lr": 0.3})])
    assert {value: list(found) for value, found in store.by_tag("lr").items()} == {
        "0.3": [key("a")]
    }
    assert_indexed(store)
    store.apply_experiments([])
    assert not store.by_tag("lr")
    assert not store.by_task


def test_version_grows_with_each_change() -> None:
    """What was computed of a store holds until its version differs; the same input again leaves it."""
    store = store_with({"a": "waiting"})
    before = store.version
    store.apply_experiments([experiment_record({"a": "waiting"})])
    assert store.version == before
    store.apply_jobs(EXPERIMENT, [job_record(state="running", started=1)])
    assert store.version > before


def test_counts_are_of_the_jobs_that_are_known() -> None:
    """Each group of states is counted, and so are the jobs whose state may be another."""
    words = {"a": "done", "b": "error", "c": "running", "d": "ready", "e": "unscheduled"}
    store = store_with(words)
    assert store.counts(EXPERIMENT) == Counts(5, done=1, failed=1, running=1, waiting=1, idle=1)


ROOM = 2 * KEPT
"""Ranks beyond which only the foremost are kept."""


def test_foremost_of_many() -> None:
    """Of more jobs than are kept the first are known, and all are looked at only when too many of them have gone."""
    ranks = {(float(number), str(number)) for number in range(ROOM + 2)}
    foremost, looks = Foremost(), []

    def everything() -> set[tuple[float, str]]:
        looks.append(len(ranks))
        return ranks

    for rank in sorted(ranks):
        foremost.add(rank)
    assert foremost.keys(3, everything) == ["0", "1", "2"]
    for number in range(KEPT - 1):
        ranks.remove((float(number), str(number)))
        foremost.remove((float(number), str(number)))
    assert foremost.keys(1, everything) == [str(KEPT - 1)]
    assert not looks
    assert foremost.keys(2, everything) == [str(KEPT - 1), str(KEPT)]
    assert looks == [len(ranks)]
    foremost.remove((float(ROOM + 1), str(ROOM + 1)))


def test_more_than_are_kept_can_be_asked_for() -> None:
    """Any number of the first can be asked for."""
    ranks = [(float(number), str(number)) for number in range(ROOM + 2)]
    foremost = Foremost()
    for rank in ranks:
        foremost.add(rank)
    assert foremost.keys(len(ranks), lambda: ranks) == [name for _, name in ranks]
    assert foremost.keys(len(ranks) + 1, lambda: ranks) == [name for _, name in ranks]


@given(st.lists(st.tuples(st.integers(0, ROOM + 8), st.booleans()), max_size=60))
def test_foremost_agree_with_a_sort(steps: list[tuple[int, bool]]) -> None:
    """Whatever comes and goes, the first are those of a sort of all that are there."""
    there = {(float(number), str(number)) for number in range(4, ROOM + 4)}
    foremost = Foremost()
    for rank in there:
        foremost.add(rank)
    for number, comes in steps:
        rank = (float(number), str(number))
        if comes and rank not in there:
            there.add(rank)
            foremost.add(rank)
        elif not comes and rank in there:
            there.remove(rank)
            foremost.remove(rank)
        assert foremost.keys(2, lambda: there) == [name for _, name in sorted(there)[:2]]
