"""The store: its state after each input, and the changes that it returns."""

from __future__ import annotations

from datetime import timezone

import pytest

from tests.model.builders import (
    EXPERIMENT,
    RUN,
    TASK,
    ZONE,
    experiment_record,
    info,
    iso,
    job_record,
    key,
    moment,
    progress_event,
    scheduler_event,
    state_event,
    store_with,
)
from xpm_remote.model.entities import Change, Counts, ExperimentChange, Job, JobChange
from xpm_remote.model.records import ExperimentRecord, JobRecord, OtherEvent
from xpm_remote.model.runs import Entry, Listing
from xpm_remote.model.store import Store, when
from xpm_remote.workspace.states import State


def moves(changes: list[Change]) -> list[tuple[str, str | None, str | None]]:
    """Return the key of each changed job, and its states before and after."""
    return [
        (
            change.key,
            change.before.state.value if change.before else None,
            change.after.state.value if change.after else None,
        )
        for change in changes
        if isinstance(change, JobChange)
    ]


def job(store: Store, name: str = "a") -> Job:
    """Return a job of the store."""
    return store.jobs[key(name)]


# Experiments


def test_first_list_of_experiments() -> None:
    """The list has the experiments, and the jobs as far as their schedulers have states for them."""
    store = Store(ZONE)
    changes = store.apply_experiments([experiment_record({"a": "done", "b": "waiting"})])
    assert isinstance(changes[0], ExperimentChange)
    assert (changes[0].key, changes[0].before) == (EXPERIMENT, None)
    assert moves(changes) == [(key("a"), None, "done"), (key("b"), None, "waiting")]
    assert [each.experiment_id for each in store.experiments] == [EXPERIMENT]


def test_same_list_again() -> None:
    """An equal list changes nothing."""
    store = store_with({"a": "done"})
    assert store.apply_experiments([experiment_record({"a": "done"})]) == []


def test_only_what_changed_is_named() -> None:
    """Of many jobs only those that changed are returned."""
    store = store_with({"a": "running", "b": "running", "c": "done"})
    changes = store.apply_experiments(
        [experiment_record({"a": "running", "b": "done", "c": "done"})]
    )
    assert moves(changes) == [(key("b"), "running", "done")]


def test_end_of_a_run() -> None:
    """The run's own status is a change of the experiment alone."""
    store = store_with({"a": "done"})
    (change,) = store.apply_experiments([experiment_record({"a": "done"}, status="done")])
    assert isinstance(change, ExperimentChange)
    assert change.before is not None
    assert change.after is not None
    assert (change.before.status, change.after.status) == ("running", "done")


def test_experiment_that_is_gone() -> None:
    """An experiment that is no longer listed is gone, and so are the jobs that only it had."""
    store = Store(ZONE)
    both = [
        experiment_record({"a": "done", "b": "done"}),
        experiment_record({"b": "done"}, name="x"),
    ]
    store.apply_experiments(both)
    changes = store.apply_experiments(both[1:])
    assert ("experiment", EXPERIMENT) in {
        ("experiment", change.key) for change in changes if change.after is None
    }
    assert set(store.jobs) == {key("b")}
    assert job(store, "b").experiments == ("x",)
    assert store.number_in_state(State.DONE) == 1


def test_order_of_experiments() -> None:
    """Experiments are in the order in which the remote lists them."""
    store = Store(ZONE)
    store.apply_experiments([experiment_record(name=name) for name in "cab"])
    assert [each.experiment_id for each in store.experiments] == ["c", "a", "b"]


def test_protocol_1() -> None:
    """A server of protocol 1.0 lists the jobs that ended; records have the rest."""
    store = Store(ZONE)
    record = ExperimentRecord(
        "old",
        finished_jobs=["a"],
        failed_jobs=["b"],
        job_infos={name: info(name, submitted=None) for name in "abc"},
    )
    store.apply_experiments([record])
    store.apply_jobs("old", [JobRecord("c", TASK, state="running", submitted_time=iso(4))])
    assert [job(store, name).state.value for name in "abc"] == ["done", "error", "running"]
    assert job(store, "c").submitted == moment(4)
    assert store.counts("old") == Counts(total=3, done=1, failed=1, running=1)


# Jobs


def test_record_and_scheduler_are_merged() -> None:
    """A job that the server reports as running is done when its scheduler reports so."""
    store = store_with({"a": "done"}, [job_record(state="running", started=1, scheduler="done")])
    assert (job(store).execution, job(store).scheduler) == (State.RUNNING, State.DONE)
    assert job(store).state is State.DONE


