"""Operations whose agent is lost meanwhile: each job is reported once."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.jobs.local_agents import Agents
from tests.workspace.small import SmallWorkspace
from xpm_remote.errors import ProtocolError
from xpm_remote.jobs import remote
from xpm_remote.jobs.reliable_agent import ReliableAgent
from xpm_remote.jobs.remote import RemoteJobs
from xpm_remote.session.reconnect import Backoff
from xpm_remote.workspace.folders.archiving import no_progress
from xpm_remote.workspace.layout import JobId, Layout
from xpm_remote.workspace.outcomes import CLEAN, RecoveryStatus


@pytest.fixture
def backup(tmp_path: Path) -> SmallWorkspace:
    """The folder of the workspace."""
    return SmallWorkspace(tmp_path / "backup")


@pytest.fixture
async def jobs(agents: Agents, backup: SmallWorkspace) -> AsyncIterator[RemoteJobs]:
    """The jobs of the workspace, opened; further attempts are made at once."""
    agent = ReliableAgent(agents, print, backoff=Backoff(lambda: 0.0))
    layout = Layout(Path(await agent.open()))
    yield RemoteJobs(agent, layout, [backup.as_folder("backup")])
    await agent.aclose()


async def test_each_job_is_told_once(
    jobs: RemoteJobs, agents: Agents, made: SmallWorkspace, backup: SmallWorkspace
) -> None:
    """A recovery that loses its agent again and again reports each job once, and all are recovered."""
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


async def test_cleaning(jobs: RemoteJobs, agents: Agents, made: SmallWorkspace) -> None:
    """Orphans and jobs that have ended are removed, even if the agent is lost between plan and work."""
    made.job("u/lost1")
    made.job("u/lost2")
    report = await jobs.find_orphans(with_folders=True, with_sizes=False)
    (step, _) = await jobs.plan_orphans(report, with_folders=True, force=False)
    await agents.lose()
    done = [each async for each in jobs.clean_orphans([step], with_folders=True, force=False)]
    assert [each.status.value for each in done] == ["removed"]
    plans = await jobs.plan_action(CLEAN, [JobId("u", "lost2")], force=False)
    await agents.lose()
    assert [each.success async for each in jobs.perform(plans)] == [True]
    assert list((made.layout.jobs / "u").iterdir()) == []


async def test_archive(jobs: RemoteJobs, made: SmallWorkspace, backup: SmallWorkspace) -> None:
    """Jobs are archived to the folder; the progress is reported meanwhile."""
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
    heard = []
    async for _, text in jobs.follow_logs([job], "err", 1, warn=pytest.fail):
        heard.append(text)
        if heard[-1] == "2\n":
            files.stderr.write_text("1\n2\n3\n")
        elif heard[-1] == "3\n":
            await agents.lose()
            files.stderr.write_text("1\n2\n3\n4\n")
            files.done.touch()
    assert "".join(heard) == "2\n3\n4\n"


def test_what_cannot_be_read() -> None:
    """An answer of another form is an error of the protocol."""
    with pytest.raises(ProtocolError, match="cannot be read: KeyError"):
        remote._read({}, lambda wire: wire["jobs"])
