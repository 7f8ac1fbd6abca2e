"""A job and new evidence: what is believed, what is an echo, and what is kept."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.model.builders import (
    TASK,
    ZONE,
    iso,
    job_record,
    known_job,
    moment,
    progress_event,
    state_event,
)
from xpm_remote.model.entities import Job
from xpm_remote.model.merge import with_progress_event, with_record, with_state_event
from xpm_remote.model.records import JobProgressEvent, JobRecord, JobStateEvent, ProgressRecord
from xpm_remote.workspace.states import Progress, State

DONE = known_job(State.DONE, started=10, ended=20)


# An end, and the echo of "running" after it


@pytest.mark.parametrize("started", [None, 5.0, 10.0, 15.0, 20.0])
def test_echo_after_the_end(started: float | None) -> None:
    """A "running" that began when the finished attempt did, or during it, or at no time, changes nothing."""
    assert with_state_event(DONE, state_event("running", started=started, at=21), ZONE) == DONE
    assert with_record(DONE, job_record(state="running", started=started), ZONE) == DONE


def test_echo_after_an_end_without_a_time() -> None:
    """The moment of an announcement stands in for the missing time of an end."""
    done = with_state_event(known_job(), state_event("done", at=20), ZONE)
    assert done.ended == moment(20)
    assert with_state_event(done, state_event("running", started=15), ZONE) == done


def test_end_without_any_time() -> None:
    """Where an end has no times, a running attempt with a start is believed."""
    done = with_state_event(known_job(), state_event("done"), ZONE)
    assert done.ended is None
    again = with_record(done, job_record(state="running", started=15), ZONE)
    assert again.state is State.RUNNING


@pytest.mark.parametrize(("started", "retry_count"), [(21.0, 0), (21.0, 1), (15.0, 1), (None, 1)])
def test_true_retry(started: float | None, retry_count: int) -> None:
    """An attempt that began after the end is believed, and so is one that counts as a further try."""
    record = job_record(state="running", started=started, retry_count=retry_count)
    event = state_event("running", started=started, retry_count=retry_count)
    for job in (with_record(DONE, record, ZONE), with_state_event(DONE, event, ZONE)):
        assert job.state is State.RUNNING
        assert job.ended is None
        assert job.retry_count == retry_count


def test_same_start_is_the_same_attempt() -> None:
    """The server counts a further try before it notices the end: the start determines the attempt."""
    echo = job_record(state="running", started=10, retry_count=1)
    assert with_record(DONE, echo, ZONE) == DONE


def test_echo_of_the_attempt_before() -> None:
    """While a retry runs, "running" with the start of the earlier attempt changes nothing."""
    retried = known_job(State.RUNNING, started=30)
    assert with_state_event(retried, state_event("running", started=10), ZONE) == retried
    assert with_record(retried, job_record(state="running", started=10), ZONE) == retried


@pytest.mark.parametrize(("ended", "at"), [(20.0, None), (None, 20.0)])
def test_end_of_the_attempt_before(ended: float | None, at: float | None) -> None:
    """While a retry runs, the announcement that the earlier attempt failed changes nothing."""
    retried = known_job(State.RUNNING, started=30)
    assert with_state_event(retried, state_event("error", ended=ended, at=at), ZONE) == retried


@pytest.mark.parametrize(("ended", "at"), [(40.0, None), (None, 40.0), (None, None)])
def test_end_of_this_attempt(ended: float | None, at: float | None) -> None:
    """An end after the start, or at an unknown time, is believed; the start is kept."""
    running = known_job(State.RUNNING, started=30)
    job = with_state_event(running, state_event("done", ended=ended, at=at), ZONE)
    assert job.state is State.DONE
    assert job.started == moment(30)


@pytest.mark.parametrize("state", [None, "waiting", "ready", "scheduled"])
def test_relaunch(state: str | None) -> None:
    """A finished job that was submitted again, or is tried again, is believed to wait; the old end is dropped."""
    again = msgspec.structs.replace(DONE, submitted=moment(21))
    for job in (
        with_record(again, job_record(state=state), ZONE),
        with_state_event(again, state_event(state), ZONE),
        with_record(DONE, job_record(state=state, retry_count=1), ZONE),
        with_state_event(DONE, state_event(state, retry_count=1), ZONE),
    ):
        assert not job.state.is_final
        assert job.ended is None


@pytest.mark.parametrize("state", [None, "waiting", "scheduled", "error"])
def test_step_back(state: str | None) -> None:
    """Within one try, nothing follows success, and nothing but an end follows a start."""
    early = msgspec.structs.replace(DONE, submitted=moment(5))
    running = known_job(State.RUNNING, started=10)
    for job in (DONE, early, running):
        if (state, job) == ("error", running):
            continue
        assert with_record(job, job_record(state=state), ZONE) == job
        assert with_state_event(job, state_event(state, at=30), ZONE) == job


def test_outputs_that_are_gone() -> None:
    """A success whose files were deleted is a failure."""
    for record in (
        job_record(state="error", reason="MISSING_OUTPUTS"),
        job_record(state="error", started=21),
    ):
        assert with_record(DONE, record, ZONE).state is State.ERROR


# Reasons


@pytest.mark.parametrize("generic", [None, "FAILED", "failed"])
def test_reason_is_kept_over_the_generic_one(generic: str | None) -> None:
    """A cause outlives the repeated message that the same attempt just failed."""
    failed = known_job(State.ERROR, started=10, ended=20, reason="TIMEOUT")
    record = job_record(state="error", started=10, ended=20, reason=generic)
    assert with_record(failed, record, ZONE).reason == "TIMEOUT"
    event = state_event("error", ended=20, reason=generic)
    assert with_state_event(failed, event, ZONE).reason == "TIMEOUT"


def test_reason_gives_way_to_a_better_one() -> None:
    """A cause replaces the generic reason, and another cause the first."""
    failed = known_job(State.ERROR, started=10, reason="FAILED")
    for reason in ("TIMEOUT", "memory"):
        failed = with_record(failed, job_record(state="error", started=10, reason=reason), ZONE)
        assert failed.reason == reason.upper()


def test_reason_of_another_attempt_is_not_kept() -> None:
    """The cause of one failure is not that of the next."""
    failed = known_job(State.ERROR, started=10, ended=20, reason="TIMEOUT")
    again = with_record(failed, job_record(state="error", started=30, reason="FAILED"), ZONE)
    assert again.reason == "FAILED"
    counted = state_event("error", ended=40, retry_count=1, reason="FAILED")
    assert with_state_event(failed, counted, ZONE).reason == "FAILED"


def test_reason_within_the_state() -> None:
    """A state may have its reason, which takes precedence over the other."""
    record = job_record(state="error:MEMORY", reason="FAILED")
    assert with_record(known_job(), record, ZONE).reason == "MEMORY"
    event = state_event("error:MEMORY", reason="FAILED")
    assert with_state_event(known_job(), event, ZONE).reason == "MEMORY"


def test_success_has_no_reason() -> None:
    """A retry that succeeds drops the reason of the failed attempt."""
    failed = known_job(State.ERROR, started=10, ended=20, reason="TIMEOUT")
    assert with_record(failed, job_record(state="done", started=30), ZONE).execution_reason is None


# Fields


def test_record_of_protocol_1() -> None:
    """A record of protocol 1.0 has the time of submission, which later records without it keep."""
    old = JobRecord("a", TASK, state="waiting", submitted_time=iso(5))
    job = with_record(known_job(), old, ZONE)
    assert job.submitted == moment(5)
    assert with_record(job, job_record(state="running", started=6), ZONE).submitted == moment(5)


def test_record_replaces() -> None:
    """An answer replaces what was known; the path is kept if the answer has none."""
    job = with_record(
        known_job(State.RUNNING, started=1),
        JobRecord("a", TASK, path="/p", state="done", started_time=iso(2), exit_code=0),
        ZONE,
    )
    assert (job.started, job.exit_code, job.path) == (moment(2), 0, "/p")
    assert with_record(job, JobRecord("a", TASK, state="done"), ZONE).path == "/p"


def test_end_of_the_same_failure_is_kept() -> None:
    """A failure without a time keeps the one that was announced."""
    failed = known_job(State.ERROR, started=10, ended=20)
    assert with_record(failed, job_record(state="error", started=10), ZONE).ended == moment(20)


def test_first_time_of_an_end_is_kept() -> None:
    """The remote's own time of an end is not replaced by that of a repeated announcement."""
    assert with_state_event(DONE, state_event("done", at=25), ZONE).ended == moment(20)


