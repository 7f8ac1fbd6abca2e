"""The example that recovers what is missing on the cluster."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import COMMAND_LIMIT, Commands
from tests.cli.far import Far
from tests.support.server import Server

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "examples" / "recover_missing.sh"


@pytest.fixture
def far(tmp_path: Path, server: Server) -> Far:
    """A workspace on a host with nothing installed, whose run refers to two jobs that only its backup has."""
    far = Far(Commands(tmp_path), server, tmp_path, "bare")
    names = ["t.x/aaaa1", "t.x/aaaa2"]
    for name in names:
        far.backup.job(name)
    far.made.run(names)
    return far


def recover(far: Far, workspace: str = "far", tries: int = 1) -> subprocess.CompletedProcess[str]:
    """Run the example."""
    environment = {
        **os.environ,
        "HOME": str(far.commands.home),
        "XPM_REMOTE_SETTINGS": str(far.commands.settings),
        "XPM": f"{shlex.quote(sys.executable)} -m xpm_remote",
        "XPM_TRIES": str(tries),
        "XPM_WAIT": "0",
    }
    environment.pop("SSH_AUTH_SOCK", None)
    return subprocess.run(
        [str(SCRIPT), workspace],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_LIMIT,
        check=False,
        start_new_session=True,
    )


def test_all_is_there(far: Far) -> None:
    """The missing job is recovered, and a second run has nothing to do."""
    far.send()
    done = recover(far)
    assert (done.returncode, done.stderr) == (0, "nothing is missing in far\n")
    assert far.there() == ["t.x/aaaa1", "t.x/aaaa2"]
    assert recover(far).returncode == 0


def test_job_in_no_folder(far: Far) -> None:
    """A job in no folder makes it fail, without another try; the others are recovered."""
    far.made.run(["u/gone1"], "other")
    far.send()
    done = recover(far, tries=3)
    assert (done.returncode, "try 1" in done.stderr) == (31, False)
    assert far.there() == ["t.x/aaaa1", "t.x/aaaa2"]


def test_folder_is_away(far: Far) -> None:
    """An unavailable folder is tried again, and then the example fails with its exit status."""
    far.send()
    far.settle(folder="elsewhere")
    done = recover(far, tries=2)
    assert (done.returncode, done.stderr.count("trying again")) == (33, 1)


def test_mistakes(far: Far) -> None:
    """An unreachable host has its exit status, as has a workspace that is not in the settings."""
    far.settle(1)
    assert recover(far).returncode == 11
    done = recover(far, "near", tries=3)
    assert (done.returncode, "trying again" in done.stderr) == (4, False)
