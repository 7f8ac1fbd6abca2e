"""What is known of one job, as lines; some lead to another job or to a log. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rich.cells import cell_len

from xpm_remote.escaping import safe
from xpm_remote.model.samples import Samples
from xpm_remote.ui.tables.columns import Cell, Look
from xpm_remote.ui.tables.jobs import (
    FAILED,
    IDLE,
    KINDS,
    RUNNING,
    JobRow,
    bar,
    brief_id,
    kind,
    state_cell,
)
from xpm_remote.ui.tables.slurm import account_words, row_words
from xpm_remote.ui.text import left_text, percent, rate_text, rough_span, size_text, span, tag_text
from xpm_remote.workspace.inspecting.answers import Failure, JobDetail, LinkedJob
from xpm_remote.workspace.rows import Account
from xpm_remote.workspace.states import State

_MARGIN = 12
"""Columns of the names at the left."""

_VALUE_MOST = 300
"""Characters of a value."""

_MESSAGE_MOST = 6
"""Lines of a message; the log has the rest."""

_LINKS_MOST = 50
"""Dependencies that are shown of each kind."""

_STEPS = "▁▂▃▄▅▆▇█"
_STEPS_ASCII = "_.-=+*#@"


Node = tuple[str, ...]
"""A place in the tree of dependencies: ``NEEDS`` or ``NEEDED_BY``, and the keys of the jobs on the way."""

NEEDS, NEEDED_BY = "needs", "needed by"


class PageLine(NamedTuple):
    """A line, and to what it leads.

    Attributes:
        cells: What it says.
        job: The key of another job.
        log: A log of this one.
        attempt: The try whose log it is; empty for the last one.
        node: The place of the other job in the tree of dependencies.
    """

    cells: Sequence[Cell]
    job: str = ""
    log: str = ""
    attempt: str = ""
    node: Node = ()

    @property
    def text(self) -> str:
        """What the line says."""
        return " ".join(cell.text for cell in self.cells)


@dataclass(frozen=True)
class JobPage:
    """What is known of a job.

    Attributes:
        row: What the table has of it.
        detail: What its host says; None until that has been asked.
        failure: Why it failed, if it did.
        samples: Its progress over time, while it runs.
        other: Another job of the same task, with which its parameters are compared.
        trouble: Why its host could not be asked.
        account: What SLURM's accounting has of it; None until that has been asked, and for other jobs.
        branches: What the jobs that are unfolded in the tree of dependencies need, or are needed by.
    """

    row: JobRow
    detail: JobDetail | None = None
    failure: Failure | None = None
    samples: Samples | None = None
    other: JobDetail | None = None
    trouble: str = ""
    account: Account | None = None
    branches: Mapping[Node, Sequence[LinkedJob]] = field(default_factory=dict)


def page_lines(page: JobPage, look: Look, width: int) -> Iterator[PageLine]:
    """Yield the lines of a page."""
    row, job = page.row, page.row.job
    yield _state_line(page, look)
    yield from _failure_lines(page, width)
    yield from _named("tags", [tag_text(n, job.tags[n]) for n in sorted(job.tags)], width)
    yield from _named("experiments", [safe(each) for each in job.experiments], width)
    if page.trouble:
        yield PageLine([_name(""), Cell(safe(page.trouble), FAILED)])
    elif page.detail is None:
        yield PageLine([_name(""), Cell(f"asking {safe(row.workspace)} …", "dim")])
    else:
        yield from _param_lines(page.detail, page.other, width)
    yield from _time_lines(page, look)
    yield from _slurm_lines(page, look, width)
    if page.detail is not None:
        for word, links in ((NEEDS, page.detail.needs), (NEEDED_BY, page.detail.needed_by)):
            left = page.detail.left_out.get(word.replace(" ", "_"), 0)
            yield from _link_lines(page, (word,), links, look, left)
        yield from _file_lines(page.detail, width)
        yield from _named(
            "unreadable", [safe(f"{p.path}: {p.why}") for p in page.detail.problems], width
        )
    yield from _broken("path", safe(job.path), width)


def _state_line(page: JobPage, look: Look) -> PageLine:
    job, detail = page.row.job, page.detail
    is_certain = job.certain and page.row.workspace not in look.stale
    tries = max(job.retry_count + 1, 0 if detail is None else len(detail.attempts))
    word = "FAILED" if job.state is State.ERROR else job.state.value.upper()
    words = [
        job.reason if job.reason and job.reason != word else "",
        "" if job.exit_code is None else f"exit {job.exit_code}",
        f"try {tries}" if tries > 1 else "",
    ]
    if detail is not None:
        process = detail.job.facts.process
        if process is not None:
            words.append(f"{process.kind} {process.pid}")
        host = (process.host if process is not None else None) or detail.host
        words.append(f"on {host}" if host else "")
    state = state_cell(kind(job), look, is_certain=is_certain)
    return PageLine([state, Cell(word, kind(job)), *(Cell(safe(word)) for word in words if word)])


def _failure_lines(page: JobPage, width: int) -> Iterator[PageLine]:
    failure = page.failure
    message = failure.message if failure is not None else page.row.message
    first = f"{failure.exception}: " if failure is not None and failure.exception else ""
    lines = (first + message).strip().splitlines()
    for line in lines[:_MESSAGE_MOST]:
        yield from _broken("", safe(line), width, FAILED, log="err")
    if len(lines) > _MESSAGE_MOST:
        yield PageLine(
            [_name(""), Cell(f"and {len(lines) - _MESSAGE_MOST} lines more", "dim")], log="err"
        )
    if failure is not None:
        yield from _origin_lines(failure)


def _origin_lines(failure: Failure) -> Iterator[PageLine]:
    """Yield where a failure began: the frames of the user's code, or the jobs without which this one did not start."""
    if failure.frames:
        frames = "  ←  ".join(safe(str(frame)) for frame in failure.frames)
        yield PageLine([_name(""), Cell(frames)], log="err")
    chain = {"needed": failure.needs, "which needed": failure.root}
    if failure.root == failure.needs:
        del chain["which needed"]
    for word, other in chain.items():
        if other is not None:
            yield PageLine([_name(word), Cell(safe(str(other)), FAILED)], job=str(other))