def test_number_of_retries_is_kept() -> None:
    """An announcement, which the server makes without counting, does not reset the number of retries."""
    retried = known_job(State.RUNNING, started=30, retry_count=2)
    assert with_state_event(retried, state_event("done", ended=40), ZONE).retry_count == 2


# Progress


def test_progress_of_a_level_drops_the_deeper_ones() -> None:
    """A report replaces its level, keeps the outer ones and ends the inner ones."""
    job = known_job(State.RUNNING)
    for level, fraction in ((0, 0.1), (1, 0.5), (2, 0.9), (1, 0.6)):
        job = with_progress_event(
            job, progress_event(fraction, level=level, description=f"{level}")
        )
    assert job.progress == (Progress(0, 0.1, "0"), Progress(1, 0.6, "1"))


@pytest.mark.parametrize(
    ("given_value", "expected"), [(-0.5, 0.0), (0.25, 0.25), (1.5, 1.0), (None, 0.0)]
)
def test_fractions_are_bounded(given_value: float | None, expected: float) -> None:
    """Progress is from 0 to 1, whatever the remote sent; where it is no number, 0."""
    by_event = with_progress_event(known_job(), progress_event(given_value))
    record = JobRecord("a", TASK, state="running", progress=[ProgressRecord(0, given_value)])
    by_record = with_record(known_job(), record, ZONE)
    assert [job.progress[0].fraction for job in (by_event, by_record)] == [expected, expected]


