"""What happened while one was away, in a real terminal."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.cli.commands import Commands
from tests.support.polling import wait_until
from tests.support.tmux import SCREEN_LIMIT, Tmux
from tests.workspace.small import RUN, SmallWorkspace

pytestmark = pytest.mark.slow

COMMAND = (sys.executable, "-m", "xpm_remote")
AWAY = 2 * 3600
NAMES = ("u/done1", "u/later1", "u/failed1", "u/failed2")
TRACEBACK = """Traceback (most recent call last):
  File "/home/me/learn.py", line 3, in step
    raise BadError("no luck")
BadError: no luck
"""


def make(root: Path) -> SmallWorkspace:
    """Make a workspace whose experiment runs."""
    made = SmallWorkspace(root)
    for name in NAMES:
        made.job(name, "done" if name == NAMES[0] else None)
    run = made.run(NAMES, experiment="sweep")
    (run / "status.json").write_text(json.dumps({"version": 1, "status": "running", "run_id": RUN}))
    return made


def go_on(made: SmallWorkspace) -> None:
    """End its jobs, two of them by one cause, and the experiment."""
    directories = [made.layout.jobs / name for name in NAMES]
    (directories[1] / "u.done").touch()
    for directory in directories[2:]:
        (directory / "u.failed").write_text('{"code": 1, "reason": "failed"}')
        (directory / "u.err").write_text(TRACEBACK)
    run = made.layout.experiment("sweep") / RUN
    (run / "status.json").write_text(json.dumps({"version": 1, "status": "done", "run_id": RUN}))


@pytest.mark.parametrize("size", [(80, 24), (200, 60)], ids=["80x24", "200x60"])
def test_two_hours_away(commands: Commands, tmp_path: Path, size: tuple[int, int]) -> None:
    """What is new since the dashboard was left is told, named by experiment and cause, and is gone after Esc."""
    made = make(tmp_path / "ws")
    place = {"id": "one", "path": str(made.root)}
    commands.settings.write_text(json.dumps({"workspaces": [place]}))
    state = tmp_path / "state"
    environment = {**commands._environment(), "XDG_STATE_HOME": str(state)}
    with Tmux(tmp_path, COMMAND, environment, size) as tmux:
        assert tmux.see("sweep", "live", "1/4")[1].strip() == "fleet"
        tmux.press("q")
        tmux.see("ended with 0")
    (seen,) = (state / "xpm-remote" / "seen").iterdir()
    before = json.loads(seen.read_text())
    seen.write_text(json.dumps({**before, "at": before["at"] - AWAY}))
    go_on(made)
    with Tmux(made.root.parent / "home", COMMAND, environment, size) as tmux:
        lines = tmux.see("SINCE YOU LOOKED 2 h AGO", "+1 done", "+2 failed (1 cause)", "Esc seen")
        assert any("sweep" in line and "+1 done +2 failed" in line for line in lines)
        tmux.press("4")
        tmux.see("one since", "2 h ago +1 done +2 failed", "sweep +1 done", "2 BadError: no luck")
        tmux.press("2")
        lines = tmux.see("u/failed1", "u/failed2", "new")
        assert all("u/failed" in line and "new" in line for line in lines[3:5])
        tmux.press("1")
        tmux.see("Esc seen")
        tmux.press("Escape")
        wait_until(lambda: tmux.screen[1].strip() == "fleet", SCREEN_LIMIT, "nothing new")
        tmux.press("4")
        tmux.see("nothing has happened since the dashboard began")
        tmux.press("q", "q")
        tmux.see("ended with 0")
