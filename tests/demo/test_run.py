"""The demo as a whole, with the real experimaestro."""

from __future__ import annotations

import html
import json
import os
import platform
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.support.peer import peer_python
from tests.support.polling import wait_until
from tests.support.tmux import Tmux

pytestmark = pytest.mark.slow

DEMO = Path(__file__).resolve().parents[2] / "demo"

LIMIT = 120.0
"""Seconds for the demo to do anything: its experiment takes 50, starting it a few."""

PACE = "4"
"""Times that the jobs work faster than for a person who watches."""

PICTURED = {
    "jobs.svg": ["3 clusters", "train/", "rerank/", "annotate/", "lip6", "laptop", "batch=512"],
    "failures.svg": ["2 causes", "OutOfMemoryError", "Diverged", "goes with batch=512: 5 of 5"],
}
"""What is in the pictures."""

REAP_LIMIT = 5.0
"""Seconds for processes that were killed to be gone from the system's list."""


@pytest.fixture
def venv() -> Path:
    """Return the venv of the real experimaestro."""
    return peer_python().parents[1]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return where the demo keeps its files; check afterwards that no file and no process of it is left."""
    yield tmp_path
    assert list(tmp_path.iterdir()) == []
    wait_until(lambda: not processes(tmp_path), REAP_LIMIT, "the end of the demo's processes")


def processes(folder: Path) -> list[str]:
    """Return the command lines of the processes that use a folder."""
    done = subprocess.run(["ps", "-ewwo", "args"], capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if str(folder) in line]


def command(venv: Path, *arguments: str) -> list[str]:
    """Return the command line of the demo."""
    return [sys.executable, str(DEMO / "run.py"), "--venv", str(venv), "--pace", PACE, *arguments]


def environ(folder: Path) -> dict[str, str]:
    """Return an environment in which temporary files go to a folder."""
    return {**os.environ, "TMPDIR": str(folder)}


def run(folder: Path, venv: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the demo to its end."""
    return subprocess.run(
        command(venv, *arguments),
        env=environ(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


def test_once(folder: Path, venv: Path) -> None:
    """Arguments are passed to ssh-monitor, whose output alone is on stdout and shows the real experiments."""
    done = run(folder, venv, "--", "--once", "--format", "json")
    assert done.returncode == 0, done.stderr
    found = {
        each["workspace_id"]: {experiment["id"] for experiment in each["experiments"]}
        for each in json.loads(done.stdout)
    }
    assert {name: found[name] - {"digits"} for name in found} == {
        "jz": {"smoke-test"}, "lip6": {"rerank"}, "laptop": {"corpus"},
    }  # fmt: skip
    assert "ssh-monitor --all --once" in done.stderr


def test_without_a_terminal(folder: Path, venv: Path) -> None:
    """Without a terminal the changes come as lines, and it ends by itself, with a picture of all experiments."""
    done = run(folder, venv)
    assert done.returncode == 0, done.stderr
    assert "jz: experiment digits  running → done  10/14 done, 4 failed\n" in done.stdout
    for line in ("me@jz:~/experiments", "me@lip6:~/experiments", "7/12 5 failed"):
        assert line in done.stdout
    assert not list(folder.iterdir())


def test_the_screen(folder: Path, venv: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """In a terminal the dashboard shows three workspaces; both causes of failures lead to their tracebacks."""
    own = tmp_path_factory.mktemp("tmux")
    with Tmux(own, command(venv), environ(folder), (120, 40)) as tmux:
        tmux.see("3 clusters", "jz  ● live", "lip6  ● live", "laptop  ● live", "corpus", "rerank")
        tmux.press("3")
        tmux.see("Diverged: loss is", "OutOfMemoryError: CUDA", "goes with batch=512: 5 of 5")
        for cause in ("OutOfMemoryError: CUDA out of memory. Tried", "Diverged: loss is"):
            tmux.press("3")
            tmux.see("2 causes")
            tmux.press("/", cause.split(":", 1)[0], "Enter", "Enter")
            tmux.see("Traceback (most recent call last)", cause)
        tmux.press("q", "q", "q")
        tmux.see("ended with 0")


def test_duration(folder: Path, venv: Path) -> None:
    """After the given time the monitor, of one workspace if it is named, is interrupted, which is a success."""
    words = ("--", "--events-viewer", "--workspace=lip6")
    done = run(folder, venv, "--duration", "8", *words)
    assert done.returncode == 0, done.stderr
    assert (
        done.stdout.count("  connecting\n") == 1
    )  # how far it comes in that time depends on the machine


def test_status(folder: Path, venv: Path) -> None:
    """When the monitor fails, so does the demo, with its status."""
    done = run(folder, venv, "--", "--no-such-option")
    assert done.returncode == 2
    assert "no such option" in done.stderr.lower()


def test_ctrl_c(folder: Path, venv: Path) -> None:
    """Ctrl-C in the terminal ends everything and leaves the last picture."""
    program, *arguments = command(venv)
    arguments += ["--", "--inline"]
    terminal = pexpect.spawn(
        program, arguments, env=environ(folder), dimensions=(30, 100), timeout=LIMIT
    )
    terminal.expect("digits.train")
    assert processes(folder)
    terminal.sendintr()
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


@pytest.mark.parametrize("started", ["*/id_ed25519.pub", "*/settings.yaml"])
def test_told_to_end(folder: Path, venv: Path, started: str) -> None:
    """SIGTERM ends everything at any time, also while it is starting."""
    demo = subprocess.Popen(command(venv), env=environ(folder), stdout=subprocess.DEVNULL)
    wait_until(lambda: list(folder.glob(started)), LIMIT, "the demo's start")
    demo.send_signal(signal.SIGTERM)
    assert demo.wait(LIMIT) == 0


def test_no_experimaestro(folder: Path) -> None:
    """Without the real experimaestro there is a line that says how to get it."""
    done = run(folder, folder / "venv")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "make demo" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_broken_experimaestro(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """When the experiment does not start, its own output is shown."""
    programs = tmp_path_factory.mktemp("venv") / "bin"
    programs.mkdir()
    for name in ("python", "experimaestro"):
        (programs / name).write_text("#!/bin/sh\necho it is broken >&2\nexit 1\n")
        (programs / name).chmod(0o755)
    done = run(folder, programs.parent)
    assert done.returncode == 1
    assert "the experiment of jz does not start" in done.stderr
    assert "it is broken" in done.stderr


def test_pictures(folder: Path, venv: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The pictures have the jobs of all clusters and why some failed, no data of this machine, and load nothing."""
    path = tmp_path_factory.mktemp("pictures")
    done = run(folder, venv, "--svg", str(path))
    assert done.returncode == 0, done.stderr
    assert sorted(each.name for each in path.iterdir()) == ["failures.svg", "jobs.svg"]
    for name, texts in PICTURED.items():
        picture = (path / name).read_text()
        assert picture.startswith("<svg")
        text = html.unescape(re.sub(r"<[^>]*>", "", picture)).replace("\N{NO-BREAK SPACE}", " ")
        assert not [each for each in texts if each not in text]
        assert str(folder) not in picture
        assert platform.node() not in text
        assert "url(http" not in picture
        # The one in the README is of the same screen.
        kept = (DEMO.parent / "docs" / name).read_text()
        assert kept.startswith("<svg")
        assert not [each for each in texts if each not in html.unescape(kept).replace("\xa0", " ")]
