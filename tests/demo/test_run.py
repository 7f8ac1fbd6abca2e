"""The demo as a whole, with the real experimaestro."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.support.peer import peer_python
from tests.support.polling import wait_until

pytestmark = pytest.mark.slow

DEMO = Path(__file__).resolve().parents[2] / "demo"

LIMIT = 120.0
"""Seconds for the demo to do anything: its experiment takes 50, starting it a few."""

PACE = "3"
"""Times that the jobs work faster than for a person who watches."""

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
    """Arguments are passed to ssh-monitor, whose output alone is on stdout and shows the real experiment."""
    done = run(folder, venv, "--", "--once", "--format", "json")
    assert done.returncode == 0, done.stderr
    experiments = [each["id"] for each in json.loads(done.stdout)["experiments"]]
    assert "smoke-test" in experiments
    assert "ssh-monitor --workspace my-cluster --once" in done.stderr


def test_duration(folder: Path, venv: Path) -> None:
    """After the given time the monitor is interrupted, which is a success."""
    done = run(folder, venv, "--duration", "8", "--", "--events-viewer")
    assert done.returncode == 0, done.stderr
    assert "  connecting\n" in done.stdout  # how far it comes in that time depends on the machine


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
    assert "experiment does not start" in done.stderr
    assert "it is broken" in done.stderr


def test_picture(folder: Path, venv: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The picture has jobs that run, wait and have failed, no data of this machine, and loads nothing."""
    path = tmp_path_factory.mktemp("picture") / "dashboard.svg"
    done = run(folder, venv, "--svg", str(path))
    assert done.returncode == 0, done.stderr
    picture = path.read_text()
    assert picture.startswith("<svg")
    for text in ("me@cluster", "digits.train", "DEPENDENCY", "Waiting", "epoch"):
        assert text in picture
    assert str(folder) not in picture
    assert "url(http" not in picture
