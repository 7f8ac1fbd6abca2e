"""The job under the cursor, beside the table."""

from __future__ import annotations

from collections.abc import Iterator

from textual.strip import Strip
from textual.widget import Widget

from xpm_remote.escaping import safe
from xpm_remote.ui.screen.line import styled
from xpm_remote.ui.tables.columns import Cell, Look
from xpm_remote.ui.tables.job_page import sample_cells
from xpm_remote.ui.tables.jobs import JobRow, bar, kind, state_cell, took
from xpm_remote.ui.text import local_time, percent, rough_span, span, tag_text

_Line = list[Cell]


class Preview(Widget):
    """What is known of a job without asking its host."""

    DEFAULT_CSS = "Preview { width: 56; height: 1fr; border-left: solid; padding: 0 1; }"

    def __init__(self) -> None:
        super().__init__(id="preview")
        self._lines: list[_Line] = []

    def show(self, row: JobRow | None, look: Look) -> None:
        """Show another job, or none."""
        lines = [] if row is None else list(describe(row, look, self.size.width))
        if lines != self._lines:
            self._lines = lines
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Draw a line."""
        width = self.size.width
        if y >= len(self._lines):
            return Strip.blank(width)
        return Strip(styled(self._lines[y], width, " ")).adjust_cell_length(width)


def describe(row: JobRow, look: Look, width: int) -> Iterator[_Line]:
    """Yield the lines that describe a job."""
    job = row.job
    yield from ([Cell(part, "bold")] for part in _broken(safe(job.key), width))
    state = state_cell(kind(job), look, is_certain=job.certain)
    exit_code = "" if job.exit_code is None else f"exit {job.exit_code}"
    tries = f"try {job.retry_count + 1}" if job.retry_count else ""
    yield [
        state,
        Cell(job.state.value),
        Cell(job.reason or "", "failed"),
        Cell(exit_code),
        Cell(tries),
    ]
    if row.message:
        yield from ([Cell(part, "failed")] for part in _broken(safe(row.message), width))
    yield from _progress(row, look)
    yield []
    for name, value in sorted(job.tags.items()):
        yield [Cell("tag", "dim"), Cell(tag_text(name, value))]
    for experiment in job.experiments:
        yield [Cell("experiment", "dim"), Cell(safe(experiment))]
    yield [Cell("cluster", "dim"), Cell(safe(row.workspace))]
    yield []
    for word in ("submitted", "started", "ended"):
        moment = getattr(job, word)
        if moment is not None:
            ago = rough_span(look.then(row.workspace) - moment.timestamp())
            yield [
                Cell(word, "dim"),
                Cell(local_time(moment.timestamp())[:16]),
                Cell(f"{ago} ago", "dim"),
            ]
    seconds = took(row)
    if seconds is not None:
        yield [Cell("took", "dim"), Cell(span(seconds))]
    yield from ([Cell(part, "dim")] for part in _broken(safe(job.path), width))


def _progress(row: JobRow, look: Look) -> Iterator[_Line]:
    for step in row.job.progress:
        done = f"{bar(step.fraction or 0.0, look)} {percent([step]):>5}"
        yield [Cell(done, "running"), Cell(safe(step.description or ""))]
    if row.samples is not None and row.samples.fractions:
        yield list(sample_cells(row.samples, look.then(row.workspace), look))


def _broken(text: str, width: int) -> Iterator[str]:
    """Yield a long text in parts that fit."""
    step = max(1, width)
    yield from (text[start : start + step] for start in range(0, len(text), step))
