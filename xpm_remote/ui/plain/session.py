"""The line mode: takes commands, lists, and tells what changes, over the same tables as the dashboard."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from xpm_remote.errors import XpmRemoteError
from xpm_remote.escaping import safe
from xpm_remote.session.fleet import Fleet, Login
from xpm_remote.session.state import Picture, Update
from xpm_remote.ui.events import EventLines
from xpm_remote.ui.plain.acting import Acting
from xpm_remote.ui.plain.browsing import Browsing
from xpm_remote.ui.plain.help import command_of, help_lines
from xpm_remote.ui.plain.lines import Lines
from xpm_remote.ui.screen.questions import Questions
from xpm_remote.ui.screen.triage import Triage
from xpm_remote.ui.text import Format, count_text

if TYPE_CHECKING:
    from xpm_remote.ui.screen.start import Start

LAST = 1_000
"""Changes that are kept for ``activity``."""

LISTED = 20
"""Changes that ``activity`` lists."""


class Session:
    """Takes commands until the end.

    Args:
        start: What it begins with.
        lines: The terminal.
    """

    def __init__(self, start: Start, lines: Lines) -> None:
        self._start = start
        self._lines = lines
        self._fleet: Fleet | None = None
        self._events: dict[str, EventLines] = {}
        self._last: deque[str] = deque(maxlen=LAST)
        self._triage = Triage(start.journal, lambda: None)
        self._wanted: dict[str, asyncio.Event] = {}
        self._borrower = ""
        self._has_asked = False
        self._browsing = Browsing(lines, self._triage, lambda: self._pictures)
        self._acting = Acting(lines, self._browsing, start.command_line, self._last.append)

    # The fleet

    async def run(self) -> None:
        """Take commands until the end is asked for, or all workspaces have ended.

        Raises:
            XpmRemoteError: Why all workspaces have ended.
        """
        targets = {target.label: target for target in self._start.targets}
        fleet = Fleet((), timeout=self._start.timeout, interval=self._start.interval)
        fleet.subscribe(self._note)
        for target in self._start.targets:
            fleet.add(target)
        self._fleet = fleet
        self._triage.begin(Questions(targets, fleet.hosts, self._start.folders, self._tell))
        self._lines.begin()
        self._lines.say(
            f"xpm-remote: {count_text(len(targets), 'workspace')}; help lists the commands"
        )
        if not targets:
            self._lines.say(
                "no workspace: add one to the settings, or name one: xpm-remote experiments ssh-monitor --help"
            )
        commands = asyncio.create_task(self._take(), name="commands")
        work = fleet.run(self._call_person) if targets else asyncio.Event().wait()
        keeping = asyncio.create_task(work, name="fleet")
        try:
            await asyncio.wait({commands, keeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._lines.end()
            for task in (commands, keeping):
                task.cancel()
            await asyncio.wait({commands, keeping})
            await self._triage.aclose()
            self._start.errors.update({name: each.error for name, each in fleet.members.items()})
        for task in (commands, keeping):
            if not task.cancelled():
                task.result()

    @property
    def _pictures(self) -> Mapping[str, Picture]:
        members = {} if self._fleet is None else self._fleet.members
        return {name: monitor.picture for name, monitor in members.items()}

    def _note(self, name: str, update: Update) -> None:
        if self._fleet is None:
            return
        picture = self._fleet.members[name].picture
        self._triage.note(name, update, picture)
        if name not in self._events:
            label = name if len(self._start.targets) > 1 else ""
            self._events[name] = EventLines(Format.TEXT, progress=False, name=label)
        news = list(self._events[name].lines(update, picture, time.time()))
        self._last += news
        self._lines.tell(news)
        if name == self._borrower:
            if self._has_asked and not picture.link.is_asking:
                self._borrower = ""
                self._lines.begin()
            self._has_asked = picture.link.is_asking

    async def _call_person(self, login: Login) -> bool:
        if not login.is_first:
            wanted = self._wanted[login.name] = asyncio.Event()
            words = f"{login.name} waits for a login: {login.asked}; retry {login.name} begins it"
            self._lines.tell([safe(words)])
            await wanted.wait()
        self._borrower, self._has_asked = login.name, False
        self._lines.end()
        self._lines.say(safe(login.words))
        return True

    def _tell(self, line: str) -> None:
        self._lines.tell([safe(line)])

    # Commands

    async def _take(self) -> None:
        while True:
            line = await self._lines.ask()
            if line is None:
                return
            try:
                if await self._do(line.split()):
                    break
            except (ValueError, XpmRemoteError) as error:
                self._lines.say(safe(str(error)))
        for name in self._pictures:
            self._triage.see(name)

    async def _do(self, words: Sequence[str]) -> bool:
        """Do what a line says; return whether it is the last one."""
        if self._acting.is_asking:
            await self._acting.confirm(words)
            return False
        if not words:
            return False
        if words[0].isdecimal():
            words = ("open", *words)
        name, rest = command_of(words[0]), words[1:]
        if name == "quit":
            return True
        commands: dict[str, Callable[[Sequence[str]], Awaitable[None]]] = {
            "fleet": self._browsing.list_fleet,
            "jobs": self._browsing.list_jobs,
            "failures": self._browsing.list_failures,
            "open": self._browsing.open,
            "job": self._browsing.open_job,
            "log": self._browsing.open_log,
            "more": self._browsing.more,
            "earlier": self._browsing.earlier,
            "find": self._browsing.find,
            "sort": self._browsing.sort,
            "group": self._browsing.group,
            "x": self._acting.plan,
            "back": self._browsing.back,
            "again": self._browsing.again,
            "activity": self._list_activity,
            "retry": self._retry,
            "help": self._help,
        }
        await commands[name](rest)
        return False

    async def _help(self, _: Sequence[str]) -> None:
        for line in help_lines():
            self._lines.say(line)

    async def _list_activity(self, _: Sequence[str]) -> None:
        for line in list(self._last)[-LISTED:] or ["nothing has changed"]:
            self._lines.say(line)

    async def _retry(self, words: Sequence[str]) -> None:
        name = " ".join(words)
        if name and name not in self._pictures:
            raise ValueError(f"there is no workspace {safe(name)}")
        for each in [name] if name else list(self._pictures):
            wanted = self._wanted.pop(each, None)
            if wanted is not None:
                wanted.set()
            elif self._fleet is not None:
                self._fleet.retry_now(each)
