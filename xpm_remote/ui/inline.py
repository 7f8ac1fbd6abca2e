"""The picture in a terminal without taking it over: redrawn in place, the last one left on the screen."""

from __future__ import annotations

import asyncio
import time

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from xpm_remote.escaping import safe
from xpm_remote.session.monitor import Monitor
from xpm_remote.session.state import Update
from xpm_remote.ui.encoding import Encodable
from xpm_remote.ui.keyboard import Keyboard, has_keyboard, is_background, job_control
from xpm_remote.ui.text import stall_words
from xpm_remote.ui.views import dashboard
from xpm_remote.waiting import wait_within

MIN_REDRAW = 0.1
"""Seconds between two pictures: more than ten a second cannot be seen, and slow down an SSH terminal."""

MAX_REDRAW = 1.0
"""Seconds after which the picture is drawn anyway: its ages and elapsed times go on."""

RETRY, QUIT = "r", "q"


class InlineDashboard:
    """Draws a monitor's picture whenever it changes, and handles keys.

    While the host may ask something, the terminal is the person's: nothing is drawn, no key is read.

    Args:
        monitor: What is drawn.
        console: Where to.
    """

    def __init__(self, monitor: Monitor, console: Console) -> None:
        self._monitor = monitor
        self._console = console
        self._changed = asyncio.Event()
        self._retry = asyncio.Event()
        self._has_quit = False
        self._has_left = False
        self._told: float | None = None
        self._keyboard = Keyboard(self._press)
        self._live: Live | None = None
        monitor.subscribe(self._note)

    async def run(self) -> None:
        """Draw until cancelled, or until the person quits; the last picture stays."""
        with job_control(self._suspend, self._resume):
            self._note()
            try:
                while not self._has_quit:
                    self._changed.clear()
                    if self._is_asking:
                        await self._changed.wait()
                        continue
                    self._draw()
                    await asyncio.sleep(MIN_REDRAW)
                    await self._wait_changed()
            finally:
                # Where nothing was ever seen there is nothing to leave: the error says it all.
                self._hide(keep=self._monitor.picture.heard is not None)

    async def call_person(self, asked: str) -> bool:
        """Wait until the person wants to log in; return False at once where there is no keyboard.

        Args:
            asked: What the host asks for, which the picture says.
        """
        del asked
        if not has_keyboard():
            return False
        self._retry.clear()
        await self._retry.wait()
        return True

    @property
    def _is_asking(self) -> bool:
        return self._monitor.picture.link.is_asking

    def _leave_terminal(self) -> None:
        """Leave the terminal to the person, with a line that says what is being done."""
        self._hide(keep=False)
        picture = self._monitor.picture
        where = safe(f"{picture.host}:{picture.workspace}")
        self._console.print(Text(f"connecting to {where} …", style="dim"))
        self._has_left = True

    def _draw(self) -> None:
        if is_background():
            return
        self._has_left = False
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
        picture = dashboard(
            self._monitor.picture,
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

    async def _wait_changed(self) -> None:
        try:
            await wait_within(self._changed.wait(), MAX_REDRAW - MIN_REDRAW)
        except (TimeoutError, asyncio.TimeoutError):
            return

    def _note(self, _: Update | None = None) -> None:
        # At once: the first question may come before the next picture.
        if self._is_asking and not self._has_left:
            self._leave_terminal()
        stall = self._monitor.picture.stall
        if self._is_asking and stall is not None and stall.since != self._told:
            self._told = stall.since
            self._console.print(Text(f"not connected: {stall_words(stall)}", style="bold yellow"))
        self._changed.set()

    def _press(self, key: str) -> None:
        if key == RETRY:
            self._retry.set()
            self._monitor.retry_now()
        elif key == QUIT:
            self._has_quit = True
            self._changed.set()


async def show(monitor: Monitor) -> None:
    """Draw the live dashboard until the link ends for good, the person quits, or a signal comes."""
    board = InlineDashboard(monitor, Console())
    drawing = asyncio.create_task(board.run(), name="dashboard")
    observing = asyncio.create_task(monitor.run(board.call_person), name="monitor")
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
