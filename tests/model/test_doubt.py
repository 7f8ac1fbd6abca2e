"""What is in doubt by the reference server's evidence, and the verdicts of the agent on it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

import msgspec
import pytest

from tests.model.builders import (
    EXPERIMENT,
    RUN,
    ZONE,
    experiment_record,
    job_record,
    key,
    scheduler_event,
    state_event,
)
from xpm_remote.model import doubt
from xpm_remote.model.entities import Change, Job, JobChange
from xpm_remote.model.records import ExperimentRecord, JobRecord
from xpm_remote.model.store import Store
from xpm_remote.workspace.states import State


def doubting(words: dict[str, str], records: Iterable[JobRecord] = (), **run: Any) -> Store:
    """Make a store that is kept by the reference server."""
    store = Store(ZONE)
    store.has_doubts = True
    store.apply_experiments([experiment_record(words, **run)])
    store.apply_jobs(EXPERIMENT, records)
    return store


def head(status: str, *, alive: bool | None, run_id: str = RUN) -> ExperimentRecord:
    """Make the agent's head of the run."""
    return ExperimentRecord(EXPERIMENT, run_id, status, scheduler_alive=alive)


def judge(store: Store, *records: JobRecord, run: ExperimentRecord | None = None) -> list[Change]:
    """Ask for all that is in doubt, and apply the agent's answer."""
    store.runs_in_doubt()
    changes = store.apply_verdicts([] if run is None else [run], [])
    store.jobs_in_doubt()
    return [*changes, *store.apply_verdicts([], records)]


def job(store: Store, name: str = "a") -> Job:
    """Return a job of the store."""
    return store.jobs[key(name)]


LIVE = head("running", alive=True)
CRASHED = head("crashed", alive=False)


def test_agent_has_no_doubts() -> None:
    """What an agent sends is a judgement, except that it cannot know of a scheduler elsewhere."""
    store = Store(ZONE)
    store.apply_experiments([head("running", alive=None), ExperimentRecord("b", "r", "running")])
    assert [each.certain for each in store.experiments] == [False, True]
    assert (store.runs_in_doubt(again=True), store.jobs_in_doubt(again=True)) == ([], {})


def test_running_run() -> None:
    """A run that the server has as running is uncertain until it is judged, and so are its jobs that have not ended."""
    store = doubting({"a": "waiting", "b": "done"}, [job_record("b", "done", started=1, ended=2)])
    assert store.runs_in_doubt() == [EXPERIMENT]
    assert (job(store).certain, job(store, "b").certain) == (False, True)
    assert store.counts(EXPERIMENT).uncertain == store.number_uncertain == 1
    assert not store.experiments[0].certain
    judge(store, run=LIVE)
    assert [each.certain for each in store.experiments] == [True]
    assert [each.certain for each in store.jobs.values()] == [True, True]
    assert store.counts(EXPERIMENT).uncertain == store.number_uncertain == 0
    assert (store.runs_in_doubt(), store.runs_in_doubt(again=True)) == ([], [EXPERIMENT])


def test_crashed_run() -> None:
    """A run whose scheduler has died is judged so, and then its jobs that have not ended are."""
    store = doubting({"a": "waiting", "b": "running"}, [job_record("b", "running", started=1)])
    judge(store, run=LIVE)
    store.apply_verdicts([CRASHED], [])
    assert store.experiments[0].status == "crashed"
    assert store.jobs_in_doubt() == {EXPERIMENT: ["a", "b"]}
    changes = store.apply_verdicts(
        [], [job_record("a", "unscheduled"), job_record("b", "running", started=1)]
    )
    states = {
        each.key: each.after.state for each in changes if isinstance(each, JobChange) and each.after
    }
    assert states == {key("a"): State.UNSCHEDULED, key("b"): State.RUNNING}
    assert store.number_uncertain == 0
    # Asked once; what runs may die.
    assert store.jobs_in_doubt() == {}
    assert store.jobs_in_doubt(again=True) == {EXPERIMENT: ["b"]}
    store.apply_verdicts([], [job_record("b", "error", started=1, ended=4, reason="FAILED")])
    assert job(store, "b").state is State.ERROR
    assert store.jobs_in_doubt(again=True) == {}


