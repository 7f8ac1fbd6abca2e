"""An action on jobs: its plan, the confirmation, and its outcomes, one a line."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import aclosing
from enum import Enum
from typing import TYPE_CHECKING

from xpm_remote.errors import XpmRemoteError
from xpm_remote.escaping import safe
from xpm_remote.ui.actions import perform, plan
from xpm_remote.ui.screen.keys import ACTION
from xpm_remote.ui.screen.paged import Paged
from xpm_remote.ui.screen.tabular import begin
from xpm_remote.ui.tables.acts import MANY, Planned, outcome_lines, plan_lines
from xpm_remote.ui.tables.columns import Cell
from xpm_remote.ui.tables.jobs import JobKey
from xpm_remote.ui.text import count_text
from xpm_remote.workspace.layout import JobId

if TYPE_CHECKING:
    pass


class _Stage(Enum):
    PLANNING = "planning"
    ASKING = "asking"
    WORKING = "working"
    OVER = "over"


class ActionScreen(Paged):
    """An action on jobs.

    Args:
        action: What is to be done.
        keys: The jobs.
    """

    place = ACTION

    def __init__(self, action: str, keys: Sequence[JobKey]) -> None:
        super().__init__()
        self.action = action
        self._jobs: dict[str, list[JobId]] = {}
        for name, key in keys:
            self._jobs.setdefault(name, []).append(JobId(*key.split("/", 1)))
        self._planned: list[Planned] = []
        self._outcomes: list[tuple[str, bool]] = []
        self._stage = _Stage.PLANNING

    async def on_mount(self) -> None:
        """Begin to plan."""
        begin(self, self._plan, group="act")

    @property
    def _count(self) -> int:
        return sum(len(each.to_do) for each in self._planned)

    async def _plan(self) -> None:
        questions = self.dashboard.triage.questions
        for name, jobs in self._jobs.items():
            if questions is None:
                break
            try:
                async with questions.at(name) as there:
                    plans = await plan(there, self.action, jobs)
                self._planned.append(Planned(name, plans))
            except XpmRemoteError as error:
                self._planned.append(Planned(name, trouble=str(error)))
                self._keep(name, [(f"{self.action} was not planned: {safe(str(error))}", False)])
            self.paint()
        self._stage = _Stage.ASKING if self._count else _Stage.OVER
        if self._stage is _Stage.OVER:
            self._keep_refusals()
        self.paint()

    # What is shown

    def crumbs(self) -> tuple[list[Cell], list[Cell]]:
        """Say what is asked."""
        clusters = ", ".join(safe(name).upper() for name in self._jobs)
        what = f"{self.action} {count_text(self._count, 'job')} on {clusters}"
        leaves = f"{self.key_of('back')} leaves"
        if self._stage is _Stage.PLANNING:
            return [Cell(f"{self.action} on {clusters}: planning …", "bold")], []
        if self._stage is _Stage.ASKING:
            key = self.key_of("confirm")
            how = f"{key}, then the number {self._count}," if self._count > MANY else key
            return [Cell(f"{what}?", "failed"), Cell(f"{how} does it, {leaves}", "key")], []
        if self._stage is _Stage.WORKING:
            done = len(self._outcomes)
            return [
                Cell(f"{what}: {done:,} done …", "bold"),
                Cell(f"{leaves} it to go on", "dim"),
            ], []
        if not self._outcomes:
            return [
                Cell(f"nothing to {self.action} on {clusters}", "bold"),
                Cell(leaves, "key"),
            ], []
        failed = sum(not is_done for _, is_done in self._outcomes)
        words = f"{failed:,} failed" if failed else "all is done"
        return [Cell(f"{what}: {words}", "failed" if failed else "done"), Cell(leaves, "key")], []

    def paint(self) -> None:
        """Draw the plan, or the outcomes."""
        lines: list[list[Cell]] = []
        if self._stage in (_Stage.PLANNING, _Stage.ASKING) or not self._outcomes:
            for each in self._planned:
                lines.append([Cell(f" {safe(each.workspace).upper()}", "bold")])
                if each.trouble:
                    lines.append([Cell(f"   {safe(each.trouble)}", "failed")])
                lines += [
                    [Cell(f"   {text}", "" if is_to_do else "dim")]
                    for text, is_to_do in plan_lines(each)
                ]
                keys = [str(plan.job) for plan in each.to_do]
                command = self.dashboard.command_line(self.action, each.workspace, keys)
                if keys and command:
                    lines.append([Cell(f"   $ {safe(command)}", "key")])
        else:
            lines += [
                [Cell(f" {text}", "done" if is_done else "failed")]
                for text, is_done in self._outcomes
            ]
        self.view.show(lines)
        self.paint_frame()

    # Keys

    def action_confirm(self) -> None:
        """Do it, or ask for the number of jobs first."""
        if self._stage is not _Stage.ASKING:
            return
        if self._count > MANY:
            self.open_entry("#", "")
        else:
            self._begin()

    def submit(self, prompt: str, text: str) -> None:
        """Take the number that was typed."""
        del prompt
        if text.strip().replace(",", "") == str(self._count):
            self._begin()
        else:
            self.say(f"that is not {self._count}: nothing is done")

    def find(self, text: str) -> None:
        """Nothing is found as one types here."""

    def _begin(self) -> None:
        stale = self.dashboard.look().stale & set(self._jobs)
        if stale:
            names = safe(", ".join(sorted(stale)))
            words = f"{names} is STALE: nothing is done on what may be out of date"
            for name in stale:
                self._keep(name, [(f"{self.action} was refused: {words}", False)])
            self.say(words)
            return
        self._keep_refusals()
        self._stage = _Stage.WORKING
        # It goes on when this screen is left.
        begin(self.dashboard, self._work, group="act")
        self.paint()

    async def _work(self) -> None:
        questions = self.dashboard.triage.questions
        for each in self._planned:
            if questions is None or not each.to_do:
                continue
            try:
                async with questions.at(each.workspace) as jobs:
                    outcomes = perform(jobs, self.action, each.to_do)
                    async with aclosing(outcomes):  # type: ignore[type-var]
                        async for outcome in outcomes:
                            self._note(each.workspace, outcome_lines(outcome))
            except XpmRemoteError as error:
                words = f"{self.action} was not finished, of {count_text(len(each.to_do), 'job')}"
                self._note(each.workspace, [(f"{words}: {safe(str(error))}", False)])
        self._stage = _Stage.OVER
        self.paint()

    def _note(self, name: str, lines: Sequence[tuple[str, bool]]) -> None:
        self._outcomes += lines
        self._keep(name, lines)
        if self._has_parts:
            self.paint()

    def _keep(self, name: str, lines: Sequence[tuple[str, bool]]) -> None:
        """Keep for Activity what was done, or why it was not."""
        for text, is_done in lines:
            self.dashboard.acts.append((time.time(), name, text, is_done))

    def _keep_refusals(self) -> None:
        for each in self._planned:
            refused = [text.strip() for text, is_to_do in plan_lines(each) if not is_to_do]
            self._keep(
                each.workspace, [(f"{self.action} was refused: {t}", False) for t in refused]
            )
