"""The live dashboard in the terminal."""

from __future__ import annotations

import asyncio

from rich.console import Console

from xpm_remote.session.monitor import Monitor
from xpm_remote.ui.inline import InlineDashboard


async def show_dashboard(monitor: Monitor) -> None:
    """Draw until the link ends or we are told to stop."""
    drawing = asyncio.create_task(InlineDashboard(monitor, Console()).run(), name="dashboard")
    try:
        await monitor.run()
    finally:
        drawing.cancel()
        await asyncio.wait({drawing})
