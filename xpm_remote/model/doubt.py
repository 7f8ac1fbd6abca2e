"""What the reference server cannot tell, and the verdicts of our agent on it.

The server does not report that a scheduler has died, what became of its jobs, or that a job was killed. At a run's end
it lists jobs that a dependency stopped as unscheduled, most reasons of failures reach it as ``FAILED``, and at a run's
beginning it repeats the failures of the run before. Such evidence is in doubt: it is shown as uncertain until our
agent, which reads all files, has judged it. A verdict holds as long as the evidence is the same; one that a job has
ended holds until the job is tried again. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from xpm_remote.model.entities import Experiment, Job
from xpm_remote.model.merge import is_submitted_again
from xpm_remote.model.runs import RUNNING
from xpm_remote.workspace.states import GENERIC_REASON, PENDING, State

ROUNDING = timedelta(milliseconds=1)
"""The agent's times are whole milliseconds: a job that wrote nothing ended, by them, just before it started."""

_TOLD = frozenset({"done", "failed"})
"""The statuses that a run has only when its script has ended."""


class Basis(NamedTuple):
    """What a verdict rests on.

    Attributes:
        attempt: The try of the job: its number, its submission, and the runs that have it.
        started: The start of the job, by the server.
        evidence: What else is known of the job, and whether its runs go on.
    """

    attempt: tuple[object, ...]
    started: datetime | None
    evidence: tuple[object, ...]


class Verdict(NamedTuple):
    """A judgement of all files of a job, and what was known when it was asked for."""

    basis: Basis
    job: Job


class RunVerdict(NamedTuple):
    """A judgement of the files of a run, and whether its scheduler lives."""

    run_id: str
    experiment: Experiment


def basis(job: Job, runs: Iterable[Experiment]) -> Basis:
    """Return what a verdict on a job rests on.

    Args:
        job: The job, by the server's evidence.
        runs: The runs that have it, as they are shown.
    """
    runs = tuple(runs)
    attempt = (job.retry_count, job.submitted, *(run.run_id for run in runs))
    statuses = ((run.status, run.certain) for run in runs)
    return Basis(attempt, job.started, (job.execution, job.scheduler, job.reason, *statuses))


def is_run_in_doubt(experiment: Experiment) -> bool:
    """Return whether the server's status of a run may be that of one whose scheduler has died or left."""
    return experiment.status not in _TOLD


def is_job_in_doubt(job: Job, runs: Sequence[Experiment]) -> bool:
    """Return whether the server's state of a job, or the reason of its failure, may be false.

    Args:
        job: The job, by the server's evidence.
        runs: The runs that have it, as they are shown.
    """
    if job.state is State.DONE:
        # A success without any file, by the run's list alone: its directory was deleted.
        return job.execution is State.UNSCHEDULED or (
            job.execution is State.DONE and job.ended is None
        )
    if job.state is State.ERROR:
        # In a run that goes on, the end of the run before may have been repeated.
        return job.reason == GENERIC_REASON or not all(run.status in _TOLD for run in runs)
    # A job that was just submitted has no word of its scheduler yet.
    is_silent = job.state is State.UNSCHEDULED
    # What the job announced before it was submitted again may be repeated.
    is_old = job.state is State.RUNNING and is_submitted_again(job)
    return is_silent or is_old or not any(run.status == RUNNING and run.certain for run in runs)


def is_ended_by(verdict: Verdict | None, job: Job, now: Basis) -> bool:
    """Return whether a job that runs by the server's evidence was seen to have ended since, and nothing is new.

    Even a scheduler that lives may not act: it was stopped, or its host is too busy.
    """
    if verdict is None or job.state is not State.RUNNING:
        return False
    judged = verdict.job
    return judged.state.is_final and judged.certain and verdict.basis == now


def is_contradicted_by(verdict: Verdict | None, job: Job, now: Basis) -> bool:
    """Return whether a job only waits by the server's evidence, and was seen to run in this try: one is outdated."""
    if verdict is None or job.state not in PENDING:
        return False
    return verdict.job.state is State.RUNNING and verdict.basis.attempt == now.attempt


def with_run_verdict(experiment: Experiment, verdict: RunVerdict | None) -> Experiment:
    """Return a run as it is to be shown."""
    if not is_run_in_doubt(experiment):
        return experiment
    if verdict is None or verdict.run_id != experiment.run_id:
        return msgspec.structs.replace(experiment, certain=False)
    judged = verdict.experiment
    return msgspec.structs.replace(
        experiment,
        status=judged.status,
        ended=judged.ended or experiment.ended,
        certain=judged.certain,
    )


def with_verdict(job: Job, now: Basis, verdict: Verdict | None) -> Job:
    """Return a job in doubt as it is to be shown.

    Args:
        job: The job, by the server's evidence.
        now: What a verdict on it would rest on.
        verdict: The last verdict on it.
    """
    if verdict is None or not holds(verdict, job, now):
        return msgspec.structs.replace(job, certain=False)
    judged = verdict.job
    return msgspec.structs.replace(
        job,
        execution=judged.execution,
        execution_reason=judged.execution_reason,
        scheduler=judged.scheduler,
        scheduler_reason=judged.scheduler_reason,
        started=judged.started,
        ended=judged.ended,
        exit_code=judged.exit_code,
        path=judged.path or job.path,
        certain=judged.certain,
        row=judged.row,
    )


def holds(verdict: Verdict, job: Job, now: Basis) -> bool:
    """Return whether a verdict still holds: an end does until the job is tried again, or its files are gone."""
    judged = verdict.job
    is_gone = judged.state is State.DONE and job.execution is State.UNSCHEDULED
    if is_gone or not judged.state.is_final:
        return verdict.basis == now
    # A start that was known is no news, even if it lies after the end: it may have been written in another zone.
    is_later = (
        job.started is not None
        and job.started != verdict.basis.started
        and judged.ended is not None
        and job.started - judged.ended > ROUNDING
    )
    return verdict.basis.attempt == now.attempt and not is_later
