"""Records, events and entities for tests: short to write, with times as seconds after one moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from xpm_remote.model.entities import Job
from xpm_remote.model.records import (
    ExperimentRecord,
    JobInfoRecord,
    JobProgressEvent,
    JobRecord,
    JobStateEvent,
    ProgressRecord,
    SchedulerEvent,
    TagRecord,
)
from xpm_remote.model.store import Store
from xpm_remote.workspace.states import Progress, State

ZONE = timezone(timedelta(hours=1))
"""The zone of the remote host, unlike that of any machine that runs the tests in UTC."""

START = datetime(2026, 11, 22, 10, 0, tzinfo=ZONE)
TASK = "demo.task"
EXPERIMENT = "exp"
RUN = "20261122_100000"


def moment(seconds: float) -> datetime:
    """Return the time so many seconds after the start, in the form of the model."""
    return START + timedelta(seconds=seconds)


def iso(seconds: float | None) -> str | None:
    """Return the time so many seconds after the start, in the naive form of the remote."""
    return None if seconds is None else moment(seconds).replace(tzinfo=None).isoformat()


def epoch(seconds: float) -> float:
    """Return the time so many seconds after the start, in epoch seconds."""
    return moment(seconds).timestamp()


def key(job_id: str, task_id: str = TASK) -> str:
    """Return the key of a job."""
    return f"{task_id}/{job_id}"


def known_job(
    execution: State = State.UNSCHEDULED,
    *,
    started: float | None = None,
    ended: float | None = None,
    retry_count: int = 0,
    reason: str | None = None,
    progress: tuple[Progress, ...] = (),
) -> Job:
    """Make a job with these fields."""
    return Job(
        task_id=TASK,
        job_id="a",
        execution=execution,
        execution_reason=reason,
        started=None if started is None else moment(started),
        ended=None if ended is None else moment(ended),
        retry_count=retry_count,
        progress=progress,
    )


def job_record(
    job_id: str = "a",
    state: str | None = None,
    *,
    started: float | None = None,
    ended: float | None = None,
    retry_count: int = 0,
    reason: str | None = None,
    scheduler: str | None = None,
    scheduler_reason: str | None = None,
    progress: Iterable[tuple[int, float, str | None]] | None = None,
) -> JobRecord:
    """Make a job object as the server sends it."""
    return JobRecord(
        job_id=job_id,
        task_id=TASK,
        path=f"/ws/jobs/{TASK}/{job_id}",
        state=state,
        failure_reason=reason,
        scheduler_state=scheduler,
        scheduler_failure_reason=scheduler_reason,
        started_time=iso(started),
        ended_time=iso(ended),
        retry_count=retry_count,
        progress=None if progress is None else [ProgressRecord(*step) for step in progress],
    )


def info(
    job_id: str, *, tags: dict[str, Any] | None = None, submitted: float | None = 0.0
) -> JobInfoRecord:
    """Make a line of ``jobs.jsonl``."""
    return JobInfoRecord(job_id, TASK, tags, None if submitted is None else epoch(submitted))


def experiment_record(
    words: Mapping[str, str] | None = None,
    *,
    name: str = EXPERIMENT,
    run_id: str = RUN,
    status: str = "running",
    jobs: Iterable[str] | None = None,
    tags: dict[str, Any] | None = None,
) -> ExperimentRecord:
    """Make an experiment object; its jobs are those with a scheduler's state, unless they are named."""
    words = dict(words or {})
    names = list(words) if jobs is None else list(jobs)
    return ExperimentRecord(
        experiment_id=name,
        run_id=run_id,
        status=status,
        started_at=iso(0),
        job_states=words,
        job_infos={each: info(each, tags=tags) for each in names},
    )


def state_event(
    state: str | None,
    *,
    job_id: str = "a",
    task_id: str = TASK,
    at: float | None = None,
    started: float | None = None,
    ended: float | None = None,
    retry_count: int = 0,
    reason: str | None = None,
) -> JobStateEvent:
    """Make the announcement of a job's process."""
    return JobStateEvent(
        job_id=job_id,
        task_id=task_id,
        timestamp=None if at is None else epoch(at),
        state=state,
        failure_reason=reason,
        started_time=iso(started),
        ended_time=iso(ended),
        retry_count=retry_count,
    )


def progress_event(
    fraction: float | None,
    *,
    level: int = 0,
    description: str | None = None,
    job_id: str = "a",
    at: float | None = None,
) -> JobProgressEvent:
    """Make a report of progress."""
    timestamp = None if at is None else epoch(at)
    return JobProgressEvent(job_id, TASK, timestamp, level, fraction, description)


def scheduler_event(
    state: str,
    *,
    job_id: str = "a",
    name: str = EXPERIMENT,
    run_id: str | None = RUN,
    at: float | None = None,
    reason: str | None = None,
    tags: dict[str, Any] | None = None,
) -> SchedulerEvent:
    """Make the announcement of a scheduler."""
    return SchedulerEvent(
        experiment_id=name,
        job_id=job_id,
        task_id=TASK,
        timestamp=None if at is None else epoch(at),
        run_id=run_id,
        scheduler_state=state,
        failure_reason=reason,
        tags=None if tags is None else [TagRecord(*tag) for tag in tags.items()],
    )


def store_with(words: Mapping[str, str], records: Iterable[JobRecord] = ()) -> Store:
    """Make a store that knows one experiment and some jobs of it."""
    store = Store(ZONE)
    store.apply_experiments([experiment_record(words)])
    store.apply_jobs(EXPERIMENT, records)
    return store
