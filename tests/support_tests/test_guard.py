"""A test server goes with the process that started it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.support.guard import Guard
from tests.support.polling import wait_until

LIMIT = 10.0
"""Seconds for a shell to run two commands; a busy machine needs one."""


def test_the_commands_run_after_the_process_was_killed(tmp_path: Path) -> None:
    """Each command runs, also after one that fails, when the process that made the guard is killed."""
    lines = (
        "import os, signal",
        "from tests.support.guard import Guard",
        f"guard = Guard(['false'], ['touch', {str(tmp_path / 'a file')!r}])",
        "os.kill(os.getpid(), signal.SIGKILL)",
    )
    killed = subprocess.run([sys.executable, "-c", "\n".join(lines)], timeout=LIMIT, check=False)
    assert killed.returncode == -signal.SIGKILL
    wait_until((tmp_path / "a file").exists, LIMIT, "what the guard does")


def test_a_dismissed_guard_does_nothing(tmp_path: Path) -> None:
    """After dismiss() no command runs."""
    Guard(["touch", str(tmp_path / "file")]).dismiss()
    assert not (tmp_path / "file").exists()
