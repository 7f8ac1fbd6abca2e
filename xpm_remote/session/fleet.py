"""Several workspaces at once: a monitor for each, and one queue of logins that take the person at the terminal."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from xpm_remote.errors import UsageError, XpmRemoteError
from xpm_remote.link.connection import Sharing
from xpm_remote.link.host import describe_link
from xpm_remote.model.entities import Experiment, Job
from xpm_remote.rpc.protocol import REQUEST_TIMEOUT
from xpm_remote.session.hosts import Hosts
from xpm_remote.session.monitor import Monitor
from xpm_remote.session.reconnect import Backoff
from xpm_remote.session.state import RECONCILE_INTERVAL, Phase, Update
from xpm_remote.session.target import LocalTarget, Target

FleetListener = Callable[[str, Update], None]


@dataclass(frozen=True)
class Login:
    """A login that takes a person.

    Attributes:
        name: The name of the workspace.
        host: The host, as named in the settings or on the command line.
        through: The jump hosts on the way there.
        asked: What is asked for.
        is_first: Whether the workspace has been added just now: it has not been live, and has not called before.
    """

    name: str
    host: str
    through: tuple[str, ...]
    asked: str
    is_first: bool

    @property
    def way(self) -> str:
        """The host, and the jump hosts."""
        return f"{self.host} through {', '.join(self.through)}" if self.through else self.host

    @property
    def words(self) -> str:
        """What asks for what, as a clause."""
        return f"{self.name} ({self.way}) asks for {self.asked}"


CallForLogin = Callable[[Login], Awaitable[bool]]
"""Waits until a person is ready to log in; returns False if there is none."""


async def no_person(login: Login) -> bool:
    """Return False: no one can log in."""
    del login
    return False


class Fleet:
    """Keeps several workspaces in step.

    One workspace alone asks at once, and its failed first attempt is the end. Several connect without a question, all
    at the same time; those that need a person call one after the other, and one that is down is tried again for as
    long as another one lives or may come to live.

    Args:
        targets: The workspaces.
        timeout: Seconds without an answer after which a request has failed.
        interval: Seconds between two reconciliations.
        backoff: Returns the delays of a member; None: those with real jitter.

    Attributes:
        hosts: The logins, which all that goes to their hosts can share.

    Raises:
        UsageError: Two of them have the same name.
    """

    def __init__(
        self,
        targets: Iterable[Target | LocalTarget],
        *,
        timeout: float = REQUEST_TIMEOUT,
        interval: float = RECONCILE_INTERVAL,
        backoff: Callable[[], Backoff] | None = None,
    ) -> None:
        self.hosts = Hosts(Sharing.LENDS)
        self._timeout = timeout
        self._interval = interval
        self._backoff = backoff
        self._members: dict[str, Monitor] = {}
        self._listeners: list[FleetListener] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._call_person: CallForLogin | None = None
        self._changed = asyncio.Event()
        self._turn = _Turn()
        targets = tuple(targets)
        for target in targets:
            self._join(target, is_patient=len(targets) > 1)

    @property
    def members(self) -> Mapping[str, Monitor]:
        """The monitors by the names of their workspaces, in the order in which they were named."""
        return self._members

    def subscribe(self, listener: FleetListener) -> None:
        """Call a function with every update, and the name of the workspace that it is about."""
        self._listeners.append(listener)

    def jobs(self) -> Iterator[tuple[str, Job]]:
        """Yield all jobs, each with the name of its workspace."""
        for name, monitor in self._members.items():
            for job in monitor.store.jobs.values():
                yield name, job

    def experiments(self) -> Iterator[tuple[str, Experiment]]:
        """Yield all experiments, each with the name of its workspace."""
        for name, monitor in self._members.items():
            for experiment in monitor.store.experiments:
                yield name, experiment

    async def snapshot(
        self, call_person: CallForLogin = no_person, then: Callable[[], None] = lambda: None
    ) -> Mapping[str, XpmRemoteError | None]:
        """Fetch everything once, of all workspaces at the same time.

        Args:
            call_person: Awaited before a workspace among several may ask.
            then: Called once, when each has all or has failed, before the last link is closed.

        Returns:
            Why each of them failed, by its name; None for one that did not.
        """
        self._call_person = call_person
        waiting = set(self._members)

        def arrive(name: str) -> None:
            if waiting == {name}:
                then()
            waiting.discard(name)

        async def look(name: str, monitor: Monitor) -> XpmRemoteError | None:
            try:
                async with self._turn.kept_by(name, monitor):
                    call = functools.partial(self._call, name)
                    await monitor.snapshot(call, functools.partial(arrive, name))
            except XpmRemoteError as error:
                arrive(name)
                return error
            return None

        looks = [look(name, monitor) for name, monitor in self._members.items()]
        return dict(zip(self._members, await asyncio.gather(*looks), strict=True))

    async def run(self, call_person: CallForLogin = no_person) -> None:
        """Keep everything in step until cancelled; a workspace that ends does not end the others.

        Args:
            call_person: Awaited when a workspace can be reached only by a person who answers what its host asks.

        Raises:
            XpmRemoteError: No workspace lives any more, nor may come to live; of the first that failed.
        """
        self._call_person = call_person
        try:
            for name in self._members:
                self._start(name)
            while not self._is_over:
                self._changed.clear()
                await self._changed.wait()
                self._raise_broken()
        finally:
            self._call_person = None
            await self._stop(*self._tasks)
        errors = {name: monitor.error for name, monitor in self._members.items()}
        for name, error in errors.items():
            if error is not None and self._members[name].picture.link.phase is not Phase.ENDED:
                self._members[name].end(error)
        raise next(error for error in errors.values() if error is not None)

    def add(self, target: Target | LocalTarget) -> Monitor:
        """Add a workspace, and start it if the others run.

        Raises:
            UsageError: There is one of that name.
        """
        monitor = self._join(target, is_patient=True)
        if self._call_person is not None:
            self._start(target.label)
        return monitor

    async def remove(self, name: str) -> None:
        """Stop a workspace and forget it."""
        await self._stop(name)
        del self._members[name]
        self._changed.set()

    def retry_now(self, name: str) -> None:
        """Cut short a workspace's wait for its next attempt; start it again if it has ended."""
        task = self._tasks.get(name)
        if task is not None and task.done() and self._call_person is not None:
            self._start(name)
        else:
            self._members[name].retry_now()

    def _join(self, target: Target | LocalTarget, *, is_patient: bool) -> Monitor:
        name = target.label
        if name in self._members:
            raise UsageError(f"there are two workspaces of the name {name}", "name it once")
        monitor = Monitor(
            target,
            timeout=self._timeout,
            interval=self._interval,
            backoff=self._backoff() if self._backoff else None,
            is_patient=is_patient,
            hosts=self.hosts,
        )
        monitor.subscribe(functools.partial(self._note, name))
        self._members[name] = monitor
        return monitor

    def _start(self, name: str) -> None:
        task = asyncio.create_task(self._keep(name), name=f"monitor of {name}")
        task.add_done_callback(lambda _: self._changed.set())
        self._tasks[name] = task

    async def _keep(self, name: str) -> None:
        monitor = self._members[name]
        # Why it ends is in the monitor.
        with contextlib.suppress(XpmRemoteError):
            async with self._turn.kept_by(name, monitor):
                await monitor.run(functools.partial(self._call, name))

    async def _stop(self, *names: str) -> None:
        tasks = [self._tasks.pop(name) for name in names if name in self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _raise_broken(self) -> None:
        for task in self._tasks.values():
            if task.done() and not task.cancelled():
                task.result()

    @property
    def _is_over(self) -> bool:
        """Whether all have ended, or wait for hosts that were down from the start."""
        return bool(self._members) and all(map(_is_hopeless, self._members.values()))

    async def _call(self, name: str, asked: str) -> bool:
        """Wait for the turn of a workspace, and for the person; the turn lasts until the host has its answers."""
        is_new = await self._turn.take(name)
        monitor, call_person = self._members[name], self._call_person or no_person
        target, is_first = monitor.target, is_new and not monitor.was_live
        through: tuple[str, ...] = ()
        try:
            if isinstance(target, Target):
                through = await _jump_hosts(target)
            is_ready = await call_person(Login(name, target.name, through, asked, is_first))
            self._turn.is_asking = is_ready
        finally:
            self._turn.called(name)
        return is_ready

    def _note(self, name: str, update: Update) -> None:
        monitor = self._members[name]
        if not monitor.picture.link.is_asking:
            self._turn.answered(name)
        self._changed.set()
        for listener in self._listeners:
            listener(name, update)


def _is_hopeless(monitor: Monitor) -> bool:
    phase = monitor.picture.link.phase
    return phase is Phase.ENDED or (phase is Phase.WAITING and not monitor.was_live)


async def _jump_hosts(target: Target) -> tuple[str, ...]:
    try:
        facts = await describe_link(target.options, target.engine)
    except XpmRemoteError:
        return ()  # the attempt will say what is wrong
    hosts = facts.get("jump hosts")
    return tuple(hosts) if isinstance(hosts, list) else ()


class _Turn:
    """The turn to ask the person, which one workspace has at a time, in the order in which they come.

    Attributes:
        is_asking: Whether the holder's host may ask now, so that the turn ends when it no longer may.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._holder: str | None = None
        self._have_called: set[str] = set()
        self.is_asking = False

    async def take(self, name: str) -> bool:
        """Wait for the turn; return whether the workspace has not called before."""
        self._leave(name)  # after a wrong answer, others come first
        await self._lock.acquire()
        self._holder = name
        is_first = name not in self._have_called
        self._have_called.add(name)
        return is_first

    def called(self, name: str) -> None:
        """End the turn of a workspace unless its host may ask now."""
        if not self.is_asking:
            self._leave(name)

    def answered(self, name: str) -> None:
        """End the turn of a workspace whose host may no longer ask."""
        if self.is_asking:
            self._leave(name)

    @contextlib.asynccontextmanager
    async def kept_by(self, name: str, monitor: Monitor) -> AsyncIterator[None]:
        """End the turn with the work of a workspace; it begins at once for one whose first attempt asks."""
        try:
            if monitor.picture.link.is_asking:
                await self.take(name)
                self.is_asking = True
            yield
        finally:
            self._leave(name)

    def _leave(self, name: str) -> None:
        if self._holder == name:
            self._holder, self.is_asking = None, False
            self._lock.release()
