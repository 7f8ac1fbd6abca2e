"""Several workspaces in one command: which they are, their pictures, their events, and what of them fails."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import COMMAND_LIMIT, Commands, Events
from tests.workspace.disk import Disk, write
from xpm_remote.workspace.layout import JobId

pytestmark = pytest.mark.slow

TASK = "demo.task"
ONCE = ("--once", "--format", "json")
DOWN = {"host": "127.0.0.1", "options": ["-F none", "-p 1"]}
"""No server listens there."""


def disk(folder: Path, letter: str) -> Disk:
    """Make a workspace with one job, whose id is that letter eight times."""
    made = Disk(folder / letter)
    job = JobId(TASK, letter * 8)
    made.run(f"e-{letter}", (job,), status="done", job_states={job.hash: "scheduled"})
    made.job(job, {"state": "scheduled"})
    return made


@pytest.fixture
def settled(commands: Commands, tmp_path: Path) -> Commands:
    """Settings with two workspaces of this machine, and one on a host that is down."""
    for letter in "ab":
        commands.add(letter, str(disk(tmp_path, letter).root))
    commands.add("down", "/data/ws", **DOWN)
    return commands


def monitor(*words: str, command: str = "monitor") -> tuple[str, ...]:
    """Return the words of a command."""
    return ("experiments", command, *words)


@pytest.mark.parametrize("command", ["monitor", "ssh-monitor"])
def test_once(settled: Commands, command: str) -> None:
    """Both commands print one list of pictures, of hosts and of this machine, each with its name and its exit code."""
    words = ("--workspace", "b", "--workspace", "down", "--workspace", "a")
    done = settled.run(*monitor(*words, *ONCE, command=command))
    pictures = done.document
    assert [each["workspace_id"] for each in pictures] == ["b", "down", "a"]
    assert [each["exit_code"] for each in pictures] == [0, 11, 0]
    assert [each["link"]["phase"] for each in pictures] == ["live", "ended", "live"]
    assert [[job["job_id"] for job in each["jobs"]] for each in pictures] == [
        *(["bbbbbbbb"], [], ["aaaaaaaa"])
    ]
    assert "refused" in pictures[1]["link"]["detail"]
    assert done.status == 11
    assert "down: cannot connect" in done.error


def test_once_as_text(settled: Commands) -> None:
    """The pictures come one after the other, each with its name."""
    shown = settled.run(*monitor("--workspace", "a", "--workspace", "b", "--once"))
    assert shown.status == 0
    assert shown.stdout.index("a · ") < shown.stdout.index("e-a") < shown.stdout.index("b · ")
    assert shown.stderr == ""


def test_all(settled: Commands) -> None:
    """With ``--all`` it is every workspace, in the order of the settings, and a list also where there is one."""
    pictures = settled.run(*monitor("--all", *ONCE)).document
    assert [each["workspace_id"] for each in pictures] == ["a", "b", "down"]


def test_all_of_one_and_of_none(commands: Commands, tmp_path: Path) -> None:
    """The document of ``--all`` is a list whatever there is; without workspaces it is an error."""
    done = commands.run(*monitor("--all", *ONCE))
    assert (done.status, "there are no workspaces in" in done.error) == (4, True)
    commands.add("a", str(disk(tmp_path, "a").root))
    assert [each["workspace_id"] for each in commands.run(*monitor("--all", *ONCE)).document] == [
        "a"
    ]
    single = commands.run(*monitor("--workspace", "a", *ONCE)).document
    assert "workspace_id" not in single


def test_named_twice(settled: Commands) -> None:
    """A workspace that is named twice is watched once, and that is said."""
    done = settled.run(*monitor("--workspace", "a", "--workspace", "a", *ONCE))
    assert [each["workspace_id"] for each in done.document] == ["a"]
    assert done.error.endswith('the workspace "a" is named twice; it is watched once')


def test_two_ids_of_one_directory(settled: Commands, tmp_path: Path) -> None:
    """Two ids of one directory of one host are watched once, under the first, and that is said."""
    (tmp_path / "link").symlink_to(tmp_path / "a")
    settled.add("same", f"{tmp_path}/link")
    settled.add("far", "/data/ws/", **DOWN)
    settled.add("inner", "/data/ws", **{**DOWN, "options": ["-F none", "-p 1", "-J none"]})
    settled.add("other", "/data/ws", **{**DOWN, "options": ["-F none", "-p 2"]})
    done = settled.run(*monitor("--all", "--dry-run", "--format", "json", command="ssh-monitor"))
    assert [each["workspace_id"] for each in done.document][:3] == ["a", "b", "down"]
    assert "other" in [each["workspace_id"] for each in done.document]
    assert 'warning: "same" is the same directory as "a"; it is watched once' in done.stderr
    assert 'warning: "far" is the same directory as "down"; it is watched once' in done.stderr


@pytest.mark.parametrize(
    ("words", "status", "hint"),
    [
        (("--all", "--workspace", "a"), 2, "leave --workspace out"),
        (("--all", "host", "/dir"), 2, "HOST is about one workspace"),
        (("--all", "--remote-python", "python3.11"), 2, "ssh.python"),
        (("--all", "--remote-xpm", "x"), 2, "ssh.xpm_path"),
        (("--all", "--remote-shell-init", "module load x"), 2, "ssh.shell_init"),
        (("--workspace", "a", "--workspace", "b", "-o", "-p 2"), 2, "ssh.options"),
        (("--workspace", "a", "--workspace", "nowhere"), 4, 'no workspace "nowhere"'),
    ],
)
def test_bad_input(settled: Commands, words: tuple[str, ...], status: int, hint: str) -> None:
    """What is about one workspace is refused for several, before anything is connected to."""
    done = settled.run(*monitor(*words, "--once", command="ssh-monitor"))
    assert (done.status, hint in done.error) == (status, True), done.stderr


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("monitor", "--all", "--workdir", "/x"), "--workdir is about one workspace"),
        (("monitor", "--all", "--web"), "name that one alone"),
        (("--workspace", "a", "monitor", "--all"), "leave --workspace out"),
        (("--workdir", "/x", "ssh-monitor", "--all"), "--workdir is about one workspace"),
    ],
)
def test_bad_input_of_the_group(settled: Commands, words: tuple[str, ...], hint: str) -> None:
    """So is what the group has been given."""
    done = settled.run("experiments", *words)
    assert (done.status, hint in done.error) == (2, True), done.stderr


def test_a_directory_that_is_no_workspace(settled: Commands, tmp_path: Path) -> None:
    """It fails alone, by what it is."""
    (tmp_path / "empty").mkdir()
    settled.add("empty", str(tmp_path / "empty"))
    words = ("--workspace", "empty", "--workspace", "a")
    done = settled.run(*monitor(*words, *ONCE))
    assert [each["exit_code"] for each in done.document] == [22, 0]
    assert done.status == 22
    assert "is no experimaestro workspace" in done.error


def test_output_that_cannot_be_written(settled: Commands) -> None:
    """A picture that cannot be printed is an error of the output, not of a workspace."""
    words = monitor("--workspace", "a", "--workspace", "b", *ONCE)
    done = subprocess.run(
        ["sh", "-c", '"$@" > /dev/full', "sh", *settled._argv(words)],
        env=settled._environment(),
        stderr=subprocess.PIPE,
        text=True,
        timeout=COMMAND_LIMIT,
        check=False,
    )
    assert done.returncode == 7, done.stderr


def read_until(events: Events, wanted: dict[str, Any]) -> dict[str, Any]:
    """Read events until one has these values; return it."""
    return next(each for each in events if wanted.items() <= each.items())


def test_events(settled: Commands, tmp_path: Path) -> None:
    """Each event names its workspace; a host that is down is told, tried again, and ends no other."""
    words = monitor("--all", "--events-viewer", "--events-format", "json")
    with settled.started(*words) as process:
        events = Events(process)
        live: set[str] = set()
        while live != {"a", "b"}:
            live.add(read_until(events, {"event": "link", "phase": "live"})["workspace_id"])
        for letter in "ab":
            write(tmp_path / letter / "jobs" / TASK / (letter * 8) / "task.done", "")
        told: dict[str, str] = {}
        while set(told) != {"a", "b"}:
            event = read_until(events, {"event": "job", "state": "done"})
            told[event["workspace_id"]] = event["id"]
        assert told == {letter: f"{TASK}/{letter * 8}" for letter in "ab"}
        read_until(events, {"event": "link", "phase": "connecting", "workspace_id": "down"})
        finished = events.stop()
    assert finished.status == 130
    assert all("workspace_id" in event for event in events.seen)


def test_events_as_text(settled: Commands) -> None:
    """Each line has the name; where nothing lives any more it ends by the first one's error."""
    settled.add("lost", "/data/other", **DOWN)
    done = settled.run(*monitor("--workspace", "lost", "--workspace", "down"))
    assert done.status == 11
    assert any(
        "  lost: link to 127.0.0.1:/data/other  ended" in line for line in done.stdout.splitlines()
    )
    told = [line.partition(": cannot connect")[0] for line in done.stderr.splitlines()]
    assert told == ["xpm-remote: lost", "xpm-remote: down"]


def test_dry_run(settled: Commands) -> None:
    """The dry run tells of each of them, and connects to none."""
    done = settled.run(*monitor("--all", "--dry-run", command="ssh-monitor"))
    assert done.status == 0
    names = [
        line.split()[1] for line in done.stdout.splitlines() if line.startswith("workspace_id")
    ]
    assert names == ["a", "b", "down"]
    words = monitor(
        "--workspace",
        "down",
        "--workspace",
        "a",
        "--dry-run",
        "--format",
        "json",
        command="ssh-monitor",
    )
    facts = json.loads(settled.run(*words).stdout)
    assert [each["workspace"] for each in facts[:1]] == ["/data/ws"]
