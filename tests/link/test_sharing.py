"""One login for all that goes to a host: who waits for it, who hears of its failure, and what a full host is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import pytest

from xpm_remote.errors import (
    AuthenticationError,
    LinkLostError,
    StartError,
    UnreachableError,
    XpmRemoteError,
)
from xpm_remote.link.connection import Connection, SessionRefused
from xpm_remote.link.course import LastWait
from xpm_remote.link.observer import Observer
from xpm_remote.link.process import RemoteProcess
from xpm_remote.link.prompts import Prompter, RefusingPrompter, Unattended
from xpm_remote.link.remote.startup import RemoteExit
from xpm_remote.link.sharing import SharedLogin, may_ask
from xpm_remote.link.waits import DEFAULT_LIMITS, CurrentWait, Wait

LIMIT = 20.0
"""Seconds for what takes a moment, on a machine that runs other tests, too."""
PASSWORD = AuthenticationError("a password is asked for", unanswered=("the password",))


class Person:
    """Someone who can be asked."""

    obstacle = None

    def tell(self, text: str) -> None:
        """Read nothing."""

    async def ask(self, question: str, *, echo: bool) -> str:
        """Answer."""
        del question, echo
        return "secret"


class Process(RemoteProcess):
    """A command that does nothing.

    Args:
        line: Carries it.
    """

    def __init__(self, line: Line) -> None:
        super().__init__()
        self.line = line
        self.sent = b""

    @property
    def exit(self) -> RemoteExit:
        """The end."""
        return RemoteExit(0, "", None)

    def send(self, data: bytes) -> None:
        """Record what is sent."""
        self.sent += data

    def close_stdin(self) -> None:
        """Send nothing."""

    def terminate(self) -> None:
        """Send nothing."""

    async def aclose(self, *, by_force: bool = False) -> None:
        """Release the connection."""
        await self.line.release_process(by_force=by_force)

    def _pause(self) -> None:
        pass

    def _resume(self) -> None:
        pass


class Line(Connection):
    """A connection that a test breaks.

    Args:
        most: How many commands it runs at once.
        hanging: Is set when a command hangs that is called so.

    Attributes:
        failure: What running a command raises; None: nothing.
        is_alive: Whether it stands.
    """

    def __init__(self, most: int, hanging: asyncio.Event) -> None:
        super().__init__()
        self.most = most
        self.failure: XpmRemoteError | None = None
        self.is_alive = True
        self.hanging = hanging

    @property
    def _is_alive(self) -> bool:
        return self.is_alive

    async def _run(self, command: str) -> Process:
        if command == "hang":
            self.hanging.set()
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        if self.processes > self.most:
            raise SessionRefused("open failed")
        return Process(self)

    async def _close(self, *, by_force: bool) -> None:
        del by_force
        self.is_alive = False


class Host(SharedLogin):
    """A host that notes its logins.

    Args:
        most: How many commands it runs at once on each.

    Attributes:
        lines: The connections that were made.
        prompters: Who could answer, for each login that was begun.
        may_go_on: Is waited for by each login.
        failures: What logins raise, the next one first.
        hanging: Is set when a command hangs.
    """

    def __init__(self, most: int = 100) -> None:
        super().__init__("host", DEFAULT_LIMITS)
        self.most = most
        self.lines: list[Line] = []
        self.prompters: list[Prompter | None] = []
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.failures: list[XpmRemoteError] = []
        self.hanging = asyncio.Event()
        self.observer: Observer | None = None

    async def _connect(self, prompter: Prompter | None, observer: Observer) -> Connection:
        self.prompters.append(prompter)
        self.observer = observer
        await self.may_go_on.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.lines.append(Line(self.most, self.hanging))
        return self.lines[-1]

    async def open(self, prompter: Prompter | None = None, command: str = "true") -> Line:
        """Run a command; return what carries it."""
        process = await asyncio.wait_for(self.open_process(command, prompter), LIMIT)
        assert isinstance(process, Process)
        return process.line

    @property
    def standing(self) -> list[bool]:
        """Whether each of its connections stands."""
        return [line.is_alive for line in self.lines]


async def begin(*works: Coroutine[Any, Any, Any]) -> list[asyncio.Task[Any]]:
    """Start works, each up to where it waits."""
    tasks = [asyncio.create_task(work) for work in works]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def ends_of(tasks: list[asyncio.Task[Any]]) -> list[Any]:
    """Return results, and what was raised."""
    return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), LIMIT)


async def test_all_wait_for_one_login() -> None:
    """Who comes while a login is under way, or after it, uses its connection; the last one closes it."""
    host = Host()
    host.may_go_on.clear()
    tasks = await begin(host.open(), host.open(), host.open(Unattended()))
    host.may_go_on.set()
    lines = await ends_of(tasks)
    assert lines == [host.lines[0]] * 3
    assert await host.open() is host.lines[0]
    for _ in range(4):
        assert host.standing == [True]
        await host.lines[0].release_process()
    assert host.standing == [False]


async def test_all_hear_of_its_failure() -> None:
    """A login that fails has failed for all who wait; the next one begins anew."""
    host = Host()
    host.may_go_on.clear()
    host.failures = [UnreachableError("down")]
    tasks = await begin(host.open(), host.open())
    host.may_go_on.set()
    assert [str(end) for end in await ends_of(tasks)] == ["down", "down"]
    assert await host.open() is host.lines[0]
    assert len(host.prompters) == 2


async def test_one_leaves() -> None:
    """One who no longer waits does not end the login of the others, though it was the first."""
    host = Host()
    host.may_go_on.clear()
    first, second = await begin(host.open(), host.open())
    first.cancel()
    await ends_of([first])
    host.may_go_on.set()
    assert await ends_of([second]) == [host.lines[0]]
    assert host.standing == [True]


async def test_all_leave() -> None:
    """A login for which no one waits is ended, and is not waited for by the next."""
    host = Host()
    host.may_go_on.clear()
    tasks = await begin(host.open(), host.open())
    for task in tasks:
        task.cancel()
    await ends_of(tasks)
    host.may_go_on.set()
    assert host.lines == []
    assert await host.open() is host.lines[0]


async def test_left_while_the_command_starts() -> None:
    """A connection whose only command is given up is closed."""
    host = Host()
    (task,) = await begin(host.open(command="hang"))
    await asyncio.wait_for(host.hanging.wait(), LIMIT)
    task.cancel()
    await ends_of([task])
    assert host.standing == [False]


async def test_one_question() -> None:
    """Who waits for a login in which a person is asked is not asked as well, whatever the outcome."""
    host = Host()
    host.may_go_on.clear()
    host.failures = [PASSWORD]
    tasks = await begin(host.open(), host.open(), host.open(Unattended()))
    host.may_go_on.set()
    assert await ends_of(tasks) == [PASSWORD] * 3
    assert host.prompters == [None]


async def test_login_that_could_not_ask() -> None:
    """Who can ask tries again after the login of one who could not; the latter gets its connection the next time."""
    host = Host()
    host.may_go_on.clear()
    host.failures = [PASSWORD]
    person = Person()
    tasks = await begin(host.open(Unattended()), host.open(person))
    host.may_go_on.set()
    refused, line = await ends_of(tasks)
    assert (refused, line) == (PASSWORD, host.lines[0])
    assert host.prompters[1] is person
    assert await host.open(Unattended()) is line


async def test_no_more_logins_without_a_person() -> None:
    """After a login has failed for want of a person, others who cannot ask do not try again until one has."""
    host = Host()
    host.failures = [PASSWORD]
    for _ in range(3):
        with pytest.raises(AuthenticationError):
            await host.open(Unattended())
    assert len(host.prompters) == 1
    host.failures = [UnreachableError("down")]
    with pytest.raises(UnreachableError):
        await host.open(Person())
    await host.open(Unattended())
    assert len(host.prompters) == 3


async def test_wait_for_the_connection() -> None:
    """That a connection stands is told to those who wait for it, at once if it does."""
    host = Host()
    waiting = await begin(host.wait_connected())
    assert not waiting[0].done()
    line = await host.open()
    await asyncio.wait_for(waiting[0], LIMIT)
    await asyncio.wait_for(host.wait_connected(), LIMIT)
    assert host.is_connected
    line.is_alive = False
    assert not host.is_connected


async def test_kept_by_several() -> None:
    """A connection is kept until the last of those who keep it ends, and again after a loss."""
    host = Host()
    async with host.keeping():
        first = await host.open()
        async with host.keeping():
            await first.release_process()
        assert host.standing == [True]
        first.is_alive = False
        second = await host.open()
        await second.release_process()
        assert host.standing == [False, True]
    assert host.standing == [False, False]


async def test_kept_later() -> None:
    """What begins to keep a connection that stands keeps that one."""
    host = Host()
    line = await host.open()
    async with host.keeping():
        await line.release_process()
        assert host.standing == [True]
    assert host.standing == [False]


@pytest.mark.parametrize("most", [1, 2])
async def test_host_that_is_full(most: int, caplog: pytest.LogCaptureFixture) -> None:
    """Where the host runs no further command on a connection, another login follows, without questions; told once."""
    host = Host(most)
    person = Person()
    lines = [await host.open(person) for _ in range(most * 3)]
    assert [line is host.lines[number // most] for number, line in enumerate(lines)] == [
        True
    ] * len(lines)
    assert [may_ask(prompter) for prompter in host.prompters] == [True, False, False]
    assert caplog.text.count("MaxSessions") == 1
    await lines[0].release_process()
    # One whose last command has ended is closed.
    assert await host.open(person) is host.lines[0 if most > 1 else 3]


async def test_full_host_that_asks() -> None:
    """Where another login needs an answer, the error tells what is not possible, and calls no person."""
    host = Host(1)
    line = await host.open(Person())
    host.failures = [PASSWORD]
    with pytest.raises(
        AuthenticationError, match=r"no further command .* asks for the password"
    ) as e:
        await host.open(Person())
    assert e.value.unanswered == ()
    assert line.is_alive


async def test_all_who_have_waited_get_room() -> None:
    """Those who have waited for one login all run, though its connection has room for one."""
    host = Host(1)
    host.may_go_on.clear()
    tasks = await begin(*(host.open() for _ in range(4)))
    host.may_go_on.set()
    lines = await ends_of(tasks)
    assert len(set(map(id, lines))) == len(host.lines) == 4


async def test_host_without_commands() -> None:
    """A host that runs no command on a new connection is not logged in to again."""
    host = Host(0)
    with pytest.raises(StartError, match=r"run a command: open failed; .*MaxSessions 0"):
        await host.open()
    assert len(host.lines) == 1
    assert host.standing == [False]


async def test_broken_connection() -> None:
    """A connection that runs no other command is left to what runs on it, and another one is made."""
    host = Host()
    first = await host.open()
    first.failure = LinkLostError("cut")
    second = await host.open()
    assert second is not first
    assert host.standing == [True, True]
    second.failure = first.failure
    host.failures = [UnreachableError("down")]
    with pytest.raises(UnreachableError):
        await host.open()


async def test_new_connection_that_breaks() -> None:
    """A loss while the first command starts is raised, and the connection closed."""
    host = Host()
    opening = host._connect

    async def broken(prompter: Prompter | None, observer: Observer) -> Connection:
        line = await opening(prompter, observer)
        host.lines[-1].failure = LinkLostError("cut")
        return line

    host._connect = broken  # type: ignore[method-assign]
    with pytest.raises(LinkLostError, match="cut"):
        await host.open()
    assert host.standing == [False]


async def test_silent_connection() -> None:
    """A connection on which the host has not confirmed an end is not used again, unless something runs on it."""
    host = Host()
    async with host.keeping():
        line = await host.open()
        line.is_silent = True
        assert await host.open() is line
        for _ in range(2):
            await line.release_process()
        assert await host.open() is not line
        assert host.standing == [False, True]


async def test_all_observe() -> None:
    """All who wait see what is waited for, those who come later too; not after they have left."""
    host = Host()
    host.may_go_on.clear()
    first, second, third = LastWait(), LastWait(), LastWait()
    tasks = await begin(*(host.open_process("true", None, each) for each in (first, second)))
    assert host.observer is not None
    login = CurrentWait(Wait.LOGIN, "host", 1.0)
    host.observer.wait_for(login)
    tasks += await begin(host.open_process("true", None, third))
    assert (first.current, second.current, third.current) == (login, login, login)
    tasks[1].cancel()
    with suppress(asyncio.CancelledError):
        await tasks[1]
    assert (second.current, third.current) == (None, login)
    host.may_go_on.set()
    await ends_of(tasks)


async def test_refusals_are_their_own() -> None:
    """One who may not ask at all is refused by a login of its own kind, and does not stop others from trying."""
    host = Host()
    host.failures = [PASSWORD]
    with pytest.raises(AuthenticationError):
        await host.open(RefusingPrompter("not twice"))
    assert await host.open(Unattended()) is host.lines[0]


async def test_the_first_input_is_made_meanwhile() -> None:
    """What a command reads first is made while the host takes the command, and not before the login."""
    host, made = Host(), asyncio.Event()
    host.may_go_on.clear()

    async def first() -> bytes:
        made.set()
        return b"first"

    (task,) = await begin(host.open_process("true", first=first))
    assert not made.is_set()
    host.may_go_on.set()
    process = await asyncio.wait_for(task, LIMIT)
    assert isinstance(process, Process)
    assert process.sent == b"first"
    (task,) = await begin(host.open_process("hang", first=first))
    await asyncio.wait_for(host.hanging.wait(), LIMIT)
    task.cancel()
    await ends_of([task])
    assert host.lines[0].processes == 1


async def test_a_first_input_that_cannot_be_made() -> None:
    """The command ends with it, and the connection is released."""
    host = Host()

    async def first() -> bytes:
        raise UnreachableError("no agent")

    with pytest.raises(UnreachableError, match="no agent"):
        await host.open_process("true", first=first)
    assert host.standing == [False]
