"""How a job changes when new evidence of it arrives.

The reference server repeats ``running`` after ``done``, and sends outdated events and states of an earlier step. So
each function takes the job as known and the new evidence, and returns the job as it is to be shown: within one try a
job that runs waits no more, and one that has ended ends once. All are idempotent. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, tzinfo

import msgspec

from xpm_remote.model.entities import Job
from xpm_remote.model.records import (
    JobProgressEvent,
    JobRecord,
    JobStateEvent,
    ProgressRecord,
    parse_time,
)
from xpm_remote.workspace.states import GENERIC_REASON, Progress, State, read_state

_GONE = frozenset({"MISSING_OUTPUTS", "DELETED"})


def with_record(job: Job, record: JobRecord, zone: tzinfo) -> Job:
    """Return the job after an answer of the reference server."""
    execution, reason = read_state(record.state)
    started = parse_time(record.started_time, zone)
    if execution is State.RUNNING and _is_echo(job, started, record.retry_count):
        return job
    if _is_step_back(job, execution, reason or record.failure_reason, started, record.retry_count):
        return job
    return with_judgement(job, record, zone)


def is_submitted_again(job: Job) -> bool:
    """Return whether a job was submitted since it ended or, if it has not ended, since it started."""
    since = job.ended or job.started
    return job.submitted is not None and since is not None and job.submitted > since


def with_judgement(job: Job, record: JobRecord, zone: tzinfo) -> Job:
    """Return the job after a record that is trusted as it is."""
    execution, reason = read_state(record.state)
    started = parse_time(record.started_time, zone)
    same_attempt = execution is State.ERROR and started == job.started
    return msgspec.structs.replace(
        job,
        execution=execution,
        # What SLURM says of an end is better than what the process took it for.
        execution_reason=_keep_telling(
            job, reason or record.failure_reason, same_attempt and record.row is None
        ),
        submitted=job.submitted or parse_time(record.submitted_time, zone),
        started=started,
        ended=parse_time(record.ended_time, zone) or (job.ended if same_attempt else None),
        retry_count=record.retry_count,
        exit_code=record.exit_code,
        progress=_progress(record.progress or ()),
        path=record.path or job.path,
        certain=record.certain,
        row=record.row,
    )


def with_state_event(job: Job, event: JobStateEvent, zone: tzinfo) -> Job:
    """Return the job after its process announced a state."""
    execution, reason = read_state(event.state)
    started = parse_time(event.started_time, zone)
    # The announcement of an end may lack its time; without one, a later echo of "running" would look like news.
    ended = parse_time(event.ended_time, zone) or parse_time(event.timestamp, zone)
    if _is_overtaken(job, event.retry_count, execution, started, ended):
        return job
    told = reason or event.failure_reason
    if _is_step_back(job, execution, told, started, event.retry_count):
        return job
    repeated = execution is job.execution and event.retry_count <= job.retry_count
    if not execution.is_final:
        ended = None
    elif repeated and job.ended is not None:
        ended = job.ended
    return msgspec.structs.replace(
        job,
        execution=execution,
        execution_reason=_keep_telling(job, told, repeated),
        started=started or job.started,
        ended=ended,
        retry_count=max(event.retry_count, job.retry_count),
        exit_code=event.exit_code,
        progress=_progress(event.progress or ()),
    )


def with_progress_event(job: Job, event: JobProgressEvent) -> Job:
    """Return the job after its process reported progress: its level replaced, deeper levels dropped."""
    if job.execution.is_final:
        return job
    outer = tuple(step for step in job.progress if step.level < event.level)
    step = Progress(event.level, _fraction(event.progress), event.desc)
    return msgspec.structs.replace(job, execution=State.RUNNING, progress=(*outer, step))


def _is_overtaken(
    job: Job, retry_count: int, execution: State, started: datetime | None, ended: datetime | None
) -> bool:
    """Return whether an announcement is outdated: a later attempt, or the end of this one, is known."""
    if execution is State.RUNNING:
        return _is_echo(job, started, retry_count)
    if not execution.is_final or ended is None or job.started is None:
        return False
    return ended < job.started


def _is_echo(job: Job, started: datetime | None, retry_count: int) -> bool:
    """Return whether "running" is about an attempt that has ended or that a later one followed."""
    if not job.execution.is_final:
        return job.started is not None and started is not None and started < job.started
    if job.started is not None and started is not None and started <= job.started:
        return True
    if retry_count > job.retry_count:
        return False
    return started is None or (job.ended is not None and started <= job.ended)


def _is_step_back(
    job: Job, execution: State, reason: str | None, started: datetime | None, retry_count: int
) -> bool:
    """Return whether evidence is of a step that the same try has left behind.

    A marker of success outweighs a failure that is told after it, except that its files are gone.
    """
    is_undone = job.execution is State.DONE and execution is State.ERROR and reason not in _GONE
    is_early = execution.rank < State.RUNNING.rank <= job.execution.rank
    if execution is State.UNSCHEDULED and job.scheduler.is_final:
        return False  # its directory was deleted, and its scheduler knows of the end
    if not (is_undone or is_early):
        return False
    known = job.ended or job.started
    if started is not None and known is not None and started > known:
        return False
    return retry_count <= job.retry_count and not is_submitted_again(job)


def _keep_telling(job: Job, reason: str | None, same_attempt: bool) -> str | None:
    """Return the reason to keep: within one attempt a specific one outlives the generic one."""
    reason = reason.upper() if reason else None
    if same_attempt and reason in (None, GENERIC_REASON) and job.execution_reason:
        return job.execution_reason
    return reason


def _progress(records: Iterable[ProgressRecord]) -> tuple[Progress, ...]:
    return tuple(Progress(step.level, _fraction(step.progress), step.desc) for step in records)


def _fraction(value: float | None) -> float:
    return min(max(value or 0.0, 0.0), 1.0)
