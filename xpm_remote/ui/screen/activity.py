"""What happened: what has not been seen, changes in all clusters, and what was done from here, the latest first."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice

from xpm_remote.escaping import safe
from xpm_remote.model.entities import JobChange
from xpm_remote.ui.screen.keys import ACTIVITY
from xpm_remote.ui.screen.paged import Paged
from xpm_remote.ui.tables.columns import Cell
from xpm_remote.ui.tables.digests import DigestLine, digest_lines
from xpm_remote.ui.tables.jobs import brief_key, kind, state_cell
from xpm_remote.ui.text import local_time, tag_text

SHOWN = 1_000
"""Changes that are shown."""


class ActivityScreen(Paged):
    """What happened."""

    place = ACTIVITY

    def __init__(self) -> None:
        super().__init__()
        self._targets: list[DigestLine] = []

    def crumbs(self) -> tuple[list[Cell], list[Cell]]:
        """Name the screen."""
        words = "nothing has happened since the dashboard began" if not self._targets else ""
        return [Cell("activity", "bold"), Cell(words)], [Cell("the latest first", "dim")]

    def paint(self) -> None:
        """Draw what happened."""
        digests = self.dashboard.triage.digests(self.dashboard.pictures)
        lines = list(digest_lines(digests, time.time()))
        if lines:
            head = DigestLine([Cell(" SINCE YOU LAST LOOKED", "bold")], "")
            lines = [head, *lines, DigestLine([], "")]
        found = sorted(self._lines(), key=lambda each: -each[0])
        self._targets = [*lines, *(line for _, line in found)]
        self.view.show([line.cells for line in self._targets])
        self.paint_frame()

    def _lines(self) -> Iterator[tuple[float, DigestLine]]:
        look = self.dashboard.look()
        for at, name, text, is_done in self.dashboard.acts:
            style = "done" if is_done else "failed"
            words = [_time(at), Cell(safe(name), "dim"), Cell(f"you: {text}", style)]
            yield at, DigestLine(words, name)
        for entry in islice(reversed(self.dashboard.triage.entries), SHOWN):
            name, change = entry.workspace, entry.change
            cells = [_time(entry.at), Cell(safe(name), "dim")]
            if not isinstance(change, JobChange):
                now = change.after.status if change.after is not None else "gone"
                cells.append(Cell(f"experiment {safe(change.key)}: {safe(now)}"))
                yield entry.at, DigestLine(cells, name, change.key)
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
                yield entry.at, DigestLine([*cells, *words], name, job=job.key)

    # Keys

    def action_enter(self) -> None:
        """Go to the job of the line under the cursor, or to the jobs of its experiment."""
        line = self._targets[self.view.at] if self.view.at < len(self._targets) else None
        if line is not None and line.job:
            self.dashboard.show_job((line.workspace, line.job))
        elif line is not None and line.experiment:
            self.dashboard.show_jobs(line.workspace, line.experiment)

    def on_page_view_open(self) -> None:
        """Go in, as Enter does."""
        self.action_enter()


def _time(at: float) -> Cell:
    return Cell(f" {local_time(at)[11:19]}", "dim")
