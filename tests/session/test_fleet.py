"""Several workspaces at once: each lives and fails by itself, and one login at a time takes the person."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.session.test_monitor import (
    CUT,
    LIMIT,
    PASSWORD,
    Never,
    Script,
    Step,
    ask_password,
    be_live,
    fail,
)
from tests.workspace.disk import Disk
from xpm_remote.errors import (
    AuthenticationError,
    HostKeyError,
    ResolveError,
    StartError,
    UnreachableError,
    UsageError,
    XpmRemoteError,
)
from xpm_remote.link.options.connect_options import parse_ssh_options
from xpm_remote.link.prompts import Prompter
from xpm_remote.link.remote.command import RemoteExperimaestro
from xpm_remote.session import monitor as module
from xpm_remote.session.agent_client import AgentClient
from xpm_remote.session.backends import BackendChooser
from xpm_remote.session.fleet import Fleet, Login
from xpm_remote.session.reconnect import Backoff
from xpm_remote.session.state import Phase, Update
from xpm_remote.session.target import LocalTarget, Target
from xpm_remote.workspace.layout import JobId

DOWN = UnreachableError("down")
CHANGED = HostKeyError("changed")


def remote(name: str, *options: str) -> Target:
    """Return a target of its own host."""
    given = parse_ssh_options(f"{name}.example", ["-F none", *options])
    return Target(given.host, f"/{name}", given, RemoteExperimaestro(xpm_path="x"), id=name)


async def live(prompter: Prompter | None) -> None:
    """Stay live."""
    del prompter
    await asyncio.Event().wait()


class Watched:
    """A fleet of scripted members.

    Args:
        monkeypatch: Replaces the sessions.
        scripts: The steps of each member; ``live`` and ``be_live`` have been live before.
        backoff: Returns the delays.
    """

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        backoff: Callable[[], Backoff] = lambda: Never(lambda: 0.0),
        **scripts: list[Step],
    ) -> None:
        self.scripts = {name: Script(*steps) for name, steps in scripts.items()}
        monkeypatch.setattr(module, "Session", self._session)
        self.calls: list[Login] = []
        self.answers: dict[str, list[bool]] = {}
        self.asking: list[set[str]] = []
        self._changed = asyncio.Event()
        self.fleet = Fleet(map(remote, scripts), backoff=backoff)
        self.fleet.subscribe(self._note)

    def _session(self, chooser: BackendChooser, *given: Any) -> Any:
        script = self.scripts[chooser.workspace.strip("/")]
        script.lives.add(live)
        return script.session(chooser, *given)

    def _note(self, name: str, _: Update) -> None:
        self.asking.append(
            {each for each, one in self.fleet.members.items() if one.picture.link.is_asking}
        )
        assert name in self.fleet.members
        self._changed.set()

    async def call(self, login: Login) -> bool:
        """Come, unless an answer is prepared."""
        self.calls.append(login)
        answers = self.answers.get(login.name, [])
        await asyncio.sleep(0)
        return answers.pop(0) if answers else True

    def phase(self, name: str) -> Phase:
        """The phase of a member's link."""
        return self.fleet.members[name].picture.link.phase

    async def wait_for(self, **phases: Phase) -> None:
        """Wait until members are in these phases."""
        await self.wait_until(lambda: {name: self.phase(name) for name in phases} == phases)

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition on updates."""

        async def wait() -> None:
            while not condition():
                self._changed.clear()
                await self._changed.wait()

        await asyncio.wait_for(wait(), LIMIT)

    async def run(self) -> XpmRemoteError:
        """Run to the end; return why."""
        with pytest.raises(XpmRemoteError) as caught:
            await asyncio.wait_for(self.fleet.run(self.call), LIMIT)
        return caught.value

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """Run until the context ends."""
        task = asyncio.create_task(self.fleet.run(self.call))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait({task})


async def test_one_that_ends_does_not_end_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that fails for good is shown as ended, and the others go on; the last one's end is the end."""
    watched = Watched(monkeypatch, a=[fail(CHANGED)], b=[live], c=[fail(StartError("no python"))])
    async with watched.running() as task:
        await watched.wait_for(a=Phase.ENDED, b=Phase.LIVE, c=Phase.ENDED)
        assert not task.done()
    watched = Watched(
        monkeypatch,
        lambda: Backoff(lambda: 0.0),
        b=[be_live, fail(CHANGED)],
        a=[fail(StartError("no"))],
    )
    assert await watched.run() is CHANGED


