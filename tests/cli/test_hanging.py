"""Commands whose files do not answer, or may not be looked at."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.commands import END_LIMIT, Commands
from tests.cli.local import Local
from tests.support.silent_fuse import DEVICE, silent_mount
from xpm_remote.workspace.reading import disk

pytestmark = pytest.mark.slow

needs_fuse = pytest.mark.skipif(
    os.geteuid() != 0 or not DEVICE.exists(), reason="only root can mount a FUSE file system"
)


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Path]:
    """A directory whose file system does not answer."""
    place = tmp_path / "silent"
    place.mkdir()
    try:
        with silent_mount(place):
            yield place
    except PermissionError:
        pytest.skip("this container may not mount")


PROGRAM = """
import signal, sys
from xpm_remote.cli import hanging
from xpm_remote.cli.main import run
hanging.SAY_AFTER = 0.5
signal.signal(signal.SIGWINCH, lambda *_: None)
run()
"""


@needs_fuse
@pytest.mark.parametrize(
    "words",
    [
        ("jobs", "list"),
        ("jobs", "archive", "--all"),
        ("orphans",),
        ("experiments", "monitor", "--once"),
    ],
)
def test_hung_mount(words: tuple[str, ...], silent: Path, commands: Commands) -> None:
    """The path that does not answer is said, and Ctrl-C ends the command at once."""
    commands.settings.write_text(json.dumps({"workspaces": [{"id": "w", "path": str(silent)}]}))
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words],
        env=commands._environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            said = process.stderr.readline()
            assert said.startswith(f"waiting for {silent}"), said
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=END_LIMIT)
        finally:
            process.kill()
    assert (process.returncode, "left without an answer" in error) == (130, True), error
    assert "Traceback" not in error


@needs_fuse
def test_hung_folder(silent: Path, local: Local) -> None:
    """A folder that does not answer, in which a thread waits, keeps no command either."""
    local.made.job("u/gone1")
    folders = [{"path": str(silent), "mode": "backup"}]
    own = {"id": "w", "path": str(local.made.root), "folders": folders}
    local.commands.settings.write_text(json.dumps({"workspaces": [own]}))
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "jobs", "archive", "--all"],
        env=local.commands._environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            assert str(silent) in process.stderr.readline()
            process.send_signal(signal.SIGWINCH)  # which is none that ends it
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(1.0)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=END_LIMIT)
        finally:
            process.kill()
    assert process.returncode == 130


@pytest.fixture
def local(commands: Commands, tmp_path: Path) -> Local:
    """A workspace with a job."""
    local = Local(commands, tmp_path)
    local.made.job("u/here1")
    return local


def test_wait_that_is_for_no_file(local: Local) -> None:
    """A wait for what a job prints is no file system: nothing is said, and Ctrl-C is as ever."""
    directory = local.made.job("u/runs1", None)
    (directory / "u.err").write_text("first\n")
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "jobs", "log", "-f", "runs1"],
        env=local.commands._environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "first\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.5)  # longer than what is said after half a second
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=END_LIMIT)
    assert (process.returncode, error.strip()) == (130, "")


def test_directory_that_may_not_be_entered(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that may not be looked at is a line and a code, not a traceback, and no absence."""
    look = disk.stat

    def refuse(path: str) -> os.stat_result:
        if path.endswith("here1"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return look(path)

    monkeypatch.setattr(disk, "stat", refuse)
    done = local.run("jobs", "path", "u/here1")
    assert (done.status, "here1: Permission denied" in done.error) == (35, True), done
