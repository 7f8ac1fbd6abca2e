"""Orphans and plans to remove them, as lines and as JSON documents; described in docs/json.md. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from xpm_remote.escaping import safe
from xpm_remote.ui.text import count_text, size_text, table
from xpm_remote.workspace.outcomes import (
    CleanAction,
    CleanOutcome,
    CleanStatus,
    CleanStep,
    Orphan,
    OrphanReport,
    to_wire,
)

ORPHAN_SCHEMA = "xpm-remote/orphan/1"
CLEANED_SCHEMA = "xpm-remote/cleaned/1"


def orphan_lines(report: OrphanReport) -> Iterator[str]:
    """Yield the orphans, then those that a folder could give back."""
    if not report.orphans:
        yield "No orphan jobs found."
    else:
        yield f"Found {count_text(len(report.orphans), 'orphan job')}{_total(report.orphans)}:"
        yield from table(map(_row, report.orphans), indent=1)
    if report.recoverable:
        count = count_text(len(report.recoverable), "recoverable job")
        yield f"Found {count}{_total(report.recoverable)}, which a folder has too:"
        yield from table(map(_row, report.recoverable), indent=1)


def _row(orphan: Orphan) -> tuple[str, ...]:
    folder = orphan.folder
    return (
        str(orphan.job),
        "" if orphan.size is None else size_text(orphan.size),
        "" if folder is None else f"{folder.mode.value} {folder.path}",
    )


def _total(orphans: Iterable[Orphan]) -> str:
    sizes = [each.size for each in orphans if each.size is not None]
    return f" ({size_text(sum(sizes))})" if sizes else ""


def orphan_documents(report: OrphanReport) -> Iterator[dict[str, Any]]:
    """Yield an object for each job that no run refers to."""
    yield from (_document(each, "orphan") for each in report.orphans)
    yield from (_document(each, "recoverable") for each in report.recoverable)


def _document(orphan: Orphan, kind: str) -> dict[str, Any]:
    return {
        "schema": ORPHAN_SCHEMA,
        "id": str(orphan.job),
        "kind": kind,
        "path": str(orphan.path),
        "link": orphan.is_link,
        "folder": to_wire(orphan.folder) if orphan.folder else None,
        "size": orphan.size,
    }


def clean_lines(steps: Iterable[CleanStep]) -> Iterator[str]:
    """Yield a row for each orphan that is kept, and why."""
    yield from table(
        (
            "keep",
            str(step.orphan.job),
            "" if step.orphan.size is None else size_text(step.orphan.size),
            step.reason,
        )
        for step in steps
        if step.action is CleanAction.KEEP
    )


def cleaned_line(outcome: CleanOutcome) -> str:
    """Return the outcome of an orphan as a line."""
    message = f": {outcome.message}" if outcome.message else ""
    return safe(f"{outcome.status.value} {outcome.job}{message}")


def cleaned_document(outcome: CleanOutcome) -> dict[str, Any]:
    """Return the outcome of an orphan as a document."""
    return {
        "schema": CLEANED_SCHEMA,
        "id": str(outcome.job),
        "status": outcome.status.value,
        "message": outcome.message or None,
    }


def question(steps: Iterable[CleanStep]) -> str:
    """Return the question before a plan is carried out; empty when it does nothing."""
    actions = [step.action for step in steps]
    removed = actions.count(CleanAction.REMOVE)
    unlinked = actions.count(CleanAction.UNLINK)
    parts = [f"Delete {count_text(removed, 'job')} for good"] if removed else []
    if unlinked:
        links = count_text(unlinked, "link")
        parts.append(f"remove {links} of moved jobs" if parts else f"Remove {links} of moved jobs")
    if swept := actions.count(CleanAction.SWEEP):
        verb = "sweep" if parts else "Sweep"
        parts.append(f"{verb} what interrupted commands left of {count_text(swept, 'job')}")
    return f"{' and '.join(parts)}?" if parts else ""


def is_bad(outcome: CleanOutcome) -> bool:
    """Whether an orphan could not be removed."""
    return outcome.status is CleanStatus.FAILED
