"""What jobs wait for in SLURM, in a line. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from xpm_remote.escaping import safe
from xpm_remote.ui.text import local_time
from xpm_remote.workspace.rows import Phase, Row

_A_DAY = 86_400.0


def waiting_text(rows: Iterable[Row], now: float) -> str:
    """Return why jobs wait in SLURM, as ``5 Priority, ~14:20 · 1 held``: how many for what, and the earliest start."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row.phase is Phase.QUEUED:
            known = [row.starts] if row.starts is not None and row.starts > now else []
            found.setdefault(wait_word(row.reason), []).extend([0.0, *known])
    parts = []
    for word, times in sorted(found.items(), key=lambda each: -each[1].count(0.0)):
        starts = min((each for each in times if each), default=None)
        parts.append(f"{times.count(0.0)} {word}" + (f", ~{clock(starts, now)}" if starts else ""))
    return safe(" · ".join(parts))


def wait_word(reason: str) -> str:
    """Return why a job waits: in SLURM's word, or what a person has to do about it."""
    word = reason.partition(" ")[0].strip(",_()") or "waiting"
    if word.startswith("JobHeld"):
        return "held"
    if word.startswith(("ReqNodeNotAvail", "Nodes", "PartitionDown", "PartitionNodeLimit")):
        return f"{'ReqNodeNotAvail' if word == 'Nodes' else word}: cannot run now"
    return word


def clock(seconds: float, now: float) -> str:
    """Return the time of a day, with its date if it is not within the next hours; it is that of this machine."""
    try:
        written = local_time(seconds)
    except (ValueError, OverflowError, OSError):
        return "?"
    return written[11:16] if seconds - now < _A_DAY else written[5:10]
