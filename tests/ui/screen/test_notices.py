"""What is told while no one looks, and how."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.model.builders import epoch, moment
from tests.support.polling import wait_until
from tests.ui.pictures import picture
from tests.ui.screen.fleets import dashboard
from xpm_remote.model.entities import Change, Experiment, ExperimentChange, Job, JobChange
from xpm_remote.model.store import Store
from xpm_remote.session.state import LinkState, Phase, Picture, Stall, Update
from xpm_remote.settings.schema import NoticeSettings
from xpm_remote.ui.screen import calling
from xpm_remote.ui.screen.calling import Caller
from xpm_remote.ui.screen.notices import (
    CAUSE_WAIT,
    GAP,
    LONGEST,
    Item,
    Notices,
    terminal_text,
    text_of,
)
from xpm_remote.ui.tables.jobs import JobKey
from xpm_remote.workspace.inspecting.answers import Failure
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.states import State

NOW = epoch(0)
LOST = 300.0
HOSTILE = "\x1b]0;x\x07\u202e$(reboot)\n"


class Known:
    """Causes of failures."""

    def __init__(self, **causes: str) -> None:
        self.by_job: dict[JobKey, Failure] = {}
        for name, cause in causes.items():
            self.add(name, cause)

    def add(self, name: str, cause: str) -> None:
        """Add a failure."""
        self.by_job["jz", f"t/{name}"] = Failure(JobId("t", name), "", cause)

    def cause(self, key: JobKey) -> str:
        """Return its cause."""
        return self.by_job[key].cause if key in self.by_job else ""


def job(name: str, state: State = State.ERROR, *, certain: bool = True) -> Job:
    """Make a job."""
    return Job(task_id="t", job_id=name, execution=state, ended=moment(1), certain=certain)


def failed(*names: str, certain: bool = True) -> Update:
    """Make the update of jobs that fail."""
    changes = [JobChange(job(n, State.RUNNING), job(n, certain=certain)) for n in names]
    return Update(tuple(changes))


def ended(name: str, status: str = "done") -> Change:
    """Make the change of an experiment that ends."""
    before = Experiment(experiment_id=name, status="running")
    return ExperimentChange(before, Experiment(experiment_id=name, status=status))


LIVE = picture(Store())


def told(
    notices: Notices,
    now: float,
    known: Known | None = None,
    pictures: Mapping[str, Picture] = {"jz": LIVE},
    muted: tuple[str, ...] = (),
) -> list[str]:
    """Return the words of what is told."""
    return [item.words for item in notices.due(now, pictures, known, muted)]


def test_a_new_cause_is_told_once() -> None:
    """A cause is told with the number of its jobs, once; those that were known before, and muted ones, are not."""
    notices = Notices(LOST)
    known = Known(old="Old: x", a="OOM: 2 GiB\nlearn.py:step\n", b="OOM: 2 GiB\nlearn.py:step\n")
    notices.note("jz", failed("a", "b"), LIVE, NOW)
    (item,) = notices.due(NOW, {"jz": LIVE}, known, ())
    assert item.words == "2 jobs failed on jz: OOM: 2 GiB"
    assert item.document == {
        "kind": "failure",
        "cause": "OOM: 2 GiB",
        "where": "learn.py:step",
        "number": 2,
        "jobs": [{"workspace_id": "jz", "id": "t/a"}, {"workspace_id": "jz", "id": "t/b"}],
    }
    known.add("c", "OOM: 2 GiB\nlearn.py:step\n")
    known.add("d", "Old: x")
    known.add("e", "Muted: y")
    notices.note("jz", failed("c", "d", "e"), LIVE, NOW)
    assert told(notices, NOW + GAP, known, muted=("Muted: y",)) == []


def test_at_most_one_a_minute() -> None:
    """What comes within a minute is told together after it, also if the clock is set back."""
    notices = Notices(LOST)
    notices.note("jz", Update((ended("one"),)), LIVE, NOW)
    assert told(notices, NOW) == ["one on jz has ended: 0 of 0 done, 0 failed"]
    notices.note("jz", Update((ended("two"),)), LIVE, NOW + 1)
    notices.note("jz", Update((ended("three", "failed"),)), LIVE, NOW + 2)
    assert told(notices, NOW + GAP - 1) == []
    assert len(told(notices, NOW + GAP)) == 2
    notices.note("jz", Update((ended("four"),)), LIVE, NOW)
    assert len(told(notices, NOW)) == 1


def test_a_cause_is_waited_for() -> None:
    """A failure whose cause is not known yet is told with it, or without it after a while."""
    notices = Notices(LOST)
    known = Known()
    notices.note("jz", failed("a", "b"), LIVE, NOW)
    assert told(notices, NOW, known) == []
    known.add("a", "OOM")
    assert told(notices, NOW + 1, known) == ["1 job failed on jz: OOM"]
    assert told(notices, NOW + GAP + CAUSE_WAIT, known) == ["1 job failed on jz"]
    notices.note("jz", failed("c"), LIVE, NOW + 100)
    assert told(notices, NOW + 100 + GAP + CAUSE_WAIT, None) == ["1 job failed on jz"]


def test_what_is_no_news() -> None:
    """The first snapshot, doubtful states, a job that runs again, and an experiment that does are not told."""
    notices = Notices(LOST)
    loading = replace(LIVE, link=LinkState(Phase.LOADING, NOW))
    notices.note("jz", failed("a"), loading, NOW)
    notices.note("jz", failed("b", certain=False), LIVE, NOW)
    notices.note("jz", failed("c"), LIVE, NOW)
    again = JobChange(job("c"), job("c", State.RUNNING))
    running = Experiment(experiment_id="one", status="running")
    over = Experiment(experiment_id="one", status="done")
    notices.note("jz", Update((ended("one"),)), LIVE, NOW)
    changes = (again, ExperimentChange(over, running), ExperimentChange(running, None))
    notices.note("jz", Update(changes), LIVE, NOW)
    notices.note("jz", Update((ExperimentChange(over, over),)), LIVE, NOW)
    notices.note("jz", Update((JobChange(job("d"), job("d")),)), LIVE, NOW)
    assert told(notices, NOW + CAUSE_WAIT, Known()) == []
    notices.note("gone", Update((ExperimentChange(None, over),)), LIVE, NOW)
    assert told(notices, NOW) == ["one on gone has ended"]


def test_links() -> None:
    """A link that is lost for long, a workspace that is not read for long, and a login are told once each."""
    notices = Notices(LOST)
    lost = LinkState(Phase.WAITING, NOW, "cut", stale_since=NOW)
    asking = LinkState(Phase.NEEDS_PERSON, NOW, stale_since=NOW, asked="a code")
    never = LinkState(Phase.WAITING, NOW, "no route")
    pictures = {
        "jz": replace(LIVE, link=lost),
        "lip6": replace(LIVE, link=asking),
        "new": replace(LIVE, link=never),
        "first": replace(LIVE, link=LinkState(Phase.NEEDS_PERSON, NOW, asked="a password")),
        "stalled": replace(LIVE, stall=Stall(NOW, "the file server", "/ws")),
    }
    assert told(notices, NOW, None, pictures) == ["lip6 waits for a login: a code"]
    first, second = notices.due(NOW + LOST, pictures, None, ())
    assert (first.words, first.document["detail"]) == ("jz is lost for 5 min", "cut")
    assert second.document["detail"] == "the file server"
    assert told(notices, NOW + LOST + GAP, None, pictures) == []
    assert told(notices, NOW + LOST + GAP, None, {"jz": LIVE}) == []


def test_texts() -> None:
    """A notice is a printable line of bounded length; tmux and screen pass it on; a console has only a bell."""
    item = Item("x" * 300, {})
    assert len(text_of([item])) == LONGEST
    assert terminal_text("t", term="xterm", is_tmux=False) == "\a\x1b]9;t\a"
    assert terminal_text("t", term="tmux", is_tmux=True) == ("\a\x1bPtmux;\x1b\x1b]9;t\a\x1b\\")
    assert terminal_text("t", term="screen.xterm", is_tmux=False) == "\a\x1bP\x1b]9;t\a\x1b\\"
    assert terminal_text("t", term="linux", is_tmux=False) == "\a"
    notices = Notices(LOST)
    notices.note("jz", Update((ended(HOSTILE),)), LIVE, NOW)
    assert text_of(notices.due(NOW, {}, None, ())).isprintable()


def caller(command: tuple[str, ...] = ()) -> tuple[Caller, list[str], list[str]]:
    """Make a caller; return it with what it writes and tells."""
    written: list[str] = []
    said: list[str] = []
    settings = NoticeSettings(command=command)
    return Caller(settings, {"TERM": "xterm"}, written.append, said.append), written, said


@pytest.mark.parametrize("has_focus", [True, False, None])
async def test_the_terminal_is_called_while_it_is_not_looked_at(has_focus: bool | None) -> None:
    """The bell and the notice are for a terminal that has told that it is not looked at."""
    made, written, _ = caller()
    made.has_focus = has_focus
    await made.call([Item("one has ended", {})])
    expected = ["\a\x1b]9;xpm-remote: one has ended\a"]
    assert written == (expected if has_focus is False else [])


async def test_the_command(tmp_path: Path) -> None:
    """The command has the notice as JSON on its stdin, and nothing of it in its arguments."""
    out = tmp_path / "out"
    script = f"import sys; open({str(out)!r}, 'w').write(repr(sys.argv[1:]) + sys.stdin.read())"
    made, _, said = caller((sys.executable, "-c", script, "$(x)", "a b"))
    await made.call([Item("words", {"kind": "experiment", "id": HOSTILE})])
    arguments, _, document = out.read_text().partition("]")
    assert arguments == "['$(x)', 'a b'"
    assert document.endswith("\n")
    found = json.loads(document)
    assert (found["schema"], found["has_focus"]) == ("xpm-remote/notice/1", None)
    assert (found["text"], found["notices"][0]["id"]) == ("xpm-remote: words", HOSTILE)
    assert said == []


@pytest.mark.parametrize(
    ("command", "trouble"),
    [
        (("no-such-program",), '"no-such-program" of notices cannot be run: No such file'),
        (("a\0b",), "cannot be run: embedded null byte"),
        (("false",), '"false" of notices ended with 1'),
    ],
)
async def test_a_command_that_fails_is_told_once(command: tuple[str, ...], trouble: str) -> None:
    """That a command cannot be run, or fails, is told at the first time."""
    made, _, said = caller(command)
    for _ in range(2):
        await made.call([Item("words", {"text": "x" * 200_000})])
    (line,) = said
    assert trouble in line
    assert line.endswith("see notices.command in the settings")


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_a_command_that_hangs_is_killed(
    is_cancelled: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A command that does not end is killed with what it has started, after a while or at our own end."""
    monkeypatch.setattr(calling, "COMMAND_LIMIT", 3600.0 if is_cancelled else 1.0)
    alive = tmp_path / "alive"
    # A lock that is held as long as the child lives.
    script = f"exec 9>{alive}; flock 9; echo > {alive}.is; sleep 3600 & wait"
    made, _, said = caller(("sh", "-c", script))
    calls = asyncio.create_task(made.call([Item("words", {})]))
    if is_cancelled:
        await asyncio.to_thread(wait_until, Path(f"{alive}.is").exists, 60.0, "the child")
        calls.cancel()
    await asyncio.wait({calls})
    assert ["was killed after 1 s" in line for line in said] == ([] if is_cancelled else [True])
    free = await asyncio.create_subprocess_exec("flock", str(alive), "true")
    assert await free.wait() == 0


async def test_the_dashboard_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Focus events decide whether the terminal is called; what goes wrong stands on the screen below an overlay."""
    async with dashboard(tmp_path) as screen:
        app = screen.app
        written: list[str] = []
        monkeypatch.setattr(app._driver, "write", written.append)
        app.on_app_blur()
        screen.fleet.change("jz", [ended("sweep")])
        app._tick()
        await screen.settle()
        assert any("sweep on jz has ended" in text for text in written)
        await screen.press("j")
        assert app._caller.has_focus
        app.on_app_blur()
        app.on_app_focus()
        assert app._caller.has_focus
        await screen.press("question_mark")
        app._tell("it\x1b fails")
        await screen.press("escape")
        assert r"it\x1b fails" in screen.line("crumbs")


async def test_no_notices(tmp_path: Path) -> None:
    """With notices off nothing is told."""
    async with dashboard(tmp_path, notices=NoticeSettings(enabled=False)) as screen:
        screen.app.on_app_blur()
        screen.fleet.change("jz", [ended("sweep")])
        screen.app._tick()
        assert screen.app._notices is None
