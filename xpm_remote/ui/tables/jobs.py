"""The table of jobs: its rows, columns, orders and groups. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from xpm_remote.escaping import safe
from xpm_remote.model.entities import Job
from xpm_remote.model.samples import Samples
from xpm_remote.ui.tables.arrangement import GroupName, Order
from xpm_remote.ui.tables.columns import NOTHING, Cell, Column, Look
from xpm_remote.ui.tables.slurm import time_left
from xpm_remote.ui.text import SHORT_ID, activity, left_text, percent, rough_span, tag_text
from xpm_remote.workspace.inspecting.answers import CAUSE_END
from xpm_remote.workspace.rows import Phase, Row
from xpm_remote.workspace.states import GENERIC_REASON, PENDING, State

JobKey = tuple[str, str]
"""The name of a workspace, and the key of a job in it."""

_BAR = 10
"""Cells of a progress bar."""


class JobRow(msgspec.Struct, gc=False, eq=False):
    """A job as a row.

    Attributes:
        workspace: The name of the workspace.
        job: The job.
        message: Why it failed, in its own words; empty for none.
        cause: The cause of its failure, as of ``Failure.cause``; empty while that is not known.
        samples: Its progress over time; None where it has told none.
        is_seen: Whether its failure has been seen.
        is_new: Whether it has failed since its workspace was looked at.
    """

    workspace: str
    job: Job
    message: str = ""
    cause: str = ""
    samples: Samples | None = None
    is_seen: bool = False
    is_new: bool = False
    _words: str | None = None

    @property
    def key(self) -> JobKey:
        """The row's key."""
        return (self.workspace, self.job.key)

    @property
    def words(self) -> str:
        """All that it can be found by, in lower case."""
        if self._words is None:
            job = self.job
            named = " ".join([f"{name}={value}" for name, value in job.tags.items()])
            slurm = job.row
            if slurm is not None:
                named += f" {slurm.id} {slurm.reason} {slurm.queue} {slurm.nodes}"
            rest = " ".join((*job.experiments, job.reason or "", self.message, self.workspace))
            self._words = f"{job.key} {named} {job.state.value} {rest}".lower()
        return self._words


# The state, as everything that is shown of jobs has it

FAILED, RUNNING, WAITING, DONE, IDLE = "failed", "running", "waiting", "done", "idle"

KINDS = {
    State.ERROR: FAILED,
    State.RUNNING: RUNNING,
    State.DONE: DONE,
    **dict.fromkeys(PENDING, WAITING),
}
"""What is said of a state; of any other, that it is idle."""

LETTERS = {FAILED: "F", RUNNING: "R", WAITING: "W", DONE: "D", IDLE: "I"}
GLYPHS = {FAILED: "✖", RUNNING: "●", WAITING: "◌", DONE: "✔", IDLE: "–"}  # noqa: RUF001
_FIRST = {FAILED: 0, RUNNING: 1, WAITING: 2, DONE: 4, IDLE: 5}
_SEEN_FAILURE, _NEW_FAILURE = 3, -1


def kind(job: Job) -> str:
    """Return whether a job failed, runs, waits, is done, or none of these."""
    return KINDS.get(job.state, IDLE)


def state_cell(kind: str, look: Look, *, is_certain: bool) -> Cell:
    """Return the letter of a state, with a ``?`` where it may be another, and its glyph."""
    doubt = " " if is_certain else "?"
    glyph = "" if look.is_ascii else GLYPHS[kind]
    return Cell(f"{LETTERS[kind]}{doubt}{glyph}".rstrip(), kind)


def bar(fraction: float, look: Look, width: int = _BAR) -> str:
    """Return a bar of progress."""
    full, empty = ("#", ".") if look.is_ascii else ("━", "─")
    done = min(width, max(0, int(fraction * width)))
    return full * done + empty * (width - done)


def _state(row: JobRow, look: Look) -> Cell:
    is_certain = row.job.certain and row.workspace not in look.stale
    return state_cell(kind(row.job), look, is_certain=is_certain)


def brief_key(job: Job) -> str:
    """Name a job by the last word of its task and the first characters of its id."""
    return brief_id(job.task_id, job.job_id)


def brief_id(task: str, job_id: str) -> str:
    """Name a job by the last word of a task and the first characters of an id."""
    return safe(f"{task.rpartition('.')[2]}/{job_id[:SHORT_ID]}")


def _progress(row: JobRow, look: Look) -> Cell:
    job = row.job
    if job.state is not State.RUNNING or not job.progress:
        return NOTHING
    fraction = job.progress[0].fraction or 0.0
    # The number first: it stays where there is no room for the bar.
    return Cell(f"{percent(job.progress[:1]):>5} {bar(fraction, look)}", RUNNING)


