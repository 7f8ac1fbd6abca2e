"""The check before the server is started, run by real shells: what is wrong with the directory, and the clock."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.link.remote_shells import (
    Host,
    Run,
    any_shell,
    is_csh,
    make_workspace,
    posix_shell,
    started,
)
from xpm_remote.errors import RemotePathError
from xpm_remote.link.remote.command import remote_command
from xpm_remote.link.remote.startup import RemoteClock, StartPhase, Startup, start_failure


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A home directory with a workspace."""
    return Host(tmp_path)


def failure(run: Run, workspace: str) -> str:
    """Return the problem of the directory, after checking that nothing was started."""
    assert run.call is None, run.call
    error = run.startup.failure(run.status, run.stderr, workspace)
    assert isinstance(error, RemotePathError), error
    what = error.what.removeprefix(f"the remote directory {workspace} ")
    assert what != error.what
    return what


@any_shell
def test_missing(host: Host, shell: str) -> None:
    """A missing directory is reported as missing."""
    run = host.run(shell, workspace="~/nowhere")
    assert failure(run, "~/nowhere") == "does not exist, or may not be seen"


@any_shell
def test_file(host: Host, shell: str) -> None:
    """A file is reported as no directory."""
    (host.home / "file").touch()
    assert failure(host.run(shell, workspace="file"), "file") == ("is not a directory")


@any_shell
def test_unmarked(host: Host, shell: str) -> None:
    """A directory without the marker is reported as no workspace, and the server is not started in it."""
    (host.home / "plain dir").mkdir()
    run = host.run(shell, workspace="plain dir")
    what = failure(run, "plain dir")
    assert what.startswith("is not an experimaestro workspace")


@any_shell
def test_inside(host: Host, shell: str) -> None:
    """A folder of a workspace is distinguished from the workspace, which is named."""
    inside = host.workspace / "jobs" / "demo.task"
    inside.mkdir(parents=True)
    what = failure(host.run(shell, workspace=str(inside)), str(inside))
    assert what == f"is a folder inside the workspace {host.workspace}"


@any_shell
def test_empty(host: Host, shell: str) -> None:
    """An empty name is missing, not the home directory."""
    assert failure(host.run(shell, workspace=""), "") == ("does not exist, or may not be seen")


@pytest.fixture
def forbidden() -> Iterator[Path]:
    """A directory that exists, can be seen, and can be entered by root only."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        directory = Path(name) / "locked"
        directory.mkdir(mode=0)
        yield directory
        directory.chmod(0o755)


@posix_shell
def test_forbidden(host: Host, shell: str, forbidden: Path) -> None:
    """A directory that may not be entered is reported as such, and not as without the marker."""
    # Root may enter everything, so another user has to try.
    user = "nobody" if os.geteuid() == 0 else None
    host.home = forbidden.parent
    run = host.run(shell, workspace=str(forbidden), user=user)
    assert failure(run, str(forbidden)) == "may not be entered"


@any_shell
def test_shell_init_and_no_workspace(host: Host, shell: str) -> None:
    """A directory that is no workspace is distinguished from a failed preparation."""
    run = host.run(shell, workspace="nowhere", shell_init="true")
    assert run.startup.phase is StartPhase.WORKSPACE
    assert failure(run, "nowhere").startswith("does not exist")


@any_shell
def test_no_program(host: Host, shell: str) -> None:
    """A missing program is named, with what to do."""
    run = host.run(shell, xpm_path="'/nowhere/my xpm' --flag")
    assert run.startup.phase is StartPhase.READY
    error = start_failure(run.status, run.stderr, run.startup.noise, "'/nowhere/my xpm' --flag")
    # A C shell has no status of its own for it.
    assert is_csh(shell) or "cannot run /nowhere/my xpm" in str(error)
    assert "/nowhere/my xpm" in str(error)


@any_shell
def test_relative_workspace_after_a_change_of_directory(host: Host, shell: str) -> None:
    """A relative directory is relative to where shell_init leads, and to nothing else."""
    make_workspace(host.home / "elsewhere" / "there")
    found = host.run(shell, workspace="there", shell_init="cd elsewhere")
    assert started(found)["directory"] == str(host.home / "elsewhere")
    lost = host.run(shell, workspace="workspace", shell_init="cd elsewhere")
    assert failure(lost, "workspace").startswith("does not exist")


@any_shell
def test_cdpath(host: Host, shell: str) -> None:
    """A relative directory is not taken for one of the same name to which CDPATH leads."""
    (host.home / "jobs").mkdir()
    (host.workspace / "jobs").mkdir()
    host.environment["CDPATH"] = str(host.workspace)
    run = host.run(shell, workspace="jobs")
    assert failure(run, "jobs").startswith("is not an experimaestro workspace")


# The clock


def clock(run: Run) -> RemoteClock:
    """Return the reported clock."""
    assert run.startup.clock is not None
    return run.startup.clock


@any_shell
def test_clock(host: Host, shell: str) -> None:
    """The remote reports its time, and its zone by name when TZ has it."""
    host.environment["TZ"] = "Asia/Kolkata"
    told = clock(host.run(shell))
    assert abs(told.epoch - time.time()) < 5
    assert told.zone == ZoneInfo("Asia/Kolkata")


@posix_shell
def test_zone_set_by_shell_init(host: Host, shell: str) -> None:
    """A zone that shell_init sets is that of the server, and so of its times."""
    run = host.run(shell, shell_init="export TZ=:America/Lima")
    assert clock(run).zone == ZoneInfo("America/Lima")


@posix_shell
def test_zone_of_the_machine(host: Host, shell: str) -> None:
    """Without TZ the zone is that of the machine, as far as its offset determines it."""
    del host.environment["TZ"]
    told = clock(host.run(shell))
    offset = host.shell(shell, "date +%z").stdout.decode().strip()
    assert datetime.fromtimestamp(told.epoch, told.zone).strftime("%z") == offset


@pytest.mark.parametrize("redirected", [">/dev/null", "&>/dev/null", ">log", ">&-"])
def test_output_that_does_not_arrive(redirected: str, tmp_path: Path) -> None:
    """Where login files have sent stdout elsewhere, nothing is started, and that is told."""
    workspace = str(make_workspace(tmp_path / "ws"))
    command = remote_command("touch started", workspace=workspace)
    words = ["bash", "-c", f"exec {redirected}; {command}"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, check=False)
    error = Startup().failure(done.returncode, done.stderr.decode(), workspace)
    assert "does not arrive" in str(error)
    assert "exec >/dev/null" in error.hint
    assert not (tmp_path / "started").exists()
