"""Write a picture of the dashboard once jobs are in all states. Started by ``run.py --svg``."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import re
import sys
import time
from pathlib import Path

from rich.console import Console

from xpm_remote.cli.context import Context
from xpm_remote.model.store import Store
from xpm_remote.session.monitor import Monitor
from xpm_remote.session.state import Picture, Update
from xpm_remote.session.target import Overrides, resolve_target
from xpm_remote.ui.views import dashboard
from xpm_remote.workspace.states import PENDING, State

WIDTH, HEIGHT = 100, 24

HOST, WORKSPACE = "me@cluster", "/data/experiments"
"""The picture's text in place of this machine's loopback address and temporary folder."""

_FONT_FACE = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)

LIMIT = 60.0
"""Seconds until there is something of everything: longer than the whole experiment takes."""


def is_interesting(store: Store) -> bool:
    """Return whether there are jobs that run, wait, have failed and are done."""
    jobs = store.in_state(State.RUNNING)
    running = [job.progress[0].fraction or 0.0 for job in jobs if job.progress]
    some = [store.number_in_state(*states) for states in (PENDING, (State.ERROR,), (State.DONE,))]
    return len(running) > 1 and min(running) > 0 and all(some)


def write(picture: Picture, path: Path) -> None:
    """Draw a picture and write it as SVG."""
    shown = dataclasses.replace(picture, host=HOST, workspace=WORKSPACE)
    console = Console(record=True, width=WIDTH, file=io.StringIO(), color_system="truecolor")
    console.print(dashboard(shown, time.time(), WIDTH, HEIGHT))
    title = "experimaestro experiments ssh-monitor --workspace my-cluster"
    # A picture in a README loads nothing; any monospace font is suitable.
    path.write_text(_FONT_FACE.sub("", console.export_svg(title=title)))


async def main(workspace_id: str, path: Path) -> None:
    """Watch the workspace until it has jobs in all states, then write the picture."""
    settings = Context(settings_file=None).load_settings()
    monitor = Monitor(resolve_target(settings, workspace_id, Overrides()))
    interesting = asyncio.Event()

    def look(_: Update) -> None:
        if is_interesting(monitor.store):
            interesting.set()

    monitor.subscribe(look)
    watching = asyncio.create_task(monitor.run(), name="watching")
    waiting = asyncio.create_task(interesting.wait(), name="waiting")
    try:
        await asyncio.wait({watching, waiting}, timeout=LIMIT, return_when="FIRST_COMPLETED")
        if watching.done():
            await watching
        write(monitor.picture, path)
    finally:
        for task in (watching, waiting):
            task.cancel()
        await asyncio.wait({watching, waiting})


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
