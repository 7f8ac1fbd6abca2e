"""Operations by an agent that is lost in the middle: asked again, each job told once."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.workspace.small import SmallWorkspace
from xpm_remote.errors import (
    AuthenticationError,
    BadJobIdError,
    LinkLostError,
    ProtocolError,
    RequestError,
    UnreachableError,
    XpmRemoteError,
)
from xpm_remote.link.prompts import Prompter
from xpm_remote.rpc.client import Listener
from xpm_remote.session import remote_jobs
from xpm_remote.session.agent_client import AgentClient, open_local_agent
from xpm_remote.session.remote_jobs import RemoteJobs
from xpm_remote.session.retry import Schedule
from xpm_remote.workspace.agent.actions import CLEAN
from xpm_remote.workspace.folders.archiving import no_progress
from xpm_remote.workspace.folders.outcomes import RecoveryStatus
from xpm_remote.workspace.layout import JobId


class Agents:
    """Starts agents of a workspace of this machine, or fails as it is told.

    Args:
        root: The workspace.

    Attributes:
        clients: Those that were started.
        failures: What the next starts raise.
        prompters: Who could be asked, for each start.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.clients: list[AgentClient] = []
        self.failures: list[XpmRemoteError] = []
        self.prompters: list[Prompter | None] = []

    async def __call__(self, *, prompter: Prompter | None, listener: Listener) -> AgentClient:
        """Start one."""
        self.prompters.append(prompter)
        if self.failures:
            raise self.failures.pop(0)
        self.clients.append(await open_local_agent(str(self._root), listener=listener))
        return self.clients[-1]

    async def lose(self) -> None:
        """End the agent that there is."""
        await self.clients[-1].aclose()


@pytest.fixture
def made(tmp_path: Path) -> SmallWorkspace:
    """A workspace."""
    return SmallWorkspace(tmp_path / "ws")


@pytest.fixture
def backup(tmp_path: Path) -> SmallWorkspace:
    """Its folder."""
    return SmallWorkspace(tmp_path / "backup")


@pytest.fixture
def agents(made: SmallWorkspace) -> Agents:
    """Its agents."""
    return Agents(made.root)


@pytest.fixture
async def jobs(agents: Agents, backup: SmallWorkspace) -> AsyncIterator[RemoteJobs]:
    """Its jobs, opened; nobody waits before a further attempt."""
    jobs = RemoteJobs(agents, [backup.as_folder("backup")], told.append, Schedule(lambda: 0.0))
    told.clear()
    await jobs.open()
    yield jobs
    await jobs.aclose()


told: list[str] = []


async def test_question_is_asked_again(
    jobs: RemoteJobs, agents: Agents, made: SmallWorkspace
) -> None:
    """A question whose agent is gone is asked another one; failures that pass are waited out, nobody is asked."""
    made.job("u/here1")
    await agents.lose()
    agents.failures = [UnreachableError("nobody answers")]
    (found,) = await jobs.find(["u/*"], everywhere=False)
    assert found.jobs == (JobId("u", "here1"),)
    assert told[-1] == "connected again"
    assert agents.prompters[0] is None
    assert all(each is not None and each.obstacle for each in agents.prompters[1:])


async def test_what_does_not_pass_ends_it(jobs: RemoteJobs, agents: Agents) -> None:
    """A host that refuses us is not asked for ever; nor is a refusal of the agent a lost link."""
    with pytest.raises(BadJobIdError):
        await jobs.find(["../x"], everywhere=True)
    assert not told
    await agents.lose()
    agents.failures = [AuthenticationError("no key will do")]
    with pytest.raises(AuthenticationError):
        await jobs.references()


async def test_first_attempt_must_succeed(agents: Agents) -> None:
    """What fails at the first attempt is not tried again."""
    agents.failures = [UnreachableError("nobody answers")]
    with pytest.raises(UnreachableError):
        await RemoteJobs(agents, [], told.append).open()


