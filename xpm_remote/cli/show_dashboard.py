"""The live dashboard in the terminal."""

from __future__ import annotations

import asyncio

from rich.console import Console

from xpm_remote.session.monitor import Monitor
from xpm_remote.session.state import Phase, Update
from xpm_remote.ui.inline import InlineDashboard


async def show_dashboard(monitor: Monitor) -> None:
    """Draw from when we are connected until the link ends or we are told to stop.

    Before that the terminal is free for what the host asks.
    """
    connected = asyncio.Event()

    def note(_: Update) -> None:
        if monitor.picture.link.phase is not Phase.CONNECTING:
            connected.set()

    async def draw() -> None:
        await connected.wait()
        await InlineDashboard(monitor, Console()).run()

    monitor.subscribe(note)
    drawing = asyncio.create_task(draw(), name="dashboard")
    try:
        await monitor.run()
    finally:
        drawing.cancel()
        await asyncio.wait({drawing})
