"""Each key of the table, pressed on each screen where it works."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ui.screen.fleets import FakeQuestions, dashboard
from tests.workspace.small import SmallWorkspace
from xpm_remote.jobs.local import LocalJobs
from xpm_remote.ui.screen.frame import Frame
from xpm_remote.ui.screen.keys import ACTION, ACTIVITY, FAILURES, FLEET, JOB, JOBS, LOG, on_screen

JOB_NAMES = ("demo.task/failed-job", "demo.task/running-job", "demo.task/done-job")
WAYS: dict[str, tuple[str, ...]] = {
    FLEET: (),
    JOBS: ("2",),
    FAILURES: ("3",),
    JOB: ("2", "enter"),
    LOG: ("2", "l"),
    ACTIVITY: ("4",),
    ACTION: ("2", "x", "k"),
}
"""What is pressed to reach each screen."""


@pytest.mark.parametrize("place", WAYS)
async def test_each_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Each key of a screen reaches its action there."""
    made = SmallWorkspace(tmp_path / "ws")
    for name in JOB_NAMES:
        made.job(name, "failed" if "failed" in name else "done")
    made.run(JOB_NAMES)
    questions = FakeQuestions(LocalJobs(made.layout, (), ()))
    async with dashboard(tmp_path, questions=questions) as screen:
        await screen.press(*WAYS[place])
        shown = screen.app.screen
        assert isinstance(shown, Frame)
        assert shown.place == place
        done: list[str] = []

        async def note(_: Frame, action: str) -> None:
            done.append(action)

        monkeypatch.setattr(Frame, "action_press", note)
        for key in on_screen(place):
            for each in key.keys:
                done.clear()
                await screen.press(each)
                assert (each, done) == (each, [key.action])
        monkeypatch.undo()