async def test_down_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that is down is tried again while another one lives."""
    watched = Watched(monkeypatch, a=[fail(DOWN), live], b=[live])
    async with watched.running():
        await watched.wait_for(a=Phase.WAITING, b=Phase.LIVE)
        link = watched.fleet.members["a"].picture.link
        assert (link.detail, link.stale_since) == ("down", None)
        watched.fleet.retry_now("a")
        await watched.wait_for(a=Phase.LIVE)


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_all_down(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Where nothing lives, alone or with others that are down, it ends at once by the first one's error."""
    names = "abc"[:count]
    errors = [ResolveError(f"no address of {name}") for name in names]
    steps = {name: [fail(error)] for name, error in zip(names, errors, strict=True)}
    watched = Watched(monkeypatch, lambda: Never(lambda: 0.0), **steps)
    assert await watched.run() is errors[0]
    assert {watched.phase(name) for name in names} == {Phase.ENDED}


async def test_lost_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that was live is tried again for ever, also when the others have ended."""
    watched = Watched(monkeypatch, a=[be_live, live], b=[fail(CHANGED)])
    async with watched.running() as task:
        await watched.wait_for(a=Phase.WAITING, b=Phase.ENDED)
        assert not task.done()
        assert watched.fleet.members["a"].error is CUT
        watched.fleet.retry_now("a")
        await watched.wait_for(a=Phase.LIVE)
        assert watched.fleet.members["a"].error is None


async def test_questions_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """All connect without a question first; then one after the other asks."""
    both = [ask_password, live]
    watched = Watched(monkeypatch, a=[*both], b=[live], c=[*both], d=[*both])
    async with watched.running():
        await watched.wait_for(**dict.fromkeys("abcd", Phase.LIVE))
    assert [login.name for login in watched.calls] == ["a", "c", "d"]
    assert all(login.is_first and login.asked == PASSWORD for login in watched.calls)
    assert max(map(len, watched.asking)) == 1
    allowed = {
        name: [prompter is None for prompter in script.prompters]
        for name, script in watched.scripts.items()
    }
    assert allowed == {name: [False] if name == "b" else [False, True] for name in "abcd"}


async def test_login_after_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that was live without a person does not call as one that has just been added."""
    watched = Watched(
        monkeypatch, lambda: Backoff(lambda: 0.0), a=[be_live, ask_password, live], b=[live]
    )
    async with watched.running():
        await watched.wait_until(lambda: bool(watched.calls) and watched.phase("a") is Phase.LIVE)
    assert [(login.name, login.is_first) for login in watched.calls] == [("a", False)]


async def test_wrong_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a wrong answer the others come first, and the person is called again; without one it ends."""
    wrong = fail(AuthenticationError("wrong"))
    watched = Watched(monkeypatch, a=[ask_password, wrong], b=[ask_password, live])
    watched.answers["a"] = [True, False]
    async with watched.running():
        await watched.wait_for(a=Phase.ENDED, b=Phase.LIVE)
    calls = [(login.name, login.is_first) for login in watched.calls]
    assert calls == [("a", True), ("b", True), ("a", False)]


async def test_turn_of_a_member_that_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that is removed while the person is called for it, or while it asks, lets the next one ask."""
    watched = Watched(monkeypatch, a=[ask_password, live], b=[ask_password, live], c=[live])
    called = asyncio.Event()

    async def call(login: Login) -> bool:
        if login.name == "a":
            called.set()
            await asyncio.Event().wait()
        return True

    watched.call = call  # type: ignore[method-assign]
    async with watched.running():
        await asyncio.wait_for(called.wait(), LIMIT)
        await watched.fleet.remove("a")
        await watched.wait_for(b=Phase.LIVE)
    assert list(watched.fleet.members) == ["b", "c"]