def _new(row: JobRow, _: Look) -> Cell:
    return Cell("new", WAITING) if row.is_new else NOTHING


def _eta(row: JobRow, look: Look) -> Cell:
    if row.samples is None or row.workspace in look.stale:
        return NOTHING
    estimate = row.samples.estimate(look.then(row.workspace))
    return NOTHING if estimate is None else Cell(left_text(*estimate))


def _end(row: JobRow) -> float | None:
    return None if row.samples is None else row.samples.expected_end


def fraction(row: JobRow) -> float | None:
    """Return the progress of a job."""
    return row.job.progress[0].fraction if row.job.progress else None


def _what(row: JobRow, look: Look) -> Cell:
    job = row.job
    if job.state is State.ERROR:
        reason = job.reason or ""
        words = ": ".join(
            filter(None, ("" if row.cause and reason == GENERIC_REASON else reason, row.message))
        )
        return Cell(safe(words), FAILED)
    if job.row is not None and job.row.warning:
        return Cell(safe(f"! {job.row.warning}"), FAILED)
    if job.state is State.RUNNING:
        told = activity(job.progress) or safe(job.row.nodes if job.row else "")
        return _stopped(row, look, told) or Cell(told)
    if kind(job) in (WAITING, IDLE):
        return Cell(safe(job.row.reason if job.row else "") or job.state.value, "dim")
    return NOTHING


def _node(row: JobRow, _: Look) -> Cell:
    has_node = row.job.row is not None and row.job.state is State.RUNNING
    return Cell(safe(row.job.row.nodes)) if has_node and row.job.row else NOTHING


def _left(row: JobRow, look: Look) -> Cell:
    left = time_left(row.job.row, look.then(row.workspace))
    return NOTHING if left is None else Cell(rough_span(left))


def _stopped(row: JobRow, look: Look, told: str) -> Cell | None:
    if row.samples is None or row.workspace in look.stale:
        return None
    seconds = row.samples.stopped_for(look.then(row.workspace))
    if seconds is None:
        return None
    return Cell(f"no progress for {rough_span(seconds)}{': ' if told else ''}{told}", WAITING)


def _tags(row: JobRow, look: Look) -> Cell:
    tags = row.job.tags
    return Cell(" ".join([tag_text(name, tags[name]) for name in look.tags if name in tags]))


def _time(row: JobRow, look: Look) -> Cell:
    job = row.job
    if job.started is None:
        return NOTHING
    seconds = took(row)
    if seconds is None:
        seconds = look.then(row.workspace) - job.started.timestamp()
    return Cell(rough_span(seconds))


def took(row: JobRow) -> float | None:
    """Return how long a job that has ended took."""
    started, ended = row.job.started, row.job.ended
    if started is None or ended is None:
        return None
    return ended.timestamp() - started.timestamp()


def moment(job: Job) -> datetime | None:
    """Return when a job ended, else started, else was submitted."""
    return job.ended or job.started or job.submitted


def _age(row: JobRow, look: Look) -> Cell:
    then = moment(row.job)
    if then is None:
        return NOTHING
    return Cell(rough_span(look.then(row.workspace) - then.timestamp()), "dim")


def _since(row: JobRow) -> float | None:
    """Return what ages are sorted by: the youngest has the least."""
    then = moment(row.job)
    return None if then is None else -then.timestamp()


def tag_rank(value: object) -> tuple[int, Any]:
    """Return what the values of a tag are sorted by: numbers, and then texts."""
    return (0, value) if isinstance(value, (int, float)) else (1, str(value))


_NO_ROW = Row("", Phase.ENDED, "", "")


def _slurm(row: JobRow) -> Row:
    return row.job.row or _NO_ROW


