"""A fleet without links, for the dashboard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from textual.pilot import Pilot

from tests.model.builders import RUN, iso
from tests.ui.pictures import busy_store, picture
from xpm_remote.errors import WorkspaceError, XpmRemoteError
from xpm_remote.jobs.local import LocalJobs
from xpm_remote.model.entities import Change
from xpm_remote.model.records import ExperimentRecord
from xpm_remote.model.store import Store
from xpm_remote.session.fleet import Fleet
from xpm_remote.session.journal import Journal
from xpm_remote.session.state import LinkState, Phase, Picture, Update
from xpm_remote.settings.schema import NoticeSettings
from xpm_remote.ui.screen.app import Dashboard
from xpm_remote.ui.screen.keys import KEYS, Key
from xpm_remote.ui.screen.line import LineWidget
from xpm_remote.ui.screen.questions import Questions
from xpm_remote.ui.screen.remembered import Views
from xpm_remote.ui.screen.start import Start
from xpm_remote.ui.screen.table_view import TableView
from xpm_remote.workspace.failures import WorkspaceFailure

SIZE = (120, 30)

GROUPS = (
    "load",
    "account",
    "arrange",
    "ask",
    "compare",
    "log",
    "poll",
    "act",
    "copy",
    "notices",
    "shell",
)
"""The workers that end by themselves."""

POLL = 0.02
"""Seconds between two looks at whether changes have been taken."""


class FakeMonitor:
    """What the screen asks of a monitor."""

    def __init__(self, store: Store) -> None:
        self.picture: Picture = picture(store)


class FakeFleet:
    """What the screen asks of a fleet.

    Args:
        stores: The stores of its workspaces, by their names.
    """

    def __init__(self, stores: dict[str, Store]) -> None:
        self.members = {name: FakeMonitor(store) for name, store in stores.items()}
        self.retried: list[str] = []
        self.tell: Callable[[str, Update], None] = lambda *_: None

    def retry_now(self, name: str) -> None:
        """Note that a link is to be tried again."""
        self.retried.append(name)

    def change(self, name: str, changes: list[Change]) -> None:
        """Tell changes of a store."""
        self.tell(name, Update(tuple(changes)))

    def lose(self, name: str, phase: Phase = Phase.WAITING, **link: Any) -> None:
        """Lose a link."""
        monitor = self.members[name]
        since = monitor.picture.link.since
        lost = LinkState(phase, since, "cut", stale_since=since, retry_at=since, **link)
        monitor.picture = replace(monitor.picture, link=lost)
        self.tell(name, Update())


class Screen:
    """The dashboard as a test sees it."""

    def __init__(self, app: Dashboard, pilot: Pilot[int], fleet: FakeFleet) -> None:
        self.app = app
        self.fleet = fleet
        self._pilot = pilot

    async def press(self, *keys: str) -> None:
        """Press keys, and wait for what they do."""
        await self._pilot.press(*keys)
        await self.settle()

    async def settle(self) -> None:
        """Wait until everything that was begun is done, and all changes are taken."""
        while self.app._news.is_set() or self.app._changed:
            await self._pilot.pause(POLL)
        for _ in range(3):
            for group in GROUPS:
                workers = [w for w in self.app.workers if w.group == group and not w.is_finished]
                if workers:
                    await self.app.workers.wait_for_complete(workers)
            await self._pilot.pause()
        self.app.paint()

    async def resize(self, width: int, height: int) -> None:
        """Make the terminal another size."""
        await self._pilot.resize_terminal(width, height)
        await self.settle()

    @property
    def view(self) -> TableView:
        """The table."""
        return self.app.screen.query_one(TableView)

    @property
    def table(self) -> list[str]:
        """The lines of the table, without its heads."""
        lines = [self.view.render_line(y).text.rstrip() for y in range(self.view.size.height)]
        return [line for line in lines[1:] if line]

    @property
    def heads(self) -> str:
        """The heads of the table."""
        return self.view.render_line(0).text

    def line(self, name: str) -> str:
        """Return what a line of the frame says."""
        return self.app.screen.query_one(f"#{name}", LineWidget).text

    @property
    def at(self) -> str:
        """The line with the cursor."""
        at = self.view.model.cursor - self.view._top
        return self.table[at]


@asynccontextmanager
async def dashboard(
    tmp_path: Path,
    stores: dict[str, Store] | None = None,
    *,
    size: tuple[int, int] = SIZE,
    is_ascii: bool = False,
    questions: FakeQuestions | None = None,
    keys: tuple[Key, ...] = KEYS,
    environ: dict[str, str] | None = None,
    notices: NoticeSettings | None = None,
) -> AsyncIterator[Screen]:
    """Run the dashboard without a terminal, over two workspaces unless others are given."""
    fleet = FakeFleet({"jz": busy_store(), "lip6": small_store()} if stores is None else stores)
    start = Start(
        (),
        1.0,
        1.0,
        Views(tmp_path / "state" / "views.json"),
        keys=keys,
        notices=notices or NoticeSettings(),
        is_ascii=is_ascii,
        journal=Journal(tmp_path / "state"),
        environ={} if environ is None else environ,
    )
    app = Dashboard(start)
    app._fleet = cast("Fleet", fleet) if fleet.members else None
    fleet.tell = app._note
    for name, monitor in fleet.members.items():
        app.triage.note(name, Update(), monitor.picture)
    if questions is not None:
        app.triage.begin(cast("Questions", questions))
    async with app.run_test(size=size) as pilot:
        screen = Screen(app, pilot, fleet)
        await screen.settle()
        yield screen


def small_store() -> Store:
    """Make a store with one experiment, which has no jobs."""
    store = Store()
    store.apply_experiments(
        [ExperimentRecord("sweep", run_id=RUN, status="running", started_at=iso(0))]
    )
    return store


class _Jobs:
    """The jobs of a workspace of this machine, asked as those of a fleet are."""

    def __init__(self, jobs: LocalJobs) -> None:
        self._jobs = jobs

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._jobs, name)

        async def ask(*args: Any, **kwargs: Any) -> Any:
            return method(*args, **kwargs)

        async def yields(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            for each in method(*args, **kwargs):
                yield each

        is_generator = name in ("failures", "search_log", "perform", "archive", "recover")
        return yields if is_generator else ask


class FakeQuestions:
    """Asks a workspace of this machine, whichever is named, or fails.

    Args:
        jobs: Its jobs.
    """

    def __init__(self, jobs: LocalJobs) -> None:
        self._jobs = _Jobs(jobs)
        self.error: XpmRemoteError | None = None
        self.asked = 0

    @asynccontextmanager
    async def at(self, name: str) -> AsyncIterator[Any]:
        """Return the jobs."""
        del name
        self.asked += 1
        if self.error is not None:
            raise self.error
        try:
            yield self._jobs
        except WorkspaceFailure as failure:  # as an agent refuses
            raise WorkspaceError(str(failure), "") from failure
