"""The picture, once, as text."""

from __future__ import annotations

import time

from rich.console import Console

from xpm_remote.session.monitor import Monitor
from xpm_remote.ui.views import dashboard

UNBOUNDED = 1_000_000
"""Lines of a file: nothing is left out where nobody looks at a screen."""


async def show_once(monitor: Monitor) -> None:
    """Learn everything, print it, end."""
    await monitor.snapshot()
    console = Console()
    height = console.height - 1 if console.is_terminal else UNBOUNDED
    console.print(dashboard(monitor.picture, time.time(), console.width, height))
