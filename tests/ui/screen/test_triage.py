"""From a number to the traceback: failures, the job, its log."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.model.builders import EXPERIMENT, job_record
from tests.ui.screen.fleets import FakeQuestions, Screen, dashboard
from tests.workspace.small import SmallWorkspace
from xpm_remote.errors import WorkspaceError
from xpm_remote.jobs.local import LocalJobs
from xpm_remote.ui.screen import known_failures
from xpm_remote.ui.screen.line import LineWidget
from xpm_remote.ui.screen.log import LogScreen
from xpm_remote.ui.screen.page_view import PageView

TRACEBACK = """Traceback (most recent call last):
  File "/home/me/learner.py", line 212, in forward
    raise OutOfMemoryError
OutOfMemoryError: CUDA out of memory
[xpm] Exiting
"""
BEFORE = "".join(f"step {number}\n" for number in range(12_000))
AFTER = "".join(f"goodbye {number}\n" for number in range(100))
FAILED = "demo.task/failed-job"
RUNS = "demo.task/running-job"


@pytest.fixture
def made(tmp_path: Path) -> SmallWorkspace:
    """A workspace with the jobs that the fleet shows."""
    made = SmallWorkspace(tmp_path / "ws")
    failed = made.job(FAILED, "failed")
    (failed / "task.err").write_text(BEFORE + AFTER + TRACEBACK)
    (failed / "task.out").write_text("the output\n")
    (made.job(RUNS, None) / "task.err").write_text("\x1b[2Jrunning on\r 5 %\r 6 %\n")
    made.job("demo.task/done-job")
    made.run([FAILED, RUNS, "demo.task/done-job"])
    return made


@pytest.fixture
def questions(made: SmallWorkspace) -> FakeQuestions:
    """Its jobs, which the dashboard asks."""
    return FakeQuestions(LocalJobs(made.layout, (), ()))


@pytest.fixture
async def screen(tmp_path: Path, questions: FakeQuestions) -> AsyncIterator[Screen]:
    """The dashboard."""
    async with dashboard(tmp_path, questions=questions) as screen:
        yield screen


def log_lines(screen: Screen) -> list[str]:
    """Return the lines of the log that are on the screen."""
    shown = screen.app.screen
    assert isinstance(shown, LogScreen)
    pane = shown._pane
    return [pane.render_line(y).text.rstrip() for y in range(pane.size.height)]


def page_lines(screen: Screen) -> list[str]:
    """Return the lines of the page that is on the screen."""
    view = screen.app.screen.query_one(PageView)
    return [" ".join(view.render_line(y).text.split()) for y in range(view.size.height)]


async def test_two_keys_to_the_traceback(screen: Screen) -> None:
    """From the first screen, 3 and Enter lead to the traceback of a failure, wherever that is in the log."""
    await screen.press("3")
    assert "1 failure in 1 cause" in screen.line("crumbs")
    assert "OutOfMemoryError" in screen.table[0]
    assert "learner.py:forward" in screen.table[0]
    assert "task/failed-j" in screen.table[1]
    await screen.press("enter")
    assert TRACEBACK.splitlines()[0] in log_lines(screen)[:3]
    assert "OutOfMemoryError: CUDA out of memory" in log_lines(screen)
    assert "stderr" in screen.line("crumbs")
    await screen.press("escape")
    assert screen.line("crumbs").startswith("failures")


async def test_reading_a_log(screen: Screen) -> None:
    """A log is read to its beginning and end; what is held follows the eye."""
    await screen.press("2", "l", "G")
    assert "following" in screen.line("crumbs")
    assert log_lines(screen)[-1] == "[xpm] Exiting"
    await screen.press("k")
    assert "following" not in screen.line("crumbs")
    await screen.press("j")
    assert "following" in screen.line("crumbs")
    await screen.press("g")
    assert log_lines(screen)[0] == "step 0"
    await screen.press("j", "ctrl+d", "ctrl+u", "k", "right")
    assert log_lines(screen)[0] == ""
    await screen.press("left")
    assert log_lines(screen)[0] == "step 0"
    pane = screen.app.screen._pane  # type: ignore[attr-defined]
    for _ in range(20):
        pane.move(3000)
        await screen.settle()
        if pane.is_following:
            break
    assert log_lines(screen)[-1] == "[xpm] Exiting"
    for _ in range(20):
        pane.move(-3000)
        await screen.settle()
        if not pane._top and not pane.window.start:
            break
    assert log_lines(screen)[0] == "step 0"


async def test_searching_a_log(screen: Screen) -> None:
    """The whole log is searched where it is, with the number of all matches; & shows only those."""
    await screen.press("2", "l", "g", "slash", *"goodbye 9", "enter")
    assert "/goodbye 9: 1 of 11" in screen.line("crumbs")
    await screen.press("n")
    assert "2 of 11" in screen.line("crumbs")
    await screen.press("N", "N")
    assert "11 of 11" in screen.line("crumbs")
    await screen.resize(60, 24)
    crumbs = screen.app.screen.query_one("#crumbs", LineWidget)
    assert "/goodbye 9: 11 of 11" in crumbs.render_line(0).text
    await screen.press("ampersand", "ctrl+u", *"~step 1.99", "enter")
    assert "&~step 1.99: 30" in screen.line("crumbs")
    assert log_lines(screen)[:2] == ["step 1099", "step 1199"]
    await screen.press("n", "n", "enter")
    assert "step 1199" in log_lines(screen)
    assert "step 1200" in log_lines(screen)
    await screen.press("slash", "ctrl+u", *"nowhere", "enter")
    assert "not found" in screen.line("crumbs")
    await screen.press("n", "slash", "ctrl+u", *"~(", "enter")
    assert "regular expression" in screen.line("crumbs")
    await screen.press("escape", "escape")
    assert screen.line("crumbs").startswith("all jobs")


async def test_both_logs_and_other_jobs(screen: Screen) -> None:
    """Tab and e go to the other log, | shows both where there is room, ] and [ go on in the list."""
    await screen.press("2", "l", "tab")
    assert log_lines(screen)[0] == "the output"
    await screen.press("e")
    assert "stderr" in screen.line("crumbs")
    await screen.press("vertical_line")
    shown = screen.app.screen
    assert isinstance(shown, LogScreen)
    assert all(pane.display for pane in shown._panes.values())
    await screen.press("vertical_line", "right_square_bracket")
    assert "running-" in screen.line("crumbs")
    assert log_lines(screen)[0] == " 6 %"
    await screen.press("left_square_bracket", "left_square_bracket")
    assert "this is the first one" in screen.line("crumbs")
    await screen.press("colon", *"stdout", "enter", "d")
    assert page_lines(screen)[0].startswith("F ✖ FAILED")
    await screen.resize(80, 24)
    await screen.press("l", "vertical_line")
    assert "from 120 columns on" in screen.line("crumbs")


async def test_a_log_that_grows(screen: Screen, made: SmallWorkspace) -> None:
    """What is added is shown at the end; farther up it is counted; a log that begins anew is begun anew."""
    path = made.layout.jobs / "demo.task" / "running-job" / "task.err"
    await screen.press("2", "j", "l")
    with path.open("a") as file:
        file.write("more\n" * 40)
    shown = screen.app.screen
    assert isinstance(shown, LogScreen)
    await shown._pane.read_on()
    assert log_lines(screen)[-1] == "more"
    await screen.press("k")
    with path.open("a") as file:
        file.write("most\n" * 2)
    await shown._pane.read_on()
    await screen.settle()
    assert "+2 new (G)" in screen.line("crumbs")
    assert "most" not in log_lines(screen)
    path.write_text("anew\n")
    await shown._pane.read_on()
    assert log_lines(screen)[0] == "anew"


async def test_the_job(screen: Screen) -> None:
    """Enter on a job shows what is known of it, its cause and files; Enter there goes to the log."""
    await screen.press("2", "enter")
    shown = page_lines(screen)
    assert shown[0].startswith("F ✖ FAILED")
    assert "OutOfMemoryError: CUDA out of memory" in shown
    assert "learner.py:212 forward" in shown
    assert any(line.startswith("logs err") for line in shown)
    await screen.press("right_square_bracket")
    assert "running-" in screen.line("crumbs")
    await screen.press("left_square_bracket", "j", "enter")
    assert TRACEBACK.splitlines()[0] in log_lines(screen)


async def test_muting_and_folding(screen: Screen) -> None:
    """A cause is folded and muted, and that is remembered."""
    await screen.press("3", "left")
    assert len(screen.table) == 1
    await screen.press("right", "j", "d")
    assert page_lines(screen)[0].startswith("F ✖ FAILED")
    await screen.press("escape", "n", "N", "m")
    assert "muted: OutOfMemoryError" in screen.table[0]
    await screen.press("m")
    assert "muted" not in screen.table[0]


async def test_a_host_that_does_not_answer(screen: Screen, questions: FakeQuestions) -> None:
    """Each screen says why nothing is known, counts what is, does not ask with each change, and r asks again."""
    questions.error = WorkspaceError("nothing is there", "")
    await screen.press("3")
    assert "nothing is there" in screen.line("crumbs")
    assert "1 failure" in screen.line("crumbs")
    assert "cause" not in screen.line("crumbs")
    asked = questions.asked
    for _ in range(3):
        screen.fleet.change("jz", [])
        await screen.settle()
    assert questions.asked == asked
    questions.error = None
    await screen.press("r")
    assert "OutOfMemoryError" in screen.table[0]
    questions.error = WorkspaceError("nothing is there", "")
    await screen.press("2", "enter")
    assert "nothing is there" in page_lines(screen)
    await screen.press("l")
    assert "nothing is there" in screen.line("crumbs")
    questions.error = None
    await screen.press("r")
    assert TRACEBACK.splitlines()[0] in log_lines(screen)


async def test_what_is_new(screen: Screen) -> None:
    """What happens is told on the first screen until Esc; a failure that has not been seen is new among the causes."""
    assert screen.line("crumbs") == "fleet"
    store = screen.fleet.members["jz"].picture.store
    changes = store.apply_jobs(
        EXPERIMENT, [job_record("running-job", "error", started=600, ended=900, reason="FAILED")]
    )
    changes += store.apply_jobs(
        EXPERIMENT, [job_record("waiting-1", "done", started=600, ended=700)]
    )
    screen.fleet.change("jz", changes)
    await screen.settle()
    assert "+1 done  +1 failed (1 cause)" in screen.line("crumbs")  # which was asked for by itself
    row = next(line for line in screen.table if "demo" in line or " exp " in line)
    assert "+1 done +1 failed" in row
    await screen.press("4")
    shown = page_lines(screen)
    assert shown[0] == "SINCE YOU LAST LOOKED"
    assert shown[1].startswith("jz since ")
    assert shown[1].endswith("<1 min ago +1 done +1 failed (1 cause)")
    assert shown[2:4] == ["exp +1 done +1 failed", "1 FAILED: * %"]
    await screen.press("j", "j", "enter")
    assert screen.line("crumbs").startswith("jz › exp")  # noqa: RUF001
    await screen.press("4", "j", "j", "j", "enter")
    assert "running-" in screen.line("crumbs")
    await screen.press("2")
    assert [line.split()[:3] for line in screen.table[:2]] == [
        ["F", "✖", "task/running-"],
        ["F", "✖", "task/failed-j"],
    ]
    assert "new" in screen.table[0].split()
    await screen.press("escape")
    await screen.press("3")
    assert "1 new" in screen.line("crumbs")
    await screen.press("escape", "escape")
    assert screen.line("crumbs") == "fleet"
    await screen.press("3")
    assert "new" not in screen.line("crumbs")


async def test_grouping_by_cause(screen: Screen) -> None:
    """Jobs grouped by cause are under what their logs say, which is asked for, and shown as their reason."""
    await screen.press("2", "colon", *"group cause", "enter")
    assert screen.table[0] == " ▾ OutOfMemoryError: CUDA out of memory  learner.py:forward  1 F"
    assert "TIMEOUT: OutOfMemoryError: CUDA out" in screen.table[1]
    assert screen.table[2].startswith(" ▾ no failure")


async def test_earlier_tries(screen: Screen, made: SmallWorkspace) -> None:
    """The logs of an earlier try are reached from the job and by a command; another job begins with its last try."""
    directory = made.layout.jobs / "demo.task" / "failed-job"
    (directory / "task.20261128101500.err").write_text("the first try\n")
    (directory / "task.20261128101500.out").write_text("its output\n")
    await screen.press("2", "enter")
    line = next(
        n for n, each in enumerate(page_lines(screen)) if "try that ended 2026-11-28" in each
    )
    await screen.press(*"j" * line, "enter")
    assert log_lines(screen)[0] == "the first try"
    assert "try that ended 2026-11-28 10:15" in screen.line("crumbs")
    await screen.press("tab")
    assert log_lines(screen)[0] == "its output"
    await screen.press("tab", "slash", *"first", "enter")
    assert "/first: 1 of 1" in screen.line("crumbs")
    await screen.press("escape", "colon", *"tries", "enter")
    await screen.press("enter")
    assert TRACEBACK.splitlines()[0] in log_lines(screen)
    assert "try that" not in screen.line("crumbs")
    await screen.press("colon", *"tries", "enter", "down", "enter", "left_square_bracket")
    assert "try that ended" in screen.line("crumbs")
    await screen.press("right_square_bracket")
    assert "try that" not in screen.line("crumbs")


async def test_tries_that_cannot_be_asked_for(screen: Screen, questions: FakeQuestions) -> None:
    """A job without logs says so, and a host that does not answer why."""
    await screen.press("2", "slash", *"done-job", "enter", "l", "colon", *"tries", "enter")
    assert "the job has no logs" in screen.line("crumbs")
    questions.error = WorkspaceError("nothing is there", "")
    await screen.press("colon", *"tries", "enter")
    assert "nothing is there" in screen.line("crumbs")


async def test_walking_the_dependencies(
    screen: Screen, made: SmallWorkspace, questions: FakeQuestions
) -> None:
    """A job of the tree is unfolded with what it needs itself, folded again, and gone to."""
    names = ("done-job", "running-job", "failed-job")
    objects = [
        {
            "id": number,
            "module": "demo",
            "type": "Task",
            "identifier": name,
            "fields": {"source": {"type": "python", "value": number - 1}} if number else {},
        }
        for number, name in enumerate(names)
    ]
    run = made.layout.experiment("e") / "current" / "objects.jsonl"
    run.write_text("".join(f"{json.dumps(each)}\n" for each in objects))
    await screen.press("2", "enter")
    shown = page_lines(screen)
    line = next(n for n, each in enumerate(shown) if each.startswith("needs ▸"))
    assert "task/running-" in shown[line]
    await screen.press(*"j" * line, "right", "right")
    assert page_lines(screen)[line].startswith("needs ▾")
    assert "task/done-job" in page_lines(screen)[line + 1]
    await screen.press("j", "left", "left")
    assert page_lines(screen)[line].startswith("needs ▸")
    questions.error = WorkspaceError("nothing is there", "")
    await screen.press("right")
    assert "nothing is there" in screen.line("crumbs")
    questions.error = None
    await screen.press("right", "j", "enter")
    assert "done-job" in screen.line("crumbs")
    assert any(each.startswith("needed by ▸") for each in page_lines(screen))
    await screen.press("g", "left", "right")


async def test_a_host_that_is_behind(
    screen: Screen, made: SmallWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that was not started is asked about again where its host does not know yet why."""
    monkeypatch.setattr(known_failures, "PAUSE", 0.0)
    store = screen.fleet.members["jz"].picture.store
    failed = [job_record("running-job", "error", ended=900, reason="DEPENDENCY")]
    screen.fleet.change("jz", store.apply_jobs(EXPERIMENT, failed))
    await screen.settle()
    known = screen.app.triage.failures
    assert known is not None
    key = ("jz", RUNS)
    for _ in range(known_failures.BEHIND_MOST + 1):
        await known.ask(screen.app.pictures, {key})
        await screen.settle()
    assert known.by_job[key].reason is None  # it is taken for what it is in the end
    await screen.settle()
    monkeypatch.setattr(known_failures, "PAUSE", 3600.0)
    known._behind.clear()
    known.by_job.clear()
    known._asked.clear()
    await known.ask(screen.app.pictures, {key})
    assert key not in known.by_job
    assert known.is_asked(key, store.jobs[RUNS])


async def test_a_host_that_refuses(screen: Screen, questions: FakeQuestions) -> None:
    """By itself a host that cannot be asked is asked once on a link, and again after r; a view by causes says why."""
    questions.error = WorkspaceError("nothing is there", "")
    store = screen.fleet.members["jz"].picture.store
    failed = [job_record("running-job", "error", started=600, ended=900, reason="FAILED")]
    screen.fleet.change("jz", store.apply_jobs(EXPERIMENT, failed))
    await screen.settle()
    asked = questions.asked
    known = screen.app.triage.failures
    assert known is not None
    assert asked
    known._not_before.clear()  # the pause is over
    screen.fleet.change("jz", [])
    await screen.settle()
    assert questions.asked == asked
    await screen.press("2", "colon", *"group cause", "enter")
    assert "nothing is there" in screen.line("crumbs")
    known.retry()
    questions.error = None
    screen.fleet.change("jz", [])
    await screen.settle()
    assert "nothing is there" not in screen.line("crumbs")
