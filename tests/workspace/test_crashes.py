"""After a crash or a fault at any call, the job is complete at some place, and a second run finishes the work."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.effort import ALL

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[1] / "support" / "scripts" / "inject.py"
MEMORY = Path("/dev/shm")
"""A file system in memory, where there is one: a killed process leaves there what it leaves on a disk, but sooner."""

LIMIT = 300.0
"""Seconds for some six hundred trials: a hundred times what they take."""

FEWEST_CALLS = 100
"""Fewer than that mean that the calls are not counted."""
FEWEST_PLACES = 50
"""Fewer of them mean that the places that make the calls are not told apart."""


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """A directory for thousands of temporary trees."""
    root = MEMORY / f"xpm-{os.getpid()}-{tmp_path.name}" if MEMORY.is_dir() else tmp_path / "trials"
    yield root
    shutil.rmtree(root)


@pytest.mark.parametrize("system", ["plain", "portable"])
@pytest.mark.parametrize("fault", ["kill", "ENOSPC", "EIO", "EDQUOT,EPERM,EROFS,ESTALE,EACCES"])
@pytest.mark.parametrize("action", ["archive", "complete", "move", "recover", "replace"])
def test_no_fault_costs_a_job(scratch: Path, action: str, fault: str, system: str) -> None:
    """A process killed, a full disk or a bad one at any call loses nothing, with any method of exchanging names.

    Unless everything is tried, that is any place of the code that makes a call.
    """
    done = subprocess.run(
        [sys.executable, SCRIPT, scratch, action, fault, system, "all" if ALL else "each-place"],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["wrong"] == []
    assert said["calls"] > FEWEST_CALLS
    every = said["calls"] * len(fault.split(","))
    assert said["hit"] == every if ALL else said["hit"] > FEWEST_PLACES
