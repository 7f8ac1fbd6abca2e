"""The picture in a terminal without taking it over: redrawn in place, the last one left on the screen."""

from __future__ import annotations

import asyncio
import time

from rich.console import Console
from rich.live import Live

from xpm_remote.session.monitor import Monitor
from xpm_remote.session.state import Update
from xpm_remote.ui.views import dashboard

MIN_REDRAW = 0.1
"""Seconds between two pictures: more than ten a second nobody sees, and an SSH terminal feels."""

MAX_REDRAW = 1.0
"""Seconds after which the picture is drawn anyway: its ages and elapsed times go on."""


class InlineDashboard:
    """Draws a monitor's picture whenever it changes.

    Args:
        monitor: What is drawn.
        console: Where to.
    """

    def __init__(self, monitor: Monitor, console: Console) -> None:
        self._monitor = monitor
        self._console = console
        self._changed = asyncio.Event()
        monitor.subscribe(self._note)

    async def run(self) -> None:
        """Draw until cancelled; the last picture stays."""
        live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop")
        with live:
            try:
                while True:
                    self._draw(live)
                    await asyncio.sleep(MIN_REDRAW)
                    await self._wait_changed()
            finally:
                # Where nothing was ever seen there is nothing to leave: the error says it all.
                live.transient = self._monitor.picture.heard is None
                self._draw(live)

    def _draw(self, live: Live) -> None:
        self._changed.clear()
        size = self._console.size
        # The line under the picture belongs to the cursor.
        picture = dashboard(self._monitor.picture, time.time(), size.width, size.height - 1)
        live.update(picture, refresh=True)

    async def _wait_changed(self) -> None:
        try:
            await asyncio.wait_for(self._changed.wait(), MAX_REDRAW - MIN_REDRAW)
        except (TimeoutError, asyncio.TimeoutError):
            return

    def _note(self, _: Update) -> None:
        self._changed.set()
