"""Which remote side is chosen, when the other one is tried, and that the choice is kept."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from xpm_remote.errors import (
    AuthenticationError,
    LinkLostError,
    ProtocolError,
    RemoteTimeoutError,
    ShellInitError,
    StartError,
    XpmRemoteError,
)
from xpm_remote.link.options.connect_options import parse_ssh_options
from xpm_remote.link.prompts import Prompter, Unattended
from xpm_remote.link.remote.command import RemoteExperimaestro
from xpm_remote.link.remote.startup import RemoteExit
from xpm_remote.model.agent_rows import AgentRows
from xpm_remote.model.store import Store
from xpm_remote.session import backends as module
from xpm_remote.session.backends import BackendChooser, BackendContext
from xpm_remote.session.monitor import Monitor, Session
from xpm_remote.session.state import BackendChoice
from xpm_remote.session.target import LocalTarget, Target
from xpm_remote.settings.schema import Backend

CONTEXT = BackendContext(Store(), lambda _: None, 1.0, None, AgentRows())


UNSAFE = StartError("jobs may run under SLURM (/w/x.pid)", slurm="/w/x.pid")
DESCRIBED = RemoteExperimaestro(xpm_path="x")


def target(backend: Backend, remote: RemoteExperimaestro = DESCRIBED) -> Target:
    """Make a target."""
    return Target("host", "/d", parse_ssh_options("host", []), remote, backend=backend)


class Sides:
    """Records which sides are opened; those in ``failures`` fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened: list[str] = []
        self.kept: list[object] = []
        self.failures: dict[str, XpmRemoteError] = {}
        monkeypatch.setattr(module, "open_experimaestro", self.experimaestro)
        monkeypatch.setattr(module, "open_by_agent", self.agent)

    async def experimaestro(
        self, target: Target, context: BackendContext, *, needs_current: bool
    ) -> Any:
        """Replace experimaestro."""
        del target
        self.kept.append(context.link and context.link._keepers)
        return self._open("current experimaestro" if needs_current else "experimaestro")

    async def agent(self, target: Target, context: BackendContext) -> Any:
        """Replace the agent."""
        del target
        self.kept.append(context.link and context.link._keepers)
        return self._open("agent")

    def _open(self, name: str) -> str:
        self.opened.append(name)
        if name in self.failures:
            raise self.failures[name]
        return name


@pytest.fixture
def sides(monkeypatch: pytest.MonkeyPatch) -> Sides:
    """Both sides, scripted."""
    return Sides(monkeypatch)


@pytest.mark.parametrize("backend", [Backend.EXPERIMAESTRO, Backend.AGENT])
async def test_asked_for(backend: Backend, sides: Sides) -> None:
    """A requested side is used, of any age, without the other one."""
    chooser = BackendChooser(target(backend))
    await chooser.open(CONTEXT)
    assert sides.opened == [backend.value]
    assert not chooser.has_other(StartError("not found"))
    assert (chooser.choice.backend, chooser.choice.is_fallback) == (backend, False)


async def test_local(sides: Sides) -> None:
    """A workspace of this machine is served by the agent."""
    chooser = BackendChooser(LocalTarget("me", "/d"))
    await chooser.open(CONTEXT)
    assert sides.opened == ["agent"]
    assert not chooser.has_other(StartError("no"))


@pytest.mark.parametrize(
    "error", [StartError("no uv"), ProtocolError("older than 2.7"), RemoteTimeoutError("silent")]
)
async def test_fallback(
    error: XpmRemoteError, sides: Sides, caplog: pytest.LogCaptureFixture
) -> None:
    """With auto, an experimaestro that fails is replaced by the agent, for good; the reason is told once it serves."""
    caplog.set_level("INFO")
    chooser = BackendChooser(target(Backend.AUTO))
    await chooser.open(CONTEXT)
    assert chooser.has_other(error)
    assert (chooser.choice.backend, chooser.choice.why) == (Backend.AGENT, error.what)
    assert chooser.choice.is_fallback
    await chooser.open(CONTEXT)
    assert not chooser.has_other(error)
    assert caplog.messages == []
    chooser.settle()
    assert caplog.messages == [f"host is served by our agent: {error.what}"]
    await chooser.open(CONTEXT)
    assert sides.opened == ["current experimaestro", "agent", "agent"]


