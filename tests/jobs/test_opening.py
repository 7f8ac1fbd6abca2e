"""Jobs of a workspace of a fleet: in its event loop, on the login that it has."""

from __future__ import annotations

from typing import Any

import pytest

from tests.workspace.small import SmallWorkspace
from xpm_remote.errors import XpmRemoteError
from xpm_remote.jobs.opening import open_in_loop
from xpm_remote.link.options.connect_options import parse_ssh_options
from xpm_remote.link.remote.command import RemoteExperimaestro
from xpm_remote.session import agent_client
from xpm_remote.session.hosts import Hosts
from xpm_remote.session.target import LocalTarget, Target
from xpm_remote.workspace.layout import JobId

JOB = JobId("d.learn", "bb")


async def test_a_workspace_of_this_machine(made: SmallWorkspace) -> None:
    """The jobs of a workspace of this machine are those of a process beside, which ends with them."""
    made.job(str(JOB), "failed")
    lines: list[str] = []
    async with open_in_loop(LocalTarget("here", str(made.root)), tell=lines.append) as jobs:
        ((found,),) = [page async for page in jobs.failures([JOB], {})]
        assert found.cause == "FAILED"
        assert await jobs.directory(JOB) == (str(made.layout.job(JOB)), True)
    assert lines == []
    made.layout.marker.unlink()
    with pytest.raises(XpmRemoteError, match="is no experimaestro workspace"):
        async with open_in_loop(LocalTarget("here", str(made.root)), tell=lines.append):
            raise AssertionError


@pytest.mark.parametrize("is_shared", [True, False])
async def test_the_login_of_a_fleet_is_used(
    made: SmallWorkspace, monkeypatch: pytest.MonkeyPatch, is_shared: bool
) -> None:
    """A remote workspace is reached by the link that the fleet has to its host; without a fleet, by a new one."""
    target = Target("host", str(made.root), parse_ssh_options("host", []), RemoteExperimaestro())
    links = []

    async def start(_: Target, link: object, **given: Any) -> agent_client.AgentClient:
        links.append(link)
        return await agent_client.open_local_agent(
            LocalTarget("here", str(made.root)), listener=given["listener"]
        )

    monkeypatch.setattr(agent_client, "open_agent", start)
    hosts = Hosts() if is_shared else None
    for _ in range(2):
        async with open_in_loop(target, hosts, tell=print) as jobs:
            assert (await jobs.find(["zebra"]))[0].jobs == ()
    shared = None if hosts is None else hosts.link(target)
    assert [link is shared for link in links] == [is_shared, is_shared]
