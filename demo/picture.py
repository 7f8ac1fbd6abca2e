"""Write pictures of the dashboard once there is something of everything. Started by ``run.py --svg``."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from textual.pilot import Pilot

from xpm_remote.cli.context import Context
from xpm_remote.cli.several import find_targets
from xpm_remote.model.tells_apart import FEWEST
from xpm_remote.rpc.protocol import REQUEST_TIMEOUT
from xpm_remote.session.state import RECONCILE_INTERVAL, Picture
from xpm_remote.ui.screen.app import Dashboard
from xpm_remote.ui.screen.remembered import Views
from xpm_remote.ui.screen.start import Start
from xpm_remote.ui.screen.table_view import TableView
from xpm_remote.workspace.states import State

SIZE = (120, 30)

HERE = "laptop:~/experiments"
"""The pictures' text in place of this machine's name and temporary folder."""

_FONT_FACE = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)

LOOK = 0.1
"""Seconds between two looks at whether what is wanted is there."""

LIMIT = 120.0
"""Seconds until there is something of everything: longer than the experiments on the servers take."""


class Pictured(Dashboard):
    """The dashboard, without particulars of this machine."""

    @property
    def pictures(self) -> Mapping[str, Picture]:
        """The pictures of the workspaces, by their names."""
        host, _, workspace = HERE.partition(":")
        return {
            name: dataclasses.replace(each, host=host, workspace=workspace)
            if each.workspace.startswith("/")
            else each
            for name, each in super().pictures.items()
        }


def is_interesting(dashboard: Dashboard) -> bool:
    """Return whether jobs run and wait on several clusters, and some have failed on each of the servers."""
    stores = [picture.store for picture in dashboard.pictures.values()]
    running, failed = (
        [store.number_in_state(state) for store in stores] for state in (State.RUNNING, State.ERROR)
    )
    # What fails by one cause has something in common from five failures on.
    return sum(map(bool, running)) > 1 and sum(map(bool, failed)) > 1 and max(failed) >= FEWEST


def has_words(dashboard: Dashboard, *words: str) -> bool:
    """Return whether words are in the table that is on the screen."""
    view = dashboard.screen.query_one(TableView)
    text = "\n".join(view.render_line(y).text for y in range(view.size.height))
    return all(word in text for word in words)


async def until(pilot: Pilot[int], condition: Callable[[], bool]) -> None:
    """Wait for what is on the way."""
    while not condition():
        await pilot.pause(LOOK)


async def take(dashboard: Dashboard, pilot: Pilot[int], folder: Path) -> None:
    """Go through the screens and write a picture of each."""

    def write(name: str) -> None:
        dashboard.paint()
        # A picture in a README loads nothing; any monospace font is suitable.
        svg = _FONT_FACE.sub("", dashboard.export_screenshot(title="xpm-remote", simplify=True))
        (folder / f"{name}.svg").write_text(svg.rstrip() + "\n")

    await until(pilot, lambda: is_interesting(dashboard))
    await pilot.press("2")
    await until(pilot, lambda: has_words(dashboard, "train/", "rerank/", "annotate/"))
    write("jobs")
    await pilot.press("3")
    await until(pilot, lambda: has_words(dashboard, "Diverged", "OutOfMemoryError", "goes with"))
    write("failures")


async def main(folder: Path) -> None:
    """Show the workspaces until they are interesting, and write the pictures."""
    context = Context(settings_file=None)
    targets = find_targets(context, context.load_settings(), {"workspace": (), "is_all": True})
    views = Views(Path("views.json"))  # none are saved
    dashboard = Pictured(Start(targets, REQUEST_TIMEOUT, RECONCILE_INTERVAL, views))
    async with dashboard.run_test(size=SIZE) as pilot:
        keeping = asyncio.create_task(dashboard.keep(), name="fleet")
        try:
            await asyncio.wait_for(take(dashboard, pilot, folder), LIMIT)
        except (TimeoutError, asyncio.TimeoutError):
            sys.exit(f"there is not something of everything within {LIMIT:g} s")
        finally:
            keeping.cancel()
            await asyncio.wait({keeping})


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