@pytest.mark.parametrize(
    "error",
    [
        AuthenticationError("no"),
        LinkLostError("cut"),
        ShellInitError("false"),
        RemoteTimeoutError("the login files do not end", at_start=True),
    ],
)
def test_failures_of_both(error: XpmRemoteError) -> None:
    """A failure that the agent would have, too, does not select it."""
    assert not BackendChooser(target(Backend.AUTO)).has_other(error)


async def test_settled(sides: Sides) -> None:
    """An experimaestro that has served once is kept, whatever happens later."""
    chooser = BackendChooser(target(Backend.AUTO))
    await chooser.open(CONTEXT)
    chooser.settle()
    assert not chooser.has_other(StartError("the disk is full"))
    await chooser.open(CONTEXT)
    assert sides.opened == ["current experimaestro", "experimaestro"]


async def test_neither(sides: Sides) -> None:
    """Where neither can be started, the error names both."""
    sides.failures["agent"] = StartError("no python")
    chooser = BackendChooser(target(Backend.AUTO))
    assert chooser.has_other(StartError("no uv", "install it"))
    with pytest.raises(StartError) as caught:
        await chooser.open(CONTEXT)
    assert str(caught.value) == "no uv; and by our agent: no python; install it"


@pytest.mark.parametrize("error", [StartError("no python", "install it"), ProtocolError("odd")])
async def test_agent_first(error: XpmRemoteError, sides: Sides) -> None:
    """Where nothing describes an experimaestro the agent serves, and experimaestro where the agent cannot run."""
    chooser = BackendChooser(target(Backend.AUTO, RemoteExperimaestro(python="p")))
    assert (chooser.choice.backend, chooser.choice.why) == (Backend.AGENT, "it is the default")
    await chooser.open(CONTEXT)
    assert chooser.has_other(error)
    assert chooser.choice == BackendChoice(Backend.EXPERIMAESTRO, error.what, is_fallback=True)
    await chooser.open(CONTEXT)
    assert sides.opened == ["agent", "current experimaestro"]
    sides.failures["current experimaestro"] = UNSAFE
    with pytest.raises(StartError, match=f"^{error.what}; and by experimaestro: jobs may run"):
        await chooser.open(CONTEXT)


@pytest.mark.parametrize(
    "remote",
    [
        RemoteExperimaestro(xpm_path="x"),
        RemoteExperimaestro(uv_offline=True),
        RemoteExperimaestro(version="2.7.0"),
    ],
)
def test_described(remote: RemoteExperimaestro) -> None:
    """Settings or flags that describe an experimaestro ask for it, without a warning: it starts where that is safe."""
    choice = BackendChooser(target(Backend.AUTO, remote)).choice
    assert choice == BackendChoice(Backend.EXPERIMAESTRO, "the settings or flags describe it")


async def test_jobs_of_slurm_on_the_way_back(sides: Sides) -> None:
    """An experimaestro that has served is not started again once jobs run under SLURM; a requested one is."""
    chooser = BackendChooser(target(Backend.AUTO))
    await chooser.open(CONTEXT)
    chooser.settle()
    assert chooser.has_other(UNSAFE)
    assert (chooser.choice.backend, chooser.choice.is_fallback) == (Backend.AGENT, True)
    assert "/w/x.pid" in chooser.choice.why
    await chooser.open(CONTEXT)
    assert sides.opened == ["current experimaestro", "agent"]
    requested = BackendChooser(target(Backend.EXPERIMAESTRO))
    assert not requested.has_other(UNSAFE)


async def test_warning(sides: Sides, caplog: pytest.LogCaptureFixture) -> None:
    """A requested experimaestro is started with one warning of what it may do."""
    chooser = BackendChooser(target(Backend.EXPERIMAESTRO))
    for _ in range(2):
        await chooser.open(CONTEXT)
    (told,) = [each for each in caplog.records if each.levelname == "WARNING"]
    assert "SLURM" in told.getMessage()
    assert chooser.choice.warning in told.getMessage()
    assert sides.opened == ["experimaestro", "experimaestro"]


