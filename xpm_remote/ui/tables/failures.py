"""The table of failures: causes, what goes with each, and the jobs that failed or were stopped by it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from xpm_remote.escaping import safe
from xpm_remote.model.causes import Cause, FailedJob
from xpm_remote.model.entities import Job
from xpm_remote.model.tells_apart import Distinction
from xpm_remote.ui.reports.inspecting import DISTINCTIONS_SHOWN, distinction_text
from xpm_remote.ui.tables.arrangement import Order
from xpm_remote.ui.tables.columns import Cell, Column, Look
from xpm_remote.ui.tables.jobs import JobKey, brief_key
from xpm_remote.ui.text import rough_span, tag_text

CAUSE, GOES_WITH, JOB = range(3)

FailureKey = tuple[str, str, str]
"""The key of a cause; the name of a workspace and the key of a job in it, or what else the line is."""


@dataclass(frozen=True)
class FailureRow:
    """A cause, a line of what goes with it, or a job of it.

    Attributes:
        place: The number of the cause in the order of all.
        kind: ``CAUSE``, ``GOES_WITH`` or ``JOB``.
        number: The number of the row within the cause.
        cause: The cause.
        text: What a line of what goes with it says.
        failed: The job.
        job: What is known of the job besides, if it is.
        new: How many of its failures have not been seen; of a job 0 or 1.
        is_muted: Whether it is not to be told of.
        is_folded: Whether its jobs are not shown.
    """

    place: int
    kind: int
    number: int
    cause: Cause
    text: str = ""
    failed: FailedJob | None = None
    job: Job | None = None
    new: int = 0
    is_muted: bool = False
    is_folded: bool = False

    @property
    def key(self) -> FailureKey:
        """The row's key."""
        if self.failed is not None:
            return (self.cause.key, self.failed.workspace, str(self.failed.job))
        return (self.cause.key, "", str(self.number) if self.kind == GOES_WITH else "")

    @property
    def job_key(self) -> JobKey:
        """The job that is meant: of a cause, the latest."""
        each = self.failed or jobs_of(self.cause)[0]
        return (each.workspace, str(each.job))

    @property
    def words(self) -> str:
        """All that it can be found by, in lower case: a cause, by its jobs too."""
        jobs = " ".join(f"{each.job} {each.workspace}" for each in jobs_of(self.cause))
        return f"{self.cause.title} {self.cause.where} {jobs}".lower()


def jobs_of(cause: Cause) -> Sequence[FailedJob]:
    """Return the jobs of a cause: those that failed, the latest first, and then those that were stopped."""
    return (*cause.failed, *cause.stopped)


def failure_rows(
    causes: Iterable[Cause],
    find: Callable[[JobKey], Job | None],
    *,
    new: Collection[JobKey],
    muted: Collection[str],
    folded: Collection[str],
    distinctions: Mapping[str, Sequence[Distinction]],
) -> Iterator[FailureRow]:
    """Yield the rows of causes; muted ones come last.

    Args:
        causes: The causes in their order.
        find: Returns what is known of a job.
        new: The jobs whose failures have not been seen.
        muted: The keys of the causes that are muted.
        folded: The keys of those whose jobs are not shown.
        distinctions: What tells the jobs of causes apart, by the keys of the causes.
    """
    ordered = sorted(causes, key=lambda cause: cause.key in muted)
    for place, cause in enumerate(ordered):
        is_folded, is_muted = cause.key in folded, cause.key in muted
        count = sum((each.workspace, str(each.job)) in new for each in jobs_of(cause))
        yield FailureRow(place, CAUSE, 0, cause, new=count, is_muted=is_muted, is_folded=is_folded)
        if is_folded:
            continue
        for number, each in enumerate(distinctions.get(cause.key, ())[:DISTINCTIONS_SHOWN]):
            text = safe(f"goes with {distinction_text(each)}")
            yield FailureRow(place, GOES_WITH, number, cause, text)
        for number, failed in enumerate(jobs_of(cause)):
            key = (failed.workspace, str(failed.job))
            job = find(key)
            yield FailureRow(place, JOB, number, cause, failed=failed, job=job, new=int(key in new))


FAILURES_ORDER: Order[FailureRow] = Order(lambda row: (row.place, row.kind, row.number))


def _count(row: FailureRow, look: Look) -> Cell:
    if row.kind != CAUSE:
        return Cell("")
    mark = ("+", "-") if look.is_ascii else ("▸", "▾")
    return Cell(f"{mark[not row.is_folded]} {row.cause.total:>4}", "failed")


def _new(row: FailureRow, _: Look) -> Cell:
    if not row.new:
        return Cell("")
    return Cell(f"+{row.new}" if row.kind == CAUSE else "new", "waiting")


def _what(row: FailureRow, _: Look) -> Cell:
    if row.kind == CAUSE:
        first = "muted: " if row.is_muted else ""
        return Cell(first + safe(row.cause.title), "dim" if row.is_muted else "bold")
    if row.failed is None:
        return Cell("")
    failure = row.failed.failure
    name = brief_key(row.job) if row.job is not None else safe(str(row.failed.job))
    words = [name]
    if failure.needs is not None:
        words.append(f"needs {safe(_brief(str(failure.needs)))}")
    if row.job is not None:
        words += [tag_text(name, value) for name, value in sorted(row.job.tags.items())]
    return Cell("  " + " ".join(words))


def _brief(key: str) -> str:
    task, _, job = key.rpartition("/")
    return f"{task.rpartition('.')[2]}/{job[:8]}"


def _where(row: FailureRow, _: Look) -> Cell:
    if row.kind == CAUSE:
        return Cell(safe(row.cause.where), "dim")
    return Cell("" if row.failed is None else safe(row.failed.workspace), "dim")


def _age(row: FailureRow, look: Look, *, is_first: bool) -> Cell:
    if row.kind == CAUSE:
        workspace = row.job_key[0]
        at = row.cause.first if is_first else row.cause.last
    elif row.failed is None or is_first:
        return Cell("")
    else:
        workspace, at = row.failed.workspace, row.failed.failure.ended
    return Cell("" if at is None else rough_span(look.then(workspace) - at), "dim")


COLUMNS: tuple[Column[FailureRow], ...] = (
    Column("count", "     N", _count, least=6, most=8, weight=10),
    Column("new", "NEW", _new, least=3, most=6, weight=7, is_right=True),
    Column("cause", "CAUSE", _what, least=36, most=120, weight=9),
    Column("where", "WHERE", _where, least=8, most=40, weight=5),
    Column("first", "FIRST", lambda row, look: _age(row, look, is_first=True), least=6, weight=2,
           is_right=True),
    Column("last", "LAST", lambda row, look: _age(row, look, is_first=False), least=6, weight=6,
           is_right=True),
)  # fmt: skip
