"""State, a moment and a size, made into a Rich picture. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from xpm_remote.escaping import safe
from xpm_remote.model.entities import Counts, Experiment, Job
from xpm_remote.model.indexes import JobGroup
from xpm_remote.session.state import LinkState, Phase, Picture, Stall
from xpm_remote.settings.schema import Backend
from xpm_remote.ui.tables.slurm import WAITS_LIMIT
from xpm_remote.ui.text import (
    activity,
    ago,
    count_text,
    digest_words,
    elapsed,
    percent,
    short_key,
    span,
    stall_words,
    tags,
    unread_words,
)
from xpm_remote.ui.waits import waiting_text
from xpm_remote.workspace.reading.runs import RUN_UNREADABLE
from xpm_remote.workspace.states import IDLE, PENDING, State

BAR_WIDTH = 16
NARROW = 70
"""Columns below which the less important cells are left out."""

WIDE = 100
"""Columns from which a job's bar has its full width."""

DIGEST_SHOWN = 60.0
"""Seconds for which the picture says what had happened while the link was lost, or what serving may do."""

PLAIN_FROM = 1_000
"""Rows from which a section is lines and no table of Rich, which takes 0.2 ms a row: only a file has so much room."""

_TITLE_LINES = 2  # a blank one, and the title
_HEAD_LINES = 3  # where we look, the counts, and what is wrong

_PHASE_STYLE = {
    Phase.CONNECTING: "yellow",
    Phase.LOADING: "yellow",
    Phase.LIVE: "green",
    Phase.WAITING: "red",
    Phase.NEEDS_PERSON: "bold red",
    Phase.ENDED: "red",
}

_RETRY_KEY = {Phase.NEEDS_PERSON: "log in", Phase.WAITING: "try now"}


_Cell = Text | ProgressBar


@dataclass(frozen=True)
class _Section:
    """One part of the picture: its title, how many rows it would have, and those that may fit."""

    title: str
    style: str
    total: int
    rows: Sequence[Sequence[_Cell]]
    flexible: int  # the column that takes the room that is left


def dashboards(
    pictures: Mapping[str, Picture], now: float, width: int, height: int, *, has_keys: bool = False
) -> RenderableType:
    """Draw the pictures of several workspaces, by their names, one below the other with equal shares of the lines."""
    if len(pictures) == 1:
        (picture,) = pictures.values()
        return dashboard(picture, now, width, height, has_keys=has_keys)
    phases = {each.link.phase for each in pictures.values()}
    urgent = next((phase for phase in _RETRY_KEY if phase in phases), None)
    below = [footer(urgent)] if has_keys and height > _HEAD_LINES else []
    shares = share(height - len(below), [height] * len(pictures))
    parts = [
        dashboard(picture, now, width, lines, title=name)
        for (name, picture), lines in zip(pictures.items(), shares, strict=True)
        if lines
    ]
    return Group(*parts, *below)