async def test_jump_hosts_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A login names the workspace, its host and the hosts on the way there."""
    watched = Watched(monkeypatch, b=[live])
    watched.scripts["far"] = Script(ask_password, live)
    async with watched.running():
        watched.fleet.add(remote("far", "-J me@jump,inner"))
        await watched.wait_for(far=Phase.LIVE)
    (login,) = watched.calls
    assert login.words.startswith("far (far.example through me@jump, inner) asks for Password")


async def test_add_and_remove(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members come and go while the others run; a name is one member's."""
    watched = Watched(monkeypatch, a=[live])
    watched.scripts["b"] = Script(live, live)
    async with watched.running() as task:
        await watched.wait_for(a=Phase.LIVE)
        watched.fleet.add(remote("b"))
        await watched.wait_for(b=Phase.LIVE)
        with pytest.raises(UsageError, match="two workspaces of the name b"):
            watched.fleet.add(remote("b"))
        await watched.fleet.remove("b")
        await watched.fleet.remove("a")
        assert not watched.fleet.members
        assert not task.done()
        watched.fleet.add(remote("b"))
        await watched.wait_for(b=Phase.LIVE)
    with pytest.raises(UsageError):
        Fleet([remote("a"), remote("a")])


async def test_start_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that has ended is started again when it is asked for."""
    watched = Watched(monkeypatch, a=[fail(CHANGED), live], b=[live])
    async with watched.running():
        await watched.wait_for(a=Phase.ENDED, b=Phase.LIVE)
        watched.fleet.retry_now("a")
        await watched.wait_for(a=Phase.LIVE)


async def test_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no error of ours ends it and is raised."""

    async def break_down(_: Prompter | None) -> None:
        raise ZeroDivisionError

    watched = Watched(monkeypatch, a=[live], b=[break_down])
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(watched.fleet.run(), LIMIT)


async def test_snapshot(tmp_path: Path) -> None:
    """Everything is fetched once, of each workspace, and each error is its own."""
    job = JobId("demo.task", "a" * 8)
    disks = {name: Disk(tmp_path / name) for name in "ab"}
    for disk in disks.values():
        disk.run("e", (job,), status="done", job_states={job.hash: "done"})
        disk.job(job, {"state": "done"}, done="")
    targets = [LocalTarget("here", str(disk.root), name) for name, disk in disks.items()]
    fleet = Fleet([*targets, LocalTarget("here", str(tmp_path / "none"))])
    errors = await fleet.snapshot()
    assert list(errors) == ["a", "b", str(tmp_path / "none")]
    assert [None if error is None else error.exit_code for error in errors.values()] == [
        *(None, None),
        22,
    ]
    key = f"{job.task}/{job.hash}"
    assert [(name, found.key) for name, found in fleet.jobs()] == [("a", key), ("b", key)]
    assert [(name, found.experiment_id) for name, found in fleet.experiments()] == [
        *(("a", "e"), ("b", "e"))
    ]


@pytest.mark.parametrize("names", ["a", "ab", "-ab", "ab-", "-"])
async def test_all_is_there_before_the_last_link_is_closed(
    names: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told once that everything has come, with the failures, and before the last link is closed."""
    order: list[str] = []
    close = AgentClient.aclose

    async def aclose(self: AgentClient, *, finish: float = 0.0) -> None:
        await asyncio.sleep(0)
        order.append("closed")
        await close(self, finish=finish)

    monkeypatch.setattr(AgentClient, "aclose", aclose)
    targets = [
        LocalTarget("here", str(tmp_path / name if name == "-" else Disk(tmp_path / name).root))
        for name in names
    ]
    fleet = Fleet(targets)

    def then() -> None:
        ends = [each.picture.link.phase for each in fleet.members.values()]
        assert set(ends) <= {Phase.LIVE, Phase.ENDED}
        order.append("told")

    await asyncio.wait_for(fleet.snapshot(then=then), LIMIT)
    assert order.count("told") == 1
    if "-" not in names:
        assert order[-1] == "closed"


async def test_snapshot_with_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a single look asks in turn; without a person it ends by what the host asks for."""

    async def done(_: Prompter | None) -> None:
        pass

    async def look(self: Any, then: Callable[[], None]) -> None:
        await self.run(0.0)
        then()

    watched = Watched(monkeypatch, a=[ask_password, done], b=[ask_password, done], c=[ask_password])
    watched.answers["c"] = [False]
    make = watched._session

    def session(*given: Any) -> Any:
        made = make(*given)
        type(made).snapshot = look
        return made

    monkeypatch.setattr(module, "Session", session)
    for name in "abc":
        monitor = watched.fleet.members[name]
        monitor._session = monitor._new_session()
    errors = await watched.fleet.snapshot(watched.call)
    assert [login.name for login in watched.calls] == ["a", "b", "c"]
    assert [errors[name] for name in "ab"] == [None, None]
    assert isinstance(errors["c"], AuthenticationError)
