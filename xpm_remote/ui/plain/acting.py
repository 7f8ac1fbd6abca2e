"""Actions on jobs: the plan, the confirmation, and the outcomes, one a line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing

from xpm_remote.errors import XpmRemoteError
from xpm_remote.escaping import safe
from xpm_remote.ui.actions import perform, plan
from xpm_remote.ui.plain.browsing import Browsing
from xpm_remote.ui.plain.entries import numbers
from xpm_remote.ui.plain.lines import Lines
from xpm_remote.ui.tables.acts import LETTERS, MANY, Planned, outcome_lines, plan_lines
from xpm_remote.ui.tables.jobs import JobKey
from xpm_remote.ui.text import count_text
from xpm_remote.workspace.layout import JobId

_ACTIONS = tuple(LETTERS.values())


class Acting:
    """Plans what is asked for, and does what is confirmed.

    Args:
        lines: The terminal.
        browsing: Where the person is.
        command: Returns the command that does the same, for an action, a workspace and its jobs.
        note: Is called with what was done.
    """

    def __init__(
        self,
        lines: Lines,
        browsing: Browsing,
        command: Callable[[str, str, Sequence[str]], str],
        note: Callable[[str], None],
    ) -> None:
        self._lines = lines
        self._browsing = browsing
        self._command = command
        self._note = note
        self._planned: list[Planned] = []
        self._action = ""

    @property
    def is_asking(self) -> bool:
        """Whether the next line confirms what is planned, or leaves it."""
        return bool(self._planned)

    async def plan(self, words: Sequence[str]) -> None:
        """Plan an action on jobs, and ask whether to do it."""
        actions = [each for each in _ACTIONS if words and each.startswith(words[0])]
        if len(actions) != 1:
            raise ValueError(
                f"x and one of {', '.join(_ACTIONS)}, and the numbers of lines, or all"
            )
        (action,) = actions
        keys = self._chosen(words[1:])
        self._refuse_stale({name for name, _ in keys})
        by_name: dict[str, list[JobId]] = {}
        for name, key in keys:
            by_name.setdefault(name, []).append(JobId(*key.split("/", 1)))
        planned: list[Planned] = []
        for name, ids in by_name.items():
            self._lines.say(f"asking {safe(name)}")
            try:
                async with self._browsing.ask(name) as jobs:
                    planned.append(Planned(name, await plan(jobs, action, ids)))
            except XpmRemoteError as error:
                planned.append(Planned(name, trouble=str(error)))
        self._say_plan(action, planned)

    def _chosen(self, words: Sequence[str]) -> list[JobKey]:
        place = self._browsing.place
        if list(words) == ["all"]:
            keys = list(place.all_jobs)
        elif words:
            chosen = (place.numbered[each - 1] for each in numbers(words, len(place.numbered)))
            keys = [key for entry in chosen for key in entry.jobs]
        else:
            keys = [] if place.job is None else [place.job]
        if not keys:
            raise ValueError("on which jobs? name the numbers of lines: x kill 3 5-9")
        return list(dict.fromkeys(keys))

    def _refuse_stale(self, names: set[str]) -> None:
        stale = sorted(self._browsing.look().stale & names)
        if stale:
            what = "is STALE: nothing is done on what may be out of date"
            raise ValueError(f"{safe(', '.join(stale))} {what}")

    def _say_plan(self, action: str, planned: Sequence[Planned]) -> None:
        for each in planned:
            self._lines.say(f"{action} on {safe(each.workspace).upper()}")
            if each.trouble:
                self._lines.say(safe(each.trouble))
            for text, _ in plan_lines(each):
                self._lines.say(text.strip())
            ids = [str(one.job) for one in each.to_do]
            command = self._command(action, each.workspace, ids)
            if ids and command:
                self._lines.say(f"the same as: {safe(command)}")
        count = sum(len(each.to_do) for each in planned)
        if not count:
            self._lines.say(f"nothing to {action}")
            return
        self._lines.forget()
        self._planned, self._action = list(planned), action
        how = f"type the number {count}" if count > MANY else "type y"
        self._lines.say(
            f"{action} {count_text(count, 'job')}? {how} to do it, anything else leaves it"
        )

    async def confirm(self, words: Sequence[str]) -> None:
        """Do what is planned, if a line says so."""
        planned, self._planned = self._planned, []
        count = sum(len(each.to_do) for each in planned)
        wanted = str(count) if count > MANY else "y"
        if [word.replace(",", "") for word in words] != [wanted]:
            self._lines.say("nothing is done")
            return
        self._refuse_stale({each.workspace for each in planned})
        for each in planned:
            if each.to_do:
                await self._perform(each)

    async def _perform(self, each: Planned) -> None:
        try:
            async with self._browsing.ask(each.workspace) as jobs:
                outcomes = perform(jobs, self._action, each.to_do)
                async with aclosing(outcomes):  # type: ignore[type-var]
                    async for outcome in outcomes:
                        for text, is_done in outcome_lines(outcome):
                            self._lines.say(text if is_done else f"FAILED: {text}")
                            self._note(f"you: {text}")
        except XpmRemoteError as error:
            self._lines.say(f"{self._action} was not finished: {safe(str(error))}")
