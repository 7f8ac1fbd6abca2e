"""Every method of the real monitor server, as a typed call."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.experiments import Experiment
from tests.support.fakes import install_fake_monitor
from tests.support.server import Server
from xpm_remote.errors import ProtocolError, RequestError
from xpm_remote.link.transport import open_transport
from xpm_remote.rpc.client import RpcClient
from xpm_remote.rpc.server_api import MonitorServer
from xpm_remote.session.target import Overrides, resolve_target
from xpm_remote.settings.reader import read_settings


async def connect(server: Server, workspace: str, xpm_path: str) -> tuple[RpcClient, MonitorServer]:
    """Open a conversation with a monitor server."""
    given = Overrides(
        host=server.host,
        workdir=workspace,
        xpm_path=xpm_path,
        options=tuple(server.ssh_args("alice")),
    )
    settings = read_settings("", path=server.folder / "none", environ={}, home=server.folder)
    target = resolve_target(settings, None, given)
    transport = await open_transport(
        target.options, target.command, workspace=target.workspace, has_init=target.has_init
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
    """Experiments, runs, jobs, tags, services and the rest come as records."""
    assert api.protocol == "2.0"
    (listed,) = await api.experiments()
    assert (listed.experiment_id, listed.status) == (experiment.name, "done")
    single = await api.experiment(experiment.name)
    assert single is not None
    assert single.job_states == listed.job_states
    assert await api.experiment("nobody") is None
    assert [run.run_id for run in await api.runs(experiment.name)] == [listed.run_id]
    jobs = await api.jobs(experiment.name)
    assert sorted(str(job.state) for job in jobs) == ["done", "done", "error"]
    assert len(await api.jobs(experiment.name, listed.run_id)) == 3
    assert await api.jobs("nobody") == []
    assert len(await api.all_jobs()) == 3
    assert await api.job(jobs[0].task_id, jobs[0].job_id) == jobs[0]
    assert await api.job("no.task", "0" * 64) is None
    tags = await api.tags(experiment.name)
    assert {tag["x"] for tag in tags.values()} == {0, 1}
    assert await api.dependencies(experiment.name) == {}
    assert [each.service_id for each in await api.services(experiment.name)] == ["demo-service"]
    assert [each.service_id for each in await api.services()] == ["demo-service"]
    assert await api.process_info(jobs[0].task_id, jobs[0].job_id) is None
    assert await api.orphan_jobs() == []
    assert await api.stray_jobs() == []
    assert await api.unresolved_warnings() == []


async def test_actions(api: MonitorServer, experiment: Experiment) -> None:
    """Actions tell whether they succeeded, and what is refused says why."""
    done, *_, failed = sorted(await api.jobs(experiment.name), key=lambda job: str(job.state))
    assert not (await api.kill_job(done.task_id, done.job_id)).success
    assert (await api.clean_job(failed.task_id, failed.job_id)).success
    assert await api.job(failed.task_id, failed.job_id) is None
    assert (await api.delete_job(done.task_id, done.job_id, perform=False)).success
    assert await api.job(done.task_id, done.job_id) is not None
    outcome = await api.delete_experiment(experiment.name, delete_jobs=False, perform=False)
    assert outcome.success, outcome
    with pytest.raises(RequestError, match="execute_warning_action"):
        await api.execute_warning_action("no-key", "no-action", experiment.name)


async def test_methods_that_an_old_server_lacks(server: Server) -> None:
    """A server of protocol 1.0 has no orphans and no strays to tell of; other gaps are errors."""
    fake = install_fake_monitor(server, {"protocol_version": "1.0", "missing": ["get_services"]})
    client, api = await connect(server, fake.workspace, fake.xpm_path)
    try:
        await api.handshake()
        assert api.protocol == "1.0"
        assert await api.orphan_jobs() == []
        assert await api.stray_jobs() == []
        with pytest.raises(RequestError, match="-32601"):
            await api.services()
    finally:
        await client.aclose()


async def test_answers_of_another_shape(server: Server) -> None:
    """Records that do not fit are left out one by one; an answer that is none at all is a protocol error."""
    jobs = [{"job_id": "a", "task_id": "t", "state": "done"}, {"job_id": 5}, "x"]
    results = {"get_all_jobs": jobs, "get_job": [], "get_tags_map": 3, "get_sync_info": None}
    fake = install_fake_monitor(server, {"results": results})
    client, api = await connect(server, fake.workspace, fake.xpm_path)
    try:
        assert [job.job_id for job in await api.all_jobs()] == ["a"]
        with pytest.raises(ProtocolError, match="get_job"):
            await api.job("t", "a")
        with pytest.raises(ProtocolError, match="get_tags_map"):
            await api.tags("e")
        with pytest.raises(ProtocolError, match="speaks protocol none"):
            await api.handshake()
    finally:
        await client.aclose()
