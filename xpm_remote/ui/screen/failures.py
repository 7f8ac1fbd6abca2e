"""Why jobs failed: the causes across all clusters, and what goes with each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from xpm_remote.escaping import safe
from xpm_remote.model.causes import Cause, find_causes
from xpm_remote.model.entities import sliced
from xpm_remote.model.tells_apart import FEWEST, Distinction, Traits, tells_apart, traits_of
from xpm_remote.ui.screen.frame import Changed
from xpm_remote.ui.screen.keys import FAILURES
from xpm_remote.ui.screen.on_jobs import OnJobs
from xpm_remote.ui.screen.tabular import Tabular, begin, in_slices
from xpm_remote.ui.tables.columns import Cell, Look
from xpm_remote.ui.tables.failures import (
    CAUSE,
    COLUMNS,
    FAILURES_ORDER,
    GOES_WITH,
    JOB,
    FailureKey,
    FailureRow,
    failure_rows,
    jobs_of,
)
from xpm_remote.ui.tables.jobs import JobKey
from xpm_remote.ui.tables.table import Line
from xpm_remote.ui.text import count_text
from xpm_remote.workspace.states import State

if TYPE_CHECKING:
    from xpm_remote.model.entities import Job

OTHERS = 3_000
"""Jobs that succeeded with which the failed ones are compared."""

_SLICE = 200


class FailuresScreen(OnJobs, Tabular):
    """Causes of failures."""

    place = FAILURES

    def __init__(self) -> None:
        super().__init__(FAILURES_ORDER, COLUMNS)
        self._unfolded: dict[str, bool] = {}
        self._causes: list[Cause] = []
        self._distinctions: dict[str, list[Distinction]] = {}
        self._compared: dict[str, tuple[int, int]] = {}
        self._version = -1

    async def on_mount(self) -> None:
        """Ask why jobs failed."""
        self.take({})

    def take(self, changed: Changed) -> None:
        """Ask about the jobs that failed meanwhile."""
        del changed
        known = self.dashboard.triage.failures
        if known is not None:
            begin(self, partial(known.ask, self.dashboard.pictures), group="ask")
        self.refresh_rows()

    def paint(self) -> None:
        """Draw what is known by now."""
        known = self.dashboard.triage.failures
        if known is not None and known.version != self._version:
            self.refresh_rows()
        super().paint()

    def refresh_rows(self) -> None:
        """Bring the rows up to date with what is known."""
        known = self.dashboard.triage.failures
        if known is None:
            return
        if known.version != self._version:
            self._version = known.version
            self._causes = find_causes(known.all())
            begin(self, self._compare, group="compare", is_exclusive=True)
        self._show()

    def _show(self) -> None:
        muted = self.dashboard.triage.muted(self.dashboard.pictures)
        rows: dict[FailureKey, FailureRow | None] = dict.fromkeys(self.model.rows)
        folded = {cause.key for cause in self._causes if not self._is_open(cause)}
        found = failure_rows(
            self._causes,
            self.dashboard.job,
            new=self.dashboard.triage.new(self.dashboard.pictures),
            muted=muted,
            folded=folded,
            distinctions=self._distinctions,
        )
        rows.update({row.key: row for row in found})
        before = self.model.rows
        differ = {key: row for key, row in rows.items() if row is None or before.get(key) != row}
        if differ:
            self.model.update(differ)

    def _is_open(self, cause: Cause) -> bool:
        is_first = bool(self._causes) and cause.key == self._causes[0].key
        return self._unfolded.get(cause.key, is_first)

    async def _compare(self) -> None:
        """Find out what goes with each cause of several failures."""
        wanted = [
            cause
            for cause in self._causes
            if len(cause.failed) >= FEWEST
            and self._compared.get(cause.key) != (len(cause.failed), len(cause.stopped))
        ]
        if not wanted:
            return
        succeeded: list[Traits] = []
        await in_slices(self._traits(succeeded))
        find = self.dashboard.job
        for cause in wanted:
            failed = [find((each.workspace, str(each.job))) for each in cause.failed[:OTHERS]]
            traits = [_traits(job) for job in failed if job is not None]
            self._distinctions[cause.key] = tells_apart(traits, succeeded)
            self._compared[cause.key] = (len(cause.failed), len(cause.stopped))
        self._show()
        self.paint()

    def _traits(self, found: list[Traits]) -> Iterator[None]:
        for picture in self.dashboard.pictures.values():
            store = picture.store
            keys = list(islice(store.keys_in(state=State.DONE), OTHERS))
            for part in sliced(keys, _SLICE):
                found += [_traits(job) for key in part if (job := store.jobs.get(key)) is not None]
                yield

    def crumbs(self) -> tuple[list[Cell], list[Cell]]:
        """Count failures and causes, and name what is stale or could not be asked."""
        known = self.dashboard.triage.failures
        total = sum(cause.total for cause in self._causes)
        new = len(self.dashboard.triage.new(self.dashboard.pictures))
        cells = [Cell("failures", "bold"), Cell(self._counted(total)), *self.found_cells]
        if new:
            cells.append(Cell(f"{new:,} new", "waiting"))
        if known is not None:
            cells += known.cells()
        stale = ", ".join(sorted(self.dashboard.look().stale))
        return cells, [Cell(f"{safe(stale)} stale" if stale else "", "failed")]

    def _counted(self, explained: int) -> str:
        """Count the failures, and the causes of those that are explained by now."""
        stores = (picture.store for picture in self.dashboard.pictures.values())
        failed = count_text(sum(len(each.keys_in(state=State.ERROR)) for each in stores), "failure")
        causes = count_text(len(self._causes), "cause")
        if failed == count_text(explained, "failure"):
            return f"{failed} in {causes}"
        return f"{failed}, {explained:,} of them in {causes}" if explained else failed

    def title_of(self, line: Line[Any], look: Look) -> Sequence[Cell] | None:
        """Return the line that says what goes with a cause."""
        del look
        row = self.model.rows[line.key] if line.key is not None else None
        if row is None or row.kind != GOES_WITH:
            return None
        return [Cell(" " * 8 + row.text, "key")]

    # Keys

    @property
    def current(self) -> FailureRow | None:
        """The row under the cursor."""
        line = self.model.current
        return None if line is None or line.key is None else self.model.rows[line.key]

    def _neighbours(self, row: FailureRow) -> list[JobKey]:
        return [(each.workspace, str(each.job)) for each in jobs_of(row.cause)]

    def action_enter(self) -> None:
        """Go to the log, at the traceback: of a cause, that of the latest failure."""
        self.action_log()

    def action_log(self) -> None:
        """Go to the log, at the traceback."""
        row = self.current
        if row is not None:
            self.dashboard.show_log(row.job_key, self._neighbours(row))

    def action_log_out(self) -> None:
        """Go to the standard output."""
        row = self.current
        if row is not None:
            self.dashboard.show_log(row.job_key, self._neighbours(row), "out")

    def action_describe(self) -> None:
        """Go to what is known of the job."""
        row = self.current
        if row is not None:
            self.dashboard.show_job(row.job_key, self._neighbours(row))

    def action_fold(self) -> None:
        """Hide the jobs of the cause under the cursor."""
        self._fold(is_open=False)

    def action_unfold(self) -> None:
        """Show them."""
        self._fold(is_open=True)

    def _fold(self, *, is_open: bool) -> None:
        row = self.current
        if row is None:
            return
        self._unfolded[row.cause.key] = is_open
        title = self.model.index(Line((0, ""), (row.cause.key, "", "")))
        if title is not None:
            self.model.go(title)
        self._show()
        self.paint()

    def action_retry(self) -> None:
        """Try the links again, and ask again where that has failed."""
        known = self.dashboard.triage.failures
        if known is not None:
            known.retry()
        self.dashboard.action_retry()
        self.take({})

    def action_mute(self) -> None:
        """Tell no more of the cause under the cursor, or tell of it again."""
        row = self.current
        if row is None:
            return
        is_muted = self.dashboard.triage.mute(row.cause, self.dashboard.pictures)
        self.say("muted: it is counted, but not told" if is_muted else "no longer muted")
        self._show()
        self.paint()

    def action_next(self) -> None:
        """Go to the next cause."""
        self.model.seek(lambda row: row.kind == CAUSE, 1)
        self.paint()

    def action_previous(self) -> None:
        """Go to the cause before."""
        self.model.seek(lambda row: row.kind == CAUSE, -1)
        self.paint()

    @property
    def chosen(self) -> list[JobKey]:
        """What an action is about: the marked jobs, the one under the cursor, or all of its cause."""
        marked = [self.model.rows[key].job_key for key in self.model.marks]
        row = self.current
        if marked or row is None:
            return marked
        return [row.job_key] if row.kind == JOB else self._neighbours(row)

    def action_mark(self) -> None:
        """Mark or unmark the job, or all of the cause, and go on."""
        row = self.current
        if row is not None and row.kind == JOB:
            self.model.mark()
        elif row is not None:
            keys = [
                key
                for key, each in self.model.rows.items()
                if each.kind == JOB and each.cause.key == row.cause.key
            ]
            self.model.marks.update(dict.fromkeys(keys))
            self.model.version += 1
        self.view.move(1)
        self.paint()


def _traits(job: Job) -> Traits:
    return traits_of(job.task_id, job.tags, job.experiments)
