"""Actions from the dashboard: the plan, the confirmation, the outcomes, and what is kept of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.model.builders import EXPERIMENT, RUN, info, iso, job_record
from tests.ui.screen.fleets import FakeQuestions, Screen, dashboard
from tests.workspace.small import SmallWorkspace
from xpm_remote.errors import WorkspaceError
from xpm_remote.jobs.local import LocalJobs
from xpm_remote.model.records import ExperimentRecord
from xpm_remote.model.store import Store
from xpm_remote.ui.screen.page_view import PageView
from xpm_remote.ui.tables.acts import MANY

NAMES = [f"job-{number:02}" for number in range(MANY + 1)]


@pytest.fixture
def made(tmp_path: Path) -> SmallWorkspace:
    """A workspace with many failed jobs."""
    made = SmallWorkspace(tmp_path / "ws")
    keys = [f"demo.task/{name}" for name in NAMES]
    for key in keys:
        made.job(key, "failed")
    made.run(keys)
    return made


@pytest.fixture
def questions(made: SmallWorkspace) -> FakeQuestions:
    """Its jobs, which the dashboard asks."""
    return FakeQuestions(LocalJobs(made.layout, (), ()))


@pytest.fixture
async def screen(tmp_path: Path, questions: FakeQuestions) -> AsyncIterator[Screen]:
    """The dashboard, at the jobs."""
    store = Store()
    infos = {name: info(name, submitted=5) for name in NAMES}
    states = dict.fromkeys(NAMES, "error:FAILED")
    store.apply_experiments(
        [ExperimentRecord(EXPERIMENT, run_id=RUN, started_at=iso(0), job_states=states, job_infos=infos)]
    )  # fmt: skip
    failed = [job_record(name, "error", started=60, ended=90, reason="FAILED") for name in NAMES]
    store.apply_jobs(EXPERIMENT, failed)
    async with dashboard(tmp_path, {"jz": store}, questions=questions) as screen:
        await screen.press("2")
        yield screen


def page(screen: Screen) -> str:
    """Return the page that is on the screen."""
    view = screen.app.screen.query_one(PageView)
    return "\n".join(view.render_line(y).text.rstrip() for y in range(view.size.height))


async def test_clean_a_job(screen: Screen, made: SmallWorkspace) -> None:
    """A plan is shown first, y does it, Enter and the trigger do not; the outcome stands there, and in Activity."""
    await screen.press("x", "c")
    assert "clean 1 job on JZ?" in screen.line("crumbs")
    assert "demo.task/job-" in page(screen)
    await screen.press("enter", "x", "c")
    directories = made.layout.jobs / "demo.task"
    assert len(list(directories.iterdir())) == len(NAMES)
    await screen.press("y")
    assert "all is done" in screen.line("crumbs")
    assert "cleaned demo.task/job-" in page(screen)
    assert len(list(directories.iterdir())) == len(NAMES) - 1
    await screen.press("y", "escape", "4")
    assert "you: cleaned demo.task/job-" in page(screen)


async def test_many_jobs(screen: Screen, made: SmallWorkspace) -> None:
    """Above a number of jobs that number has to be typed."""
    await screen.press("asterisk", "x", "c", "y", *"20", "enter")
    directories = made.layout.jobs / "demo.task"
    assert "nothing is done" in screen.line("crumbs")
    assert len(list(directories.iterdir())) == len(NAMES)
    await screen.press("y", *str(len(NAMES)), "enter")
    assert "all is done" in screen.line("crumbs")
    assert not list(directories.iterdir())


async def test_what_is_refused(screen: Screen, questions: FakeQuestions) -> None:
    """Where nothing is to be done that is said; on a stale link nothing is even planned; Esc leaves."""
    await screen.press("x", "k")
    assert "nothing to kill on JZ" in screen.line("crumbs")
    assert "keep" in page(screen)
    await screen.press("y", "escape", "x", "z")
    assert "no action has the key z" in screen.line("crumbs")
    await screen.press("x", "escape")
    assert screen.line("crumbs").startswith("all jobs")
    questions.error = WorkspaceError("nothing is there", "")
    await screen.press("x", "c")
    assert "nothing is there" in page(screen)
    await screen.press("4")
    assert "you: clean was not planned: nothing is there" in page(screen)
    questions.error = None
    await screen.press("2", "x", "c")
    screen.fleet.lose("jz")
    await screen.press("y")
    assert "jz is STALE" in screen.line("crumbs")
    await screen.press("4")
    assert "you: clean was refused: jz is STALE" in page(screen)
    await screen.press("2", "x")
    assert "jz is STALE" in screen.line("crumbs")


async def test_archive_and_recover(screen: Screen) -> None:
    """Plans of both are shown with why nothing is to be done."""
    await screen.press("x", "a")
    assert "nothing to archive" in screen.line("crumbs")
    await screen.press("escape", "x", "r")
    assert "nothing to recover" in screen.line("crumbs")
    assert "there" in page(screen)


async def test_copying(screen: Screen) -> None:
    """Paths, ids, rows and commands go to the clipboard of the terminal, which is said."""
    await screen.press("asterisk", "y", "i")
    assert screen.app.clipboard.splitlines()[0].startswith("demo.task/job-")
    assert len(screen.app.clipboard.splitlines()) == len(NAMES)
    assert "OSC 52" in screen.line("crumbs")
    await screen.press("y", "r")
    assert screen.app.clipboard.splitlines()[0].split("\t")[2:4] == ["error", "FAILED"]
    await screen.press("y", "z")
    assert "nothing has the key z" in screen.line("crumbs")
    await screen.press("y", "c")
    assert "there is nothing to copy" in screen.line("crumbs")


async def test_activity(screen: Screen) -> None:
    """What happens is listed, and leads to its job."""
    await screen.press("4")
    assert "nothing has happened" in screen.line("crumbs")
    store = screen.fleet.members["jz"].picture.store
    done = job_record("job-00", "done", started=100, ended=200)
    screen.fleet.change("jz", store.apply_jobs(EXPERIMENT, [done]))
    await screen.settle()
    assert "D ✔ task/job-00" in page(screen)
    assert "exp +1 done" in page(screen)
    await screen.press("G", "enter")
    assert "task/job-00" in screen.line("crumbs")


async def test_what_fails(screen: Screen, made: SmallWorkspace, tmp_path: Path) -> None:
    """What is refused, and what fails when it is done, stands in Activity, each with its reason."""
    await screen.press("x", "k")
    assert "nothing to kill" in screen.line("crumbs")
    await screen.press("4")
    assert "you: kill was refused: keep  demo.task/job-" in page(screen)
    await screen.press("2", "space", "space", "x", "c")
    assert "clean 2 jobs on JZ?" in screen.line("crumbs")
    job = screen.app.screen._planned[0].to_do[0].job  # type: ignore[attr-defined]
    directory = made.layout.job(job)
    directory.rename(tmp_path / "elsewhere")
    directory.symlink_to(tmp_path / "elsewhere")
    await screen.press("y")
    assert "clean 2 jobs on JZ: 1 failed" in screen.line("crumbs")
    await screen.press("4")
    assert f"you: failed {job}: " in page(screen)
    assert "you: cleaned demo.task/job-" in page(screen)
    assert (tmp_path / "elsewhere").is_dir()


async def test_a_link_that_is_lost_at_work(screen: Screen, questions: FakeQuestions) -> None:
    """An action that is cut short says so in Activity, with the number of jobs."""
    await screen.press("space", "space", "x", "c")
    questions.error = WorkspaceError("the link is lost", "")
    await screen.press("y", "4")
    assert "you: clean was not finished, of 2 jobs: the link is lost" in page(screen)
