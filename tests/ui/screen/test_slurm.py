"""What SLURM has of jobs, in the dashboard."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from tests.support.slurm import FakeSlurm
from tests.ui.pictures import NOW, busy_store
from tests.ui.screen.fleets import FakeQuestions, dashboard
from tests.ui.tables.test_slurm import QUEUED, RUNS, told
from tests.workspace.small import SmallWorkspace
from xpm_remote.jobs.local import LocalJobs
from xpm_remote.model.agent_pages import Unreadable, UnreadablePage
from xpm_remote.session.state import Update
from xpm_remote.ui.screen.line import LineWidget
from xpm_remote.ui.screen.page_view import PageView
from xpm_remote.workspace.rows import SLURM
from xpm_remote.workspace.states import State

JOB = "demo.task/running-job"


async def test_line_and_columns(tmp_path: Path) -> None:
    """Above the jobs stands what they wait for, and that SLURM does not answer; nothing where none is of SLURM."""
    store = told(told(busy_store(), RUNS, State.RUNNING), QUEUED, State.WAITING)
    async with dashboard(tmp_path, {"jz": store, "lip6": busy_store()}) as screen:
        await screen.press("2")
        assert "waiting in SLURM: 1 Priority" in screen.line("notes")
        assert "NODE" in screen.heads
        assert any("n1" in line for line in screen.table)
        monitor = screen.fleet.members["jz"]
        files = [Unreadable(SLURM, "down", since=NOW)]
        monitor.picture = replace(monitor.picture, unreadable=UnreadablePage(0, 0, files))
        screen.fleet.tell("jz", Update())
        screen.app.screen._notes_due = 0.0  # type: ignore[attr-defined]
        await screen.settle()
        assert "SLURM does not answer (" in screen.line("notes")
        await screen.press("1")
        assert screen.line("notes").startswith("jz  SLURM does not answer (")
        assert screen.line("notes").endswith(")  down")
    async with dashboard(tmp_path, {"jz": busy_store()}) as screen:
        await screen.press("2")
        assert not screen.app.screen.query_one("#notes", LineWidget).display
        assert "NODE" not in screen.heads


async def test_page_of_a_job(tmp_path: Path) -> None:
    """The page has what SLURM and its accounting have of the job; the accounting is asked once, and again by r."""
    slurm = FakeSlurm(tmp_path)
    made = SmallWorkspace(tmp_path / "ws")
    directory = made.job(JOB, None)
    pid = {"type": "slurm", "pid": "16", "options": [["binpath", str(slurm.bin)]]}
    (directory / "task.pid").write_text(json.dumps(pid))
    made.run([JOB])
    line = {"JobID": "16", "WorkDir": str(directory), "State": "COMPLETED", "MaxRSS": "7G"}
    slurm.settle(sacct=[line])
    questions = FakeQuestions(LocalJobs(made.layout, (), (), None))
    row = RUNS._replace(warning="it is marked as failed")
    store = told(busy_store(), row, State.RUNNING)
    async with dashboard(tmp_path, {"jz": store}, questions=questions) as screen:
        screen.app.show_job(("jz", JOB))
        await screen.settle()
        page = screen.app.screen.query_one(PageView)
        text = "\n".join(page.render_line(y).text for y in range(page.size.height))
        for words in ("job 16  RUNNING", "on n1", "it is marked as failed", "most memory 7G"):
            assert words in text
        assert slurm.asked == ["sacct"]
        await screen.press("r")
        assert slurm.asked == ["sacct", "sacct"]
