"""What can be done with jobs: plans and outcomes as lines, and the command that does the same. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from xpm_remote.ui.reports.jobs import (
    action_outcome_line,
    action_plan_lines,
    archive_outcome_lines,
    archive_plan_lines,
    recovery_outcome_line,
    recovery_plan_lines,
)
from xpm_remote.workspace.outcomes import (
    ActionOutcome,
    ActionPlan,
    ArchiveOutcome,
    ArchivePlan,
    ArchiveVerdict,
    RecoveryOutcome,
    RecoveryPlan,
)

KILL, CLEAN, ARCHIVE, RECOVER = "kill", "clean", "archive", "recover"

LETTERS = {"k": KILL, "c": CLEAN, "a": ARCHIVE, "r": RECOVER}
"""The key of each action."""

MANY = 20
"""Jobs above which the number has to be typed: no slip of a finger does that."""

Plan = ActionPlan | ArchivePlan | RecoveryPlan
Outcome = ActionOutcome | ArchiveOutcome | RecoveryOutcome


@dataclass(frozen=True)
class Planned:
    """What is planned in one workspace.

    Attributes:
        workspace: Its name.
        plans: The plan for each job.
        trouble: Why it could not be planned.
    """

    workspace: str
    plans: Sequence[Plan] = ()
    trouble: str = ""

    @property
    def to_do(self) -> list[Any]:
        """The plans that are not refused."""
        return [plan for plan in self.plans if is_to_do(plan)]


def is_to_do(plan: Plan) -> bool:
    """Return whether there is something to do for a job."""
    if isinstance(plan, ActionPlan):
        return not plan.refusal
    if isinstance(plan, ArchivePlan):
        return plan.verdict is ArchiveVerdict.ARCHIVE
    return plan.status.is_to_do


def plan_lines(planned: Planned) -> list[tuple[str, bool]]:
    """Return a line for each plan, and whether there is something to do by it; what is refused comes last."""
    plans = sorted(planned.plans, key=lambda plan: not is_to_do(plan))
    lines: list[tuple[str, bool]] = []
    for plan in plans:
        if isinstance(plan, ActionPlan):
            found = action_plan_lines([plan])
        elif isinstance(plan, ArchivePlan):
            found = archive_plan_lines([plan])
        else:
            found = recovery_plan_lines([plan])
        lines += [(line, is_to_do(plan)) for line in found]
    return lines


def outcome_lines(outcome: Outcome) -> list[tuple[str, bool]]:
    """Return the lines of an outcome, each with whether it is a success."""
    if isinstance(outcome, ActionOutcome):
        return [(action_outcome_line(outcome), outcome.success)]
    if isinstance(outcome, ArchiveOutcome):
        return [(line, outcome.is_archived) for line in archive_outcome_lines(outcome)]
    return [(recovery_outcome_line(outcome), outcome.status.is_there)]


def command_line(
    action: str, jobs: Iterable[str], *, workspace: str = "", workdir: str = ""
) -> str:
    """Return the command that does the same.

    Args:
        action: The action.
        jobs: The keys of the jobs.
        workspace: The id of the workspace in the settings; empty where it has none.
        workdir: Its directory instead.
    """
    where = ["--workspace", workspace] if workspace else ["--workdir", workdir]
    perform = ["--perform"] if action in (KILL, CLEAN) else []
    return shlex.join(["xpm-remote", "jobs", *where, action, *jobs, *perform])
