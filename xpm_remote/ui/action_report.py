"""What killing and cleaning jobs would do, and what came of it, as lines and as JSON documents; docs/json.md. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from xpm_remote.escaping import safe
from xpm_remote.ui.tables import table
from xpm_remote.workspace.agent.outcomes import ActionOutcome, ActionPlan

PLAN_SCHEMA = "xpm-remote/action-plan/1"
OUTCOME_SCHEMA = "xpm-remote/action/1"


def plan_lines(plans: Iterable[ActionPlan]) -> Iterator[str]:
    """Give a row for each job: what would be done, or why not."""
    yield from table(
        ("keep" if plan.refusal else plan.action, str(plan.job), plan.refusal or plan.what)
        for plan in plans
    )


def plan_document(plan: ActionPlan) -> dict[str, Any]:
    """Give what would be done to a job."""
    return {
        "schema": PLAN_SCHEMA,
        "id": str(plan.job),
        "action": plan.action,
        "status": "keep" if plan.refusal else plan.action,
        "what": plan.what or None,
        "reason": plan.refusal or None,
        "pid": plan.pid,
        "launcher": plan.kind or None,
    }


def outcome_line(outcome: ActionOutcome) -> str:
    """Say what came of a job."""
    word = _DONE[outcome.action] if outcome.success else "failed"
    return safe(f"{word} {outcome.job}: {outcome.message}")


_DONE = {"kill": "killed", "clean": "cleaned"}


def outcome_document(outcome: ActionOutcome) -> dict[str, Any]:
    """Give what came of a job."""
    return {
        "schema": OUTCOME_SCHEMA,
        "id": str(outcome.job),
        "action": outcome.action,
        "status": _DONE[outcome.action] if outcome.success else "failed",
        "message": outcome.message or None,
    }
