"""Jobs, what is planned with them and its outcomes, as lines and as JSON documents; described in docs/json.md. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from xpm_remote.escaping import safe
from xpm_remote.ui.documents import row_document
from xpm_remote.ui.text import count_text, local_time, size_text, table
from xpm_remote.workspace.layout import Folder
from xpm_remote.workspace.outcomes import (
    ActionOutcome,
    ActionPlan,
    ArchiveOutcome,
    ArchivePlan,
    ArchiveVerdict,
    RecoveryOutcome,
    RecoveryPlan,
    RecoveryStatus,
    to_wire,
)
from xpm_remote.workspace.reading.jobs import CurrentJob

JOB_SCHEMA = "xpm-remote/job/1"

# As experimaestro's own list has them; other states stand there as they are.
STATE_WORDS = {"done": "DONE", "error": "FAIL", "unscheduled": "UNSCHED"}
_STATE_WIDTH = 8


def job_lines(jobs: Iterable[CurrentJob], *, with_tags: bool, with_paths: bool) -> Iterator[str]:
    """Yield a line for each job: its state (with a ? where that is uncertain), its id or directory, and its tags."""
    for job in jobs:
        name = job.facts.path if with_paths else str(job.facts.id)
        state = STATE_WORDS.get(job.state, job.state) + ("" if job.facts.certain else "?")
        words = [f"{state:<{_STATE_WIDTH}}{' ' * (len(state) >= _STATE_WIDTH)}{name}"]
        if with_tags:
            words += [f"{key}={value}" for key, value in job.tags.items()]
        yield safe(" ".join(words))


COLUMNS: dict[str, Callable[[CurrentJob], object]] = {
    "state": lambda job: job.state + ("" if job.facts.certain else "?"),
    "id": lambda job: job.facts.id,
    "path": lambda job: job.facts.path,
    "reason": lambda job: job.reason or (job.row and job.row.reason),
    "experiments": lambda job: ",".join(job.experiments),
    "tags": lambda job: " ".join(f"{key}={value}" for key, value in job.tags.items()),
    "submitted": lambda job: moment(job.submitted),
    "started": lambda job: moment(job.started),
    "ended": lambda job: moment(job.ended),
    "launcher": lambda job: launcher(job),
    "slurm": lambda job: job.row and job.row.id,
    "slurm_state": lambda job: job.row and job.row.state,
    "queue": lambda job: job.row and job.row.queue,
    "starts": lambda job: job.row and moment(job.row.starts),
    "ends": lambda job: job.row and moment(job.row.ends),
    "nodes": lambda job: job.row and job.row.nodes,
    "warning": lambda job: job.row and job.row.warning,
}
"""What can be listed of jobs, by the names of its columns."""


def column_lines(jobs: Iterable[CurrentJob], names: Sequence[str]) -> Iterator[str]:
    """Yield a row for each job, with these columns."""
    yield from table(
        tuple("-" if (value := COLUMNS[name](job)) in (None, "") else str(value) for name in names)
        for job in jobs
    )


def warning_lines(jobs: Iterable[CurrentJob]) -> Iterator[str]:
    """Yield a line for each job whose files and scheduler contradict each other."""
    for job in jobs:
        if job.row is not None and job.row.warning:
            yield safe(f"{job.facts.id}: {job.row.warning}")


def launcher(job: CurrentJob) -> str | None:
    """Return what launched a job; None where that is not known any more."""
    if job.facts.process is not None:
        return job.facts.process.kind
    return None if job.row is None else "slurm"


def job_document(job: CurrentJob) -> dict[str, Any]:
    """Return a job as a document."""
    facts = job.facts
    return {
        "schema": JOB_SCHEMA,
        "id": str(facts.id),
        "task_id": facts.task_id,
        "job_id": facts.job_id,
        "state": facts.state,
        "scheduler": facts.scheduler_state,
        "reason": facts.failure_reason,
        "certain": facts.certain,
        "message": facts.message,
        "experiments": list(job.experiments),
        "tags": dict(job.tags),
        "progress": [step._asdict() for step in facts.progress],
        "submitted": moment(facts.submitted),
        "started": moment(facts.started),
        "ended": moment(facts.ended),
        "retry_count": facts.retry_count,
        "exit_code": facts.exit_code,
        "path": facts.path,
        "exists": facts.has_directory,
        "link": facts.is_link,
        "launcher": launcher(job),
        "slurm": row_document(facts.row),
    }


def moment(seconds: float | None) -> str | None:
    """Write a time with the offset of the zone that held here then; None when it is unknown."""
    if seconds is None:
        return None
    try:
        return local_time(seconds)
    except (ValueError, OverflowError, OSError):
        return None


ACTION_PLAN_SCHEMA = "xpm-remote/action-plan/1"
ACTION_SCHEMA = "xpm-remote/action/1"
ACTION_DONE = {"kill": "killed", "clean": "cleaned"}


def action_plan_lines(plans: Iterable[ActionPlan]) -> Iterator[str]:
    """Yield a row for each job: what would be done, or why not."""
    yield from table(
        ("keep" if plan.refusal else plan.action, str(plan.job), plan.refusal or plan.what)
        for plan in plans
    )


def action_plan_document(plan: ActionPlan) -> dict[str, Any]:
    """Return the plan for a job as a document."""
    return {
        "schema": ACTION_PLAN_SCHEMA,
        "id": str(plan.job),
        "action": plan.action,
        "status": "keep" if plan.refusal else plan.action,
        "what": plan.what or None,
        "reason": plan.refusal or None,
        "pid": plan.pid,
        "launcher": plan.kind or None,
    }


def action_outcome_line(outcome: ActionOutcome) -> str:
    """Return the outcome of a job as a line."""
    word = ACTION_DONE[outcome.action] if outcome.success else "failed"
    return safe(f"{word} {outcome.job}: {outcome.message}")


def action_outcome_document(outcome: ActionOutcome) -> dict[str, Any]:
    """Return the outcome of a job as a document."""
    return {
        "schema": ACTION_SCHEMA,
        "id": str(outcome.job),
        "action": outcome.action,
        "status": ACTION_DONE[outcome.action] if outcome.success else "failed",
        "message": outcome.message or None,
    }


ARCHIVE_PLAN_SCHEMA = "xpm-remote/archive-plan/1"
ARCHIVE_SCHEMA = "xpm-remote/archive/1"


def archive_plan_lines(plans: Iterable[ArchivePlan]) -> Iterator[str]:
    """Yield a row for each job and folder: the action, and the amount."""
    yield from table(row for plan in plans for row in _archive_rows(plan))


def _archive_rows(plan: ArchivePlan) -> Iterator[tuple[str, ...]]:
    job = str(plan.job)
    if plan.verdict is not ArchiveVerdict.ARCHIVE:
        yield plan.verdict.value, job, "", "", "", plan.reason
        return
    size, files = size_text(plan.size), count_text(plan.files, "file")
    for step in plan.steps:
        yield step.action, job, f"to {step.folder.path}", size, files, step.reason


def _document(
    schema: str, value: ArchivePlan | ArchiveOutcome | RecoveryPlan | RecoveryOutcome
) -> dict[str, Any]:
    wire = to_wire(value)
    return {"schema": schema, "id": wire.pop("job"), **wire}


def archive_plan_document(plan: ArchivePlan) -> dict[str, Any]:
    """Return the plan for a job as a document."""
    return _document(ARCHIVE_PLAN_SCHEMA, plan)


def archive_outcome_lines(outcome: ArchiveOutcome) -> Iterator[str]:
    """Yield the outcome of a job in each folder as a line."""
    job = str(outcome.job)
    if not outcome.folders:
        yield safe(f"{outcome.verdict.value} {job}: {outcome.reason}")
    for each in outcome.folders:
        message = f": {each.message}" if each.message else ""
        yield safe(f"{each.status.value} {job} in {each.folder.path}{message}")


def archive_outcome_document(outcome: ArchiveOutcome) -> dict[str, Any]:
    """Return the outcome of a job as a document."""
    return _document(ARCHIVE_SCHEMA, outcome)


RECOVERY_PLAN_SCHEMA = "xpm-remote/recovery-plan/1"
RECOVERY_SCHEMA = "xpm-remote/recovery/1"
_RECOVERY_WORDS = {RecoveryStatus.RECOVERED: "recover"}


def recovery_plan_lines(plans: Iterable[RecoveryPlan]) -> Iterator[str]:
    """Yield a row for each job: the action, the source, the amount, and notes."""
    yield from table(map(_recovery_row, plans))


def _recovery_row(plan: RecoveryPlan) -> tuple[str, ...]:
    has_copy = plan.source is not None
    remedy = "--incomplete takes it" if plan.status is RecoveryStatus.INCOMPLETE else ""
    return (
        _RECOVERY_WORDS.get(plan.status, plan.status.value),
        str(plan.job),
        _source_text(plan.source),
        size_text(plan.size) if has_copy else "",
        count_text(plan.files, "file") if has_copy else "",
        ("complete" if plan.complete else "without success marker") if has_copy else "",
        "; ".join(filter(None, (plan.reason, remedy, *plan.unavailable))),
    )


def _source_text(folder: Folder | None) -> str:
    return "" if folder is None else f"from {folder.path}"


def recovery_total(plans: Iterable[RecoveryPlan]) -> str:
    """Sum up a plan."""
    wanted = [plan for plan in plans if plan.status is RecoveryStatus.RECOVERED]
    if not wanted:
        return "Nothing is to be recovered."
    size = size_text(sum(plan.size for plan in wanted))
    files = count_text(sum(plan.files for plan in wanted), "file")
    return f"{count_text(len(wanted), 'job')} to recover, {files}, {size}."


def recovery_plan_document(plan: RecoveryPlan) -> dict[str, Any]:
    """Return the plan for a job as a document."""
    status = _RECOVERY_WORDS.get(plan.status, plan.status.value)
    return {**_document(RECOVERY_PLAN_SCHEMA, plan), "status": status}


def recovery_outcome_line(outcome: RecoveryOutcome) -> str:
    """Return the outcome of a job as a line."""
    words = f"{outcome.status.value} {outcome.job}"
    if outcome.status is RecoveryStatus.RECOVERED:
        words += f" {_source_text(outcome.source)} into {outcome.path}"
    notes = "; ".join(filter(None, (outcome.message, *outcome.unavailable)))
    return safe(f"{words}: {notes}" if notes else words)


def recovery_outcome_document(outcome: RecoveryOutcome) -> dict[str, Any]:
    """Return the outcome of a job as a document."""
    return _document(RECOVERY_SCHEMA, outcome)


def unknown_document(text: str, *, is_plan: bool) -> dict[str, Any]:
    """Return a text that means no job, neither in the workspace nor in its folders."""
    schema = RECOVERY_PLAN_SCHEMA if is_plan else RECOVERY_SCHEMA
    status = RecoveryStatus.NOT_FOUND.value
    return {"schema": schema, "id": text, "status": status}
