"""The full-screen dashboard in real terminals."""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.cli.commands import Commands
from tests.cli.terminals import Terminal
from tests.cli.test_ssh_monitor_person import TICKS, Way, log_in, pat, proxy
from tests.support.passwords import PASSWORD
from tests.support.polling import wait_until
from tests.support.tmux import SCREEN_LIMIT, Tmux
from tests.workspace.small import SmallWorkspace

__all__ = ["pat", "proxy"]

pytestmark = pytest.mark.slow

SIZES = [(80, 24), (200, 60)]
WIDE = "漢字\u05e9\u05dc\u05d5\u05dd"
"""Wide characters, and some that are written from right to left."""

BOTH = ("--workspace", "one", "--workspace", "other")

TRACEBACK = """Traceback (most recent call last):
  File "/home/me/learn.py", line 3, in step
    raise BadError("no luck")
BadError: no luck
"""


@pytest.fixture
def settings(commands: Commands, tmp_path: Path) -> Commands:
    """Two workspaces of this machine: one with failures, one whose experiment has a name of wide characters."""
    one, other = SmallWorkspace(tmp_path / "one"), SmallWorkspace(tmp_path / "other")
    for name in ("u/done1", "u/failed1", "u/failed2"):
        one.job(name, "done" if "done" in name else "failed")
    one.run(["u/done1", "u/failed1", "u/failed2"], experiment="sweep")
    other.job("u/done2")
    other.run(["u/done2"], experiment=WIDE)
    places = [("one", one), ("other", other)]
    # JSON is YAML.
    text = {"workspaces": [{"id": name, "path": str(each.root)} for name, each in places]}
    commands.settings.write_text(json.dumps(text))
    return commands


@pytest.fixture(params=SIZES, ids=["80x24", "200x60"])
def tmux(settings: Commands, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Tmux]:
    """The dashboard in tmux, without a command: of all workspaces."""
    command = (sys.executable, "-m", "xpm_remote")
    with Tmux(tmp_path, command, settings._environment(), request.param) as started:
        yield started


def test_fleet_and_jobs(tmux: Tmux) -> None:
    """From the start to the jobs of an experiment and back, and out, with nothing left on the screen."""
    lines = tmux.see("2 clusters", "sweep", "live", WIDE[:2], "1/1", "1/3", "Enter open")
    assert lines[0].startswith("xpm-remote  2 clusters")
    assert lines[1] == "fleet"
    assert any(line.startswith(" ▾ one  ● live") for line in lines)
    wide = next(line for line in lines if WIDE[:2] in line)
    plain = next(line for line in lines if "sweep" in line)
    assert cell_len(wide[: wide.index("1/1")]) == cell_len(plain[: plain.index("1/3")])
    tmux.press("j", "Enter")
    lines = tmux.see("sweep", "3 jobs", "u/failed1", "F ✖", "s sort")
    tmux.press("/", "done1", "Enter")
    tmux.see("1 of 3 jobs")
    tmux.press("Escape")
    tmux.see("3 jobs")
    tmux.resize(60, 12)
    tmux.see("3 jobs", "u/failed1")
    tmux.press("q")
    tmux.see("fleet")
    tmux.press("q")
    assert tmux.see("ended with 0")[0] == "ended with 0"
    assert tmux.errors == ""


def test_to_the_traceback_and_an_action(tmux: Tmux, tmp_path: Path) -> None:
    """From the start to the line of a traceback in two keys; a marked cause is cleaned by a plan and its outcomes."""
    for name in ("failed1", "failed2"):
        path = tmp_path / "one" / "jobs" / "u" / name / "u.err"
        path.write_text("".join(f"step {number}\n" for number in range(200)) + TRACEBACK)
    tmux.see("2 clusters", "sweep", "live")
    tmux.press("3")
    tmux.see(
        "2 failures in 1 cause", "BadError: no luck", "learn.py:step", "u/failed1", "u/failed2"
    )
    tmux.press("Enter")
    tmux.see("learn.py", "BadError: no luck", "stderr")
    tmux.press("/", "step 19", "Enter")
    tmux.see("/step 19: ", " of 11")
    tmux.press("Escape", "Escape")
    tmux.see("2 failures in 1 cause")
    tmux.press("d")
    tmux.see("FAILED", "learn.py:3 step", "path")
    tmux.press("Escape")
    tmux.see("2 failures in 1 cause")
    tmux.press("x")
    tmux.see("2 jobs:", "k kill", "c clean")
    tmux.press("c")
    tmux.see("clean 2 jobs on ONE?", "u/failed1", "$ xpm-remote jobs --workspace one clean")
    tmux.press("y")
    tmux.see("all is done", "cleaned u/failed1", "cleaned u/failed2")
    assert not (tmp_path / "one" / "jobs" / "u" / "failed1").exists()
    tmux.press("4")
    tmux.see("activity", "you: cleaned u/failed2")
    tmux.press("q")
    tmux.see("fleet")
    tmux.press("q")
    tmux.see("ended with 0")
    assert tmux.errors == ""


