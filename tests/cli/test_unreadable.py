"""What cannot be read is named on the screen, and costs its own exit code; the rest is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.commands import Commands
from tests.cli.local import Local
from xpm_remote.errors import ExitCode


@pytest.fixture
def local(commands: Commands, tmp_path: Path) -> Local:
    """A workspace with two jobs, one of which leads to a disk that is not mounted."""
    local = Local(commands, tmp_path)
    local.made.job("t.x/aaaa1")
    local.made.link("t.x/bbbb1", tmp_path / "unmounted" / "jobs" / "bbbb1")
    local.made.run(["t.x/aaaa1", "t.x/bbbb1"])
    return local


def test_list(local: Local) -> None:
    """A list of jobs has all of them, names what cannot be read, and ends with the code of that."""
    done = local.run("jobs", "list")
    assert done.status == ExitCode.UNREADABLE
    assert {line.split()[-1] for line in done.stdout.splitlines()} == {"t.x/aaaa1", "t.x/bbbb1"}
    bad = local.made.layout.jobs / "t.x" / "bbbb1"
    warning, error = done.told
    assert warning.startswith(f"warning: {bad} leads into ")
    assert f"{bad} cannot be read" in error
    documents = [
        json.loads(line)
        for line in local.run("jobs", "list", "--format", "json").stdout.splitlines()
    ]
    states = {each["job_id"]: (each["state"], each["certain"]) for each in documents}
    assert states == {"aaaa1": ("done", True), "bbbb1": ("unknown", False)}


def test_once(local: Local) -> None:
    """A single look shows the rest, with a line of what cannot be read, and ends with the code of that."""
    words = ("experiments", "monitor", "--workspace", "w", "--once")
    done = local.run(*words)
    assert done.status == ExitCode.UNREADABLE
    assert "bbbb1 cannot be read" in " ".join(done.stdout.split())
    assert "cannot be read, so what is printed may lack something" in done.error
    document = json.loads(local.run(*words, "--format", "json").stdout)
    (file,) = document["unreadable"]
    assert file["path"].endswith("/jobs/t.x/bbbb1")
    assert file["error"] == "ENOENT"
    assert {job["job_id"]: job["state"] for job in document["jobs"]} == {
        "aaaa1": "done",
        "bbbb1": "unknown",
    }
