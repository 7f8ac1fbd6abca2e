"""Plans, outcomes and commands of actions."""

from __future__ import annotations

from pathlib import Path

from xpm_remote.ui.tables.acts import Planned, command_line, outcome_lines, plan_lines
from xpm_remote.workspace.layout import Folder, FolderMode, JobId
from xpm_remote.workspace.outcomes import (
    ActionOutcome,
    ActionPlan,
    ArchiveOutcome,
    ArchivePlan,
    ArchiveStep,
    ArchiveVerdict,
    RecoveryOutcome,
    RecoveryPlan,
    RecoveryStatus,
)

JOB, OTHER = JobId("a.b", "cc"), JobId("a.b", "dd")
FOLDER = Folder(Path("/old"), FolderMode.MOVE)


def test_plans() -> None:
    """What is refused comes last, with the reason, and is not to be done."""
    planned = Planned(
        "jz",
        [
            ActionPlan(JOB, "kill", refusal="it has ended"),
            ActionPlan(OTHER, "kill", what="process 12"),
            ArchivePlan(JOB, ArchiveVerdict.ARCHIVE, steps=(ArchiveStep(FOLDER, "move"),)),
            ArchivePlan(JOB, ArchiveVerdict.UNFINISHED, "it runs"),
            RecoveryPlan(JOB, RecoveryStatus.THERE),
        ],
    )
    assert len(planned.to_do) == 2
    assert [is_to_do for _, is_to_do in plan_lines(planned)] == [True, True, False, False, False]
    assert plan_lines(planned)[0][0].split() == ["kill", "a.b/dd", "process", "12"]
    assert plan_lines(planned)[2][0].split() == ["keep", "a.b/cc", "it", "has", "ended"]


def test_outcomes() -> None:
    """Each outcome is a line, a success or none."""
    assert outcome_lines(ActionOutcome(JOB, "kill", True, "gone")) == [
        ("killed a.b/cc: gone", True)
    ]
    archived = ArchiveOutcome(JOB, ArchiveVerdict.UNFINISHED, "it runs")
    assert outcome_lines(archived) == [("unfinished a.b/cc: it runs", False)]
    recovered = RecoveryOutcome(JOB, RecoveryStatus.NOT_FOUND, Path("/ws"))
    assert outcome_lines(recovered) == [("not-found a.b/cc", False)]


def test_commands() -> None:
    """The command that does the same names the workspace, or its directory."""
    assert (
        command_line("kill", ["a/b"], workspace="jz")
        == "xpm-remote jobs --workspace jz kill a/b --perform"
    )
    assert (
        command_line("archive", ["a/b"], workdir="/x y")
        == "xpm-remote jobs --workdir '/x y' archive a/b"
    )
