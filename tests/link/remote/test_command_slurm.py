"""The look for jobs of SLURM before a remote experimaestro is started, by real shells: it changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.link.remote_shells import Host, Run, any_shell, started
from xpm_remote.errors import StartError
from xpm_remote.link.remote.command import slurm_check

SLURM = {"type": "slurm", "pid": "15", "options": ["binpath", '"type":"local"'], "host": "login1"}
LOCAL = {"type": "local", "pid": 27244, "host": "vm"}
STATUS = {"state": "running", "progress": [{"desc": '"type": "slurm"'}], "process": None}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A home directory with a workspace."""
    return Host(tmp_path)


def write(host: Host, name: str, content: Any) -> Path:
    """Write a file of a job ``pkg.mod.train/<name>``."""
    path = Path(host.workspace) / "jobs" / "pkg.mod.train" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def run(
    host: Host, shell: str = "sh", workspace: str | None = None, user: str | None = None
) -> Run:
    """Run the command of the backend auto."""
    workspace = workspace or str(host.workspace)
    return host.run(shell, workspace=workspace, check=slurm_check(workspace), user=user)


def refused(run: Run) -> str:
    """Return the file for which it was not started, after checking that it was not."""
    assert run.call is None
    error = run.startup.failure(run.status, run.stderr, "/ws")
    assert isinstance(error, StartError), error
    assert error.slurm in error.what
    return error.slurm


def tree(root: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return names, times and contents of all that is in a directory."""
    return {
        str(path): (
            path.lstat().st_mtime_ns,
            path.lstat().st_ctime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in [root, *root.rglob("*")]
    }


@any_shell
def test_job_of_slurm(host: Host, shell: str) -> None:
    """A pid file of SLURM is found among others, whatever the shell, and nothing is changed."""
    for number in range(3):
        write(host, f"{number}/train.pid", LOCAL)
        write(host, f"{number}/.experimaestro/status.json", STATUS)
    found = write(host, "it's 4/train.pid", SLURM)
    before = tree(Path(host.workspace))
    assert refused(run(host, shell)) == str(found)
    assert tree(Path(host.workspace)) == before


@any_shell
def test_no_job_of_slurm(host: Host, shell: str) -> None:
    """Jobs of this host, jobs without a pid file and other files are no reason."""
    started(run(host, shell))
    write(host, "1/train.pid", LOCAL)
    write(host, "1/.experimaestro/status.json", {**STATUS, "process": LOCAL})
    write(host, "2/.experimaestro/status.json", STATUS)
    write(host, "3/other.pid", SLURM)
    write(host, "4/train.pid", {"pid": 3})
    started(run(host, shell))


@pytest.mark.parametrize(
    "content",
    [
        SLURM,
        '{"type":"slurm","pid":"15"}',
        '{"pid": "15",\n "type" : "slurm"}\n',
        {"type": "oar", "pid": "15"},
        {"type": "lsf", "pid": "15"},
        {"type": "log", "pid": "15"},
    ],
)
def test_pid_files(host: Host, content: object) -> None:
    """Every launcher but the local one counts, however its file is written."""
    found = write(host, "1/train.pid", content)
    assert refused(run(host)) == str(found)


def test_process_in_the_status(host: Host) -> None:
    """Without a pid file the process in status.json counts, unless the job is done."""
    found = write(host, "1/.experimaestro/status.json", {**STATUS, "process": SLURM})
    write(host, "1/train.failed", "{}")
    assert refused(run(host)) == str(found)
    write(host, "1/train.pid", SLURM)
    write(host, "1/train.done", "")
    started(run(host))


@pytest.mark.parametrize("name", ["jobs", "jobs/pkg.mod.train", "jobs/pkg.mod.train/1/train.pid"])
def test_unreadable(host: Host, name: str) -> None:
    """What may not be read may be of SLURM."""
    write(host, "1/train.pid", LOCAL)
    # Root may read everything, so another user has to try, where that one may enter.
    user = "nobody" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        host.workspace = Path(shutil.copytree(host.workspace, Path(folder) / "ws"))
        path = host.workspace / name
        host.home = host.workspace
        path.chmod(0)
        assert refused(run(host, user=user)).rstrip("/") == str(path)
        path.chmod(0o755)


def test_what_cannot_be_read(host: Host) -> None:
    """A pid file that is no file may be of SLURM, a dangling link is none."""
    path = write(host, "1/train.pid", "")
    path.unlink()
    path.symlink_to("nowhere")
    started(run(host))
    path.unlink()
    path.mkdir()
    assert refused(run(host)) == str(path)


def test_many_jobs(host: Host) -> None:
    """More files than one process is given are searched, too."""
    for number in range(250):
        write(host, f"{number:03}/train.pid", LOCAL)
    found = write(host, "249/train.pid", SLURM)
    assert refused(run(host)) == str(found)


def test_relative_directory(host: Host) -> None:
    """A directory below the home is found, whatever its name begins with."""
    write(host, "1/train.pid", SLURM)
    Path(host.workspace).rename(host.home / "-w s")
    assert refused(run(host, workspace="-w s")) == "./-w s/jobs/pkg.mod.train/1/train.pid"
