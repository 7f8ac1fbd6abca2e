"""Recovering, archiving and cleaning by an agent: planned, reported job by job, whole also after a lost link."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.link.agent_host import Talk
from tests.support.effort import examples
from tests.workspace.faults import below, make_fail
from tests.workspace.jobs_on_disk import leftovers, make_folder, make_job, make_workspace
from xpm_remote.workspace import filesystem
from xpm_remote.workspace.agent.job_requests import PROGRESS_INTERVAL, JobRequests
from xpm_remote.workspace.layout import Folder, FolderMode, JobId, Layout
from xpm_remote.workspace.outcomes import (
    ArchiveOutcome,
    ArchivePlan,
    ArchiveVerdict,
    CleanOutcome,
    CleanStatus,
    CleanStep,
    OrphanReport,
    RecoveryOutcome,
    RecoveryPlan,
    RecoveryStatus,
    from_wire,
    to_wire,
)
from xpm_remote.workspace.processes import Host

pytestmark = pytest.mark.slow

JOBS = [JobId("pkg.train", f"{number:064x}") for number in range(3)]


@pytest.fixture
def workspace(tmp_path: Path) -> Layout:
    """A workspace with three jobs that no run refers to."""
    workspace = make_workspace(tmp_path / "ws")
    workspace.marker.touch()
    workspace.experiments.mkdir()
    for job in JOBS:
        make_job(workspace, job)
    return workspace


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder without jobs."""
    return make_folder(tmp_path / "backup", FolderMode.BACKUP)


@pytest.fixture
def talk(workspace: Layout) -> Iterator[Talk]:
    """An agent that serves the workspace, in a home that has the folder."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(workspace.root.parent)}
    with Talk(workspace.root, environ=environ) as talk:
        talk.greet()
        yield talk


def ids(jobs: list[JobId]) -> list[str]:
    """Spell jobs for a request."""
    return [str(job) for job in jobs]


def outcomes(notices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the outcomes among notifications."""
    return [
        each["params"]["outcome"] for each in notices if each["method"] == "notification.outcome"
    ]


def test_archive_and_recover(talk: Talk, workspace: Layout, folder: Folder) -> None:
    """Jobs are archived and recovered; plans and outcomes are those of the local commands."""
    request = {"folders": [{"path": "~/backup", "mode": "backup"}], "jobs": ids(JOBS)}
    plans = [from_wire(ArchivePlan, each) for each in talk.result("plan_archive", **request)]
    assert [plan.verdict for plan in plans] == [ArchiveVerdict.ARCHIVE] * 3
    assert talk.result("archive", name="a", **request) == {"outcomes": 3, "stopped": False}
    archived = [from_wire(ArchiveOutcome, each) for each in outcomes(talk.notices)]
    assert [(each.job, each.is_archived) for each in archived] == [(job, True) for job in JOBS]
    shutil.rmtree(workspace.job(JOBS[1]))
    recovery = [from_wire(RecoveryPlan, each) for each in talk.result("plan_recovery", **request)]
    there, lost = RecoveryStatus.THERE, RecoveryStatus.RECOVERED
    assert [plan.status for plan in recovery] == [there, lost, there]
    talk.notices.clear()
    assert talk.result("recover", name="b", **request)["outcomes"] == 3
    recovered = [from_wire(RecoveryOutcome, each) for each in outcomes(talk.notices)]
    assert [each.status for each in recovered] == [there, lost, there]
    assert workspace.job_files(JOBS[1]).done.exists()
    assert leftovers(workspace.root, folder.path) == []


def test_find_jobs(talk: Talk) -> None:
    """A user's text is looked up where the jobs are; an ambiguous one is refused."""
    found = talk.result("find_jobs", texts=["pkg.train/*", f"pkg.tr/{JOBS[0].hash}", "pkg.none/*"])
    assert found[0]["jobs"] == ids(JOBS)
    assert found[2] == {"text": "pkg.none/*", "jobs": [], "problems": []}
    error = talk.call("find_jobs", texts=["pkg.train/0000"])["error"]
    assert error["data"]["kind"] == "no-job"
    assert talk.result("get_references") == {"jobs": [], "problems": []}


def test_orphans(talk: Talk, workspace: Layout, folder: Folder) -> None:
    """Orphans are reported, and removed as planned; recoverable ones are kept."""
    request = {"folders": [to_wire(folder)]}
    talk.result("archive", name="a", jobs=ids(JOBS[:1]), **request)
    report = from_wire(OrphanReport, talk.result("find_orphans", with_sizes=True, **request))
    assert [each.job for each in report.orphans] == JOBS[1:]
    assert [each.job for each in report.recoverable] == JOBS[:1]
    steps = talk.result("plan_orphans", **request)
    assert [from_wire(CleanStep, each).orphan.job for each in steps] == JOBS[1:]
    talk.notices.clear()
    assert talk.result("clean_orphans", name="c", steps=steps, **request)["outcomes"] == 2
    done = [from_wire(CleanOutcome, each) for each in outcomes(talk.notices)]
    assert [each.status for each in done] == [CleanStatus.REMOVED] * 2
    assert [path.name for path in workspace.job(JOBS[0]).parent.iterdir()] == [JOBS[0].hash]


