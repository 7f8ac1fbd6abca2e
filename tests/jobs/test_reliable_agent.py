"""An agent that is lost during requests: they are sent again until all is done, or no agent can be started."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.local_agents import Agents
from tests.support.loopback import loopback
from tests.workspace.small import SmallWorkspace
from xpm_remote.errors import (
    AuthenticationError,
    BadJobIdError,
    LinkLostError,
    ProtocolError,
    RequestError,
    StalledError,
    UnreachableError,
    XpmRemoteError,
)
from xpm_remote.jobs import reliable_agent
from xpm_remote.jobs.reliable_agent import ReliableAgent
from xpm_remote.session.reconnect import Backoff

pytestmark = pytest.mark.slow


@pytest.fixture
def told() -> list[str]:
    """The reports about the link."""
    return []


@pytest.fixture
async def agent(agents: Agents, told: list[str]) -> AsyncIterator[ReliableAgent]:
    """A reliable agent, opened; it does not wait before a further attempt."""
    agent = ReliableAgent(agents, told.append, backoff=Backoff(lambda: 0.0))
    await agent.open()
    yield agent
    await agent.aclose()


async def test_question_is_asked_again(
    agent: ReliableAgent, agents: Agents, made: SmallWorkspace, told: list[str]
) -> None:
    """A request whose agent is gone is sent to another one; transient failures are retried, without a prompt."""
    made.job("u/here1")
    await agents.lose()
    agents.failures = [UnreachableError("nobody answers")]
    (found,) = await agent.ask("find_jobs", {"texts": ["u/*"]})
    assert found["jobs"] == ["u/here1"]
    assert told[-1] == "connected again"
    assert agents.prompters[0] is None
    assert all(each is not None and each.obstacle for each in agents.prompters[1:])


async def test_file_server_that_hangs(
    made: SmallWorkspace, tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a question waits for is told after some seconds; it ends at the limit, and the next one is answered."""
    monkeypatch.setattr(reliable_agent, "REQUEST_TIMEOUT", 6.0)
    made.job("u/here1")
    with loopback(made.root, tmp_path / "shown") as server:
        agent = ReliableAgent(Agents(server.root), told.append)
        await agent.open()
        try:
            server.stop()
            with pytest.raises(StalledError, match=str(server.root)):
                await asyncio.wait_for(agent.ask("list_jobs", {"experiment": None}), 30.0)
            (line,) = told
            assert line.startswith("the file server does not answer: waiting for ")
            server.go_on()
            assert (await agent.ask("list_jobs", {"experiment": None}))["jobs"] == []
        finally:
            server.go_on()
            await agent.aclose()


async def test_what_does_not_pass_ends_it(
    agent: ReliableAgent, agents: Agents, told: list[str]
) -> None:
    """A host that refuses us is not retried for ever; nor is a refusal of the agent a lost link."""
    with pytest.raises(BadJobIdError):
        await agent.ask("find_jobs", {"texts": ["../x"]})
    assert not told
    await agents.lose()
    agents.failures = [AuthenticationError("no key will do")]
    with pytest.raises(AuthenticationError):
        await agent.ask("get_references", {})


class Person:
    """A user who may come when called.

    Attributes:
        asked: What for, each time.
        answers: Whether they come, each time.
    """

    def __init__(self, *answers: bool) -> None:
        self.asked: list[str] = []
        self.answers = list(answers)

    async def __call__(self, asked: str) -> bool:
        """Come, or not."""
        self.asked.append(asked)
        return self.answers.pop(0)


async def lost(agents: Agents, person: Person) -> ReliableAgent:
    """Return one whose agent is gone, with a host that wants a password."""
    agent = ReliableAgent(agents, print, person, Backoff(lambda: 0.0))
    await agent.open()
    await agents.lose()
    agents.failures = [
        UnreachableError("nobody answers"),
        AuthenticationError("no password", unanswered=("a password",)),
    ]
    return agent


async def test_person_is_called(agents: Agents, made: SmallWorkspace) -> None:
    """Where only the user can log in they are called, then prompted; after a wrong answer they are prompted again."""
    made.job("u/here1")
    person = Person(True, True, True)
    agent = await lost(agents, person)
    agents.failures += [AuthenticationError("wrong"), UnreachableError("it is gone again")]
    agents.failures += [AuthenticationError("no code", unanswered=("a code", "a password"))]
    (found,) = await agent.ask("find_jobs", {"texts": ["u/*"]})
    assert found["jobs"] == ["u/here1"]
    assert person.asked == ["a password", "a password", "a code or a password"]
    are_asked = [each is None for each in agents.prompters]
    assert are_asked == [True, False, False, True, True, False, True]
    await agent.aclose()


async def test_no_person_comes(agents: Agents) -> None:
    """Where no user comes who could log in, it fails."""
    person = Person(False)
    agent = await lost(agents, person)
    with pytest.raises(AuthenticationError, match="no password"):
        await agent.ask("get_references", {})
    assert person.asked == ["a password"]


async def test_first_attempt_must_succeed(agents: Agents) -> None:
    """A failure of the first attempt is not retried."""
    agents.failures = [UnreachableError("nobody answers")]
    with pytest.raises(UnreachableError):
        await ReliableAgent(agents, print).open()


async def test_away_for_too_long(
    agent: ReliableAgent, agents: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a limit it is given up, with the error of the last attempt."""
    monkeypatch.setattr(reliable_agent, "AWAY_LIMIT", 0.0)
    await agents.lose()
    agents.failures = [UnreachableError("nobody answers")]
    with pytest.raises(UnreachableError):
        await agent.ask("get_references", {})


async def test_busy_after_a_lost_link(
    agent: ReliableAgent, agents: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job on which the lost agent still works is requested again until that agent has finished."""
    answers: list[tuple[dict[str, str], XpmRemoteError | None]] = [
        ({"job": "u/a", "status": "recovered"}, LinkLostError("gone")),
        ({"job": "u/b", "status": "busy"}, None),
        ({"job": "u/b", "status": "there"}, None),
    ]
    asked: list[tuple[Any, bool]] = []

    async def attempt(_: str, params: dict[str, Any], __: object) -> AsyncIterator[dict[str, Any]]:
        asked.append((params["jobs"], params["again"]))
        wire, error = answers.pop(0)
        yield wire
        if error:
            raise error

    monkeypatch.setattr(agent, "_attempt", attempt)
    monkeypatch.setattr(reliable_agent, "BUSY_INTERVAL", 0.0)

    async def carry_out(items: list[str]) -> list[str]:
        work = agent.carry_out(
            "recover",
            {item: item for item in items},
            lambda left, again: {"jobs": list(left), "again": again},
        )
        return [str(wire["status"]) async for wire in work]

    assert await carry_out(["u/a", "u/b"]) == ["recovered", "there"]
    assert asked == [(["u/a", "u/b"], False), (["u/b"], True), (["u/b"], True)]
    answers.append(({"job": "u/b", "status": "busy"}, None))
    assert await carry_out(["u/b"]) == ["busy"]
    answers.append(({"job": "u/b", "status": "busy"}, None))
    with pytest.raises(ProtocolError, match="without a word on 1 job;"):
        await carry_out(["u/b", "u/c"])
    answers.append(({"job": "u/b", "status": "there"}, RequestError("recover", 1, "no")))
    with pytest.raises(RequestError):
        await carry_out(["u/b", "u/c"])
