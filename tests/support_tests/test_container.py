"""Starting and removing the container, with a fake engine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support.container import ContainerServer, remove_leftovers
from tests.support.engine import Engine
from tests.support.errors import ServerUnavailableError

BEYOND_ALL_PIDS = 2**22 + 1
"""A process id that Linux and macOS never give."""


def pretend(tmp_path: Path, script: str) -> Engine:
    """Return an engine that is a shell script; its calls are appended to ``calls``."""
    program = tmp_path / "engine"
    program.write_text(f'#!{shutil.which("sh")}\necho "$*" >> {tmp_path}/calls\n{script}\n')
    program.chmod(0o700)
    return Engine((str(program),))


def test_leftovers_of_dead_sessions_are_removed(tmp_path: Path) -> None:
    """A container whose session has ended is removed; one of a running session, or of another name, is kept."""
    dead = f"xpm-remote-test-{BEYOND_ALL_PIDS}-abc"
    names = f"{dead} xpm-remote-test-{os.getpid()}-abc xpm-remote-test-other"
    remove_leftovers(pretend(tmp_path, f'[ "$1" != ps ] || printf "%s\\n" {names}'))
    removed = [c for c in (tmp_path / "calls").read_text().splitlines() if c.startswith("rm ")]
    assert removed == [f"rm -f -v {dead}"]


def test_a_container_that_does_not_start_is_one_line(tmp_path: Path) -> None:
    """When the engine cannot start it, the error is one line with the cause, and nothing is left."""
    refuse = (
        "case $1 in start) echo 'Error: no runtime' >&2; exit 126;; logs) echo 'its log';; esac"
    )
    with pytest.raises(ServerUnavailableError, match=r"no runtime its log$") as caught:
        ContainerServer.start(pretend(tmp_path, refuse), tmp_path)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "calls").read_text().splitlines()[-1].startswith("rm -f -v xpm-remote-test-")