@pytest.mark.parametrize("status", ["done", "failed"])
def test_end_of_a_run(status: str) -> None:
    """Jobs that the list of an ended run has as anything but ended are judged; the run itself is certain."""
    words = {"a": "unscheduled", "b": "running", "c": "done"}
    records = [job_record("b", "running", started=1), job_record("c", "running", started=2)]
    store = doubting(words, records, status=status)
    assert store.runs_in_doubt() == []
    assert store.jobs_in_doubt() == {EXPERIMENT: ["a", "b"]}
    store.apply_verdicts(
        [],
        [
            job_record("a", "error", reason="DEPENDENCY"),
            job_record("b", "error", started=1, ended=3, reason="FAILED"),
        ],
    )
    assert (job(store).state, job(store).reason) == (State.ERROR, "DEPENDENCY")
    assert job(store, "b").state is State.ERROR
    assert all(each.certain for each in store.jobs.values())


def test_reason() -> None:
    """A failure without a cause is judged; one with a cause is believed."""
    store = doubting(
        {"a": "error", "b": "error:TIMEOUT"},
        [job_record("a", "error", reason="FAILED", started=1, ended=2)],
        status="done",
    )
    assert (job(store).certain, job(store, "b").certain) == (False, True)
    judge(store, job_record("a", "error", reason="CANCELLED", started=1, ended=2))
    assert (job(store).reason, job(store).certain) == ("CANCELLED", True)
    # The same evidence again changes nothing, nor does an end that is told once more.
    assert store.apply_jobs(EXPERIMENT, [job_record("a", "error", started=1, ended=2)]) == []
    store.apply_event(state_event("error", ended=3, at=3))
    assert (job(store).reason, job(store).certain) == ("CANCELLED", True)
    assert store.jobs_in_doubt() == {}


def test_end_holds_until_another_try() -> None:
    """A verdict that a job has ended outlives the evidence it was given on, but not another try."""
    store = doubting({"a": "waiting"})
    judge(store, job_record("a", "error", reason="DEPENDENCY", ended=5), run=CRASHED)
    store.apply_experiments([experiment_record({"a": "unscheduled"}, status="done")])
    assert (job(store).reason, job(store).certain) == ("DEPENDENCY", True)
    store.apply_event(state_event("running", started=4, at=6))
    assert job(store).state is State.ERROR
    store.apply_event(state_event("running", started=6, at=6))
    assert (job(store).state, job(store).certain) == (State.RUNNING, False)
    store.apply_experiments([experiment_record({"a": "waiting"}, run_id=f"{RUN}.1")])
    store.apply_verdicts([head("running", alive=True, run_id=f"{RUN}.1")], [])
    assert job(store).certain


def test_failure_of_the_run_before() -> None:
    """A run that begins repeats the failures of the one before: the agent knows which are new."""
    store = doubting({"a": "waiting", "b": "unscheduled"})
    store.apply_verdicts([LIVE], [])
    assert (job(store).certain, job(store, "b").certain) == (True, False)
    store.apply_event(scheduler_event("error:DEPENDENCY", at=3))
    assert store.jobs_in_doubt() == {EXPERIMENT: ["b", "a"]}
    store.apply_verdicts([], [job_record("a", "waiting", scheduler="waiting")])
    assert (job(store).state, job(store).certain) == (State.WAITING, True)
    store.apply_event(scheduler_event("waiting", at=4))
    assert (job(store).state, job(store).certain) == (State.WAITING, True)


def test_deleted_directory() -> None:
    """A success of which no file is there is judged."""
    store = doubting({"a": "done"}, [job_record("a", "done", started=1, ended=2)], status="done")
    assert store.jobs_in_doubt() == {}
    store.apply_jobs(EXPERIMENT, [job_record("a", None)])
    assert store.jobs_in_doubt() == {EXPERIMENT: ["a"]}
    store.apply_verdicts([], [job_record("a", "error", reason="MISSING_OUTPUTS")])
    assert job(store).reason == "MISSING_OUTPUTS"
    listed = doubting({"a": "done"}, [job_record("a", "done")], status="done")
    assert listed.jobs_in_doubt() == {EXPERIMENT: ["a"]}
    gone = doubting({"a": "done"}, [job_record("a", "done", started=1, ended=2)], status="done")
    gone.apply_absence(key("a"))
    assert gone.jobs_in_doubt() == {EXPERIMENT: ["a"]}


def test_uncertain_verdict() -> None:
    """What the agent cannot know either stays uncertain, and is asked again with all that goes on."""
    store = doubting({"a": "running"}, [job_record("a", "running", started=1)], status="done")
    record = msgspec.structs.replace(job_record("a", "running", started=1), certain=False)
    judge(store, record)
    assert not job(store).certain
    assert (store.jobs_in_doubt(), store.jobs_in_doubt(again=True)) == ({}, {EXPERIMENT: ["a"]})


