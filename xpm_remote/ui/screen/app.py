"""The full-screen dashboard: its screens, the fleet that feeds them, and the terminal, which logins borrow."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import signal
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from textual import events
from textual.app import App
from textual.driver import Driver

from xpm_remote.errors import ExitCode, OptionError, StoppedBySignal
from xpm_remote.escaping import safe
from xpm_remote.model.entities import JobChange, sliced
from xpm_remote.session.target import Target
from xpm_remote.ui.screen.acting import ActionScreen
from xpm_remote.ui.screen.activity import ActivityScreen
from xpm_remote.ui.screen.calling import Caller
from xpm_remote.ui.screen.chooser import Chooser
from xpm_remote.ui.screen.commands import Command
from xpm_remote.ui.screen.failures import FailuresScreen
from xpm_remote.ui.screen.first_frame import CONNECTING, FirstFrame
from xpm_remote.ui.screen.fleet import FleetScreen
from xpm_remote.ui.screen.frame import Changed, Frame
from xpm_remote.ui.screen.job import JobScreen
from xpm_remote.ui.screen.jobs import JobsScreen
from xpm_remote.ui.screen.log import LogScreen
from xpm_remote.ui.screen.notices import Notices
from xpm_remote.ui.screen.questions import Questions
from xpm_remote.ui.screen.shells import Shell, put, run_shell, shell_in, wait_for_enter
from xpm_remote.ui.screen.start import Start
from xpm_remote.ui.screen.tabular import begin, in_slices
from xpm_remote.ui.screen.terminal import TerminalDriver
from xpm_remote.ui.screen.triage import Triage
from xpm_remote.ui.tables.columns import Look
from xpm_remote.ui.tables.jobs import JobKey
from xpm_remote.ui.tables.links import is_stale
from xpm_remote.ui.tables.view import View

if TYPE_CHECKING:
    from xpm_remote.model.entities import Job
    from xpm_remote.session.fleet import Fleet, Login
    from xpm_remote.session.state import Picture, Update
    from xpm_remote.session.target import LocalTarget

FRAME = 0.25
"""Seconds between two pictures of what changed: four a second are followed by the eye, and are few bytes over SSH."""

TICK = 1.0
"""Seconds between two looks at ages and links; what is the same is not drawn."""

ACTS = 1_000
"""Outcomes that are kept."""

_SLICE = 200
"""Changes that are passed on at once: a few milliseconds."""


class Dashboard(App[int], inherit_bindings=False):
    """The app.

    Args:
        start: What it begins with.
        driver: What draws; None: the terminal.

    Attributes:
        keys: The table of keys.
        views: The views of the user.
        is_ascii: Whether only ASCII is drawn besides what comes from the remote.
        opening: What is done before the workspaces are known.
        first: What is on the terminal before the app.
        acts: What was done from here: when, where, the outcome, and whether it succeeded.
        triage: What is known of failures, and where to ask.
        environ: The environment of programs that are run here.
    """

    ENABLE_COMMAND_PALETTE = False
    CSS = "Screen { background: ansi_default; }"

    def __init__(self, start: Start, driver: type[Driver] | None = None) -> None:
        super().__init__(driver_class=driver or TerminalDriver, ansi_color=True)
        self.animation_level = "none"
        self.keys = start.keys
        self.views = start.views
        self.is_ascii = start.is_ascii
        self.environ = start.environ
        self.opening = CONNECTING if start.targets else ""
        self.first: FirstFrame | None = None
        self.acts: deque[tuple[float, str, str, bool]] = deque(maxlen=ACTS)
        self.triage = Triage(start.journal, lambda: self._news.set())
        self._start = start
        self._fleet: Fleet | None = None
        self._changed: dict[tuple[str, str], Any] = {}
        self._news = asyncio.Event()
        self._is_drawn = asyncio.Event()
        self._wanted: dict[str, asyncio.Event] = {}
        is_calling = start.notices.enabled
        self._notices = Notices(start.notices.link_lost_s) if is_calling else None
        self._caller = Caller(start.notices, start.environ, self._write, self._tell)
        self._borrower = ""
        self._has_asked = False
        self._returned = asyncio.Event()
        self._terminal = asyncio.Lock()
        self._is_lent = False

    # The fleet

    async def keep(self) -> None:
        """Keep the fleet in step, from the first frame on, until cancelled.

        Raises:
            XpmRemoteError: No workspace lives any more.
        """
        await self._is_drawn.wait()
        if not self._start.targets:
            await asyncio.Event().wait()
        # The SSH library takes as long to import as a near host to answer; meanwhile keys are read.
        await asyncio.to_thread(importlib.import_module, "xpm_remote.session.fleet")
        from xpm_remote.session.fleet import Fleet  # noqa: PLC0415 - imported by the line above

        fleet = Fleet((), timeout=self._start.timeout, interval=self._start.interval)
        fleet.subscribe(self._note)
        for target in self._start.targets:
            fleet.add(target)  # which asks nothing before a person is called
        # What was imported stays, and so do the stores: 100,000 jobs are not to be looked through for garbage.
        gc.freeze()
        self._fleet = fleet
        targets = {target.label: target for target in self._start.targets}
        self.triage.begin(Questions(targets, fleet.hosts, self._start.folders, self._tell))
        self._news.set()
        try:
            await fleet.run(self._call_person)
        finally:
            await self.triage.aclose()
            errors = {name: monitor.error for name, monitor in fleet.members.items()}
            self._start.errors.update(errors)

    @property
    def pictures(self) -> Mapping[str, Picture]:
        """The pictures of the workspaces, by their names."""
        if self._fleet is None:
            return {}
        return {name: monitor.picture for name, monitor in self._fleet.members.items()}

    def job(self, key: JobKey) -> Job | None:
        """Return what is known of a job."""
        picture = self.pictures.get(key[0])
        return None if picture is None else picture.store.jobs.get(key[1])

    def look(self, tags: tuple[str, ...] = ()) -> Look:
        """Return what cells are drawn by."""
        pictures = self.pictures
        return Look(
            time.time(),
            {name: picture.skew for name, picture in pictures.items()},
            frozenset(name for name, picture in pictures.items() if is_stale(picture)),
            tags,
            self.is_ascii,
        )

    def _note(self, name: str, update: Update) -> None:
        for change in update.changes:
            if isinstance(change, JobChange):
                self._changed[name, change.key] = change.after
        self._news.set()
        if self._fleet is not None and name in self._fleet.members:
            picture = self._fleet.members[name].picture
            self.triage.note(name, update, picture)
            if self._notices is not None:
                self._notices.note(name, update, picture, time.time())
        if name == self._borrower and self._fleet is not None:
            is_asking = self._fleet.members[name].picture.link.is_asking
            if self._has_asked and not is_asking:
                self._returned.set()
            self._has_asked = is_asking

    async def _pump(self) -> None:
        """Pass changes on to the screens in slices, and draw at most four times a second."""
        while True:
            await self._news.wait()
            self._news.clear()
            changed, self._changed = self._changed, {}
            await in_slices(self._pass_on(changed))
            unasked = self.triage.unasked(self.pictures)
            if unasked and self.triage.failures is not None:
                work = partial(self.triage.failures.ask, self.pictures, unasked)
                begin(self, work, group="ask")
            self.paint()
            await asyncio.sleep(FRAME)

    def _pass_on(self, changed: Changed) -> Iterator[None]:
        for part in sliced(changed.items(), _SLICE) if changed else ([],):
            for screen in self.screen_stack:
                if isinstance(screen, Frame):
                    screen.take(dict(part))
            yield

    def paint(self) -> None:
        """Draw what differs on the screen."""
        # The timer may fire once more when the application ends, after its screens have gone.
        for screen in self.screen_stack[-1:]:
            if isinstance(screen, Frame) and not self._is_lent:
                screen.paint()

    def _tick(self) -> None:
        self.paint()
        if self._notices is None:
            return
        pictures, triage = self.pictures, self.triage
        items = self._notices.due(time.time(), pictures, triage.failures, triage.muted(pictures))
        if items:
            begin(self, partial(self._caller.call, items), group="notices")

    def _write(self, text: str) -> None:
        """Write to the terminal, unless it is lent."""
        if self._driver is not None and not self._is_lent:
            self._driver.write(text)
            self._driver.flush()

    def on_app_focus(self) -> None:
        """Note that the terminal is looked at."""
        self._caller.has_focus = True

    def on_app_blur(self) -> None:
        """Note that the terminal is not looked at any more."""
        self._caller.has_focus = False

    # Logins borrow the terminal

    async def _call_person(self, login: Login) -> bool:
        """Wait for the person who has to log in; at the start nothing is to be waited for."""
        if not login.is_first:
            wanted = self._wanted[login.name] = asyncio.Event()
            self.paint()
            await wanted.wait()
        lent = asyncio.Event()
        begin(self, partial(self._lend, login, lent), group="login")
        await lent.wait()
        return True

    async def _lend(self, login: Login, lent: asyncio.Event) -> None:
        """Leave the terminal to the questions of a host until it has its answers."""
        async with self._lent_terminal():
            self._borrower, self._has_asked = login.name, False
            self._returned.clear()
            put(safe(login.words))
            lent.set()
            await self._returned.wait()
            self._borrower = ""

    @contextlib.asynccontextmanager
    async def _lent_terminal(self) -> AsyncIterator[None]:
        """Leave the terminal to something else, one after the other; nothing is drawn meanwhile."""
        async with self._terminal:
            self._is_lent = True
            try:
                with self.batch_update(), self.suspend():
                    yield
            finally:
                self._is_lent = False
        self.paint()

    def open_directory(self, key: JobKey) -> None:
        """Open a shell in the directory of a job."""
        job, target = self.job(key), self._target(key[0])
        if job is None or target is None:
            self._tell("the job is not known any more")
            return
        try:
            shell = shell_in(target, job.path, self.environ)
        except OptionError as error:
            self._tell(str(error))
            return
        begin(self, partial(self._lend_to_shell, shell), group="shell")

    async def _lend_to_shell(self, shell: Shell) -> None:
        async with self._lent_terminal():
            trouble = await run_shell(shell)
            if trouble:
                put(f"\n{trouble}")
                await wait_for_enter()
        if trouble:
            self._tell(trouble)

    def _doctor(self, name: str) -> str:
        """Examine the way to a workspace: the one that is named, else the one under the cursor."""
        name = name or (self.screen.here if isinstance(self.screen, Frame) else "")
        target = self._target(name)
        if isinstance(target, Target):
            begin(self, partial(self._lend_to_doctor, target), group="shell")
            return ""
        if target is not None:
            return f"{safe(name)} is of this machine: there is no way to it to examine"
        return f"there is no workspace {safe(name)}" if name else "name a workspace"

    async def _lend_to_doctor(self, target: Target) -> None:
        # Which the first frame does not wait for.
        from xpm_remote.ui.screen.examining import examine_on_terminal  # noqa: PLC0415

        async with self._lent_terminal():
            summary = await examine_on_terminal(target, self._start.timeout)
            put(f"\n{summary}")
            await wait_for_enter()
        self._tell(f"{target.label}: {summary}")

    def _target(self, name: str) -> Target | LocalTarget | None:
        return next((each for each in self._start.targets if each.label == name), None)

    def retry(self, name: str) -> None:
        """Try a link again now, or log in where that is waited for."""
        wanted = self._wanted.pop(name, None)
        if wanted is not None:
            wanted.set()
        elif self._fleet is not None and name in self._fleet.members:
            self._fleet.retry_now(name)

    # Screens

    async def on_event(self, event: events.Event) -> None:
        """Pass a key to the screen itself, or to the overlay."""
        if isinstance(event, events.Key) and self._caller.has_focus is False:
            self._caller.has_focus = True
        if isinstance(event, events.Key) and isinstance(self.screen, (Frame, Chooser)):
            await self.screen.press(event)
        elif isinstance(event, events.Paste) and isinstance(self.screen, Frame):
            self.screen.paste(event.text)
        else:
            await super().on_event(event)

    def on_mount(self) -> None:
        """Show the first screen."""
        # Textual makes tasks eager on Python 3.12 and newer: they would run before their makers have noted them.
        asyncio.get_running_loop().set_task_factory(None)
        _ = self.push_screen(FleetScreen())
        begin(self, self._pump, group="pump")
        self.set_interval(TICK, self._tick)
        self.call_after_refresh(self._is_drawn.set)

    def show_jobs(self, workspace: str = "", experiment: str = "", view: View = View()) -> None:  # noqa: B008 - frozen
        """Show jobs: of all, of a workspace, or of an experiment of it."""
        _ = self.push_screen(JobsScreen(workspace, experiment, view))

    def show_job(self, key: JobKey, others: Sequence[JobKey] = ()) -> None:
        """Show what is known of a job, which is in a list."""
        _ = self.push_screen(JobScreen(key, others))

    def show_log(
        self, key: JobKey, others: Sequence[JobKey] = (), stream: str = "", attempt: str = ""
    ) -> None:
        """Show a log of a job, which is in a list: of the last try, or of an earlier one."""
        _ = self.push_screen(LogScreen(key, others, stream, attempt=attempt))

    def _tell(self, line: str) -> None:
        """Show what happens on the way to a host, or with a notice, below what is open over the screen."""
        for screen in reversed(self.screen_stack):
            if isinstance(screen, Frame):
                screen.say(safe(line))
                break

    def show_action(self, action: str, keys: Sequence[JobKey]) -> None:
        """Plan an action on jobs, and show it."""
        _ = self.push_screen(ActionScreen(action, keys))

    def command_line(self, action: str, name: str, keys: Sequence[str]) -> str:
        """Return the command that does the same; empty where a workspace has no name for it."""
        return self._start.command_line(action, name, keys)

    def leave(self) -> None:
        """Go back to the screen before, if there is one."""
        if len(self.screen_stack) > 2:  # Textual's own is the first
            _ = self.pop_screen()

    def _go_home(self) -> None:
        while len(self.screen_stack) > 2:
            _ = self.pop_screen()

    def action_fleet(self) -> None:
        """Go to the first screen."""
        self._go_home()

    def action_jobs(self) -> None:
        """Go to all jobs."""
        self._go_home()
        self.show_jobs()

    def action_failures(self) -> None:
        """Go to the failures by their causes."""
        self._go_home()
        _ = self.push_screen(FailuresScreen())

    def action_activity(self) -> None:
        """Go to what happened."""
        self._go_home()
        _ = self.push_screen(ActivityScreen())

    def action_retry(self) -> None:
        """Try all links again."""
        for name in self.pictures:
            self.retry(name)

    async def action_quit(self) -> None:
        """Quit at home, else go back."""
        if len(self.screen_stack) > 2:
            _ = self.pop_screen()
        else:
            self.see_all()
            self.exit(ExitCode.OK)

    async def end(self, drawing: asyncio.Task[Any]) -> None:
        """Quit, and wait for the end; also when this is wanted before the first picture is drawn."""
        begun = asyncio.create_task(self._is_drawn.wait())
        # An application that has yet to begin does not hear that it is to end.
        await asyncio.wait({drawing, begun}, return_when=asyncio.FIRST_COMPLETED)
        begun.cancel()
        self.exit()
        await asyncio.wait({drawing})

    def see_all(self) -> None:
        """Remember that all that is shown has been seen."""
        for name in self.pictures:
            self.triage.see(name)
        self.paint()

    def action_interrupt(self) -> None:
        """Quit at once."""
        self.exit(ExitCode.INTERRUPTED)

    def action_suspend(self) -> None:
        """Return to the shell until it continues us."""
        self.action_suspend_process()

    def commands(self) -> dict[str, Command]:
        """Return what can be typed everywhere."""
        return {
            "fleet": Command("go to the clusters", lambda _: _done(self.action_fleet)),
            "jobs": Command("go to all jobs", lambda _: _done(self.action_jobs)),
            "causes": Command("go to why jobs failed", lambda _: _done(self.action_failures)),
            "activity": Command("go to what happened", lambda _: _done(self.action_activity)),
            "ws": Command("go to the jobs of a workspace", self._go_to, lambda: self.pictures),
            "job": Command("find a job by its id", self._find_job),
            "doctor": Command(
                "examine the way to a workspace",
                self._doctor,
                lambda: [t.label for t in self._start.targets if isinstance(t, Target)],
            ),
            "quit": Command("quit", lambda _: _done(lambda: self.exit(ExitCode.OK))),
        }

    def _go_to(self, name: str) -> str:
        if name not in self.pictures:
            return f"there is no workspace {name}; there are {', '.join(self.pictures)}"
        self.show_jobs(name)
        return ""

    def _find_job(self, text: str) -> str:
        if not text:
            return "name a part of the id"
        self.show_jobs(view=View(find=text))
        return ""


def _done(action: Callable[[], object]) -> str:
    action()
    return ""


async def run(start: Start, first: FirstFrame) -> None:
    """Run the dashboard until the person quits, or all workspaces have ended.

    Args:
        start: What it begins with.
        first: What is drawn until the dashboard is.

    Raises:
        XpmRemoteError: Why all workspaces have ended.
        StoppedBySignal: The person pressed Ctrl-C.
    """
    app = Dashboard(start)
    app.first = first
    drawing = asyncio.create_task(app.run_async(), name="dashboard")
    keeping = asyncio.create_task(app.keep(), name="fleet")
    try:
        await asyncio.wait({drawing, keeping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not drawing.done():
            await app.end(drawing)
        keeping.cancel()
        await asyncio.wait({keeping})
    if not keeping.cancelled():
        keeping.result()
    if app._exception is not None:  # noqa: SLF001 - Textual ends by it, and prints it nowhere
        raise app._exception  # noqa: SLF001
    if drawing.result() == ExitCode.INTERRUPTED:
        raise StoppedBySignal(signal.SIGINT)