@pytest.mark.parametrize(
    ("scheduler", "scheduler_reason", "expected"),
    [("error", "TIMEOUT", "TIMEOUT"), ("error:MEMORY", None, "MEMORY"), ("error", None, "FAILED")],
)
def test_scheduler_state_of_a_record(
    scheduler: str, scheduler_reason: str | None, expected: str
) -> None:
    """The scheduler's state in a job object counts as such, with its reason."""
    record = job_record(state="error", scheduler=scheduler, scheduler_reason=scheduler_reason)
    assert job(store_with({"a": "scheduled"}, [record])).reason == expected


def test_record_without_experiment() -> None:
    """A record that was requested alone has no scheduler's state of an experiment."""
    store = store_with({"a": "done"})
    store.apply_jobs(None, [job_record(state="running", started=1, scheduler="scheduled")])
    assert job(store).scheduler is State.DONE


def test_record_of_an_unknown_experiment() -> None:
    """A job of an experiment that is not listed yet is kept, in no experiment."""
    store = Store(ZONE)
    changes = store.apply_jobs("new", [job_record(state="running", started=1, scheduler="running")])
    assert moves(changes) == [(key("a"), None, "running")]
    assert job(store).experiments == ()
    assert job(store).scheduler is State.UNSCHEDULED


def test_what_the_submission_says() -> None:
    """Tags and the time of submission come from the list of experiments."""
    store = Store(ZONE)
    store.apply_experiments([experiment_record({"a": "waiting"}, tags={"x": 0, "kind": "b"})])
    assert job(store).tags == {"x": 0, "kind": "b"}
    assert job(store).submitted == moment(0)


def test_job_in_two_experiments() -> None:
    """A job in two experiments is one job; the most advanced of the schedulers' states counts."""
    store = Store(ZONE)
    changes = store.apply_experiments(
        [experiment_record({"a": "waiting"}), experiment_record({"a": "done"}, name="other")]
    )
    assert moves(changes) == [(key("a"), None, "done")]
    assert job(store).experiments == (EXPERIMENT, "other")
    for name in (EXPERIMENT, "other"):
        assert store.counts(name) == Counts(total=1, done=1)


def test_change_of_a_job_counts_in_both_experiments() -> None:
    """A job that ends is counted in each of its experiments."""
    store = Store(ZONE)
    store.apply_experiments([experiment_record({"a": "running"}, name=name) for name in "xy"])
    assert [store.counts(name).running for name in "xy"] == [1, 1]
    store.apply_event(state_event("done", ended=3))
    assert [store.counts(name).done for name in "xy"] == [1, 1]


def test_counts_of_an_unknown_experiment() -> None:
    """An unknown experiment has no jobs."""
    assert Store().counts("nobody") == Counts()


def test_groups_of_jobs() -> None:
    """Jobs are found and counted by their states."""
    store = store_with({"a": "done", "b": "waiting", "c": "ready", "d": "done"})
    assert [each.job_id for each in store.in_state(State.WAITING, State.READY)] == ["b", "c"]
    assert store.number_in_state(State.DONE, State.READY) == 3


def test_jobs_cannot_be_changed_from_outside() -> None:
    """The mapping of jobs is read-only."""
    store = store_with({"a": "done"})
    with pytest.raises(TypeError):
        store.jobs[key("a")] = job(store)  # type: ignore[index]


# Absence


def test_absence_of_an_unknown_job() -> None:
    """The missing folder of an unknown job changes nothing."""
    assert Store().apply_absence(key("a")) == []


def test_absence_of_a_job_in_no_experiment() -> None:
    """A job without an experiment and without a folder is gone."""
    store = Store(ZONE)
    store.apply_jobs(None, [job_record(state="done")])
    assert moves(store.apply_absence(key("a"))) == [(key("a"), "done", None)]
    assert store.jobs == {}


def test_absence_of_a_job_whose_scheduler_has_not_told_its_end() -> None:
    """A job that ended stays so without a directory until its scheduler says more: its word may only be late."""
    store = store_with({"a": "running"}, [job_record(state="done", started=1, ended=2)])
    assert store.apply_absence(key("a")) == []
    assert job(store).state is State.DONE


def test_absence_of_a_submitted_job() -> None:
    """A job without a folder keeps what its experiment has of it."""
    store = store_with({"a": "waiting"}, [job_record(state="running", started=1)])
    assert moves(store.apply_absence(key("a"))) == [(key("a"), "running", "waiting")]
    assert (job(store).started, job(store).path) == (None, "")


