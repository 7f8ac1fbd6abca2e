"""What the indexes of a store have to hold, by a scan of all its jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from xpm_remote.model.entities import Counts, Job
from xpm_remote.model.indexes import JobGroup
from xpm_remote.model.store import Store
from xpm_remote.workspace.states import PENDING, State

TAGS = ("lr", "seed")
"""The tags that are looked at."""


def assert_indexed(store: Store) -> None:
    """Check every index of a store against its jobs."""
    jobs = list(store.jobs.values())
    assert store.number_uncertain == sum(not job.certain for job in jobs)
    assert store.keys_in() == store.jobs.keys()
    for state in State:
        assert set(store.keys_in(state=state)) == keys(j for j in jobs if j.state is state)
        assert keys(store.in_state(state)) == set(store.keys_in(state=state))
        assert store.number_in_state(state) == len(store.keys_in(state=state))
    by_task = {
        task: keys(j for j in jobs if j.task_id == task) for task in {j.task_id for j in jobs}
    }
    assert {task: set(found) for task, found in store.by_task.items()} == by_task
    assert store.groups == Counter(
        JobGroup(j.task_id, j.state, j.experiments, j.certain) for j in jobs
    )
    assert_tagged(store, jobs)
    assert_foremost(store)
    for experiment in store.experiments:
        name = experiment.experiment_id
        members = [job for job in jobs if name in job.experiments]
        assert keys(members) == set(experiment.jobs) == set(store.keys_in(experiment=name))
        assert store.counts(name) == counted(members)
        for state in State:
            found = set(store.keys_in(experiment=name, state=state))
            assert found == keys(j for j in members if j.state is state)


def assert_tagged(store: Store, jobs: Iterable[Job]) -> None:
    """Check the indexes of tags."""
    for tag in TAGS:
        values: dict[str, set[str]] = {}
        for job in jobs:
            if tag in job.tags:
                values.setdefault(str(job.tags[tag]), set()).add(job.key)
        assert {value: set(found) for value, found in store.by_tag(tag).items()} == values


def assert_foremost(store: Store) -> None:
    """Check which jobs are the first of those that run or failed."""
    running = sorted(
        (job.started.timestamp() if job.started else float("inf"), job.key)
        for job in store.in_state(State.RUNNING)
    )
    failed = sorted(
        (-job.ended.timestamp() if job.ended else 0.0, job.key)
        for job in store.in_state(State.ERROR)
    )
    assert [job.key for job in store.longest_running(2)] == [key for _, key in running[:2]]
    assert [job.key for job in store.latest_failures(2)] == [key for _, key in failed[:2]]


def keys(jobs: Iterable[Job]) -> set[str]:
    """Return the keys of jobs."""
    return {job.key for job in jobs}


def counted(jobs: Iterable[Job]) -> Counts:
    """Count jobs by group of states."""
    jobs = list(jobs)
    number = Counter(job.state for job in jobs)
    waiting = sum(number[state] for state in PENDING)
    known = number[State.DONE] + number[State.ERROR] + number[State.RUNNING] + waiting
    return Counts(
        total=len(jobs),
        done=number[State.DONE],
        failed=number[State.ERROR],
        running=number[State.RUNNING],
        waiting=waiting,
        idle=len(jobs) - known,
        uncertain=sum(not job.certain for job in jobs),
    )