def test_orphans_that_another_agent_removed(talk: Talk, workspace: Layout) -> None:
    """An orphan that is requested again and missing was removed; the others are removed now."""
    steps = talk.result("plan_orphans")
    shutil.rmtree(workspace.job(JOBS[0]))
    assert talk.result("clean_orphans", name="c", steps=steps, again=True)["outcomes"] == 3
    done = {each["job"]: each for each in outcomes(talk.notices)}
    assert {each["status"] for each in done.values()} == {"removed"}
    assert done[str(JOBS[0])]["message"] == "while the link was lost"
    talk.notices.clear()
    assert talk.result("clean_orphans", name="d", steps=steps, again=True)["outcomes"] == 3
    talk.notices.clear()
    assert talk.result("clean_orphans", name="e", steps=steps)["outcomes"] == 3
    assert {each["status"] for each in outcomes(talk.notices)} == {"kept"}


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES])
def test_orphans_that_cannot_be_looked_at(
    workspace: Layout, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """An orphan that is requested again and cannot be looked at is not reported as removed meanwhile."""
    told: list[dict[str, Any]] = []
    requests = JobRequests(workspace, Host(), lambda _, params: told.append(params), lambda: False)
    steps = requests.plan_orphans({})
    make_fail(monkeypatch, "lstat", number, below(workspace.jobs))
    monkeypatch.setattr(os, "lstat", filesystem.lstat)
    requests.clean_orphans({"name": "c", "steps": steps, "again": True})
    assert [each["outcome"]["message"] for each in told] != ["while the link was lost"] * len(steps)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("plan_recovery", {}),
        ("plan_recovery", {"jobs": "x"}),
        ("plan_recovery", {"jobs": [1]}),
        ("plan_recovery", {"jobs": [], "folders": {}}),
        ("plan_recovery", {"jobs": [], "folders": [{"path": "/x"}]}),
        ("plan_recovery", {"jobs": [], "folders": [{"path": "/x", "mode": "burn"}]}),
        ("recover", {"jobs": []}),
        ("clean_orphans", {"name": "x"}),
        ("clean_orphans", {"name": "x", "steps": [{}]}),
    ],
)
def test_refused(method: str, params: dict[str, Any], talk: Talk) -> None:
    """A malformed request is refused, and nothing is done."""
    assert talk.call(method, **params)["error"]["code"] == -32602


def test_ids_lead_nowhere_else(talk: Talk) -> None:
    """A malformed id is refused."""
    error = talk.call("recover", name="x", jobs=["../../etc"], folders=[])["error"]
    assert error["data"]["kind"] == "bad-id"


def test_progress_is_told_now_and_then(workspace: Layout) -> None:
    """Progress is accumulated, and reported at a bounded rate."""
    now, sent = [0.0], []
    assert 3 * 0.0625 < PROGRESS_INTERVAL < 4 * 0.0625

    def send(method: str, params: dict[str, Any]) -> None:
        sent.append((method, params))

    requests = JobRequests(workspace, Host(), send, lambda: False, lambda: now[0])
    progress = requests._progress("a")
    for _ in range(10):
        now[0] += 0.0625
        progress(JOBS[0], 100, 1)
    assert [params["bytes"] for _, params in sent] == [400, 400]
    assert sent[0] == (
        "notification.progress",
        {"name": "a", "job": str(JOBS[0]), "bytes": 400, "files": 4},
    )


def test_link_is_cut_in_the_middle(tmp_path: Path) -> None:
    """Of many jobs whose recovery is interrupted, and requested again, all are whole, and each is reported once."""
    workspace = make_workspace(tmp_path / "ws")
    workspace.marker.touch()
    folder = make_folder(tmp_path / "folder", FolderMode.USE)
    jobs = [JobId("pkg.train", f"{number:064x}") for number in range(examples(60, 200))]
    for job in jobs:
        make_job(folder.layout, job)
    reported: dict[str, str] = {}
    for attempt in range(10):
        left = [str(job) for job in jobs if str(job) not in reported]
        if not left:
            break
        with Talk(workspace.root) as talk:
            talk.greet()
            request_id = talk.ask("recover", name="r", jobs=left, folders=[to_wire(folder)])
            messages = []
            if attempt == 0:
                messages.append(talk.read())
                _lose(talk)
            else:
                talk.answer(request_id)
                messages = talk.notices
            for outcome in outcomes(messages):
                assert outcome["job"] not in reported
                reported[outcome["job"]] = outcome["status"]
    assert set(reported) == {str(job) for job in jobs}
    assert set(reported.values()) <= {"recovered", "there"}
    assert all(workspace.job_files(job).done.exists() for job in jobs)
    assert leftovers(workspace.root) == []


def _lose(talk: Talk) -> None:
    """Break the link as its loss does: its output is not read, and stdin ends; wait for the agent's own end."""
    assert talk.process.stdin is not None
    talk.stdout.close()
    talk.process.stdin.close()
    talk.process.wait(60)
    talk.process.stdin = Path(os.devnull).open("wb")  # noqa: SIM115  (so that it can be closed)


def test_wire_is_json(talk: Talk) -> None:
    """All plans and outcomes are JSON."""
    assert json.dumps(talk.result("find_orphans"))
