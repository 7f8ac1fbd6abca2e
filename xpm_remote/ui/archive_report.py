"""What archiving jobs plans to do, and what came of it, as lines and as JSON documents; docs/json.md. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from xpm_remote.escaping import safe
from xpm_remote.ui.tables import count_text, size_text, table
from xpm_remote.workspace.folders.outcomes import ArchiveOutcome, ArchivePlan, ArchiveVerdict

PLAN_SCHEMA = "xpm-remote/archive-plan/1"
OUTCOME_SCHEMA = "xpm-remote/archive/1"


def plan_lines(plans: Iterable[ArchivePlan]) -> Iterator[str]:
    """Give a row for each job and folder: what is to be done, and how much it is."""
    yield from table(row for plan in plans for row in _plan_rows(plan))


def _plan_rows(plan: ArchivePlan) -> Iterator[tuple[str, ...]]:
    job = str(plan.job)
    if plan.verdict is not ArchiveVerdict.ARCHIVE:
        yield plan.verdict.value, job, "", "", "", plan.reason
        return
    size, files = size_text(plan.size), count_text(plan.files, "file")
    for step in plan.steps:
        yield step.action, job, f"to {step.folder.path}", size, files, step.reason


def plan_document(plan: ArchivePlan) -> dict[str, Any]:
    """Give what is to be done with a job."""
    wire = plan.to_wire()
    return {"schema": PLAN_SCHEMA, "id": wire.pop("job"), **wire}


def outcome_lines(outcome: ArchiveOutcome) -> Iterator[str]:
    """Say what came of a job in each folder."""
    job = str(outcome.job)
    if not outcome.folders:
        yield safe(f"{outcome.verdict.value} {job}: {outcome.reason}")
    for each in outcome.folders:
        message = f": {each.message}" if each.message else ""
        yield safe(f"{each.status.value} {job} in {each.folder.path}{message}")


def outcome_document(outcome: ArchiveOutcome) -> dict[str, Any]:
    """Give what came of a job."""
    wire = outcome.to_wire()
    return {"schema": OUTCOME_SCHEMA, "id": wire.pop("job"), **wire}
