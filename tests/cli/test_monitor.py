"""``experiments monitor``: a workspace of this machine, and its web page."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.cli.commands import Commands, Events
from tests.cli.people import Person
from tests.workspace.disk import Disk, snapshot, write
from xpm_remote.cli import monitor as module
from xpm_remote.cli.main import root
from xpm_remote.workspace.layout import JobId

pytestmark = pytest.mark.slow

TASK = "demo.task"
DONE, WAITING = JobId(TASK, "a" * 8), JobId(TASK, "b" * 8)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """A workspace with a run that is over: one job is done, another never ran."""
    disk = Disk(tmp_path / "ws")
    disk.run("e", (DONE, WAITING), status="done", job_states={DONE.hash: "done"})
    disk.job(DONE, {"state": "done"}, done="")
    return disk


def test_once(disk: Disk, commands: Commands) -> None:
    """The picture is printed once, by the agent, and the workspace is unchanged."""
    before = snapshot(disk.root)
    words = ("experiments", "monitor", "--workdir", str(disk.root), "--once")
    document = commands.run(*words, "--format", "json").document
    assert {job["id"][-1]: job["state"] for job in document["jobs"]} == {
        "a": "done",
        "b": "unscheduled",
    }
    why = "the workspace is on this machine"
    assert document["backend"] == {"name": "agent", "why": why, "warning": None}
    shown = commands.run(*words).stdout
    assert "· agent" in shown
    assert "1 experiment ·" in shown
    assert snapshot(disk.root) == before


@pytest.mark.parametrize("where", ["workspace", "group", "default"])
def test_which_workspace(where: str, disk: Disk, commands: Commands) -> None:
    """The workspace is the named one, that of the group, or the default one."""
    commands.add("here", str(disk.root))
    words = {
        "workspace": ("experiments", "monitor", "--workspace", "here"),
        "group": ("experiments", "--workspace", "here", "monitor"),
        "default": ("experiments", "monitor"),
    }[where]
    document = commands.run(*words, "--once", "--format", "json").document
    assert document["workspace"] == str(disk.root)


def test_events(disk: Disk, commands: Commands) -> None:
    """A change on disk is an event."""
    words = ("experiments", "monitor", "--workdir", str(disk.root), "--events-viewer")
    with commands.started(*words, "--events-format", "json") as process:
        events = Events(process)
        assert events.wait_live()["jobs"] == 2
        disk.job(WAITING, {"state": "done"})
        write(disk.root / "jobs" / TASK / WAITING.hash / "task.done", "")
        event = next(each for each in events if each["event"] == "job" and each["state"] == "done")
        assert (event["id"], event["recovered"]) == (f"{TASK}/{WAITING.hash}", False)
        assert events.stop().status == 130


def test_no_workspace(tmp_path: Path, commands: Commands) -> None:
    """A directory that is no workspace is an error."""
    finished = commands.run("experiments", "monitor", "--workdir", str(tmp_path))
    assert finished.status == 4
    assert "is no experimaestro workspace" in finished.error


@pytest.mark.parametrize(
    "words",
    [("experiments", "monitor", "--workdir"), ("jobs", "list", "--workdir"), ("orphans",)],
    ids=["monitor", "jobs", "orphans"],
)
def test_directory_of_another_host(
    tmp_path: Path, commands: Commands, words: Sequence[str]
) -> None:
    """A path means a directory of this machine; where only another host has it, the error names its workspace."""
    commands.add("far", str(tmp_path / "ws"), host="far.example")
    finished = commands.run(*words, str(tmp_path / "ws"))
    assert finished.status == 4
    assert finished.error.endswith(
        '"far" at that path is on far.example; name it with --workspace far'
    )


def test_remote_workspace(commands: Commands) -> None:
    """A workspace of another host is an error that names the other command."""
    commands.add("far", "/data", host="far.example")
    finished = commands.run("experiments", "monitor", "--workspace", "far")
    assert finished.status == 4
    assert finished.error.endswith("use experiments ssh-monitor --workspace far")


@pytest.mark.parametrize(
    ("flags", "hint"),
    [
        (("--port", "1234"), "add --web"),
        (("--format", "json"), "add --once"),
        (("--events-viewer", "--format", "json"), "--events-format json"),
        (("--events-format", "json"), "is for --events-viewer"),
        (("--once", "--events-viewer", "--events-format", "json"), "--once --format json"),
        (("--web", "--once"), "leave the other one out"),
        (("--web", "--console"), "leave the other one out"),
    ],
)
def test_options_that_do_not_fit(flags: tuple[str, ...], hint: str, commands: Commands) -> None:
    """Contradictory options are an error."""
    finished = commands.run("experiments", "monitor", *flags)
    assert finished.status == 2
    assert hint in finished.error


def test_web_without_experimaestro(disk: Disk, alone: Person) -> None:
    """The web page is experimaestro's, which has to be installed."""
    finished = alone.run("experiments", "monitor", "--workdir", str(disk.root), "--web")
    assert finished.status == 6
    assert "pip install experimaestro" in finished.error


def test_web(disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``--web`` the real experimaestro is run, with the workspace, the port and the flags of its root."""
    said: list[object] = []
    monkeypatch.setattr(module, "require_installed", said.append)

    def hand_over(words: list[str], _: object) -> None:
        said.append(words)
        sys.exit(0)

    monkeypatch.setattr(module, "hand_over", hand_over)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XPM_REMOTE_SETTINGS", raising=False)
    words = ["--debug", "experiments", "monitor", "--workdir", str(disk.root)]
    with pytest.raises(SystemExit):
        root.main([*words, "--web", "--port", "1234"], standalone_mode=False)
    assert said == [
        "experiments monitor --web",
        ["--debug", "experiments", "--workdir", str(disk.root), "monitor", "--port", "1234"],
    ]
