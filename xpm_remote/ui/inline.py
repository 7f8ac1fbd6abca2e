"""The picture in a terminal without taking it over: redrawn in place, the last one left on the screen."""

from __future__ import annotations

import asyncio
import time

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from xpm_remote.escaping import safe
from xpm_remote.session.fleet import Fleet, Login
from xpm_remote.session.state import Phase, Update
from xpm_remote.ui.encoding import Encodable
from xpm_remote.ui.keyboard import Keyboard, has_keyboard, is_background, job_control
from xpm_remote.ui.text import stall_words
from xpm_remote.ui.views import dashboards
from xpm_remote.waiting import wait_within

MIN_REDRAW = 0.1
"""Seconds between two pictures: more than ten a second cannot be seen, and slow down an SSH terminal."""

MAX_REDRAW = 1.0
"""Seconds after which the picture is drawn anyway: its ages and elapsed times go on."""

REST_REDRAW = 5.0
"""The same while nothing has changed since the last picture and every link is live: a picture costs 15 to 50 ms."""

RETRY, QUIT = "r", "q"


class InlineDashboard:
    """Draws the pictures of a fleet whenever they change, and handles keys.

    While a host may ask something, the terminal is the person's: nothing is drawn, no key is read.

    Args:
        fleet: What is drawn.
        console: Where to.
    """

    def __init__(self, fleet: Fleet, console: Console) -> None:
        self._fleet = fleet
        self._console = console
        self._changed = asyncio.Event()
        self._retry = asyncio.Event()
        self._has_quit = False
        self._left_to: str | None = None
        self._told: float | None = None
        self._drawn: list[int] = []
        self._login: Login | None = None
        self._keyboard = Keyboard(self._press)
        self._live: Live | None = None
        fleet.subscribe(self._note)

    async def run(self) -> None:
        """Draw until cancelled, or until the person quits; the last picture stays."""
        with job_control(self._suspend, self._resume):
            for name in self._fleet.members:
                self._note(name)
            try:
                while not self._has_quit:
                    self._changed.clear()
                    if self._asking:
                        await self._changed.wait()
                        continue
                    self._draw()
                    await asyncio.sleep(MIN_REDRAW)
                    await self._wait_changed()
            finally:
                # Where nothing was ever seen there is nothing to leave: the error says it all.
                heard = [each.picture.heard for each in self._fleet.members.values()]
                self._hide(keep=any(each is not None for each in heard))

    async def call_person(self, login: Login) -> bool:
        """Wait until the person wants to log in; return False at once where there is no keyboard.

        At the start there is a person, who has just started us.
        """
        self._login = login
        if login.is_first:
            return True
        if not has_keyboard():
            return False
        await self._retry.wait()
        self._retry.clear()
        return True

    @property
    def _asking(self) -> str | None:
        """The name of the workspace whose host may ask now."""
        members = self._fleet.members.items()
        return next((name for name, each in members if each.picture.link.is_asking), None)

    @property
    def _needs_person(self) -> bool:
        phases = (each.picture.link.phase for each in self._fleet.members.values())
        return any(phase is Phase.NEEDS_PERSON for phase in phases)

    def _leave_terminal(self, name: str) -> None:
        """Leave the terminal to the person, with a line that says what is being done."""
        self._hide(keep=False)
        picture = self._fleet.members[name].picture
        words = f"connecting to {safe(f'{picture.host}:{picture.workspace}')} …"
        if self._login is not None and self._login.name == name and len(self._fleet.members) > 1:
            words = safe(self._login.words)
        self._console.print(Text(words, style="dim"))
        self._left_to = name

    def _draw(self) -> None:
        if is_background():
            return
        self._left_to = None
        self._keyboard.start()
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop")
            self._live.start()
        self._live.update(self._picture(), refresh=True)

    def _hide(self, *, keep: bool) -> None:
        """Restore the terminal as it was, with the last picture on it or without."""
        self._keyboard.stop()
        live, self._live = self._live, None
        if live is None:
            return
        live.transient = not keep
        live.update(self._picture(), refresh=True)
        live.stop()

    def _picture(self) -> RenderableType:
        size = self._console.size
        # The line under the picture belongs to the cursor.
        picture = dashboards(
            {name: each.picture for name, each in self._fleet.members.items()},
            time.time(),
            size.width,
            size.height - 1,
            has_keys=self._keyboard.is_on,
        )
        return Encodable(picture)

    def _suspend(self) -> None:
        self._hide(keep=True)

    def _resume(self) -> None:
        # Whatever was written meanwhile, the next picture begins below it.
        self._hide(keep=False)
        self._changed.set()

    def _is_at_rest(self) -> bool:
        """Return whether nothing goes on that is to be seen but ages, as at the last call."""
        pictures = [member.picture for member in self._fleet.members.values()]
        before, self._drawn = self._drawn, [each.store.version for each in pictures]
        return self._drawn == before and all(
            each.link.phase is Phase.LIVE and each.stall is None for each in pictures
        )

    async def _wait_changed(self) -> None:
        try:
            longest = REST_REDRAW if self._is_at_rest() else MAX_REDRAW
            await wait_within(self._changed.wait(), longest - MIN_REDRAW)
        except (TimeoutError, asyncio.TimeoutError):
            return

    def _note(self, name: str, _: Update | None = None) -> None:
        picture = self._fleet.members[name].picture
        # At once: the first question may come before the next picture.
        if picture.link.is_asking and self._left_to != name:
            self._leave_terminal(name)
        stall = picture.stall
        if picture.link.is_asking and stall is not None and stall.since != self._told:
            self._told = stall.since
            self._console.print(Text(f"not connected: {stall_words(stall)}", style="bold yellow"))
        if not self._needs_person:
            self._retry.clear()
        self._changed.set()

    def _press(self, key: str) -> None:
        if key == RETRY:
            # From the moment on in which the picture says so; a key that was pressed before means another attempt.
            if self._needs_person:
                self._retry.set()
            for name in self._fleet.members:
                self._fleet.retry_now(name)
        elif key == QUIT:
            self._has_quit = True
            self._changed.set()


async def show(fleet: Fleet) -> None:
    """Draw the live dashboard until the last link ends for good, the person quits, or a signal comes."""
    board = InlineDashboard(fleet, Console())
    drawing = asyncio.create_task(board.run(), name="dashboard")
    observing = asyncio.create_task(fleet.run(board.call_person), name="fleet")
    tasks = (drawing, observing)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()
