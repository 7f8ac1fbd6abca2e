"""The lines of the line mode: each says one thing in words, and may lead somewhere. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from xpm_remote.escaping import safe
from xpm_remote.model.causes import Cause
from xpm_remote.session.state import Picture
from xpm_remote.ui.tables.columns import Cell, Look
from xpm_remote.ui.tables.experiments import FLEET_ORDER, FleetRow, fleet_rows
from xpm_remote.ui.tables.failures import jobs_of
from xpm_remote.ui.tables.job_page import PageLine
from xpm_remote.ui.tables.jobs import COLUMNS, JobKey, JobRow, brief_key, kind
from xpm_remote.ui.tables.links import is_stale, link_cells
from xpm_remote.ui.tables.table import Line, Table
from xpm_remote.ui.text import count_text, rough_span, tag_text
from xpm_remote.workspace.inspecting.answers import LogMatch

WIDTH = 10_000
"""Columns for which pages are made: a line ends where its text does, and the terminal breaks it."""

_LEFT_OUT = ("state", "job", "progress", "tags")
"""Columns whose cells are said otherwise."""


class Entry(NamedTuple):
    """A line, and where it leads.

    Attributes:
        text: What it says.
        jobs: The jobs that it is about, for actions.
        workspace: The workspace whose jobs it leads to.
        experiment: The experiment of it.
        offset: The place in the log.
        job: The job whose page it leads to.
        log: The log of a job that it leads to instead.
    """

    text: str
    jobs: Sequence[JobKey] = ()
    workspace: str = ""
    experiment: str = ""
    offset: int | None = None
    job: JobKey | None = None
    log: str = ""

    @property
    def is_numbered(self) -> bool:
        """Whether it leads somewhere."""
        is_place = self.offset is not None or bool(self.workspace)
        return is_place or bool(self.jobs) or self.job is not None


def said(cells: Iterable[Cell]) -> str:
    """Return cells as words with commas between them."""
    return ", ".join(text for cell in cells if (text := cell.text.strip()))


def fleet_entries(pictures: Mapping[str, Picture], now: float) -> Iterator[Entry]:
    """Yield the workspaces, each with its experiments."""
    for place, (name, picture) in enumerate(pictures.items()):
        link = said(link_cells(picture, now, is_ascii=True, retry="retry"))
        rows = sorted(fleet_rows(name, place, picture), key=FLEET_ORDER.rank)
        where = safe(f"{picture.host}:{picture.workspace}")
        yield Entry(f"workspace {safe(name)}: {link}, {where}", workspace=name)
        for row in rows[1:]:
            yield _experiment_entry(row, is_certain=not is_stale(picture))


def _experiment_entry(row: FleetRow, *, is_certain: bool) -> Entry:
    experiment, counts = row.experiment, row.counts
    assert experiment is not None  # noqa: S101 - the first row alone has none
    name = experiment.experiment_id
    doubt = "" if is_certain and experiment.certain else " perhaps"
    words = [f"experiment {safe(name)} on {safe(row.workspace)}: {safe(experiment.status)}{doubt}"]
    words.append(f"{counts.done:,} of {counts.total:,} done")
    for word in ("running", "waiting", "failed", "idle"):
        number = getattr(counts, word)
        words += [f"{number:,} {word}"] if number else []
    return Entry(", ".join(words), workspace=row.workspace, experiment=name)


def job_entry(row: JobRow, look: Look) -> Entry:
    """Return the line of a job: its state, name, what it does or why it failed, and the rest."""
    job = row.job
    doubt = "" if job.certain and row.workspace not in look.stale else " perhaps"
    words = [Cell(f"{kind(job)}{doubt}"), Cell(brief_key(job))]
    if job.progress and kind(job) == "running":
        words.append(Cell(f"{job.progress[0].fraction or 0.0:.0%}".replace("%", " %")))
    cells = {c.name: c.cell(row, look) for c in COLUMNS if c.name not in _LEFT_OUT}
    for name, word in (("eta", "left"), ("time", "took"), ("age", "ago")):
        text = cells[name].text
        cells[name] = Cell(f"{word} {text}" if name == "time" else f"{text} {word}" if text else "")
        if not text:
            cells[name] = Cell("")
    tags = " ".join(tag_text(n, job.tags[n]) for n in sorted(job.tags))
    return Entry(
        said([*words, cells.pop("what"), Cell(tags), *cells.values()]), [row.key], job=row.key
    )


def table_entry(table: Table[JobKey, JobRow], line: Line[JobKey], look: Look) -> Entry:
    """Return the line of a table of jobs."""
    if line.key is not None:
        return job_entry(table.rows[line.key], look)
    tally = table.group(line.group).tally
    counts = ", ".join(f"{number:,} {word}" for word, number in sorted(tally.items()) if number)
    keys = list(table.shown_keys(line.group))
    return Entry(f"group {line.group[1] or 'none'}: {counts}", keys)


def cause_entry(cause: Cause, *, new: int, is_muted: bool, now: float) -> Entry:
    """Return the line of a cause of failures."""
    keys = [(each.workspace, str(each.job)) for each in jobs_of(cause)]
    words = [f"{count_text(cause.total, 'job')}: {safe(cause.title)}"]
    words += [f"at {safe(cause.where)}"] if cause.where else []
    words += [f"on {safe(', '.join(cause.workspaces))}"]
    words += [f"{new:,} new"] if new else []
    words += [f"last {rough_span(now - cause.last)} ago"] if cause.last is not None else []
    words += ["muted"] if is_muted else []
    return Entry(", ".join(words), keys)


def page_entry(key: JobKey, line: PageLine) -> Entry:
    """Return a line of a job's page; those of other jobs and of the log lead there."""
    text = " ".join(line.text.split())
    if line.job:
        other = (key[0], line.job)
        return Entry(text, [other], job=other)
    return Entry(text, job=key if line.log else None, log=line.log)


def match_entry(match: LogMatch) -> Entry:
    """Return a line of a log that matches; it leads to its place."""
    return Entry(safe(match.text), offset=match.line)


def numbers(words: Sequence[str], most: int) -> list[int]:
    """Return the numbers that words such as ``3`` and ``5-9`` mean.

    Raises:
        ValueError: One is no such word, or beyond the last number.
    """
    found: list[int] = []
    for word in words:
        first, _, last = word.partition("-")
        start, end = _number(first, most), _number(last or first, most)
        found += range(start, end + 1)
    return list(dict.fromkeys(found))


def _number(word: str, most: int) -> int:
    if not (word.isascii() and word.isdecimal()) or not 1 <= int(word[:9]) <= most:
        what = f"there is no line {safe(word)}"
        raise ValueError(
            f"{what}; lines 1 to {most:,} were listed" if most else f"{what}: list some first"
        )
    return int(word)
