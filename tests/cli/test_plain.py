"""The line mode in real terminals."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.commands import Commands
from tests.cli.terminals import Terminal
from tests.cli.test_ssh_monitor_person import Way, log_in, pat, proxy
from tests.support.passwords import PASSWORD
from tests.support.tmux import SCREEN_LIMIT, Tmux
from tests.workspace.small import SmallWorkspace
from xpm_remote.errors import ExitCode

__all__ = ["pat", "proxy"]

pytestmark = pytest.mark.slow

NUMBER = 25
"""Jobs of the second workspace: more than are listed at once, and than one letter acts on."""

TRACEBACK = """Traceback (most recent call last):
  File "/home/me/learn.py", line 3, in step
    raise BadError("no luck")
BadError: no luck
"""


@pytest.fixture
def settings(commands: Commands, tmp_path: Path) -> Commands:
    """Two workspaces of this machine: one with two failures, one with many jobs that are done."""
    one, other = SmallWorkspace(tmp_path / "one"), SmallWorkspace(tmp_path / "other")
    names = ["u/done1", "u/failed1", "u/failed2"]
    for name in names:
        job = one.job(name, "done" if "done" in name else "failed")
        if "failed" in name:
            log = "".join(f"step {number}\n" for number in range(200))
            (job / "u.err").write_text(log + TRACEBACK)
    (one.root / "jobs" / "u" / "done1" / "u.out").write_text("all \x1b[31mis\x1b[0m well\n")
    one.run(names, experiment="sweep")
    many = [f"u/many{number}" for number in range(NUMBER)]
    for name in many:
        other.job(name)
    other.run(many, experiment="漢字\u05e9" + "y" * 200)
    places = [("one", one), ("other", other)]
    text = {"workspaces": [{"id": name, "path": str(each.root)} for name, each in places]}
    commands.settings.write_text(json.dumps(text))
    return commands


@pytest.fixture
def tmux(settings: Commands, tmp_path: Path) -> Iterator[Tmux]:
    """The line mode in tmux, which the environment asks for."""
    environment = {**settings._environment(), "XPM_REMOTE_PLAIN": "1"}
    command = (sys.executable, "-m", "xpm_remote")
    with Tmux(tmp_path, command, environment, (400, 60)) as started:
        started.see("one: link to", "live: 1 experiment, 3 jobs", "live: 1 experiment, 25 jobs")
        yield started


def enter(tmux: Tmux, line: str) -> None:
    """Type a line on a screen that is empty."""
    tmux.press("-R", "")
    tmux.press("-l", line)
    tmux.press("Enter")


def test_to_the_traceback(tmux: Tmux) -> None:
    """The way of the screen in lines: fleet, jobs, which are found, sorted and grouped, a job, and its traceback."""
    enter(tmux, "help")
    tmux.see("x ACTION [N ...]: plan to kill", "quit: end")
    enter(tmux, "fleet")
    tmux.see(
        "2 workspaces",
        "1. workspace one: live, agent",
        "2. experiment sweep on one: done, 1 of 3 done, 2 failed",
    )
    enter(tmux, "2")
    tmux.see("sweep of one: 3 jobs", "1. failed, u/failed", "3. done, u/done1")
    enter(tmux, "sort job")
    tmux.see("sort job", "1. done, u/done1", "3. failed, u/failed2")
    enter(tmux, "group state")
    tmux.see("1. group failed: 2 failed")
    enter(tmux, 'find @state = "error"')
    tmux.see("2 of 3 jobs", "3. failed, u/failed2")
    enter(tmux, "3")
    tmux.see("job u/failed2 on one", "BadError: no luck", "path ")
    enter(tmux, "log")
    tmux.see("stderr of u/failed2", "Traceback (most recent call last):", "BadError: no luck")
    enter(tmux, "earlier")
    tmux.see("step 199")
    enter(tmux, "find step 19")
    tmux.see("11 lines with step 19 in stderr of u/failed2", "11. step 199")
    enter(tmux, "2")
    tmux.see("step 190", "step 199")


def test_causes_and_an_action(tmux: Tmux, tmp_path: Path) -> None:
    """Failures are listed by causes, and the jobs of one are cleaned by a plan, y, and outcomes."""
    enter(tmux, "failures")
    tmux.see("2 failures in 1 cause", "1. 2 jobs: BadError: no luck, at learn.py:step, on one")
    enter(tmux, "x kill 1")
    tmux.see("keep  u/failed1", "nothing to kill")
    enter(tmux, "x clean 1")
    tmux.see(
        "clean on ONE", "the same as: xpm-remote jobs --workspace one clean", "clean 2 jobs? type y"
    )
    enter(tmux, "no")
    tmux.see("nothing is done")
    enter(tmux, "x clean 1")
    tmux.see("clean 2 jobs? type y")
    enter(tmux, "y")
    tmux.see("cleaned u/failed1", "cleaned u/failed2")
    assert not (tmp_path / "one" / "jobs" / "u" / "failed1").exists()
    enter(tmux, "activity")
    tmux.see("you: cleaned u/failed1")
    enter(tmux, "quit")
    tmux.see("ended with 0")
    assert tmux.errors == ""


def test_lists_and_mistakes(tmux: Tmux) -> None:
    """Long lists go on by more; many jobs take their number; each mistake is a line, and names are printable."""
    for line, words in (
        ("back", "nothing before this"),
        ("3", "nothing is listed yet"),
        ("jbos", 'there is no command jbos; did you mean "jobs"?'),
        ("jobs nowhere", "there is no workspace nowhere; there are one, other"),
        ("job zzz", "no job has zzz in its id"),
        ("jobs other", "5 more lines: more lists them"),
        ("99", "there is no line 99; lines 1 to 20 were listed"),
        ("sort nothing", "there is no nothing to sort or group by"),
        ("group nothing", "there is no nothing to sort or group by"),
        ("find lr =", "the filter is not finished: expected"),
        ("find many1", "11 of 25 jobs, find many1"),
        ("find", "other: 25 jobs"),
        ("more", "25. done, u/many"),
        ("more", "this is the end"),
        ("x kill", "on which jobs?"),
        ("x", "x and one of kill, clean, archive, recover"),
        ("earlier", "that is for a log"),
        ("x clean all", "clean 25 jobs? type the number 25"),
        ("y", "nothing is done"),
        ("jobs one", "one: 3 jobs"),
        ("log 3", "all is well"),
        ("log out", "all is well"),
        ("again", "stdout of u/done1"),
        ("back", "stdout of u/done1"),
        ("back", "one: 3 jobs"),
        ("find failed", "2 of 3 jobs"),
        ("log 1", "Traceback (most"),
        ("more", "this is the end"),
        ("find", "find what? find TEXT"),
        ("sort job", "that is for a list of jobs"),
        ("retry nowhere", "there is no workspace nowhere"),
        ("fleet", "experiment 漢字"),
        ("4", "y of other: 25 jobs"),
        ("job many7", "job u/many7 on other"),
        ("back", "1. done, u/many"),
    ):
        enter(tmux, line)
        tmux.see(words)
    tmux.press("C-d")
    tmux.see("ended with 0")
    assert tmux.errors == ""


def test_changes_are_told(settings: Commands, tmp_path: Path) -> None:
    """A dumb terminal gets lines without any control code; what changes is told between them; Ctrl-C ends it."""
    job = tmp_path / "other" / "jobs" / "u" / "many0"
    (job / "u.done").unlink()
    shell = ("env", "TERM=dumb")
    with Terminal(
        settings, "--workspace", "one", "--workspace", "other", shell=shell, is_inline=False
    ) as shown:
        shown.see("one: link to")
        shown.see("live: 1 experiment, 3 jobs")
        (job / "u.failed").write_text('{"code": 1, "reason": "failed"}')
        assert "\x1b" not in shown.see("other: u/many0  unscheduled → error")
        shown.see("> ")
        # What is pasted with the question is no answer.
        shown.press("jobs one\rx clean 2\ry\r")
        shown.see("type y to do it")
        shown.type("")
        shown.see("nothing is done")
        shown.child.sendintr()
        status, rest = shown.finish()
        assert status == 130
        assert "Traceback" not in rest


def test_without_a_terminal(settings: Commands) -> None:
    """Commands of a script are taken as well; without the option and a terminal changes are lines as ever."""
    words = (sys.executable, "-m", "xpm_remote", "--plain")
    process = subprocess.Popen(
        words, env=settings._environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    shown = ""
    while "3 jobs" not in shown:
        shown += process.stdout.readline()
    rest, _ = process.communicate("jobs one\nx clean 2\ny\nquit\n", timeout=SCREEN_LIMIT)
    assert process.returncode == 0
    assert "1. failed, u/failed" in rest
    assert "> " not in rest
    assert "cleaned u/failed" in rest


def test_without_a_workspace(commands: Commands, tmp_path: Path) -> None:
    """Without settings the first lines say how to begin; with a command of another kind the option is an error."""
    command = (sys.executable, "-m", "xpm_remote", "--plain")
    with Tmux(tmp_path, command, commands._environment(), (80, 24)) as tmux:
        tmux.see("0 workspaces", "no workspace: add one to the settings")
        for line in ("fleet", "jobs", "failures", "activity", "quit"):
            tmux.press("-l", line)
            tmux.press("Enter")
        tmux.see("ended with 0")
    done = commands.run("--plain", "workspaces", "list")
    assert done.status == 2
    assert "--plain is for the dashboard" in done.error


def test_a_login_and_a_cut(by_engine: Commands, pat: Way) -> None:
    """A password is asked for before the lines, and again after a cut, which is told, when it is wanted."""
    with Terminal(by_engine, "--plain", *pat.arguments, is_inline=False) as terminal:
        log_in(terminal)
        terminal.see("live")
        terminal.see("> ")
        pat.proxy.cut()
        terminal.see("waits for a login")
        tried = pat.proxy.connections
        terminal.type("fleet")
        terminal.see("STALE")
        terminal.type("jobs")
        terminal.see("is STALE: what is listed of it may be out of date")
        assert pat.proxy.connections == tried
        terminal.type("retry")
        log_in(terminal)
        terminal.see("live")
        terminal.type("quit")
        status, shown = terminal.finish()
        assert status == 0
        assert PASSWORD not in shown
        assert terminal.is_as_usual


def test_all_links_are_down(commands: Commands) -> None:
    """A host that cannot be reached is told, and the lists say so."""
    commands.add("far", "/ws", host="127.0.0.1", options="-p 1")
    with Terminal(commands, "--plain", "--workspace", "far", is_inline=False) as terminal:
        terminal.see("refused")
        assert terminal.finish()[0] == ExitCode.UNREACHABLE
