"""A shell in the directory of a job, from the dashboard in a real terminal."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

import pytest

from tests.cli.commands import Commands
from tests.support.polling import wait_until
from tests.support.server import Server
from tests.support.tmux import Tmux
from tests.workspace.small import SmallWorkspace

pytestmark = pytest.mark.slow

SIZE = (200, 60)
COMMAND = (sys.executable, "-m", "xpm_remote")
NAME = "u/done1"

PATIENCE, ROUNDS = 3.0, 20
"""Seconds for a shell to answer, and how often it is asked."""


def without_a_desktop(commands: Commands) -> dict[str, str]:
    """Return the environment of a person with nothing but this terminal: what is copied stays in it."""
    desktop = ("DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME")
    found = commands._environment().items()
    return {name: value for name, value in found if name not in desktop}


def say(tmux: Tmux, command: str, answer: str) -> None:
    """Type a command until it is answered: a shell may drop what comes before it reads, or with an interrupt."""
    for _ in range(ROUNDS):
        tmux.press(command, "Enter")
        with contextlib.suppress(TimeoutError):
            _ = wait_until(lambda: answer in "\n".join(tmux.screen), PATIENCE, answer)
            return
    raise TimeoutError(f"no answer {answer!r}; it shows:\n" + "\n".join(tmux.screen))


def go_and_return(tmux: Tmux, directory: str) -> None:
    """Copy the path of a job, open a shell there, interrupt what runs in it, and return to the same table."""
    tmux.see("sweep", "live")
    tmux.press("2")
    tmux.see("1 jobs", "u/done1")
    tmux.press("y", "p")
    tmux.see("the path is in tmux's buffer")
    assert tmux.buffer == directory
    tmux.press("o")
    tmux.see(directory, "exit returns to the dashboard")
    say(tmux, "echo ready $((40 + 2))", "ready 42")  # until then Ctrl-C is for ssh
    tmux.press("sleep 600", "Enter")
    tmux.press("C-c")
    say(tmux, "echo at $(pwd) end", f"at {directory} end")
    tmux.press("exit", "Enter")
    tmux.see("1 jobs", "u/done1", "? help")
    tmux.press("q", "q")
    tmux.see("ended with 0")


def test_of_this_machine(commands: Commands, tmp_path: Path) -> None:
    """O gives the terminal to a shell in the directory; Ctrl-C is for what runs there; exit returns."""
    made = SmallWorkspace(tmp_path / "ws")
    directory = made.job(NAME)
    made.run([NAME], experiment="sweep")
    commands.settings.write_text(
        json.dumps({"workspaces": [{"id": "one", "path": str(made.root)}]})
    )
    environment = {**without_a_desktop(commands), "SHELL": "/bin/sh"}
    with Tmux(tmp_path, COMMAND, environment, SIZE) as tmux:
        go_and_return(tmux, str(directory))


def test_of_a_host(server: Server, commands: Commands, tmp_path: Path) -> None:
    """On a host it is ssh -t with the options of the workspace."""
    record = {"job_id": "done1", "task_id": "u", "tags": {}, "timestamp": 1.5}
    run = "experiments/sweep/20260101_000000"
    status = {"version": 1, "experiment_id": "sweep", "run_id": run[-15:], "status": "done"}
    files = {
        ".__experimaestro__": "",
        f"{run}/jobs.jsonl": json.dumps(record) + "\n",
        f"{run}/status.json": json.dumps(status),
        "jobs/u/done1/u.done": "",
    }
    for path, text in files.items():
        server.write("alice", f"shells/{path}", text)
    home = server.run("alice", "pwd").strip()
    server.run("alice", f"cd shells/experiments/sweep && ln -sfn {run[-15:]} current")
    commands.add_login(server, "alice", f"{home}/shells", backend="agent")
    with Tmux(tmp_path, COMMAND, without_a_desktop(commands), SIZE) as tmux:
        go_and_return(tmux, f"{home}/shells/jobs/u/done1")
