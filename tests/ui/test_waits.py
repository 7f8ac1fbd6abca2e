"""What jobs wait for in SLURM, in a line."""

from __future__ import annotations

from xpm_remote.ui.text import local_time
from xpm_remote.ui.waits import waiting_text
from xpm_remote.workspace.rows import Phase, Row

NOW = 1_000_000_000.0


def row(reason: str, starts: float | None = None, phase: Phase = Phase.QUEUED) -> Row:
    """Return what SLURM has of a job."""
    return Row("1", phase, "PENDING", "/ws", reason, starts=starts)


def test_waiting() -> None:
    """Jobs are counted by what they wait for, the most first, with the earliest start that is still to come."""
    later, tomorrow = NOW + 600, NOW + 90_000
    rows = [
        *(row("Priority", each) for each in (NOW + 1200, later, NOW - 5, None)),
        row("(Resources)", tomorrow),
        row("JobHeldUser"),
        row("JobHeldAdmin"),
        row("ReqNodeNotAvail, UnavailableNodes:gone"),
        row("Nodes required for job are DOWN, DRAINED or reserved", 1e300),
        row("", NOW + 1, Phase.RUNNING),
        row("\x1b"),
        row(""),
    ]
    assert waiting_text(rows, NOW) == (
        f"4 Priority, ~{local_time(later)[11:16]} · 2 held · 2 ReqNodeNotAvail: cannot run now, ~?"
        f" · 1 Resources, ~{local_time(tomorrow)[5:10]} · 1 \\x1b · 1 waiting"
    )
    assert waiting_text([], NOW) == ""