def _param_lines(detail: JobDetail, other: JobDetail | None, width: int) -> Iterator[PageLine]:
    values = {name: value_text(value) for name, value in detail.params.items()}
    yield from _named("params", [f"{name}={text}" for name, text in values.items()], width)
    if other is None:
        return
    theirs = {name: value_text(value) for name, value in other.params.items()}
    differ = [
        f"{name}={theirs.get(name, 'none')}"
        for name in {**values, **theirs}
        if values.get(name) != theirs.get(name)
    ]
    brief = other.job.facts.job_id[:8]
    key = str(other.job.facts.id)
    words = ", ".join(differ) or "nothing but what it needs"
    for line in _broken("", f"differs from {brief}, which has {words}", width, "dim"):
        yield line._replace(job=key)


def value_text(value: object) -> str:
    """Return the value of a parameter."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return safe(text[:_VALUE_MOST])


def _time_lines(page: JobPage, look: Look) -> Iterator[PageLine]:
    row, job = page.row, page.row.job
    now = look.then(row.workspace)
    parts: list[str] = []
    before = None
    arrow = " - " if look.is_ascii else " ─ "
    last = "ended" if job.state is not State.ERROR else "failed"
    for word, moment in (("submitted", job.submitted), ("started", job.started), (last, job.ended)):
        if moment is None:
            continue
        here = moment.astimezone()
        if before is not None:
            what = "waited" if word == "started" or job.started is None else "ran"
            parts.append(f"{what} {span((moment - before).total_seconds())}")
        is_same_day = before is not None and before.astimezone().date() == here.date()
        parts.append(f"{word} {here:{'%H:%M:%S' if is_same_day else '%Y-%m-%d %H:%M:%S'}}")
        before = moment
    if before is not None:
        yield PageLine(
            [
                _name("time"),
                Cell(arrow.join(parts)),
                Cell(f"{rough_span(now - before.timestamp())} ago", "dim"),
            ]
        )
    if job.started is not None and job.state is State.RUNNING:
        yield PageLine([_name(""), Cell(f"runs for {span(now - job.started.timestamp())}")])
    for step in job.progress if job.state is State.RUNNING else ():
        done = f"{bar(step.fraction or 0.0, look, 20)} {percent([step])}"
        yield PageLine([_name("progress"), Cell(done, RUNNING), Cell(safe(step.description or ""))])
    if page.samples is not None and page.samples.fractions:
        yield PageLine([_name(""), *sample_cells(page.samples, now, look)])


def _slurm_lines(page: JobPage, look: Look, width: int) -> Iterator[PageLine]:
    row, now = page.row.job.row, look.then(page.row.workspace)
    if row is not None:
        yield from _named("slurm", row_words(row, now), width)
        if row.asked is not None:
            words = f"so it said {rough_span(now - row.asked)} ago, and does not answer since"
            yield PageLine([_name(""), Cell(words, FAILED)])
        yield from _broken("", safe(row.warning), width, FAILED)
    yield from _named("accounting", account_words(page.account), width)


def sample_cells(samples: Samples, now: float, look: Look) -> Iterator[Cell]:
    """Yield the progress of a job over time, how fast it is, whether it has slowed or stopped, and the time left."""
    signs = _STEPS_ASCII if look.is_ascii else _STEPS
    latest = samples.fractions[-20:]
    yield Cell(
        "".join(signs[min(len(signs) - 1, int(each * len(signs)))] for each in latest), RUNNING
    )
    stopped = samples.stopped_for(now)
    estimate = samples.estimate(now)
    if stopped is not None:
        yield Cell(f"no progress for {rough_span(stopped)}, which is unusual", "waiting")
        return
    rate, slowdown = samples.rate, samples.slowdown
    if rate is not None:
        yield Cell(rate_text(rate), "dim")
    if slowdown is not None:
        words = f"slowed x{slowdown.times:.1f} in the last {rough_span(now - slowdown.since)}"
        yield Cell(words, "waiting")
    if estimate is not None:
        yield Cell(f"{left_text(*estimate)} left")


def _link_lines(
    page: JobPage, path: Node, links: Sequence[LinkedJob], look: Look, left: int = 0
) -> Iterator[PageLine]:
    """Yield a branch of the tree of dependencies; what was unfolded in it is below the job that it is of."""
    folded, unfolded = ("+", "-") if look.is_ascii else ("▸", "▾")
    indent = "  " * (len(path) - 1)
    for number, link in enumerate(links[:_LINKS_MOST]):
        key = str(link.job)
        node = (*path, key)
        branch = page.branches.get(node)
        name = _name("" if number or indent else path[0])
        mark = Cell(f"{indent}{folded if branch is None else unfolded}", "dim")
        cells = [name, mark, _link_state(link, look), Cell(brief_id(link.job.task, link.job.hash))]
        yield PageLine(cells, job=key, node=node)
        if branch:
            yield from _link_lines(page, node, branch, look)
        elif branch is not None:
            words = "needs nothing" if path[0] == NEEDS else "is needed by nothing"
            yield PageLine([_name(""), Cell(f"{indent}    {words}", "dim")], node=node)
    left += max(0, len(links) - _LINKS_MOST)
    if left:
        yield PageLine([_name(""), Cell(f"{indent}and {left:,} more", "dim")])


def _link_state(link: LinkedJob, look: Look) -> Cell:
    state = KINDS.get(State(link.state), IDLE) if link.state in _STATES else IDLE
    return state_cell(state, look, is_certain=link.state is not None)


_STATES = frozenset(state.value for state in State)


def _file_lines(detail: JobDetail, width: int) -> Iterator[PageLine]:
    for attempt in reversed(detail.attempts):
        sizes = [
            f"{stream} {size_text(size)}"
            for stream, size in (("err", attempt.err), ("out", attempt.out))
            if size is not None
        ]
        name = _name("" if attempt.name else "logs")
        ended = f"of the {attempt_text(attempt.name)}" if attempt.name else ""
        cells = [name, Cell("  ".join(sizes)), Cell(ended, "dim")]
        yield PageLine(cells, log="err", attempt=attempt.name)
    left = detail.left_out.get("files", 0)
    files = [
        safe(f"{each.name}/" if each.size is None else f"{each.name} {size_text(each.size)}")
        for each in detail.files
    ]
    yield from _named("files", files + ([f"and {left:,} more"] if left else []), width)


def attempt_text(name: str) -> str:
    """Name a try of a job."""
    if not name:
        return "last try"
    day, time = f"{name[:4]}-{name[4:6]}-{name[6:8]}", f"{name[8:10]}:{name[10:12]}"
    return f"try that ended {day} {time}"


def _name(name: str) -> Cell:
    return Cell(f" {name:<{_MARGIN - 2}}", "dim")


def _named(name: str, values: Iterable[str], width: int) -> Iterator[PageLine]:
    """Yield values one after the other, in as many lines as they need."""
    line: list[str] = []
    used = 0
    room = max(10, width - _MARGIN - 1)
    for value in values:
        length = cell_len(value)
        if line and used + length > room:
            yield PageLine([_name(name), Cell("  ".join(line))])
            line, used, name = [], 0, ""
        line.append(value)
        used += length + 2
    if line:
        yield PageLine([_name(name), Cell("  ".join(line))])


def _broken(
    name: str, text: str, width: int, style: str = "", *, log: str = ""
) -> Iterator[PageLine]:
    """Yield a long text in lines that fit."""
    room = max(10, width - _MARGIN - 1)
    for start in range(0, len(text), room):
        yield PageLine(
            [_name("" if start else name), Cell(text[start : start + room], style)], log=log
        )