async def test_agent_alone_fails(sides: Sides) -> None:
    """Where the agent was requested, its failure is reported unchanged."""
    sides.failures["agent"] = StartError("no python")
    with pytest.raises(StartError, match=r"^no python$"):
        await BackendChooser(target(Backend.AGENT)).open(CONTEXT)


async def test_no_second_prompt(sides: Sides) -> None:
    """Where the agent would need another prompt, the first failure is raised, with a hint."""
    sides.failures["current experimaestro"] = StartError("no uv", "install it")
    sides.failures["agent"] = AuthenticationError("refused", unanswered=("a password",))
    session = Session(BackendChooser(target(Backend.AUTO)), CONTEXT, lambda _: None, AsyncMock())
    with pytest.raises(StartError) as caught:
        await session.snapshot()
    told = "no uv; install it; or take the other side at once: --backend agent"
    assert str(caught.value) == told
    assert sides.opened == ["current experimaestro", "agent"]


@pytest.mark.parametrize(("prompter", "unanswered"), [(Unattended(), ("a password",)), (None, ())])
async def test_second_login_that_fails(
    sides: Sides, prompter: Prompter | None, unanswered: tuple[str, ...]
) -> None:
    """A prompt of the second login while a link is restored, or a failure without a refusal, is raised unchanged."""
    sides.failures["current experimaestro"] = StartError("no uv", "install it")
    sides.failures["agent"] = AuthenticationError("refused", unanswered=unanswered)
    context = replace(CONTEXT, prompter=prompter)
    with pytest.raises(AuthenticationError) as caught:
        await Session(
            BackendChooser(target(Backend.AUTO)), context, lambda _: None, AsyncMock()
        ).snapshot()
    assert caught.value.unanswered == unanswered


async def test_connection_is_kept(sides: Sides) -> None:
    """The agent gets the connection of the experimaestro that it replaces."""
    sides.failures["current experimaestro"] = StartError("no uv")
    sides.failures["agent"] = StartError("no python")
    monitor = Monitor(target(Backend.AUTO))
    with pytest.raises(StartError, match="no python"):
        await monitor.snapshot()
    assert sides.kept == [1, 1]


async def test_other_failures_of_the_login(sides: Sides) -> None:
    """A second login that fails for a reason of its own is raised unchanged."""
    sides.failures["current experimaestro"] = StartError("no uv", "install it")
    sides.failures["agent"] = LinkLostError("the cable")
    session = Session(BackendChooser(target(Backend.AUTO)), CONTEXT, lambda _: None, AsyncMock())
    with pytest.raises(LinkLostError, match="the cable"):
        await session.snapshot()


class Silent:
    """The stdio of a server that does not answer."""

    def __init__(self) -> None:
        self.sent = b""
        self.clock = None
        self.exit = RemoteExit(None, "", None)
        self._closed = asyncio.Event()

    def send(self, data: bytes) -> None:
        """Record requests."""
        self.sent += data

    async def receive(self) -> bytes:
        """Wait for the end."""
        await self._closed.wait()
        return b""

    async def aclose(self, *, finish: float = 0.0) -> None:
        """End."""
        del finish
        self._closed.set()


async def test_first_query_needs_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The handshake and the first query to experimaestro are sent at once, and not again."""
    silent = Silent()

    async def open_transport(*_: object, **__: object) -> Silent:
        return silent

    monkeypatch.setattr(module, "open_transport", open_transport)
    context = replace(CONTEXT, timeout=0.01)
    with pytest.raises(RemoteTimeoutError):
        await module.open_experimaestro(target(Backend.EXPERIMAESTRO), context, needs_current=False)
    requests = [json.loads(line) for line in silent.sent.splitlines()]
    assert [each["method"] for each in requests] == ["get_sync_info", "get_experiments"]
    assert requests[1]["params"] == {"refresh": True}