COLUMNS: tuple[Column[JobRow], ...] = (
    Column("state", "S", _state, lambda row: _FIRST[kind(row.job)], "s", least=3, most=3, weight=9),
    Column(
        "job", "JOB", lambda row, _: Cell(brief_key(row.job)), lambda row: row.job.key, "j",
        least=14, most=36, weight=10,
    ),
    Column("progress", "PROGRESS", _progress, fraction, "p", least=6, most=16, weight=7, is_reversed=True),
    Column("eta", "ETA", _eta, _end, "l", least=8, most=14, weight=6),
    Column("new", "NEW", _new, lambda row: not row.is_new, "n", least=3, most=3, weight=8),
    Column(
        "what", "WHAT", _what, lambda row: (row.job.reason or "", row.message), "w",
        least=14, most=60, weight=7,
    ),
    Column(
        "tags", "TAGS", _tags, lambda row: [(k, str(v)) for k, v in sorted(row.job.tags.items())],
        "t", least=6, most=40, weight=6,
    ),
    Column(
        "experiment", "EXPERIMENT", lambda row, _: Cell(safe(", ".join(row.job.experiments)), "dim"),
        lambda row: row.job.experiments, "e", least=8, most=24, weight=3,
    ),
    Column(
        "cluster", "CLUSTER", lambda row, _: Cell(safe(row.workspace), "dim"),
        lambda row: row.workspace, "c", least=6, most=16, weight=4,
    ),
    Column("node", "NODE", _node, lambda row: _slurm(row).nodes or None, "o", least=4, most=16, weight=4),
    Column("left", "LEFT", _left, lambda row: _slurm(row).ends, "r", least=6, weight=3, is_right=True),
    Column(
        "queue", "QUEUE", lambda row, _: Cell(safe(_slurm(row).queue), "dim"),
        lambda row: _slurm(row).queue or None, "q", least=4, most=12, weight=1,
    ),
    Column(
        "slurm", "SLURM", lambda row, _: Cell(safe(_slurm(row).id), "dim"),
        lambda row: _slurm(row).id or None, "u", least=5, most=14, weight=1, is_right=True,
    ),
    Column("time", "TIME", _time, took, "i", least=6, weight=2, is_right=True, is_reversed=True),
    Column("age", "AGE", _age, _since, "a", least=6, weight=5, is_right=True),
)  # fmt: skip
"""All columns; that of the marks is drawn by the table itself."""


_RANKS = {column.name: column.rank for column in COLUMNS if column.rank is not None}


def _default_rank(row: JobRow) -> tuple[int, float]:
    """Return the default order: new failures, others not seen, then what runs, what waits, and what has ended."""
    first = _FIRST[kind(row.job)]
    if first == 0 and row.is_seen:
        first = _SEEN_FAILURE
    if row.is_new:
        first = _NEW_FAILURE
    since = _since(row)
    return first, 0.0 if since is None else since


GROUPINGS = ("none", "experiment", "task", "state", "cluster", "cause")
"""What jobs can be grouped by, besides ``tag.NAME``."""


def grouping(name: str) -> Callable[[JobRow], GroupName] | None:
    """Return what names the group of a row; None for no groups.

    Raises:
        KeyError: There is no such grouping.
    """
    if name == "none":
        return None
    tag = name.removeprefix("tag.")
    if tag != name and tag:
        return lambda row: _tag_group(row, tag)
    return _GROUPINGS[name]


def _tag_group(row: JobRow, tag: str) -> GroupName:
    if tag not in row.job.tags:
        return ((2, ""), f"no {safe(tag)}")
    value = row.job.tags[tag]
    return (tag_rank(value), tag_text(tag, value))


def _cause(row: JobRow) -> GroupName:
    if row.job.state is not State.ERROR:
        return ((2, ""), "no failure")
    if not row.cause:
        words = row.message or row.job.reason or ""
        return ((1, words), safe(words))
    title, _, places = row.cause.partition(CAUSE_END)
    where = places.partition(CAUSE_END)[0]
    return ((0, row.cause), safe(f"{title}  {where}".rstrip()))


def _named(name: str) -> GroupName:
    return (name, safe(name))


_GROUPINGS: dict[str, Callable[[JobRow], GroupName]] = {
    "experiment": lambda row: _named(", ".join(row.job.experiments)),
    "task": lambda row: _named(row.job.task_id),
    "state": lambda row: (_FIRST[kind(row.job)], kind(row.job)),
    "cluster": lambda row: _named(row.workspace),
    "cause": _cause,
}


def job_order(
    sort: str = "", *, is_reversed: bool = False, group: Callable[[JobRow], GroupName] | None = None
) -> Order[JobRow]:
    """Return how jobs are arranged.

    Args:
        sort: The name of a column, or ``tag.NAME``; empty for the default order.
        is_reversed: Whether the largest comes first.
        group: Names the group of a row; None for no groups.

    Raises:
        KeyError: There is nothing of that name to sort by.
    """
    rank: Callable[[JobRow], Any] = _default_rank
    tag = sort.removeprefix("tag.")
    if tag != sort:
        rank = lambda row: tag_rank(row.job.tags[tag]) if tag in row.job.tags else None  # noqa: E731
    elif sort:
        rank = _RANKS[sort]
    word = None if group is None else _word
    return Order(rank, is_reversed, group, word)


def _word(row: JobRow) -> str:
    return kind(row.job)


def row_texts(workspace: str, job: Job) -> list[str]:
    """Return what is copied of a job: where it is, its id, state, reason and tags."""
    named = " ".join(tag_text(name, value) for name, value in sorted(job.tags.items()))
    return [safe(each) for each in (workspace, job.key, job.state.value, job.reason or "", named)]


def tally_cells(tally: Mapping[str, int]) -> list[Cell]:
    """Return how many jobs are in each state."""
    return [Cell(f"{tally[each]} {LETTERS[each]}", each) for each in LETTERS if tally.get(each)]