def dashboard(
    picture: Picture,
    now: float,
    width: int,
    height: int,
    *,
    has_keys: bool = False,
    title: str = "",
) -> RenderableType:
    """Draw the whole picture.

    Args:
        picture: What is to be seen.
        now: The local time in epoch seconds.
        width: Columns of the terminal.
        height: Lines that may be used; what does not fit is left out and counted.
        has_keys: Whether keys can be pressed, so that they are listed.
        title: The name of the workspace, among several.
    """
    below = [footer(picture.link.phase)] if has_keys and height > _HEAD_LINES else []
    height -= len(below)
    narrow = width < NARROW
    remote_now = now + picture.skew
    sections = [
        section
        for section in (
            _experiments(picture, remote_now, height, narrow=narrow),
            _running(
                picture, remote_now, height, bar=BAR_WIDTH if width >= WIDE else BAR_WIDTH // 2
            ),
            _failed(picture, remote_now, height, narrow=narrow),
            _waiting(picture, remote_now, height),
        )
        if section.rows
    ]
    parts: list[RenderableType] = [
        header(picture, now, width, title),
        totals(picture),
        *link_notice(picture, now),
        *unread_notice(picture, now),
    ]
    parts = parts[: max(1, height)]
    room = height - len(parts)
    # Rather some of the sections than the titles of all.
    sections = sections[: room // (_TITLE_LINES + 1)]
    lines = room - _TITLE_LINES * len(sections)
    shares = share(lines, [len(section.rows) for section in sections])
    for section, rows in zip(sections, shares, strict=True):
        parts += _drawn(section, rows)
    return Group(*parts, *below)


def share(lines: int, wanted: Sequence[int]) -> list[int]:
    """Divide lines fairly: who wants little gets it, the others split the rest; one more for the first of them."""
    given = [0] * len(wanted)
    hungry = [index for index, want in enumerate(wanted) if want > 0]
    while lines > 0 and hungry:
        each = max(1, lines // len(hungry))
        for index in hungry:
            portion = min(each, wanted[index] - given[index], lines)
            given[index] += portion
            lines -= portion
        hungry = [index for index in hungry if given[index] < wanted[index]]
    return given


def header(picture: Picture, now: float, width: int, title: str = "") -> RenderableType:
    """Draw the line that says what is looked at, and how true it is."""
    line = Table.grid(expand=True, padding=(0, 1))
    line.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    line.add_column(justify="right", no_wrap=True)
    name = f"{safe(title)} · " if title else ""
    where = Text(f"{name}{safe(picture.host)}:{safe(picture.workspace)}", style="bold")
    where.append(f" · {picture.served_by.backend.value}", style="dim not bold")
    line.add_row(where, link_text(picture.link, picture.heard, now, picture.stall))
    return line


def link_text(link: LinkState, heard: float | None, now: float, stall: Stall | None = None) -> Text:
    """Return in what state the link is, and how old what is shown."""
    text = Text("● ", style=_PHASE_STYLE[link.phase])
    text.append(link.phase.value)
    if link.retry_at is not None:
        text.append(f", next try in {span(link.retry_at - now)}")
    elif link.phase is not Phase.LIVE:
        text.append(f" {span(now - link.since)}")
    if link.stale_since is not None:
        text.append(f" · stale for {span(now - link.stale_since)}", style="bold yellow")
        return text
    if stall is not None:
        text.append(f" · not read for {span(now - stall.since)}", style="bold yellow")
    elif heard is not None:
        text.append(f" · heard {span(now - heard)} ago", style="dim")
    return text


def link_notice(picture: Picture, now: float) -> list[Text]:
    """Return in a line why the link is lost, what happened while it was, why the other side serves, or what it may do.

    In none when all is well.
    """
    link = picture.link
    if link.phase is Phase.NEEDS_PERSON:
        words, style = f"only a person can answer: {safe(link.asked)}", "bold red"
    elif link.detail:
        waiting = f"{stall_words(picture.stall)} · " if picture.stall is not None else ""
        words, style = f"{waiting}{safe(link.detail)}", "red"
    elif picture.stall is not None:
        words, style = stall_words(picture.stall), "bold yellow"
    elif link.digest is not None and now - link.since < DIGEST_SHOWN:
        words, style = digest_words(link.digest), "bold"
    elif picture.served_by.is_fallback:
        name = "our agent" if picture.served_by.backend is Backend.AGENT else "experimaestro"
        words, style = f"by {name}: {safe(picture.served_by.why)}", "dim"
    elif picture.served_by.warning and now - link.since < DIGEST_SHOWN:
        words, style = safe(picture.served_by.warning), "yellow"
    else:
        return []
    return [Text(words, style=style, no_wrap=True, overflow="ellipsis")]


def unread_notice(picture: Picture, now: float) -> list[Text]:
    """Return in a line what cannot be read, and since when; in none when all can be."""
    files = picture.unreadable.files
    if not files:
        return []
    longest = min(files, key=lambda each: each.since)
    words = unread_words(longest.path, longest.why, len(files) - 1 + picture.unreadable.left_out)
    words += f", for {span(now + picture.skew - longest.since)}; shown as it was before"
    return [Text(words, style="bold yellow", no_wrap=True, overflow="ellipsis")]


def footer(phase: Phase | None) -> Text:
    """Return which keys mean something in the phase of a link."""
    keys = {"q": "quit"}
    if phase in _RETRY_KEY:
        keys["r"] = _RETRY_KEY[phase]
    text = Text(no_wrap=True, overflow="ellipsis", style="dim")
    for key, meaning in keys.items():
        text.append(" · " if text else "")
        text.append(key, style="bold not dim")
        text.append(f" {meaning}")
    return text


def totals(picture: Picture) -> Text:
    """Count everything in one line."""
    store = picture.store
    parts = [
        (store.number_in_state(State.RUNNING), "running", "cyan"),
        (store.number_in_state(*PENDING), "waiting", "yellow"),
        (store.number_in_state(State.ERROR), "failed", "red"),
        (store.number_in_state(State.DONE), "done", "green"),
        (store.number_in_state(*IDLE), "idle", "dim"),
    ]
    if store.number_uncertain:
        parts.append((store.number_uncertain, "uncertain (?)", "magenta"))
    count = len(store.experiments)
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(count_text(count, "experiment"), style="" if count else "dim")
    for number, word, style in parts:
        text.append(" · ", style="dim")
        text.append(f"{number} {word}", style=style if number else "dim")
    return text


def experiment_status(experiment: Experiment, counts: Counts) -> tuple[str, str]:
    """Return a word for an experiment and its style; that of a run whose script ended says nothing of its jobs."""
    if experiment.status == RUN_UNREADABLE:
        return RUN_UNREADABLE, "yellow"
    if experiment.status == "crashed":
        return "crashed", "red"
    is_left = experiment.status == "running" and experiment.ended is not None
    if experiment.status == "detached" or is_left:
        return "detached", "yellow"
    if experiment.status == "running":
        return "running", "cyan"
    if experiment.status == "failed" or counts.failed:
        return "failed", "red"
    if experiment.status == "done":
        return "done", "green"
    return safe(experiment.status) or "unknown", "dim"


def _experiments(picture: Picture, now: float, limit: int, *, narrow: bool) -> _Section:
    store = picture.store
    experiments = store.experiments
    newest = sorted(experiments, key=lambda each: each.run_id, reverse=True)
    ordered = sorted(newest, key=lambda each: each.status != "running")
    rows = []
    for experiment in ordered[:limit]:
        counts = store.counts(experiment.experiment_id)
        word, style = experiment_status(experiment, counts)
        word += _doubt(experiment)
        row: list[_Cell] = [
            Text(word, style=style),
            Text(safe(experiment.experiment_id)),
            _bar(counts),
            Text(f"{counts.done}/{counts.total}"),
            _tally(counts),
        ]
        if not narrow:
            row.append(Text(_age(experiment, now), style="dim"))
        rows.append(row)
    return _Section("Experiments", "bold", len(experiments), rows, flexible=1)


def _age(experiment: Experiment, now: float) -> str:
    if experiment.ended is not None:
        return ago(experiment.ended, now)
    return f"for {elapsed(experiment.started, now)}" if experiment.started else ""


def _bar(counts: Counts) -> ProgressBar:
    return ProgressBar(
        total=max(1, counts.total),
        completed=counts.done + counts.failed,
        width=BAR_WIDTH,
        complete_style="red" if counts.failed else "cyan",
        finished_style="red" if counts.failed else "green",
    )


def _tally(counts: Counts) -> Text:
    text = Text()
    for number, word, style in (
        (counts.running, "running", "cyan"),
        (counts.waiting, "waiting", "yellow"),
        (counts.failed, "failed", "red"),
        (counts.idle, "idle", "dim"),
        (counts.uncertain, "uncertain", "magenta"),
    ):
        if number:
            text.append(" " if text else "")
            text.append(f"{number} {word}", style=style)
    return text


def _running(picture: Picture, now: float, limit: int, *, bar: int) -> _Section:
    store = picture.store
    rows: list[list[_Cell]] = [
        [
            Text(short_key(job) + _doubt(job)),
            _job_bar(job, bar),
            Text(percent(job.progress[:1]).rjust(5)),
            _with_tags(activity(job.progress), job),
            Text(elapsed(job.started, now), style="dim"),
        ]
        for job in store.longest_running(limit)
    ]
    total = store.number_in_state(State.RUNNING)
    return _Section("Running", "bold cyan", total, rows, flexible=3)


def _with_tags(words: str, job: Job) -> Text:
    """Return words, and then the tags of a job: where there is little room, they are what may go."""
    text = Text(words)
    text.append("  " if text else "")
    text.append(tags(job.tags), style="dim")
    return text


def _job_bar(job: Job, width: int) -> _Cell:
    if not job.progress:
        return Text()
    return ProgressBar(total=1.0, completed=job.progress[0].fraction or 0.0, width=width)


def _failed(picture: Picture, now: float, limit: int, *, narrow: bool) -> _Section:
    store = picture.store
    rows = []
    for job in store.latest_failures(limit):
        row: list[_Cell] = [
            Text(short_key(job)),
            Text(safe(job.reason or "FAILED") + _doubt(job), style="red"),
            Text(ago(job.ended, now), style="dim"),
        ]
        if not narrow:
            row.insert(1, _with_tags(safe(picture.messages.get(job.key, "")), job))
            row.append(Text(safe(", ".join(job.experiments))))
        rows.append(row)
    total = store.number_in_state(State.ERROR)
    return _Section("Failed", "bold red", total, rows, flexible=0 if narrow else 1)


def _waiting(picture: Picture, remote_now: float, limit: int) -> _Section:
    groups = {each: n for each, n in picture.store.groups.items() if each.state in PENDING}
    most = heapq.nlargest(limit, groups.items(), key=lambda item: item[1])
    rows: list[list[_Cell]] = [
        [
            Text(str(number).rjust(4)),
            Text(group.state.value + _doubt(group)),
            Text(safe(group.task_id)),
            Text(safe(", ".join(group.experiments)), style="dim"),
        ]
        for group, number in most
    ]
    jobs = islice(picture.store.in_state(*PENDING), WAITS_LIMIT)
    waits = waiting_text((job.row for job in jobs if job.row is not None), remote_now)
    title = f"Waiting  in SLURM: {waits}" if waits else "Waiting"
    return _Section(title, "bold yellow", len(groups), rows, flexible=2)


def _doubt(entity: Job | Experiment | JobGroup) -> str:
    """Return the mark of a state that may be another."""
    return "" if entity.certain else "?"


def _drawn(section: _Section, lines: int) -> Iterable[RenderableType]:
    """Draw a section in so many lines, under a title that says how much is left out."""
    hidden = section.total - lines
    title = Text(section.title, style=section.style, no_wrap=True, overflow="ellipsis")
    if hidden > 0:
        title.append(f"  {hidden} more", style="dim")
    yield Text()
    yield title
    if lines >= PLAIN_FROM:
        yield _Lines(section.rows[:lines], section.flexible)
        return
    table = Table.grid(expand=True, padding=(0, 1))
    for index in range(len(section.rows[0])):
        flexible = index == section.flexible
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1 if flexible else None)
    for row in section.rows[:lines]:
        table.add_row(*row)
    yield table


class _Lines:
    """Many rows without styles, in the same columns as a table of Rich has where they fit.

    Args:
        rows: The cells: texts and bars.
        flexible: The column that takes the room that is left.
    """

    def __init__(self, rows: Sequence[Sequence[_Cell]], flexible: int) -> None:
        self._rows = [[_words(cell) for cell in row] for row in rows]
        self._flexible = flexible

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines."""
        width = options.max_width
        widths = [max(map(cell_len, column)) for column in zip(*self._rows, strict=True)]
        others = sum(widths) - widths[self._flexible] + len(widths) - 1
        widths[self._flexible] = max(1, width - others)
        for row in self._rows:
            cells = (_fitted(cell, room) for cell, room in zip(row, widths, strict=True))
            yield Segment(_fitted(" ".join(cells), width).rstrip())
            yield Segment.line()


def _words(cell: _Cell) -> str:
    if isinstance(cell, Text):
        return cell.plain
    width = cell.width or 0
    halves = int(width * 2 * cell.completed / (cell.total or 1))
    return ("━" * (halves // 2) + "╸" * (halves % 2)).ljust(width)


def _fitted(text: str, width: int) -> str:
    """Return a text in exactly so many columns."""
    if cell_len(text) > width:
        return set_cell_size(text, width - 1) + "…"
    return set_cell_size(text, width)
