"""What happened: changes in all clusters, and what was done from here, the latest first."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from xpm_remote.escaping import safe
from xpm_remote.model.entities import JobChange
from xpm_remote.ui.screen.keys import ACTIVITY
from xpm_remote.ui.screen.paged import Paged
from xpm_remote.ui.tables.columns import Cell
from xpm_remote.ui.tables.jobs import JobKey, brief_key, kind, state_cell
from xpm_remote.ui.text import local_time, tag_text

SHOWN = 1_000
"""Changes that are shown."""


class ActivityScreen(Paged):
    """What happened."""

    place = ACTIVITY

    def __init__(self) -> None:
        super().__init__()
        self._jobs: list[JobKey | None] = []

    def crumbs(self) -> tuple[list[Cell], list[Cell]]:
        """Name the screen."""
        words = "nothing has happened since the dashboard began" if not self._jobs else ""
        return [Cell("activity", "bold"), Cell(words)], [Cell("the latest first", "dim")]

    def paint(self) -> None:
        """Draw what happened."""
        found = sorted(self._lines(), key=lambda each: -each[0])
        self._jobs = [key for _, _, key in found]
        self.view.show([cells for _, cells, _ in found])
        self.paint_frame()

    def _lines(self) -> Iterator[tuple[float, list[Cell], JobKey | None]]:
        look = self.dashboard.look()
        for at, name, text, is_done in self.dashboard.acts:
            style = "done" if is_done else "failed"
            yield at, [_time(at), Cell(safe(name), "dim"), Cell(f"you: {text}", style)], None
        for entry in islice(reversed(self.dashboard.triage.entries), SHOWN):
            name, change = entry.workspace, entry.change
            cells = [_time(entry.at), Cell(safe(name), "dim")]
            if not isinstance(change, JobChange):
                now = change.after.status if change.after is not None else "gone"
                yield entry.at, [*cells, Cell(f"experiment {safe(change.key)}: {safe(now)}")], None
            elif change.after is not None:
                job = change.after
                state = state_cell(kind(job), look, is_certain=job.certain)
                tags = " ".join(tag_text(n, v) for n, v in sorted(job.tags.items()))
                words = [
                    state,
                    Cell(brief_key(job)),
                    Cell(safe(job.reason or ""), "failed"),
                    Cell(tags, "dim"),
                ]
                yield entry.at, [*cells, *words], (name, job.key)

    # Keys

    def action_enter(self) -> None:
        """Go to the job of the line under the cursor."""
        key = self._jobs[self.view.at] if self.view.at < len(self._jobs) else None
        if key is not None:
            self.dashboard.show_job(key)

    def on_page_view_open(self) -> None:
        """Go in, as Enter does."""
        self.action_enter()


def _time(at: float) -> Cell:
    return Cell(f" {local_time(at)[11:19]}", "dim")