def test_no_answer() -> None:
    """What the agent leaves out stays uncertain; answers that nobody waits for change nothing."""
    store = doubting({"a": "waiting"}, status="done")
    assert judge(store) == []
    assert not job(store).certain
    assert store.apply_verdicts([ExperimentRecord("other")], [job_record("z", "done")]) == []
    fresh = doubting({"a": "waiting"}, status="done")
    assert fresh.apply_verdicts([], [job_record("a", "error")]) == []


def test_verdict_of_another_run() -> None:
    """The verdict on a run says nothing of the next one."""
    store = doubting({"a": "waiting"})
    judge(store, run=CRASHED)
    store.apply_experiments([experiment_record({"a": "waiting"}, run_id=f"{RUN}.1")])
    (experiment,) = store.experiments
    assert (experiment.status, experiment.certain) == ("running", False)
    assert store.runs_in_doubt() == [EXPERIMENT]


def test_job_in_two_runs() -> None:
    """A job is certain where one of its runs goes on, and is asked about in the run that submitted it last."""
    store = Store(ZONE)
    store.has_doubts = True
    over = experiment_record({"a": "unscheduled"}, name="over", status="done")
    store.apply_experiments([over, experiment_record({"a": "waiting"})])
    store.apply_verdicts([LIVE], [])
    assert job(store).certain
    store.apply_verdicts([CRASHED], [])
    assert list(store.jobs_in_doubt()) == ["over"]


def test_announcements_of_a_judged_run() -> None:
    """What a live scheduler announces is certain at once."""
    store = doubting({"a": "waiting"})
    judge(store, run=LIVE)
    (change,) = store.apply_event(scheduler_event("running", at=4))
    assert change.after is not None
    assert change.after.certain
    store.has_doubts = False
    store.apply_experiments([experiment_record({"a": "done"})])
    assert store.experiments[0].certain


def test_job_of_no_run() -> None:
    """A job that no run has cannot be asked about."""
    store = doubting({})
    store.apply_jobs(None, [job_record("x", "running", started=1)])
    assert not job(store, "x").certain
    assert store.jobs_in_doubt() == {}
    assert store.apply_absence(key("x"))
    assert store.number_uncertain == 0


def test_an_end_in_whole_milliseconds() -> None:
    """A verdict that a job ended as it started holds, though its time is rounded to less than the start."""
    start = datetime(2026, 11, 22, 10, 0, 0, 993205, tzinfo=timezone.utc)
    job = Job(task_id="t", job_id="a", started=start, execution=State.ERROR)
    judged = msgspec.structs.replace(job, ended=start.replace(microsecond=993000))
    before = doubt.basis(msgspec.structs.replace(job, started=None), [])
    assert doubt.holds(doubt.Verdict(before, judged), job, doubt.basis(job, []))


def test_start_in_another_zone() -> None:
    """A verdict holds though a start that was known lies after the end: written in another zone."""
    start = datetime(2026, 11, 22, 13, 30, tzinfo=timezone.utc)
    job = Job(task_id="t", job_id="a", started=start, execution=State.ERROR)
    judged = msgspec.structs.replace(job, ended=start.replace(hour=10))
    known = doubt.basis(job, [])
    assert doubt.holds(doubt.Verdict(known, judged), job, known)
    later = msgspec.structs.replace(job, started=start.replace(hour=14))
    assert not doubt.holds(doubt.Verdict(known, judged), later, doubt.basis(later, []))


def test_job_that_died_under_a_live_scheduler() -> None:
    """A job that runs is believed to, but looked at again; its end is believed although the server says otherwise."""
    running = job_record("a", "running", started=1)
    store = doubting({"a": "running"}, [running])
    judge(store, run=LIVE)
    assert (job(store).certain, store.jobs_in_doubt()) == (True, {})
    assert store.jobs_in_doubt(again=True) == {EXPERIMENT: ["a"]}
    unsure = msgspec.structs.replace(running, state="error", failure_reason="FAILED", certain=False)
    assert store.apply_verdicts([], [unsure]) == []
    assert store.apply_verdicts([], [running]) == []
    store.apply_verdicts([], [job_record("a", "error", started=1, ended=3, reason="FAILED")])
    assert (job(store).state, job(store).certain) == (State.ERROR, True)
    assert store.apply_jobs(EXPERIMENT, [running]) == []
    assert store.jobs_in_doubt(again=True) == {EXPERIMENT: ["a"]}
    # Its scheduler goes on, and tries it again; the server may not say since when.
    store.apply_event(state_event("running", at=5, retry_count=1))
    assert (job(store).state, job(store).certain) == (State.RUNNING, True)


