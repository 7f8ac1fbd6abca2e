"""What an entity derives from its own fields."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.model.builders import TASK, key, moment
from xpm_remote.model.entities import (
    Change,
    Experiment,
    ExperimentChange,
    Job,
    JobChange,
    in_time_order,
    net,
    steps,
)
from xpm_remote.workspace.states import Progress, State


def test_key() -> None:
    """A job is named by its task and its id."""
    assert Job(task_id="demo.task", job_id="abc").key == "demo.task/abc"


def test_state_is_the_further_of_two_witnesses() -> None:
    """A job that only its scheduler reports as done is done."""
    job = Job(task_id=TASK, job_id="a", execution=State.RUNNING, scheduler=State.DONE)
    assert job.state is State.DONE


@pytest.mark.parametrize(
    ("execution_reason", "scheduler_reason", "expected"),
    [
        ("FAILED", "TIMEOUT", "TIMEOUT"),
        ("MEMORY", "FAILED", "MEMORY"),
        (None, "DEPENDENCY", "DEPENDENCY"),
        (None, None, "FAILED"),
    ],
)
def test_reason_of_a_failed_job(
    execution_reason: str | None, scheduler_reason: str | None, expected: str
) -> None:
    """A failed job always has a reason: the more informative one of both sources."""
    job = Job(
        task_id=TASK,
        job_id="a",
        execution=State.ERROR,
        execution_reason=execution_reason,
        scheduler_reason=scheduler_reason,
    )
    assert job.reason == expected


def test_no_reason_without_failure() -> None:
    """The reason of an earlier attempt is not shown while the job runs again."""
    job = Job(task_id=TASK, job_id="a", execution=State.RUNNING, scheduler_reason="TIMEOUT")
    assert job.reason is None


Entity = Job | Experiment
World = dict[tuple[type, str], Entity]


def job(name: str, state: State) -> Job:
    """Make a job in a state."""
    return Job(task_id=TASK, job_id=name, execution=state)


def apply(world: World, changes: Iterable[Change]) -> World:
    """Apply changes, after checking that each begins where the one before ended."""
    world = dict(world)
    for change in changes:
        name = (type(change), change.key)
        assert world.get(name) == change.before
        if change.after is None:
            world.pop(name, None)
        else:
            world[name] = change.after
    return world


@st.composite
def series(draw: st.DrawFn) -> list[Change]:
    """Make a series of changes of few entities, each beginning where the one before ended."""
    now: World = {}
    changes: list[Change] = []
    states = st.sampled_from([None, State.WAITING, State.RUNNING, State.DONE])
    for name, state in draw(st.lists(st.tuples(st.sampled_from("abc"), states), max_size=12)):
        if name == "c":
            after = None if state is None else Experiment(experiment_id=name, status=state.value)
            previous = now.get((ExperimentChange, name))
            assert previous is None or isinstance(previous, Experiment)
            change: Change = ExperimentChange(previous, after)
        else:
            before = now.get((JobChange, key(name)))
            assert before is None or isinstance(before, Job)
            change = JobChange(before, None if state is None else job(name, state))
        if change.before is change.after is None:
            continue
        now = apply(now, [change])
        changes.append(change)
    return changes


@given(series())
def test_net_comes_to_the_same(changes: list[Change]) -> None:
    """Each entity ends as by the whole series, by at most one change, and by none if nothing changed."""
    result = net(changes)
    assert apply({}, result) == apply({}, changes)
    names = [(type(change), change.key) for change in result]
    assert len(names) == len(set(names))
    assert all(change.before != change.after for change in result)


def test_net_keeps_the_order_of_last_changes() -> None:
    """The entity that changed last comes last, with the time of that change."""
    first, second = JobChange(None, job("a", State.WAITING)), JobChange(None, job("b", State.DONE))
    third = JobChange(first.after, job("a", State.RUNNING), moment(3))
    assert net([first, second, third]) == [
        second,
        JobChange(None, job("a", State.RUNNING), moment(3)),
    ]


def test_net_keeps_the_time_of_a_state() -> None:
    """Where a change of state is followed by progress, the whole has the time of the state; else that of the last."""
    waiting, running = job("a", State.WAITING), job("a", State.RUNNING)
    half = replace(running, progress=(Progress(0, 0.5),))
    more = replace(running, progress=(Progress(0, 0.6),))
    began = JobChange(waiting, running, moment(3))
    first, second = JobChange(running, half, moment(4)), JobChange(half, more, moment(5))
    assert net([began, first, second]) == [JobChange(waiting, more, moment(3))]
    assert net([first, second]) == [JobChange(running, more, moment(5))]
    untimed = JobChange(waiting, running)
    assert net([untimed, first]) == [JobChange(waiting, half, moment(4))]


def test_net_of_there_and_back() -> None:
    """A change that was undone is none."""
    waiting, running = job("a", State.WAITING), job("a", State.RUNNING)
    assert net([JobChange(waiting, running), JobChange(running, waiting)]) == []


def test_net_tells_jobs_from_experiments() -> None:
    """A job and an experiment of one name are not confused."""
    both: list[Change] = [
        JobChange(None, Job(task_id="a", job_id="b")),
        ExperimentChange(None, Experiment(experiment_id="a/b")),
    ]
    assert net(both) == both


def test_keys() -> None:
    """A change is named by its entity, also when that is new or gone."""
    experiment = Experiment(experiment_id="e")
    assert JobChange(job("a", State.DONE), None).key == key("a")
    assert ExperimentChange(None, experiment).key == "e"
    assert ExperimentChange(experiment, None).key == "e"


def test_a_change_of_nothing() -> None:
    """A change has something before it or after it."""
    with pytest.raises(ValueError, match="before or after"):
        _ = JobChange(None, None).key


def test_in_time_order() -> None:
    """Changes are put in the order in which they happened; those without a time, and those gone, come last."""
    early = JobChange(None, Job(task_id="t", job_id="a"), moment(1))
    late = JobChange(None, Job(task_id="t", job_id="b"), moment(9))
    unknown = JobChange(None, Job(task_id="t", job_id="c"))
    ended = ExperimentChange(
        None, Experiment(experiment_id="e", started=moment(0), ended=moment(5))
    )
    gone = ExperimentChange(ended.after, None)
    assert in_time_order([unknown, gone, late, ended, early]) == [early, ended, late, unknown, gone]


def test_steps() -> None:
    """Of what was kept, each step of a job to its last state is told, as certain as that, and nothing else."""
    states = ["waiting", "scheduled", "error", "waiting", "running", "done"]
    jobs = [
        Job(task_id="t", job_id="a", execution=State(state), certain=state == "done")
        for state in states
    ]
    moves: list[Change] = [JobChange(*pair) for pair in pairwise(jobs)]
    run = Experiment(experiment_id="e")
    experiment = ExperimentChange(None, run)
    told = steps([*moves[:2], experiment, *moves[2:]])
    afters = [each.after for each in told if isinstance(each, JobChange)]
    assert [each and (each.state.value, each.certain) for each in afters] == [
        ("scheduled", True),
        ("running", True),
        ("done", True),
    ]
    befores = [each.before for each in told if isinstance(each, JobChange)]
    assert befores == [jobs[0], *afters[:-1]]
    assert [each for each in told if not isinstance(each, JobChange)] == [experiment]
    gone = [JobChange(None, jobs[0]), JobChange(jobs[0], jobs[1]), JobChange(jobs[1], None)]
    assert steps(gone) == []
    assert steps([JobChange(jobs[0], None)]) == [JobChange(jobs[0], None)]
    assert len(steps([JobChange(None, jobs[0]), JobChange(jobs[0], jobs[1])])) == 2
