"""The methods of the real monitor server that we use, as typed calls."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.experiments import Experiment
from tests.support.fakes import install_fake_monitor
from tests.support.server import Server
from xpm_remote.errors import ProtocolError
from xpm_remote.link.host import HostLink
from xpm_remote.link.transport import open_transport
from xpm_remote.rpc.client import RpcClient
from xpm_remote.rpc.server_api import MonitorServer
from xpm_remote.session.target import Overrides, resolve_target
from xpm_remote.settings.reader import read_settings


async def connect(server: Server, workspace: str, xpm_path: str) -> tuple[RpcClient, MonitorServer]:
    """Start a monitor server and connect to it."""
    given = Overrides(
        host=server.host,
        workdir=workspace,
        xpm_path=xpm_path,
        options=tuple(server.ssh_args("alice")),
    )
    settings = read_settings("", path=server.folder / "none", environ={}, home=server.folder)
    target = resolve_target(settings, None, given)
    transport = await open_transport(
        HostLink(target.options), target.command, workspace=target.workspace
    )
    client = RpcClient(transport, command=target.server_command, listener=lambda _: None)
    return client, MonitorServer(client)


@pytest.fixture(scope="module")
def experiment(server: Server) -> Experiment:
    """An experiment that has ended, in a workspace of its own."""
    started = server.start_experiment("methods", "methods", ok=2, fail=1, service=True)
    started.wait()
    return started


@pytest.fixture
async def api(server: Server, experiment: Experiment) -> AsyncIterator[MonitorServer]:
    """The real server, after the handshake."""
    client, made = await connect(server, experiment.workspace, server.experimaestro)
    await made.handshake()
    yield made
    await client.aclose()


async def test_queries(api: MonitorServer, experiment: Experiment) -> None:
    """Experiments and jobs are returned as records."""
    assert api.protocol == "2.0"
    (listed,) = await api.experiments()
    assert (listed.experiment_id, listed.status) == (experiment.name, "done")
    jobs = await api.jobs(experiment.name)
    assert sorted(str(job.state) for job in jobs) == ["done", "done", "error"]
    assert await api.jobs("nobody") == []
    assert await api.job(jobs[0].task_id, jobs[0].job_id) == jobs[0]
    assert await api.job("no.task", "0" * 64) is None


async def test_answers_of_another_shape(server: Server) -> None:
    """Records that do not fit are left out one by one; an answer that is no list is a protocol error."""
    jobs = [{"job_id": "a", "task_id": "t", "state": "done"}, {"job_id": 5}, "x"]
    results = {"get_jobs": jobs, "get_job": [], "get_sync_info": None}
    fake = install_fake_monitor(server, {"results": results})
    client, api = await connect(server, fake.workspace, fake.xpm_path)
    try:
        assert [job.job_id for job in await api.jobs("e")] == ["a"]
        with pytest.raises(ProtocolError, match="get_job"):
            await api.job("t", "a")
        with pytest.raises(ProtocolError, match="speaks protocol none"):
            await api.handshake()
    finally:
        await client.aclose()
