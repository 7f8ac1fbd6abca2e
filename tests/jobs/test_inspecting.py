"""Questions about single jobs: the same answers here and through an agent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.jobs.local_agents import Agents
from tests.support.slurm import FakeSlurm
from tests.workspace.small import RUN, SmallWorkspace
from xpm_remote.errors import UnreadableError, UsageError
from xpm_remote.jobs.interface import FAILURES_PAGE
from xpm_remote.jobs.local import LocalJobs
from xpm_remote.jobs.reliable_agent import ReliableAgent
from xpm_remote.jobs.remote import RemoteJobs
from xpm_remote.session.reconnect import Backoff
from xpm_remote.workspace.failures import WorkspaceFailure
from xpm_remote.workspace.inspecting.answers import Attempt, LinkedJob
from xpm_remote.workspace.layout import JobId, Layout
from xpm_remote.workspace.rows import SLURM, Account

INDEX, LEARN, LAST = JobId("d.index", "aa"), JobId("d.learn", "bb"), JobId("d.last", "cc")


def reference(number: int) -> dict[str, object]:
    """Return a reference of one object to another."""
    return {"type": "python", "value": number}


@pytest.fixture
def chain(made: SmallWorkspace) -> SmallWorkspace:
    """A workspace with a job that failed, that needs one that succeeded, and that another one needs."""
    made.job(str(INDEX))
    learn = made.job(str(LEARN), "failed")
    made.job(str(LAST), None)
    index = {"id": 1, "type": "Index", "identifier": "aa", "task": 1}
    own = {"id": 2, "task": 2, "identifier": "bb", "fields": {"lr": 0.1, "index": reference(1)}}
    (learn / "params.json").write_text(json.dumps({"objects": [index, own]}))
    (learn / "learn.err").write_bytes(b"caf\xe9\n\x1b[2Jneedle\nlast line\n")
    (learn / "learn.20261128165136.err").write_text("first try\n")
    run = made.run([str(INDEX), str(LEARN), str(LAST)])
    last = {"id": 3, "identifier": "cc", "fields": {"of": reference(2)}}
    objects = ({"id": 1, "identifier": "aa"}, {**own, "task": None}, last)
    (run / "objects.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in objects))
    return made


@pytest.fixture
def local(chain: SmallWorkspace) -> LocalJobs:
    """Its jobs, here."""
    return LocalJobs(chain.layout, (), ())


@pytest.fixture
async def remote(agents: Agents, chain: SmallWorkspace) -> AsyncIterator[RemoteJobs]:
    """Its jobs, through an agent."""
    agent = ReliableAgent(agents, print, backoff=Backoff(lambda: 0.0))
    yield RemoteJobs(agent, Layout(Path(await agent.open())), [])
    await agent.aclose()


async def test_failures(local: LocalJobs, remote: RemoteJobs, agents: Agents) -> None:
    """Failures come in pages, also when the agent is lost; those that are known are left out."""
    jobs = [LEARN, *(JobId("d.gone", f"{number:04x}") for number in range(FAILURES_PAGE))]
    here = list(local.failures(jobs, {}))
    there = []
    async for page in remote.failures(jobs, {}):
        there.append(page)
        await agents.lose()
    assert here == there
    assert [len(page) for page in here] == [FAILURES_PAGE, 1]
    (found, *_) = here[0]
    assert (found.job, found.cause) == (LEARN, "FAILED: last line")
    known = {LEARN: found.stamp}
    assert list(local.failures([LEARN], known)) == [()]
    assert [page async for page in remote.failures([LEARN], known)] == [()]


async def test_detail(local: LocalJobs, remote: RemoteJobs) -> None:
    """What is known of a job has its parameters, its links to others, its attempts and its files."""
    here = local.detail(LEARN)
    assert here == await remote.detail(LEARN)
    assert here is not None
    assert (here.job.state, here.job.tags, here.job.experiments) == ("error", {"x": 1}, ("e",))
    assert here.params == {"lr": 0.1, "index": {"type": "Index", "job": "aa"}}
    assert here.needs == (LinkedJob(INDEX, "done"),)
    assert here.needed_by == (LinkedJob(LAST, "unscheduled"),)
    assert here.attempts == (Attempt("20261128165136", None, 10), Attempt("", None, 26))
    assert [each.name for each in here.files if each.size is None] == [".experimaestro"]
    assert here.left_out == {"needs": 0, "needed_by": 0, "files": 0}
    assert here.problems == ()
    assert local.detail(JobId("d.none", "00")) is await remote.detail(JobId("d.none", "00")) is None


async def test_account(
    local: LocalJobs, remote: RemoteJobs, chain: SmallWorkspace, tmp_path: Path
) -> None:
    """What SLURM's accounting has of a job is the same here and there; of another job nothing is asked."""
    assert local.account(LEARN) is await remote.account(LEARN) is None
    slurm = FakeSlurm(tmp_path)
    directory = chain.layout.job(LEARN)
    slurm.settle(sacct=[{"JobID": "15", "WorkDir": str(directory), "State": "FAILED"}])
    pid = {"type": "slurm", "pid": "15", "options": [["binpath", str(slurm.bin)]]}
    (directory / "learn.pid").write_text(json.dumps(pid))
    found = Account((("state", "FAILED"),))
    assert (local.account(LEARN), await remote.account(LEARN)) == (found, found)


