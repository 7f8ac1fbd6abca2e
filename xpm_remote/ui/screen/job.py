"""What is known of one job; its dependencies can be walked in both directions."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from itertools import islice

from xpm_remote.errors import XpmRemoteError
from xpm_remote.escaping import safe
from xpm_remote.model.entities import Job
from xpm_remote.ui.screen.frame import Changed
from xpm_remote.ui.screen.keys import JOB
from xpm_remote.ui.screen.on_jobs import OnOneJob
from xpm_remote.ui.screen.paged import Paged
from xpm_remote.ui.screen.tabular import begin
from xpm_remote.ui.tables.columns import Cell
from xpm_remote.ui.tables.job_page import NEEDS, JobPage, Node, PageLine, page_lines
from xpm_remote.ui.tables.jobs import JobKey, brief_key
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.states import State

_LOOKED_AT = 200
"""Jobs of the task among which one is chosen to compare with."""


class JobScreen(OnOneJob, Paged):
    """A job.

    Args:
        key: The job.
        others: The jobs of the list that it is in, to go on to.
    """

    place = JOB

    def __init__(self, key: JobKey, others: Sequence[JobKey] = ()) -> None:
        super().__init__(key, others)
        self._lines: list[PageLine] = []
        self._page: JobPage | None = None

    async def on_mount(self) -> None:
        """Ask what is known of the job."""
        self.begin()

    def begin(self) -> None:
        """Ask about the job that is meant now."""
        self._page = None
        self.view.at = 0
        self.take({self.key: self.dashboard.job(self.key)})
        begin(self, self._ask, group="load", is_exclusive=True)
        self._ask_account()

    def take(self, changed: Changed) -> None:
        """Take a change of the job; what its host says is asked again when its state differs."""
        job = changed.get(self.key)
        if job is None:
            return
        name, _ = self.key
        picture = self.dashboard.pictures.get(name)
        if picture is None:
            return
        row = self.dashboard.triage.row(name, picture, job)
        before, self._page = (
            self._page,
            (JobPage(row) if self._page is None else replace(self._page, row=row)),
        )
        if before is not None and before.row.job.state is not job.state:
            begin(self, self._ask, group="load", is_exclusive=True)

    async def _ask(self) -> None:
        questions, page, (name, key) = self.dashboard.triage.questions, self._page, self.key
        if questions is None or page is None:
            return
        job = JobId(*key.split("/", 1))
        changed: dict[str, object] = {"trouble": ""}
        try:
            async with questions.at(name) as jobs:
                changed["detail"] = await jobs.detail(job)
                self._amend(**changed)
                if page.row.job.state is State.ERROR:
                    async with aclosing(jobs.failures([job], {})) as pages:
                        changed["failure"] = next(iter(await anext(pages)), None)
                        self._amend(**changed)
                other = self._neighbour(page.row.job)
                if other is not None:
                    changed["other"] = await jobs.detail(JobId(*other.split("/", 1)))
        except XpmRemoteError as error:
            changed["trouble"] = str(error)
        self._amend(**changed)

    def _ask_account(self) -> None:
        """Ask the accounting of SLURM, once for each time that a person looks at the job."""
        begin(self, self._take_account, group="account", is_exclusive=True)

    async def _take_account(self) -> None:
        questions, (name, key) = self.dashboard.triage.questions, self.key
        if questions is None:
            return
        with contextlib.suppress(XpmRemoteError):  # the same is told where the rest is asked
            async with questions.at(name) as jobs:
                self._amend(account=await jobs.account(JobId(*key.split("/", 1))))

    def _amend(self, **changed: object) -> None:
        if self._page is not None:
            self._page = replace(self._page, **changed)  # type: ignore[arg-type]
            self.paint()

    def _neighbour(self, job: Job) -> str | None:
        """Return another job of the task: one that succeeded, if there is one near."""
        picture = self.dashboard.pictures.get(self.key[0])
        if picture is None:
            return None
        store = picture.store
        keys = [k for k in islice(store.by_task.get(job.task_id, ()), _LOOKED_AT) if k != job.key]
        done = (key for key in keys if store.jobs[key].state is State.DONE)
        return next(done, keys[0] if keys else None)

    def paint(self) -> None:
        """Draw what differs."""
        page = self._page
        if page is not None:
            picture_samples = self.dashboard.triage.samples(self.key)
            page = replace(page, samples=picture_samples)
            width = self.view.size.width or self.size.width
            self._lines = list(page_lines(page, self.dashboard.look(), width))
            self.view.show([line.cells for line in self._lines])
        self.paint_frame()

    def crumbs(self) -> tuple[list[Cell], list[Cell]]:
        """Name the job."""
        look = self.dashboard.look()
        between = " > " if look.is_ascii else " › "  # noqa: RUF001
        if self._page is None:
            return [
                Cell(safe(f"{self.key[0]}{between}{self.key[1]} is not known here"), "bold")
            ], []
        job = self._page.row.job
        experiment = job.experiments[:1]
        cells = [
            Cell(between.join([safe(self.key[0]), *map(safe, experiment), brief_key(job)]), "bold")
        ]
        if self.key[0] in look.stale:
            cells.append(Cell("STALE", "failed"))
        return cells, [Cell(self.place_in_list, "dim")]

    # Keys

    def action_enter(self) -> None:
        """Go to the job of the line under the cursor, or to the log."""
        line = self._lines[self.view.at] if self.view.at < len(self._lines) else None
        if line is not None and line.job:
            self.dashboard.show_job((self.key[0], line.job))
        else:
            attempt = line.attempt if line is not None else ""
            self.dashboard.show_log(self.key, self._others, "", attempt)

    @property
    def _node(self) -> Node:
        return self._lines[self.view.at].node if self.view.at < len(self._lines) else ()

    def action_unfold(self) -> None:
        """Show what the job under the cursor needs itself, or is needed by."""
        node, page = self._node, self._page
        if node and page is not None and node not in page.branches:
            begin(self, partial(self._unfold, node), group="load")

    async def _unfold(self, node: Node) -> None:
        questions = self.dashboard.triage.questions
        if questions is None:
            return
        try:
            async with questions.at(self.key[0]) as jobs:
                detail = await jobs.detail(JobId(*node[-1].split("/", 1)))
        except XpmRemoteError as error:
            self.say(safe(str(error)))
            return
        links = () if detail is None else detail.needs if node[0] == NEEDS else detail.needed_by
        if self._page is not None:
            self._amend(branches={**self._page.branches, node: links})

    def action_fold(self) -> None:
        """Hide that again, or go to the job that needs this one, or is needed by it."""
        node, page = self._node, self._page
        if not node or page is None:
            return
        if node in page.branches:
            self._amend(branches={n: b for n, b in page.branches.items() if n[: len(node)] != node})
            return
        above = next((at for at, line in enumerate(self._lines) if line.node == node[:-1]), None)
        if above is not None:
            self.view.move(above - self.view.at)

    def on_page_view_open(self) -> None:
        """Go in, as Enter does."""
        self.action_enter()

    def action_log(self) -> None:
        """Go to the log, at the traceback if the job failed."""
        self.dashboard.show_log(self.key, self._others)

    def action_log_out(self) -> None:
        """Go to the standard output."""
        self.dashboard.show_log(self.key, self._others, "out")

    def action_retry(self) -> None:
        """Try the link again, log in, or ask once more."""
        if self.key[0] in self.dashboard.look().stale:
            self.dashboard.retry(self.key[0])
        else:
            begin(self, self._ask, group="load", is_exclusive=True)
            self._ask_account()
