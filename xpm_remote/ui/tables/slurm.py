"""What SLURM has of jobs: of all that wait in a line above their table, and of one on its page. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from xpm_remote.escaping import safe
from xpm_remote.session.state import Picture
from xpm_remote.ui.tables.columns import Cell, Look
from xpm_remote.ui.text import count_text, rough_span
from xpm_remote.ui.waits import clock, wait_word, waiting_text
from xpm_remote.workspace.rows import SLURM, Account, Phase, Row
from xpm_remote.workspace.states import PENDING, State

WAITS_LIMIT = 5_000
"""Jobs of a workspace that are counted: each look is at all of them."""


def waiting_cells(pictures: Mapping[str, Picture], experiment: str, look: Look) -> list[Cell]:
    """Return what jobs wait for, how many contradict their files, and where SLURM does not answer.

    Args:
        pictures: The workspaces, by their names.
        experiment: The experiment whose jobs count; empty for all.
        look: What cells are drawn by.
    """
    cells: list[Cell] = []
    for name, picture in pictures.items():
        rows = list(_rows(picture, experiment, PENDING))
        waits = waiting_text(rows, look.then(name))
        warned = sum(bool(row.warning) for row in rows)
        warned += sum(bool(row.warning) for row in _rows(picture, experiment, (State.RUNNING,)))
        silence = silence_cells(picture, look.then(name))
        found = [
            *silence[:1],
            Cell(f"waiting in SLURM: {waits}" if waits else "", "waiting"),
            Cell(f"! {count_text(warned, 'job')} marked as failed, which SLURM has", "failed")
            if warned
            else Cell(""),
            *silence[1:],
        ]
        if len(pictures) > 1 and any(cell.text for cell in found):
            cells.append(Cell(safe(name), "bold"))
        cells += [cell for cell in found if cell.text]
    return cells


def _rows(picture: Picture, experiment: str, states: Iterable[State]) -> Iterator[Row]:
    for job in islice(picture.store.in_state(*states), WAITS_LIMIT):
        if job.row is not None and (not experiment or experiment in job.experiments):
            yield job.row


def silence_cells(picture: Picture, now: float) -> list[Cell]:
    """Return that SLURM does not answer, and for how long, and then why; nothing where it does."""
    for each in picture.unreadable.files:
        if each.path == SLURM:
            lasted = rough_span(now - each.since)
            return [
                Cell(f"SLURM does not answer ({lasted})", "failed"),
                Cell(safe(each.why), "dim"),
            ]
    return []


def time_left(row: Row | None, now: float) -> float | None:
    """Return the seconds until the time of a job that runs is over; None where there is no limit, or none is known."""
    if row is None or row.phase is not Phase.RUNNING or row.ends is None:
        return None
    return max(0.0, row.ends - now)


def row_words(row: Row, now: float) -> list[str]:
    """Return what SLURM has of a job, a subject a text."""
    left = time_left(row, now)
    starts = row.starts if row.phase is Phase.QUEUED else None
    is_expected = starts is not None and starts > now
    words = [
        f"job {row.id}",
        row.state,
        f"waits for {wait_word(row.reason)}" if row.phase is Phase.QUEUED else "",
        f"start ~{clock(starts, now)}" if starts is not None and is_expected else "",
        f"queue {row.queue}" if row.queue else "",
        f"on {row.nodes}" if row.nodes else "",
        f"{rough_span(left)} left" if left is not None else "",
        f"{row.cpus} cpus" if row.cpus else "",
        row.memory,
        row.gpus,
    ]
    return [safe(word) for word in words if word]


def account_words(account: Account | None) -> list[str]:
    """Return what SLURM's accounting has of a job, or why that is not known."""
    if account is None:
        return []
    words = [safe(f"{name} {value}") for name, value in account.values]
    return [*words, safe(f"not known: {account.why}")] if account.why else words