async def test_silence_of_slurm(
    local: LocalJobs, remote: RemoteJobs, chain: SmallWorkspace, tmp_path: Path
) -> None:
    """That SLURM does not answer is among the problems of a list, here and there, without being a file's error."""
    slurm = FakeSlurm(tmp_path)
    slurm.settle(mode="down")
    pid = {"type": "slurm", "pid": "15", "options": [["binpath", str(slurm.bin)]]}
    (chain.layout.job(LAST) / "last.pid").write_text(json.dumps(pid))
    for found, problems in (local.current(None), await remote.current(None)):
        (silence,) = problems
        assert (silence.path, silence.error) == (SLURM, "")
        assert "does not answer: squeue failed" in silence.why
        (last,) = [each for each in found if each.facts.id == LAST]
        assert not last.facts.certain


async def test_parts_of_logs(local: LocalJobs, remote: RemoteJobs, chain: SmallWorkspace) -> None:
    """Parts of logs are the same, of any bytes and any attempt."""
    for asked in ({}, {"before": 14}, {"after": 5, "size": 9}, {"attempt": "20261128165136"}):
        here = local.read_log(LEARN, "err", **asked)
        assert here is not None
        assert here == await remote.read_log(LEARN, "err", **asked)
    assert local.read_log(LEARN, "out") is await remote.read_log(LEARN, "out") is None
    with pytest.raises(UsageError, match="not a try"):
        await remote.read_log(LEARN, "err", attempt="..")
    (chain.layout.job(LEARN) / "learn.out").symlink_to("learn.err")
    with pytest.raises(UnreadableError, match="is a link"):
        await remote.read_log(LEARN, "out")


async def test_searches(local: LocalJobs, remote: RemoteJobs) -> None:
    """Searches find the same, count on from part to part, and refuse the same."""
    for is_regex in (False, True):
        here = list(local.search_log(LEARN, "err", "n", is_regex=is_regex, limit=1))
        assert here == [
            each async for each in remote.search_log(LEARN, "err", "n", is_regex=is_regex, limit=1)
        ]
        (found,) = here
        assert (found.total, found.is_over) == (2, True)
        assert [(each.offset, each.line) for each in found.matches] == [(9, 5)]
    by_bytes = list(local.search_log(LEARN, "err", "caf\udce9"))
    assert by_bytes == [each async for each in remote.search_log(LEARN, "err", "caf\udce9")]
    assert by_bytes[0].total == 1
    assert list(local.search_log(LEARN, "out", "n")) == []
    assert [each async for each in remote.search_log(LEARN, "out", "n")] == []
    with pytest.raises(WorkspaceFailure, match="no regular expression"):
        list(local.search_log(LEARN, "err", "(", is_regex=True))
    with pytest.raises(UsageError, match="no regular expression"):
        [each async for each in remote.search_log(LEARN, "err", "(", is_regex=True)]


async def test_dependencies_are_of_what_is_there_now(
    local: LocalJobs, chain: SmallWorkspace, remote: RemoteJobs
) -> None:
    """A run whose file of objects is gone or broken tells nothing, and that is no error."""
    objects = chain.layout.experiment("e") / RUN / "objects.jsonl"
    objects.write_text("no json\n[]\n")
    here = local.detail(LEARN)
    assert here is not None
    assert here.needed_by == ()
    assert [each.path for each in here.problems] == [str(objects)]
    objects.unlink()
    there = await remote.detail(LEARN)
    assert there is not None
    assert (there.needed_by, there.problems) == ((), ())
