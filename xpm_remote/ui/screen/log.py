"""The log of a job: opened at its traceback, else at its end, which it follows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from functools import partial

from textual.widget import Widget

from xpm_remote.errors import XpmRemoteError
from xpm_remote.escaping import safe
from xpm_remote.ui.screen.chooser import Choice
from xpm_remote.ui.screen.commands import Command
from xpm_remote.ui.screen.keys import LOG
from xpm_remote.ui.screen.log_pane import ERR, OUT, WORDS, LogPane
from xpm_remote.ui.screen.on_jobs import OnOneJob
from xpm_remote.ui.screen.tabular import begin
from xpm_remote.ui.tables.columns import Cell
from xpm_remote.ui.tables.job_page import attempt_text
from xpm_remote.ui.tables.jobs import JobKey, brief_key, kind, state_cell
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.states import State

POLL = 1.0
"""Seconds between two looks at what was added to a log that is followed."""

BESIDE_FROM = 120
"""Columns of a terminal from which on both logs fit beside each other."""


class LogScreen(OnOneJob):
    """The logs of a job.

    Args:
        key: The job.
        others: The jobs of the list that it is in, to go on to.
        stream: Which log is shown.
        search: What is searched for at once.
        attempt: The earlier try whose logs are shown; empty for the last one.
    """

    place = LOG

    def __init__(
        self,
        key: JobKey,
        others: Sequence[JobKey] = (),
        stream: str = "",
        search: str = "",
        attempt: str = "",
    ) -> None:
        super().__init__(key, others)
        self._attempt = attempt
        self._is_chosen = bool(stream)
        self._search = search
        self._panes = {name: LogPane(name, self.paint_frame) for name in (ERR, OUT)}
        self._pane = self._panes[stream or ERR]
        self._is_beside = False

    def body(self) -> Sequence[Widget]:
        """Return both logs, of which one is shown, or both."""
        return tuple(self._panes.values())

    async def on_mount(self) -> None:
        """Open the log."""
        self._arrange()
        self.call_after_refresh(self.begin)  # where a traceback is shown depends on the size
        self.set_interval(POLL, self._poll)

    def begin(self) -> None:
        """Show the log of the job that is meant now."""
        for pane in self._panes.values():
            pane.reset()
        begin(self, self._open, group="load", is_exclusive=True)

    async def _open(self) -> None:
        await self._show(self._pane)
        is_empty = not (self._pane.window.size or self._pane.trouble)
        if is_empty and not self._is_chosen and self._pane.stream == ERR:
            # Nothing there: what there is, is in the other one.
            self._switch(OUT)
            await self._show(self._pane)
        if self._is_beside:
            await self._show_other()
        if self._search:
            await self._pane.search(self._search, only=False)

    async def _show(self, pane: LogPane) -> None:
        name, key = self.key
        job = JobId(*key.split("/", 1))
        questions = self.dashboard.triage.questions
        if questions is None:
            return
        has_failed = self._has_failed and pane.stream == ERR and not self._attempt
        traceback = self._traceback if has_failed else None
        await pane.show(job, lambda: questions.at(name), traceback, self._attempt)

    async def _traceback(self) -> AsyncIterator[int]:
        """Yield the offset of the traceback with which the job failed, if it has one."""
        name, key = self.key
        job = JobId(*key.split("/", 1))
        questions = self.dashboard.triage.questions
        if questions is None:
            return
        async with questions.at(name) as jobs, aclosing(jobs.failures([job], {})) as pages:
            async for page in pages:
                for failure in page:
                    if failure.offset is not None:
                        yield failure.offset

    @property
    def line_at(self) -> str | None:
        """The line that was found last, else the first one on the screen."""
        return self._pane.line_at

    @property
    def _has_failed(self) -> bool:
        job = self.dashboard.job(self.key)
        return job is not None and job.state is State.ERROR

    def crumbs(self) -> tuple[list[Cell], list[Cell]]:
        """Name the job, its state, the log, and where we are in it."""
        job = self.dashboard.job(self.key)
        name = brief_key(job) if job is not None else safe(self.key[1])
        look = self.dashboard.look()
        where = " > " if look.is_ascii else " › "  # noqa: RUF001
        cells = [Cell(f"{safe(self.key[0])}{where}{name}", "bold")]
        if job is not None:
            is_certain = job.certain and self.key[0] not in look.stale
            cells.append(state_cell(kind(job), look, is_certain=is_certain))
        if self.key[0] in look.stale:
            cells.append(Cell("STALE", "failed"))
        if self._attempt:
            cells.append(Cell(attempt_text(self._attempt), "waiting"))
        cells += self._pane.cells()
        # What is found has the room of what can be spared.
        right = [] if self._pane.pattern else [Cell(self.place_in_list, "dim")]
        return cells, [self._pane.status, *right, Cell(self._pane.position, "dim")]

    def paint(self) -> None:
        """Draw the frame; the logs draw themselves."""
        self.paint_frame()

    def _poll(self) -> None:
        if self.dashboard.screen is not self or self.key[0] in self.dashboard.look().stale:
            return
        job = self.dashboard.job(self.key)
        if job is None or job.state is not State.RUNNING or self._attempt:
            return
        for pane in self._panes.values():
            if pane.display and pane.is_known:
                begin(self, pane.read_on, group="poll")

    # Which log

    def _arrange(self) -> None:
        for pane in self._panes.values():
            pane.display = self._is_beside or pane is self._pane
        self.set_focus(self._pane)

    def _main(self) -> Widget:
        return self._pane

    def _switch(self, stream: str) -> None:
        self._pane = self._panes[stream]
        self._arrange()
        self.paint()

    def action_other(self) -> None:
        """Go to the other log."""
        self._is_chosen = True
        self._switch(OUT if self._pane.stream == ERR else ERR)
        if not self._pane.is_known:
            begin(self, partial(self._show, self._pane), group="load")

    def action_beside(self) -> None:
        """Show both logs beside each other, or one."""
        if not self._is_beside and self.size.width < BESIDE_FROM:
            other = self.key_of("other")
            self.say(
                f"there is room for both from {BESIDE_FROM} columns on; {other} goes to the other"
            )
            return
        self._is_beside = not self._is_beside
        self._arrange()
        if self._is_beside:
            begin(self, self._show_other, group="load")

    async def _show_other(self) -> None:
        other = self._panes[OUT if self._pane.stream == ERR else ERR]
        if not other.is_known:
            await self._show(other)

    # Moving

    def action_down(self) -> None:
        """Scroll down."""
        self._pane.move(1)

    def action_up(self) -> None:
        """Scroll up."""
        self._pane.move(-1)

    def action_page_down(self) -> None:
        """Scroll down by half a screen."""
        self._pane.move(max(1, self._pane.room // 2))

    def action_page_up(self) -> None:
        """Scroll up by half a screen."""
        self._pane.move(-max(1, self._pane.room // 2))

    def action_fold(self) -> None:
        """Move to the left."""
        self._pane.sideways(-1)

    def action_unfold(self) -> None:
        """Move to the right."""
        self._pane.sideways(1)

    def action_first(self) -> None:
        """Go to the beginning of the log."""
        begin(self, self._pane.first, group="load")

    def action_last(self) -> None:
        """Go to its end, and follow it."""
        begin(self, self._pane.last, group="load")

    # Searching

    @property
    def found_text(self) -> str:
        """What was searched for last."""
        return self._pane.pattern

    def action_only(self) -> None:
        """Ask for what the lines that are shown must have."""
        self.open_entry("&", self._pane.pattern)

    def submit(self, prompt: str, text: str) -> None:
        """Search, or show only the lines that match."""
        self._search = text if prompt == "/" else ""
        work = partial(self._pane.search, text, only=prompt == "&")
        begin(self, work, group="load", is_exclusive=True)

    def action_next(self) -> None:
        """Go to the next match."""
        begin(self, partial(self._pane.next, 1), group="load")

    def action_previous(self) -> None:
        """Go to the match before."""
        begin(self, partial(self._pane.next, -1), group="load")

    def action_enter(self) -> None:
        """Show the whole log again, around the line that was found."""
        if self._pane.is_filtered:
            begin(self, self._pane.unfilter, group="load")

    def step_back(self) -> bool:
        """Show the whole log again, or end the search."""
        if self._pane.is_filtered:
            begin(self, self._pane.unfilter, group="load")
            return True
        if self._pane.pattern:
            self._search = ""
            begin(self, partial(self._pane.search, "", only=False), group="load", is_exclusive=True)
            return True
        return False

    def _go(self, step: int) -> None:
        before, (attempt, self._attempt) = self.key, (self._attempt, "")
        super()._go(step)
        if self.key == before:
            self._attempt = attempt
        if self.key != before and not self._is_chosen:
            self._switch(ERR)

    def action_describe(self) -> None:
        """Go to what is known of the job."""
        self.dashboard.show_job(self.key, self._others)

    def action_retry(self) -> None:
        """Try the link again, log in, or read the log once more."""
        if self.key[0] in self.dashboard.look().stale:
            self.dashboard.retry(self.key[0])
        else:
            self.begin()

    def commands(self) -> dict[str, Command]:
        """Return what can be typed here."""
        return {
            WORDS[stream]: Command(f"show {WORDS[stream]}", partial(self._show_stream, stream))
            for stream in (ERR, OUT)
        } | {"tries": Command("choose an earlier try of the job", self._choose_attempt)}

    def _choose_attempt(self, _: str) -> str:
        begin(self, self._ask_attempts, group="load")
        return ""

    async def _ask_attempts(self) -> None:
        questions, (name, key) = self.dashboard.triage.questions, self.key
        if questions is None:
            return
        try:
            async with questions.at(name) as jobs:
                detail = await jobs.detail(JobId(*key.split("/", 1)))
        except XpmRemoteError as error:
            self.say(safe(str(error)))
            return
        names = [] if detail is None else [each.name for each in reversed(detail.attempts)]
        choices = [Choice(n, attempt_text(n), "", n == self._attempt) for n in names]
        if choices:
            self.choose("Tries", lambda: choices, self._show_attempt)
        else:
            self.say("the job has no logs")

    def _show_attempt(self, name: str) -> None:
        self._attempt = name
        self.begin()

    def _show_stream(self, stream: str, _: str) -> str:
        if self._pane.stream != stream:
            self.action_other()
        return ""