# Lists of an agent


def entry(name: str, word: str | None = None, experiment: str = EXPERIMENT) -> Entry:
    """Return an entry of a list."""
    return Entry(experiment, key(name), info(name), word)


def test_listing_in_slices() -> None:
    """Slices add to what is known; only the last one, which has all names, says which experiments are gone."""
    store = store_with({"a": "waiting"})
    head = experiment_record(name="new")
    changes = store.apply_listing(Listing([head], [entry("b"), entry("c", "done", "new")]))
    assert moves(changes) == [(key("b"), None, "unscheduled"), (key("c"), None, "done")]
    assert [each.experiment_id for each in store.experiments] == [EXPERIMENT, "new"]
    changes = store.apply_listing(Listing([], [], ["new", "never told"]))
    assert moves(changes) == [(key("a"), "waiting", None), (key("b"), "unscheduled", None)]
    assert [each.experiment_id for each in store.experiments] == ["new"]


def test_jobs_that_leave_a_list() -> None:
    """A job that leaves one of two lists is in the other, one that leaves its only list is gone."""
    store = Store(ZONE)
    records = [experiment_record({"a": "done", "b": "done"}, name=name) for name in "xy"]
    store.apply_experiments(records)
    (change, _) = store.apply_listing(Listing([], [Entry("x", key("a"))]))
    assert (change.key, store.experiments[0].jobs) == ("x", (key("b"),))
    assert (job(store, "a").experiments, job(store, "b").experiments) == (("y",), ("x", "y"))
    changes = store.apply_listing(Listing([], [Entry("y", key("a")), Entry("y", "t/unknown")]))
    assert moves(changes) == [(key("a"), "done", None)]


def test_a_job_in_another_run() -> None:
    """In another run an end counts no more; its place is behind what that run listed before."""
    store = store_with({"a": "error", "b": "waiting"})
    again = entry("a", "waiting")._replace(is_fresh=True)
    assert store.apply_listing(Listing([], [entry("a", "waiting")])) == []
    changes = store.apply_listing(Listing([], [again]))
    assert moves(changes) == [(key("a"), "error", "waiting")]
    assert store.experiments[0].jobs == (key("b"), key("a"))


def test_entry_of_an_unknown_experiment() -> None:
    """What is listed of an experiment that is not known changes nothing."""
    store = store_with({"a": "waiting"})
    assert store.apply_listing(Listing([], [entry("b", experiment="gone")])) == []


def test_head_of_a_run_that_has_ended() -> None:
    """A run that ended does not run again by another head of it; another run does."""
    store = Store(ZONE)
    store.apply_experiments([experiment_record({"a": "done"}, status="done")])
    assert store.apply_listing(Listing([experiment_record()], [])) == []
    (change,) = store.apply_listing(Listing([experiment_record(run_id="r2")], []))
    assert (change.key, store.experiments[0].status) == (EXPERIMENT, "running")
    assert store.experiments[0].jobs == (key("a"),)


# Events


def test_absence_of_a_job_that_ended_before_its_scheduler_says_so() -> None:
    """Its end was seen and its scheduler has not heard of it: what is known stays."""
    store = store_with({"a": "running"}, [job_record(state="done", started=1, ended=2)])
    assert store.apply_absence(key("a")) == []
    assert job(store).state is State.DONE


def test_state_event() -> None:
    """A job's announcement is applied at once, with its time."""
    store = store_with({"a": "scheduled"})
    (change,) = store.apply_event(state_event("running", started=2, at=3))
    assert isinstance(change, JobChange)
    assert (change.at, job(store).state, job(store).started) == (
        moment(3),
        State.RUNNING,
        moment(2),
    )


def test_time_of_a_change_without_a_timestamp() -> None:
    """A change whose announcement has no time has the job's time."""
    store = store_with({"a": "scheduled"})
    (change,) = store.apply_event(state_event("running", started=2))
    assert isinstance(change, JobChange)
    assert change.at == moment(2)


def test_progress() -> None:
    """Progress of an unknown job makes it known."""
    store = Store(ZONE)
    assert moves(store.apply_event(progress_event(0.5))) == [(key("a"), None, "running")]
    assert job(store).progress[0].fraction == 0.5


@pytest.mark.parametrize(
    "event", [OtherEvent("Novelty"), state_event("done", task_id=""), OtherEvent("RunUpdatedEvent")]
)
def test_events_that_tell_nothing(event: OtherEvent) -> None:
    """An unknown announcement, or one of a job without its task, changes nothing."""
    store = store_with({"a": "running"})
    assert store.apply_event(event) == []