def test_end_of_the_try_before() -> None:
    """A verdict on an end says nothing of a job that runs by later evidence, while its scheduler lives."""
    failed = job_record("a", "error", reason="FAILED", started=1, ended=2)
    store = doubting({"a": "running"}, [failed])
    judge(store, job_record("a", "error", reason="TIMEOUT", started=1, ended=9), run=LIVE)
    assert job(store).reason == "TIMEOUT"
    store.apply_event(state_event("running", started=5, at=5))
    assert (job(store).state, job(store).certain) == (State.RUNNING, True)


def test_missing_directories() -> None:
    """A job that was done and has no directory is in doubt, also if it was judged to be done before."""
    store = doubting({"a": "running", "b": "waiting"}, [job_record("a", "running", started=1)])
    judge(store, job_record("a", "done", started=1, ended=2), run=CRASHED)
    assert (job(store).state, job(store).certain) == (State.DONE, True)
    store.apply_experiments([experiment_record({"a": "done", "b": "waiting"})])
    store.apply_missing([key("a"), key("b"), key("never")])
    assert store.jobs_in_doubt() == {EXPERIMENT: ["a"]}
    store.apply_verdicts([], [job_record("a", "error", reason="MISSING_OUTPUTS")])
    assert job(store).reason == "MISSING_OUTPUTS"
    assert store.apply_missing([key("a")]) == []


def test_deleted_directory_of_a_crashed_run() -> None:
    """Where the run has not noted that a job was done, the agent says what is left of it."""
    store = doubting({"a": "running"}, [job_record("a", "done", started=1, ended=2)])
    judge(store, run=CRASHED)
    assert (job(store).state, job(store).certain) == (State.DONE, True)
    store.apply_missing([key("a")])
    assert store.jobs_in_doubt() == {EXPERIMENT: ["a"]}
    store.apply_verdicts([], [job_record("a", "unscheduled")])
    assert (job(store).state, job(store).certain) == (State.UNSCHEDULED, True)


def test_start_before_the_submission() -> None:
    """A job that runs since before its run submitted it may be another try, which is repeated."""
    store = doubting({"a": "scheduled"})
    judge(store, run=LIVE)
    store.apply_event(state_event("running", started=-5, at=1))
    assert store.jobs_in_doubt() == {EXPERIMENT: ["a"]}
    store.apply_verdicts([], [job_record("a", "scheduled", scheduler="scheduled")])
    assert (job(store).state, job(store).certain) == (State.SCHEDULED, True)
    store.apply_event(state_event("running", started=6, at=6))
    assert (job(store).state, job(store).certain) == (State.RUNNING, True)


def test_step_back_after_a_verdict() -> None:
    """A job that was seen to run does not wait again because the server says so later; that is judged."""
    store = doubting({"a": "scheduled"})
    judge(store, run=LIVE)
    running = job_record("a", "running", started=6)
    store.apply_event(state_event("running", started=-5, at=1))
    judge(store, running, run=LIVE)
    assert (job(store).state, job(store).certain) == (State.RUNNING, True)
    store.apply_jobs(EXPERIMENT, [job_record("a", "scheduled")])
    assert store.jobs_in_doubt() == {EXPERIMENT: ["a"]}
    store.apply_verdicts([], [running])
    assert (job(store).state, job(store).certain) == (State.RUNNING, True)


def test_open_changes() -> None:
    """A change is open while what it is about is in doubt, and no agent was asked by the present evidence."""
    store = Store(ZONE)
    store.has_doubts = True
    (of_run, of_job) = store.apply_experiments([experiment_record({"a": "waiting"})])
    assert (store.is_open(of_run), store.is_open(of_job)) == (True, True)
    store.runs_in_doubt()
    store.apply_verdicts([CRASHED], [])
    store.jobs_in_doubt()
    assert (store.is_open(of_run), store.is_open(of_job)) == (False, False)
    store.apply_event(state_event("error", ended=3, at=3))
    assert store.is_open(of_job)
    store.apply_experiments([])
    assert (store.is_open(of_run), store.is_open(of_job)) == (False, False)
