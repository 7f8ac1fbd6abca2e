"""One login for all that goes to a host: who connects, who waits for it, and what is done where it has no room."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

from xpm_remote.errors import (
    AuthenticationError,
    LinkError,
    LinkLostError,
    RemoteTimeoutError,
    StartError,
)
from xpm_remote.link.connection import Connection, SessionRefused
from xpm_remote.link.course import Course
from xpm_remote.link.observer import UNOBSERVED, Attempt, Observer, Step
from xpm_remote.link.process import RemoteProcess
from xpm_remote.link.prompts import Prompter, RefusingPrompter, Unattended
from xpm_remote.link.waits import CurrentWait, Limits, Wait

log = logging.getLogger(__name__)

First = Callable[[], Awaitable[bytes]]
"""Makes what a command reads first."""

REUSE_TIMEOUT = 15.0
"""Seconds for a standing connection to run another command: several round trips of a slow one; it may be dead."""

LOGGED_IN_ALREADY = "no question is asked for another login to the same host"
"""Why prompts are refused while a connection stands that has no room for another command."""


class SharedLogin(ABC):
    """Runs commands on one host, on one connection as long as it stands and has room for them.

    Those who need it at the same time wait for one login, and hear of its failure together. Where the host runs no
    further command on a connection (``MaxSessions``), it is logged in to again, without questions.

    Args:
        host: The host, for messages.
        limits: The seconds of each wait.

    Attributes:
        is_alone: Whether no connections are used that others have made, since one has no room.
    """

    def __init__(self, host: str, limits: Limits) -> None:
        self.limits = limits
        self._host = host
        self._connections: list[Connection] = []
        self._login: _Login | None = None
        self._keepers = 0
        self._kept: Connection | None = None
        self._stuck: LinkError | None = None
        self._connected = asyncio.Event()
        self.is_alone = False
        self._has_told_room = False

    @abstractmethod
    async def _connect(self, prompter: Prompter | None, observer: Observer) -> Connection:
        """Connect and log in."""

    @property
    def is_connected(self) -> bool:
        """Whether a connection stands, as far as is known."""
        return bool(self._standing())

    async def wait_connected(self) -> None:
        """Wait until a connection stands."""
        while not self.is_connected:
            await self._connected.wait()

    @contextlib.asynccontextmanager
    async def keeping(self) -> AsyncIterator[None]:
        """Keep a connection although nothing runs on it, until the last of these contexts ends.

        A command that still runs then holds the connection alone.
        """
        self._keepers += 1
        if self._kept is None and self._standing():
            await self._keep(self._standing()[0])
        try:
            yield
        except BaseException:
            await self._end_keeping(by_force=True)
            raise
        else:
            await self._end_keeping()

    async def open_process(
        self,
        command: str,
        prompter: Prompter | None = None,
        observer: Observer = UNOBSERVED,
        first: First | None = None,
    ) -> RemoteProcess:
        """Run a command on the host, on the connection that stands, or connect first.

        Args:
            command: The remote command line.
            prompter: Answers the host's questions; None: the terminal.
            observer: Receives the steps of the connection.
            first: Returns what is sent with the command, before the host has said anything; called after the login.

        Raises:
            OptionError: An option cannot be used.
            LinkError: The connection failed.
            StartError: The host runs no commands.
        """
        while True:
            process = await self._run_on_standing(command, first, observer)
            if process is not None:
                return process
            async with self._logged_in(prompter, observer) as connection:
                try:
                    return await self._run(connection, command, first, observer)
                except SessionRefused as error:
                    if not connection.is_own:
                        self._go_alone()
                        await self._drop(connection)
                    elif not connection.processes:
                        what = f"the host refuses to run a command: {error}"
                        hint = "its SSH server may have MaxSessions 0: ask the site"
                        raise StartError(what, hint) from error
                    # Others who have waited for the same login were faster.
                except (LinkLostError, RemoteTimeoutError):
                    await self._drop(connection)
                    raise

    async def _run_on_standing(
        self, command: str, first: First | None, observer: Observer
    ) -> RemoteProcess | None:
        """Run a command on a connection that stands; return None if there is none that can."""
        for connection in list(self._standing()):
            if connection.is_silent and not connection.processes:
                await self._drop(connection)
            elif connection.processes < connection.room:
                try:
                    return await self._run(connection, command, first, observer, REUSE_TIMEOUT)
                except SessionRefused as error:
                    log.debug("%s runs no other command on a connection: %s", self._host, error)
                    if not connection.is_own:
                        self._go_alone()
                    if not connection.processes:
                        await self._drop(connection)
                except (LinkLostError, RemoteTimeoutError) as error:
                    log.debug("a connection to %s runs no other command: %r", self._host, error)
                    await self._drop(connection)
        return None

    async def _run(
        self,
        connection: Connection,
        command: str,
        first: First | None,
        observer: Observer,
        limit: float | None = None,
    ) -> RemoteProcess:
        course = Course(observer, self._host, self.limits)
        course.enter(Wait.COMMAND, limit)
        running = asyncio.ensure_future(_start(connection, command, first))
        try:
            return await course.carry(running)
        except BaseException:
            if running.done() and not running.cancelled() and running.exception() is None:
                await running.result().aclose(by_force=True)  # it came at the same moment
            raise

    @contextlib.asynccontextmanager
    async def _logged_in(
        self, prompter: Prompter | None, observer: Observer
    ) -> AsyncIterator[Connection]:
        """Log in, or wait for the login that is under way; hold its connection until the context ends."""
        while True:
            login = self._login
            if login is None:
                if self._stuck is not None and isinstance(prompter, Unattended):
                    raise self._stuck  # a person is needed; sites ban those who try again without
                login = self._login = _Login(prompter, self._log_in)
            login.join(observer)
            try:
                try:
                    connection = await login.wait()
                except LinkError as error:
                    if login.may_ask or not (error.unanswered and may_ask(prompter)):
                        raise
                    continue  # it was another's, who could not ask
                yield connection
                return
            finally:
                await self._leave(login, observer)

    async def _log_in(self, login: _Login, prompter: Prompter | None) -> Connection:
        is_further = any(each.is_own for each in self._standing())
        if is_further:
            self._tell_room()
            prompter = RefusingPrompter(LOGGED_IN_ALREADY)
        if may_ask(prompter):
            self._stuck = None
        try:
            connection = await self._connect(prompter, login.observers)
        except LinkError as error:
            if is_further and error.unanswered:
                raise self._without_room(error) from error
            if error.unanswered and isinstance(prompter, Unattended):
                self._stuck = error
            raise
        finally:
            self._forget(login)
        self._stuck = None
        self._connections.append(connection)
        if self._keepers and (self._kept is None or not self._kept.is_open):
            await self._keep(connection)
        self._connected.set()
        self._connected = asyncio.Event()
        return connection

    async def _leave(self, login: _Login, observer: Observer) -> None:
        """Stop waiting for a login, or using it; without anyone who waits it is abandoned."""
        if login.leave(observer):
            self._forget(login)
            await login.aclose()

    def _forget(self, login: _Login) -> None:
        if self._login is login:
            self._login = None

    def _standing(self) -> list[Connection]:
        self._connections = [each for each in self._connections if each.is_open]
        return self._connections

    async def _keep(self, connection: Connection) -> None:
        connection.hold()
        before, self._kept = self._kept, connection
        if before is not None:
            await before.aclose(by_force=True)

    async def _end_keeping(self, *, by_force: bool = False) -> None:
        self._keepers -= 1
        if self._keepers:
            return
        kept, self._kept = self._kept, None
        if kept is not None:
            await kept.aclose(by_force=by_force)

    async def _drop(self, connection: Connection) -> None:
        """Start nothing more on a connection; what runs on it goes on as long as it can."""
        if connection in self._connections:
            self._connections.remove(connection)
        if self._kept is connection:
            self._kept = None
            await connection.aclose(by_force=True)

    def _go_alone(self) -> None:
        """Use no more connections that others have made, since one has no room."""
        if not self.is_alone:
            self.is_alone = True
            log.warning(
                "%s runs no further command on the connection that is shared (MaxSessions); there is another login",
                self._host,
            )

    def _tell_room(self) -> None:
        if not self._has_told_room:
            self._has_told_room = True
            log.warning(
                "%s runs no further command on one login (MaxSessions); others log in again, without questions",
                self._host,
            )

    def _without_room(self, error: LinkError) -> AuthenticationError:
        asked = " or ".join(error.unanswered)
        return AuthenticationError(
            f"{self._host} runs no further command on the login that there is, and for another one it asks for {asked}",
            "use a key that needs no answer, or fewer workspaces and commands of that host at a time",
        )


async def _start(connection: Connection, command: str, first: First | None) -> RemoteProcess:
    """Run a command and send its first input, which is made while the host takes the command."""
    if first is None:
        return await connection.run(command)
    making = asyncio.ensure_future(first())
    try:
        process = await connection.run(command)
        try:
            process.send(await making)
        except BaseException:
            await process.aclose(by_force=True)
            raise
        return process
    finally:
        making.cancel()


def may_ask(prompter: Prompter | None) -> bool:
    """Return whether a prompter can ask a person; None is the terminal."""
    return prompter is None or prompter.obstacle is None


class _Login:
    """A login that several may wait for; each joins, and leaves when it has begun to use the connection.

    It ends, or its connection does, when all have left.

    Args:
        prompter: Answers the host's questions.
        work: Logs in.

    Attributes:
        may_ask: Whether it can ask a person.
        observers: Passes its steps to those who have joined.
    """

    def __init__(
        self,
        prompter: Prompter | None,
        work: Callable[[_Login, Prompter | None], Coroutine[Any, Any, Connection]],
    ) -> None:
        self.may_ask = may_ask(prompter)
        self.observers = _Observers()
        self._joined = 0
        self._task = asyncio.create_task(work(self, prompter), name="login")

    def join(self, observer: Observer) -> None:
        self._joined += 1
        self.observers.add(observer)

    async def wait(self) -> Connection:
        """Wait for its connection; a waiter that is cancelled does not cancel it."""
        await asyncio.wait({self._task})
        return self._task.result()

    def leave(self, observer: Observer) -> bool:
        """Return whether that was the last who had joined."""
        self.observers.remove(observer)
        self._joined -= 1
        return not self._joined

    async def aclose(self) -> None:
        """End the login if it still waits, and stop holding its connection."""
        self._task.cancel()
        await asyncio.wait({self._task})
        if not self._task.cancelled() and self._task.exception() is None:
            await self._task.result().aclose(by_force=True)


class _Observers(Observer):
    """Passes what it observes to several observers, to a new one also what is waited for at that moment."""

    def __init__(self) -> None:
        self._all: list[Observer] = []
        self._current: CurrentWait | None = None

    def add(self, observer: Observer) -> None:
        self._all.append(observer)
        if self._current is not None:
            observer.wait_for(self._current)

    def remove(self, observer: Observer) -> None:
        self._all.remove(observer)
        if self._current is not None:
            observer.wait_for(None)

    def enter(self, step: Step, host: str) -> None:
        for each in self._all:
            each.enter(step, host)

    def leave_out(self, step: Step, host: str, why: str) -> None:
        for each in self._all:
            each.leave_out(step, host, why)

    def note(self, name: str, value: str | float | list[str]) -> None:
        for each in self._all:
            each.note(name, value)

    def attempted(self, attempt: Attempt) -> None:
        for each in self._all:
            each.attempted(attempt)

    def wait_for(self, current: CurrentWait | None) -> None:
        self._current = current
        for each in self._all:
            each.wait_for(current)
