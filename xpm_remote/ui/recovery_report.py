"""What the recovery of jobs plans to do, and what came of it, as lines and as JSON documents; docs/json.md. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from xpm_remote.escaping import safe
from xpm_remote.ui.tables import count_text, size_text, table
from xpm_remote.workspace.folders.folder import Folder
from xpm_remote.workspace.folders.outcomes import RecoveryOutcome, RecoveryPlan, RecoveryStatus

PLAN_SCHEMA = "xpm-remote/recovery-plan/1"
OUTCOME_SCHEMA = "xpm-remote/recovery/1"

_PLANNED = {RecoveryStatus.RECOVERED: "recover"}


def plan_lines(plans: Iterable[RecoveryPlan]) -> Iterator[str]:
    """Give a row for each job: what is to be done, from where, how much it is, and what to know of it."""
    yield from table(map(_plan_row, plans))


def _plan_row(plan: RecoveryPlan) -> tuple[str, ...]:
    has_copy = plan.source is not None
    return (
        _PLANNED.get(plan.status, plan.status.value),
        str(plan.job),
        _place(plan.source),
        size_text(plan.size) if has_copy else "",
        count_text(plan.files, "file") if has_copy else "",
        _completeness(plan) if has_copy else "",
        "; ".join(filter(None, (plan.reason, _remedy(plan), *plan.unavailable))),
    )


def _remedy(plan: RecoveryPlan) -> str:
    return "--incomplete takes it" if plan.status is RecoveryStatus.INCOMPLETE else ""


def _completeness(plan: RecoveryPlan) -> str:
    return "complete" if plan.complete else "without success marker"


def _place(folder: Folder | None) -> str:
    return "" if folder is None else f"from {folder.path}"


def plan_total(plans: Iterable[RecoveryPlan]) -> str:
    """Sum up a plan."""
    wanted = [plan for plan in plans if plan.status is RecoveryStatus.RECOVERED]
    if not wanted:
        return "Nothing is to be recovered."
    size = size_text(sum(plan.size for plan in wanted))
    files = count_text(sum(plan.files for plan in wanted), "file")
    return f"{count_text(len(wanted), 'job')} to recover, {files}, {size}."


def plan_document(plan: RecoveryPlan) -> dict[str, Any]:
    """Give what is to be done about a job."""
    wire = plan.to_wire()
    return {
        "schema": PLAN_SCHEMA,
        "id": wire.pop("job"),
        **wire,
        "status": _PLANNED.get(plan.status, plan.status.value),
    }


def outcome_line(outcome: RecoveryOutcome) -> str:
    """Say what came of a job."""
    words = f"{outcome.status.value} {outcome.job}"
    if outcome.status is RecoveryStatus.RECOVERED:
        words += f" {_place(outcome.source)} into {outcome.path}"
    notes = "; ".join(filter(None, (outcome.message, *outcome.unavailable)))
    return safe(f"{words}: {notes}" if notes else words)


def outcome_document(outcome: RecoveryOutcome) -> dict[str, Any]:
    """Give what came of a job."""
    wire = outcome.to_wire()
    return {"schema": OUTCOME_SCHEMA, "id": wire.pop("job"), **wire}


def unknown_document(text: str, *, is_plan: bool) -> dict[str, Any]:
    """Give a text that means no job, neither in the workspace nor in its folders."""
    schema = PLAN_SCHEMA if is_plan else OUTCOME_SCHEMA
    status = RecoveryStatus.NOT_FOUND.value
    return {"schema": schema, "id": text, "status": status}
