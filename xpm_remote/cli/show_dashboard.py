"""The live dashboard in the terminal."""

from __future__ import annotations

import asyncio

from rich.console import Console

from xpm_remote.session.monitor import Monitor
from xpm_remote.ui.inline import InlineDashboard


async def show_dashboard(monitor: Monitor) -> None:
    """Draw until the link ends for good, the person quits, or we are told to stop."""
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