async def test_away_for_too_long(
    jobs: RemoteJobs, agents: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some time it is given up, with the error of the last attempt."""
    monkeypatch.setattr(remote_jobs, "AWAY_LIMIT", 0.0)
    await agents.lose()
    agents.failures = [UnreachableError("nobody answers")]
    with pytest.raises(UnreachableError):
        await jobs.references()


async def test_each_job_is_told_once(
    jobs: RemoteJobs, agents: Agents, made: SmallWorkspace, backup: SmallWorkspace
) -> None:
    """A recovery that loses its agent again and again tells of each job once, and all are there."""
    names = [JobId("u", f"{number:04x}") for number in range(60)]
    for name in names:
        backup.job(str(name))
    seen = []
    async for outcome in jobs.recover(names, incomplete=False, progress=no_progress):
        seen.append(outcome)
        if len(seen) in (1, 30):
            await agents.lose()
    assert sorted(each.job for each in seen) == names
    assert all(each.is_there for each in seen)
    assert all(made.layout.job_files(name).done.exists() for name in names)


async def test_busy_after_a_lost_link(
    jobs: RemoteJobs, agents: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that the lost agent still works on is asked for again until that has finished."""
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

    monkeypatch.setattr(jobs, "_attempt", attempt)
    monkeypatch.setattr(remote_jobs, "BUSY_INTERVAL", 0.0)

    async def carry_out(items: list[str]) -> list[str]:
        work = jobs._carry_out(
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
    with pytest.raises(ProtocolError, match="without a word on 1 jobs"):
        await carry_out(["u/b", "u/c"])
    answers.append(({"job": "u/b", "status": "there"}, RequestError("recover", 1, "no")))
    with pytest.raises(RequestError):
        await carry_out(["u/b", "u/c"])


async def test_cleaning(jobs: RemoteJobs, agents: Agents, made: SmallWorkspace) -> None:
    """Orphans and jobs that have ended are removed, whatever becomes of the agent between plan and work."""
    made.job("u/lost1")
    made.job("u/lost2")
    (step, _) = await jobs.plan_orphans(with_folders=True, force=False)
    await agents.lose()
    done = [each async for each in jobs.clean_orphans([step], with_folders=True, force=False)]
    assert [each.status.value for each in done] == ["removed"]
    plans = await jobs.plan_action(CLEAN, [JobId("u", "lost2")])
    await agents.lose()
    assert [each.success async for each in jobs.perform(plans)] == [True]
    assert list((made.layout.jobs / "u").iterdir()) == []


async def test_archive(jobs: RemoteJobs, made: SmallWorkspace, backup: SmallWorkspace) -> None:
    """Jobs go to the folder; the progress is told on the way."""
    made.job("u/here1")
    (plan,) = await jobs.plan_archive([JobId("u", "here1")])
    assert plan.files > 0
    (done,) = [each async for each in jobs.archive([plan.job], progress=no_progress)]
    assert done.is_archived
    (lost,) = await jobs.plan_recovery([JobId("u", "none1")], incomplete=False)
    assert lost.status is RecoveryStatus.NOT_FOUND
    assert (await jobs.directory(plan.job))[1]


async def test_logs_go_on_where_they_were(
    jobs: RemoteJobs, agents: Agents, made: SmallWorkspace
) -> None:
    """A log that is followed through the loss of an agent has each line once, and ends with its job."""
    job = JobId("u", "live1")
    files = made.layout.job_files(job)
    made.job(str(job), None)
    files.pid.write_text(f'{{"type": "local", "pid": {os.getpid()}}}')
    files.stderr.write_text("1\n2\n")
    piece = await jobs.read_log(job, "err", lines=1)
    heard = [piece["text"]]
    files.stderr.write_text("1\n2\n3\n")
    async for _, news in jobs.follow_logs("err", {job: piece["position"]}):
        heard.append(news.get("text", ""))
        if heard[-1] == "3\n":
            await agents.lose()
            files.stderr.write_text("1\n2\n3\n4\n")
            files.done.touch()
    assert "".join(heard) == "2\n3\n4\n"


def test_what_cannot_be_read() -> None:
    """An answer of another form is an error of the protocol."""
    with pytest.raises(ProtocolError, match="cannot be read: KeyError"):
        remote_jobs._read([{}], lambda wire: wire["jobs"])