def test_progress_means_running() -> None:
    """A job that reports progress runs, even without an announcement."""
    assert with_progress_event(known_job(), progress_event(0.5)).state is State.RUNNING


def test_progress_after_the_end() -> None:
    """A report after the end changes nothing."""
    assert with_progress_event(DONE, progress_event(0.5)) == DONE


# Idempotence


STATE_WORDS = st.sampled_from(
    [None, "waiting", "scheduled", "running", "done", "error", "error:TIMEOUT", "levitating"]
)
SECONDS = st.none() | st.integers(0, 5).map(float)
REASONS = st.sampled_from([None, "FAILED", "TIMEOUT"])
STATE_EVENTS = st.builds(
    state_event,
    STATE_WORDS,
    at=SECONDS,
    started=SECONDS,
    ended=SECONDS,
    retry_count=st.integers(0, 2),
    reason=REASONS,
)
PROGRESS_EVENTS = st.builds(
    progress_event, st.floats(-1, 2), level=st.integers(0, 3), description=st.none() | st.text()
)
JOBS = st.builds(
    known_job,
    st.sampled_from(list(State)),
    started=SECONDS,
    ended=SECONDS,
    retry_count=st.integers(0, 2),
    reason=REASONS,
    progress=st.just(()) | st.just((Progress(0, 0.5), Progress(1, 0.5))),
)
RECORDS = st.builds(
    job_record,
    state=STATE_WORDS,
    started=SECONDS,
    ended=SECONDS,
    retry_count=st.integers(0, 2),
    reason=REASONS,
)


def with_event(job: Job, event: JobStateEvent | JobProgressEvent) -> Job:
    """Apply an event of either kind."""
    if isinstance(event, JobStateEvent):
        return with_state_event(job, event, ZONE)
    return with_progress_event(job, event)


@given(JOBS, STATE_EVENTS | PROGRESS_EVENTS)
def test_event_twice(job: Job, event: JobStateEvent | JobProgressEvent) -> None:
    """An event that is applied again changes nothing."""
    once = with_event(job, event)
    assert with_event(once, event) == once


@given(JOBS, RECORDS)
def test_record_twice(job: Job, record: JobRecord) -> None:
    """An answer that is received again changes nothing."""
    once = with_record(job, record, ZONE)
    assert with_record(once, record, ZONE) == once