def test_other_keys(settings: Commands, tmp_path: Path) -> None:
    """Keys of the settings are in the footer and do what they say; with a wrong one the dashboard does not begin."""
    text = json.loads(settings.settings.read_text())
    settings.settings.write_text(json.dumps({**text, "keys": {"find": "F5", "quit": "Ctrl-W"}}))
    command = (sys.executable, "-m", "xpm_remote")
    with Tmux(tmp_path, command, settings._environment(), SIZES[0]) as tmux:
        tmux.see("sweep", "F5 find")
        tmux.press("2", "F5", "done1", "Enter")
        tmux.see("1 of 4 jobs")
        tmux.press("q", "C-w")
        tmux.see("fleet")
        tmux.press("C-w")
        tmux.see("ended with 0")
    settings.settings.write_text(json.dumps({**text, "keys": {"find": "s"}}))
    with Tmux(tmp_path, command, settings._environment(), SIZES[0]) as tmux:
        tmux.see("ended with 3")
        assert 'keys.find: the key "s" is that of sort already' in tmux.errors


def test_a_paste_is_no_keys(settings: Commands, tmp_path: Path) -> None:
    """What is pasted into a table, or for a letter that is asked for, does nothing; where one types it is text."""
    command = (sys.executable, "-m", "xpm_remote")
    with Tmux(tmp_path, command, settings._environment(), SIZES[0]) as tmux:
        tmux.see("sweep", "live")
        tmux.press("2")
        tmux.see("4 jobs", "u/failed1")
        tmux.paste("xcy\nq q*")
        tmux.press("x")
        tmux.see("k kill", "c clean")
        tmux.paste("cy\n")
        tmux.press("z")
        tmux.see("no action has the key z")
        tmux.press("/")
        tmux.paste("done1\nq")
        tmux.see("/done1", "u/done1")
        tmux.press("Enter")
        assert not any("u/failed" in line for line in tmux.see("1 of 4 jobs"))
        tmux.press("Escape", "3")
        tmux.see("2 failures")
        tmux.press("C-c")
        tmux.see("ended with 130")
        assert tmux.errors == ""
    assert (tmp_path / "one" / "jobs" / "u" / "failed1").exists()


def test_without_colours(settings: Commands, tmp_path: Path) -> None:
    """With NO_COLOR no colour is set: states are told by letters, glyphs and weight."""
    environment = {**settings._environment(), "NO_COLOR": "1"}
    with Tmux(tmp_path, (sys.executable, "-m", "xpm_remote"), environment, SIZES[0]) as tmux:
        tmux.see("sweep", "live")
        tmux.press("2")
        tmux.see("4 jobs", "F ✖ u/failed1", "D ✔ u/done1")
        numbers = re.findall(r"\x1b\[([0-9;]*)m", tmux.styled)
        codes = {int(code) for each in numbers for code in each.split(";") if code}
        assert codes
        assert codes <= {0, 1, 2, 4, 7, 39, 49}


def test_hostile_names(settings: Commands, tmp_path: Path) -> None:
    """Tags of escape sequences, wide and long text break no line and reach no terminal; all sizes are borne."""
    jobs = tmp_path / "one" / "experiments" / "sweep" / "20261122_120000" / "jobs.jsonl"
    tags = ["\x1b]0;pwned\x07\x1b[2J\u202e", "漢" * 4000, "\u05e9\u05dc\u05d5\u05dd\n\t"]
    lines = [json.loads(line) for line in jobs.read_text().splitlines()]
    for line, tag in zip(lines, tags, strict=True):
        line["tags"] = {"x": tag}
    jobs.write_text("".join(json.dumps(line) + "\n" for line in lines))
    command = (sys.executable, "-m", "xpm_remote")
    with Tmux(tmp_path, command, settings._environment(), (300, 100)) as tmux:
        tmux.see("sweep", "live")
        tmux.press("2")
        for columns, height in ((300, 100), (80, 24), (40, 10), (20, 5), (100, 30)):
            tmux.resize(columns, height)
            shown = tmux.see("4 jobs", "u/f")
            assert len(shown) <= height
            assert all(cell_len(line) <= columns for line in shown)
        tmux.see(r"x=\x1b]0;pwned\x07\x1b[2J\u202e", "x=漢漢", r"\n\t")
        assert tmux.title != "pwned"
        tmux.press("j", "Enter")
        tmux.see("path")
        tmux.press("C-c")
        tmux.see("ended with 130")
        assert tmux.errors == ""


def test_stopped_and_continued(settings: Commands, tmp_path: Path) -> None:
    """Ctrl-Z returns to the shell, and fg to the same place, also after the size of the terminal has changed."""
    command = f"{sys.executable} -m xpm_remote"
    with Tmux(tmp_path, ("bash", "--norc", "-i"), settings._environment(), SIZES[0]) as tmux:
        tmux.press("-l", command)
        tmux.press("Enter")
        tmux.see("sweep", "live")
        tmux.press("2")
        tmux.see("4 jobs")
        for columns in (100, 90):
            tmux.press("C-z")
            wait_until(lambda: "4 jobs" not in "\n".join(tmux.screen), SCREEN_LIMIT, "the shell")
            tmux.resize(columns, 30)
            tmux.press("-l", "fg")
            tmux.press("Enter")
            tmux.see("4 jobs", "Enter open")
        tmux.press("q", "q")
        wait_until(lambda: "sweep" not in "\n".join(tmux.screen), SCREEN_LIMIT, "the shell")
        tmux.press("-l", "exit 3")
        tmux.press("Enter")
        tmux.see("ended with 3")