def test_submission_by_event() -> None:
    """A submission makes the job known, in its experiment, with its tags, waiting."""
    store = store_with({"a": "done"})
    changes = store.apply_event(scheduler_event("submitted", job_id="b", tags={"x": 1}, at=5))
    assert moves(changes) == [(key("b"), None, "waiting")]
    assert (job(store, "b").tags, job(store, "b").submitted) == ({"x": 1}, moment(5))
    assert store.experiments[0].jobs == (key("a"), key("b"))
    assert store.counts(EXPERIMENT) == Counts(total=2, done=1, waiting=1)


def test_tags_come_with_the_submission_only() -> None:
    """Announcements after the submission have no tags, and keep those of the job."""
    store = Store(ZONE)
    store.apply_event(scheduler_event("submitted", tags={"x": 1}))
    store.apply_event(scheduler_event("scheduled", tags={}))
    assert job(store).tags == {"x": 1}
    assert job(store).state is State.SCHEDULED


def test_new_experiment_by_event() -> None:
    """The first submission of an experiment that was not listed makes it known."""
    store = Store(ZONE)
    changes = store.apply_event(scheduler_event("submitted", name="new", at=1))
    assert [type(change) for change in changes] == [ExperimentChange, JobChange]
    assert store.counts("new") == Counts(total=1, waiting=1)


def test_counts_after_a_known_job_is_submitted() -> None:
    """A job that was known before it was submitted is counted in its experiment."""
    store = store_with({})
    store.apply_event(state_event("running", started=1))
    assert store.counts(EXPERIMENT) == Counts()
    store.apply_event(scheduler_event("submitted"))
    assert store.counts(EXPERIMENT) == Counts(total=1, running=1)


def test_event_of_an_older_run() -> None:
    """An announcement of a run before the one that is known, which arrives late, changes nothing."""
    store = store_with({"a": "running"})
    late = scheduler_event("error:TIMEOUT", run_id="20261121_100000", at=1)
    assert store.apply_event(late) == []
    assert job(store).state is State.RUNNING


def test_reason_by_event() -> None:
    """A scheduler has the reason beside the state, or within it."""
    for event in (scheduler_event("error", reason="TIMEOUT"), scheduler_event("error:TIMEOUT")):
        store = store_with({"a": "running"})
        store.apply_event(event)
        assert job(store).reason == "TIMEOUT"


def test_reasons_are_kept_when_the_run_ends() -> None:
    """At the end of a run, the server has fewer reasons and ends than before: what was known is kept."""
    store = store_with(
        {"late": "error:TIMEOUT", "blocked": "error:DEPENDENCY"},
        [
            job_record("late", "error", reason="FAILED", started=1, ended=2),
            job_record("blocked", "error", reason="DEPENDENCY", started=3),
        ],
    )
    ended = experiment_record({"late": "error", "blocked": "unscheduled"}, status="done")
    store.apply_experiments([ended])
    store.apply_jobs(
        EXPERIMENT,
        [
            job_record("late", "error", reason="FAILED", started=1, ended=2, scheduler="error"),
            job_record("blocked", "unscheduled", started=3, scheduler="unscheduled"),
        ],
    )
    assert job(store, "late").reason == "TIMEOUT"
    assert job(store, "blocked").reason == "DEPENDENCY"
    assert store.counts(EXPERIMENT) == Counts(total=2, failed=2)


def test_new_run_forgets_the_old_one() -> None:
    """A new run of an experiment begins with its own states and its own jobs."""
    store = store_with({"a": "error:DEPENDENCY", "b": "done"})
    store.apply_experiments([experiment_record({"a": "unscheduled"}, run_id=f"{RUN}.1")])
    assert job(store).state is State.UNSCHEDULED
    assert set(store.jobs) == {key("a")}


# Times


@pytest.mark.parametrize(
    ("state", "expected"),
    [(State.RUNNING, 1), (State.DONE, 2), (State.ERROR, 2), (State.WAITING, None)],
)
def test_when(state: State, expected: float | None) -> None:
    """A job's state began when it started or ended; for the others, the time is unknown."""
    known = Job(task_id=TASK, job_id="a", execution=state, started=moment(1), ended=moment(2))
    assert when(known) == (None if expected is None else moment(expected))


def test_default_zone() -> None:
    """By default, the remote's times are in UTC."""
    store = Store()
    store.apply_jobs(None, [job_record(state="running", started=0)])
    started = job(store).started
    assert started is not None
    assert started.tzinfo is timezone.utc
