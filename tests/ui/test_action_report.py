"""What killing and cleaning plan and do, as lines and documents."""

from __future__ import annotations

from xpm_remote.ui.action_report import (
    outcome_document,
    outcome_line,
    plan_document,
    plan_lines,
)
from xpm_remote.workspace.agent.outcomes import CLEAN, KILL, ActionOutcome, ActionPlan
from xpm_remote.workspace.layout import JobId

JOB = JobId("t.x", "aaaa")


def test_plans() -> None:
    """A plan says what would be done, or why not."""
    do = ActionPlan(JOB, KILL, "end 12", pid=12, kind="local")
    keep = ActionPlan(JOB, CLEAN, refusal="its lock is \x1b held")
    assert list(plan_lines([do, keep])) == [
        "kill  t.x/aaaa  end 12",
        r"keep  t.x/aaaa  its lock is \x1b held",
    ]
    assert plan_document(do) == {
        "schema": "xpm-remote/action-plan/1",
        "id": "t.x/aaaa",
        "action": "kill",
        "status": "kill",
        "what": "end 12",
        "reason": None,
        "pid": 12,
        "launcher": "local",
    }
    assert plan_document(keep)["status"] == "keep"
    assert plan_document(keep)["reason"] == keep.refusal


def test_outcomes() -> None:
    """An outcome says what was done, or why not, escaped for a terminal."""
    done = ActionOutcome(JOB, CLEAN, True, "removed /\x1b")
    assert outcome_line(done) == r"cleaned t.x/aaaa: removed /\x1b"
    assert outcome_line(ActionOutcome(JOB, KILL, False, "no")) == "failed t.x/aaaa: no"
    assert outcome_document(done) == {
        "schema": "xpm-remote/action/1",
        "id": "t.x/aaaa",
        "action": "clean",
        "status": "cleaned",
        "message": "removed /\x1b",
    }
    assert outcome_document(ActionOutcome(JOB, KILL, False, ""))["message"] is None