def test_without_a_workspace(commands: Commands, tmp_path: Path) -> None:
    """Without settings the screen says how to begin."""
    command = (sys.executable, "-m", "xpm_remote")
    with Tmux(tmp_path, command, commands._environment(), SIZES[0]) as tmux:
        tmux.see("no workspace: add one to the settings")
        tmux.press("C-c")
        tmux.see("ended with 130")


@pytest.fixture
def terminal(settings: Commands) -> Iterator[Terminal]:
    """A terminal with the dashboard."""
    with Terminal(settings, *BOTH, is_inline=False) as shown:
        shown.see("sweep")
        yield shown


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signals_leave_the_terminal_in_order(terminal: Terminal, number: int, status: int) -> None:
    """After any signal that ends it, the terminal collects lines and echoes them."""
    terminal.child.kill(number)
    ended, shown = terminal.finish()
    assert ended == status
    assert "Traceback" not in shown
    assert terminal.is_as_usual


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signals_before_the_first_picture(settings: Commands, number: int, status: int) -> None:
    """A signal that comes while the dashboard begins ends it, too."""
    with Terminal(settings, *BOTH, is_inline=False) as terminal:
        terminal.see("connecting")
        terminal.child.kill(number)
        assert terminal.finish()[0] == status


@pytest.mark.parametrize("moment", ["connecting", "sweep"])
def test_a_terminal_that_is_gone(settings: Commands, moment: str) -> None:
    """The dashboard ends with its terminal, at any moment."""
    with Terminal(settings, *BOTH, is_inline=False) as terminal:
        terminal.see(moment)
        terminal.child.ptyproc.fileobj.close()
        wait_until(lambda: not terminal.child.isalive(), SCREEN_LIMIT, "the end")
        assert terminal.child.exitstatus == 129


def test_stopped_from_outside(settings: Commands, terminal: Terminal) -> None:
    """Stopped by SIGSTOP and continued, the dashboard takes the terminal over once more, and keys reach it once."""
    terminal.child.kill(signal.SIGSTOP)
    terminal.child.kill(signal.SIGCONT)
    terminal.see("\x1b[?1049h")
    terminal.press("2")
    terminal.see("all jobs")
    terminal.press("q")
    terminal.press("q")
    assert terminal.finish()[0] == 0


def test_a_notice(settings: Commands, tmp_path: Path) -> None:
    """A job that fails by a new cause rings in a terminal that is not looked at, and is told to the command."""
    told, job = tmp_path / "told", tmp_path / "one" / "jobs" / "u" / "failed1"
    marker = (job / "u.failed").read_text()
    (job / "u.failed").unlink()
    script = f"import sys; text = sys.stdin.read(); open({str(told)!r}, 'w').write(text)"
    text = json.loads(settings.settings.read_text())
    text["notices"] = {"command": [sys.executable, "-c", script]}
    settings.settings.write_text(json.dumps(text))
    with Terminal(settings, *BOTH, is_inline=False) as shown:
        shown.child.expect(r"one[^\r\n]{0,80}live")
        shown.press("\x1b[O")  # the terminal's word for a focus that is gone
        (job / "u.err").write_text(TRACEBACK)
        (job / "u.failed").write_text(marker)
        shown.see("\x1b]9;xpm-remote: 1 job failed on one: BadError: no luck\a")
        wait_until(lambda: told.exists() and told.read_text(), SCREEN_LIMIT, "the command")
        shown.press("q")
        assert shown.finish()[0] == 0
    (notice,) = json.loads(told.read_text())["notices"]
    assert (notice["cause"], notice["where"]) == ("BadError: no luck", "learn.py:step")


def test_simple_terminals_get_the_picture(settings: Commands) -> None:
    """A terminal without a second screen gets the picture below the prompt."""
    shell = ("env", "TERM=vt100")
    with Terminal(settings, *BOTH, shell=shell, is_inline=False) as shown:
        assert "\x1b[?1049h" not in shown.see("live")
        shown.press("q")
        assert shown.finish()[0] == 0


def test_a_login_borrows_the_terminal(by_engine: Commands, pat: Way) -> None:
    """A password is asked for outside of the screen, at the start and again after a cut when r is pressed."""
    with Terminal(by_engine, *pat.arguments, is_inline=False) as terminal:
        log_in(terminal)
        terminal.see("live")
        pat.proxy.cut()
        terminal.see("LOGIN")
        tried = pat.proxy.connections
        terminal.press("j" * TICKS)
        assert pat.proxy.connections == tried
        terminal.press("r")
        log_in(terminal)
        terminal.see("live")
        terminal.press("q")
        status, shown = terminal.finish()
        assert status == 0
        assert PASSWORD not in shown
        assert terminal.is_as_usual
