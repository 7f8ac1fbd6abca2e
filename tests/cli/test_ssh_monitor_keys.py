"""Keys in the dashboard, and the state of the terminal afterwards."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator

import pytest

from tests.cli.commands import Commands
from tests.cli.terminals import Terminal
from tests.support.fakes import install_fake_monitor
from tests.support.polling import wait_until
from tests.support.server import Server

SCENARIO = {"generate": {"experiments": 1, "jobs": 2, "states": ["running"]}}
SETTLE_LIMIT = 10.0
"""Seconds for a terminal to be changed."""


@pytest.fixture
def workspace(server: Server, commands: Commands) -> str:
    """The id of a workspace in the settings."""
    fake = install_fake_monitor(server, SCENARIO)
    return commands.add_login(server, "alice", fake.workspace, xpm_path=fake.xpm_path)


@pytest.fixture
def terminal(commands: Commands, workspace: str) -> Iterator[Terminal]:
    """A terminal with the dashboard."""
    with Terminal(commands, "--workspace", workspace) as started:
        yield started


def test_says_what_it_does_before_anything_is_there(terminal: Terminal) -> None:
    """While it connects, a line names the target, and the terminal is unchanged."""
    terminal.see("connecting to")
    assert terminal.is_as_usual
    terminal.see("live")


def test_quit(terminal: Terminal) -> None:
    """The keys are listed, typing is not echoed, and q ends it with success."""
    terminal.see("quit")
    assert not terminal.is_as_usual
    terminal.press("xr\x1b[A")
    terminal.press("q")
    status, shown = terminal.finish()
    assert status == 0
    assert "xr" not in shown
    assert terminal.is_as_usual


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signals_leave_the_terminal_in_order(terminal: Terminal, number: int, status: int) -> None:
    """After any signal that ends it, the terminal collects lines and echoes them."""
    terminal.see("quit")
    terminal.child.kill(number)
    assert terminal.finish()[0] == status
    assert terminal.is_as_usual


def test_without_a_keyboard(commands: Commands, workspace: str) -> None:
    """When stdin is no terminal, no key is read and none is listed."""
    shell = ("sh", "-c", 'exec "$@" </dev/null', "sh")
    with Terminal(commands, "--workspace", workspace, shell=shell) as terminal:
        before = terminal.see("live") + terminal.see("live")
        assert "quit" not in before
        assert terminal.is_as_usual
        terminal.child.sendintr()
        assert terminal.finish()[0] == 130


def test_stopped_and_continued(commands: Commands, workspace: str) -> None:
    """Ctrl-Z returns the terminal to the shell; fg restores the picture and the keys."""
    # The shell types nothing of its own while a job runs, so it is told to run the command and then to read on.
    shell = ("bash", "--norc", "--noprofile", "-ic", '"$@"; stty -a; fg; echo status $?', "bash")
    with Terminal(commands, "--workspace", workspace, shell=shell) as terminal:
        terminal.see("quit")
        terminal.child.sendcontrol("z")
        terminal.see("speed")  # of stty; not every bash tells that the job is stopped
        assert re.search(r"\sicanon", terminal.see("-extproc"))
        terminal.see("quit")
        wait_until(lambda: not terminal.is_as_usual, SETTLE_LIMIT, "the keys to be read")
        terminal.press("q")
        terminal.see("status 0")
        assert terminal.is_as_usual
