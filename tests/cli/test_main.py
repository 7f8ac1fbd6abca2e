"""The root of the command tree: help, version, and what is imported for them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from tests.cli.people import PROGRAMS, Person
from tests.support.effort import examples
from xpm_remote import __version__
from xpm_remote.cli.groups import CommandTree
from xpm_remote.cli.main import root

pytestmark = pytest.mark.slow

HEAVY = {"asyncssh", "rich", "textual", "experimaestro"}
BROKEN = "workspaces: [{id: 1"


def ways(group: CommandTree, *above: str) -> Iterator[tuple[str, ...]]:
    """Return the words that lead to each group and command of ours, the root first."""
    yield above
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if isinstance(command, CommandTree):
            yield from ways(command, *above, name)
        else:
            yield (*above, name)


def find(way: tuple[str, ...]) -> click.Command:
    """Return the command that these words lead to."""
    found: click.Command = root
    for name in way:
        assert isinstance(found, CommandTree)
        command = found.get_command(click.Context(found), name)
        assert command is not None
        found = command
    return found


EVERY = list(ways(root))


ASK_HELP = """
import contextlib, io, json, os, sys
from xpm_remote.cli.main import main
for way in json.loads(sys.argv[1]):
    if os.fork() == 0:
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            status = main([*way, "--help"], "experimaestro")
        packages = sorted({name.partition(".")[0] for name in sys.modules})
        print(json.dumps([status, text.getvalue(), packages]), flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.mark.parametrize("program", PROGRAMS)
def test_version_alone(alone: Person, program: str) -> None:
    """The version is ours where experimaestro is not installed."""
    done = alone.run_process("--version", program=program)
    assert (done.status, done.stdout, done.stderr) == (0, f"xpm-remote {__version__}\n", "")


def test_version_beside(beside: Person) -> None:
    """Where the real experimaestro is installed, its version follows."""
    done = beside.run("--version")
    assert done.stdout.splitlines() == [f"xpm-remote {__version__}", "experimaestro 2.7.0"]


@pytest.fixture(scope="module")
def helped(venv_alone: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Status, output, and imported packages of the help of each command, each in a process of its own."""
    person = Person(venv_alone, tmp_path_factory.mktemp("helped"))
    done = person.run_python("-c", ASK_HELP, json.dumps(EVERY))
    assert done.status == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return dict(zip(map(" ".join, EVERY), answers, strict=True))


@pytest.mark.parametrize("way", EVERY, ids=" ".join)
def test_help_needs_no_settings(helped: dict[str, Any], way: tuple[str, ...]) -> None:
    """Help works without settings, imports neither the SSH library nor what draws, and shows an example."""
    status, text, packages = helped[" ".join(way)]
    assert status == 0
    assert not set(packages) & HEAVY
    assert "click" in packages
    _, label, example = re.split(r"^  (Examples?: )(?=experimaestro )", text, flags=re.MULTILINE)
    lines = example.splitlines()
    start = " " * (2 + len(label)) + "experimaestro "
    assert all(line.startswith(start) for line in lines[1:]), "one example a line"
    assert (len(lines) > 1) == (label == "Examples: ")


def test_help_with_broken_settings(beside: Person) -> None:
    """Help works when the settings are broken, and when the real experimaestro is asked for its commands."""
    beside.settle(BROKEN)
    for way in ((), ("experiments",), ("workspaces",)):
        done = beside.run(*way, "--help")
        assert (done.status, done.stderr) == (0, "")


@pytest.mark.parametrize("way", EVERY[1:], ids=" ".join)
def test_lists_say_what_the_commands_say(way: tuple[str, ...]) -> None:
    """The description of a command in a list, made without importing it, is the first line of its help."""
    group = find(way[:-1])
    assert isinstance(group, CommandTree)
    assert group._abouts[way[-1]] == (find(way).help or "").partition("\n")[0]


def test_help_lists_both_kinds(beside: Person) -> None:
    """With the real experimaestro, its commands are listed under a heading of their own, each once."""
    text = beside.run("--help").stdout
    ours, theirs = text.split("\nCommands of experimaestro 2.7.0, which runs them:\n")
    assert re.search(r"^  workspaces +Look at", ours, re.MULTILINE)
    assert re.search(r"^  run-experiment +Run an", ours, re.MULTILINE)
    assert re.search(r"^  cleanup +\w", theirs, re.MULTILINE)
    assert not re.search(r"^  (workspaces|run-experiment|experiments) ", theirs, re.MULTILINE)


def test_help_of_a_group_lists_both_kinds(beside: Person) -> None:
    """A group also lists the commands that experimaestro has in it."""
    text = beside.run("experiments", "--help").stdout
    ours, theirs = text.split("\nCommands of experimaestro 2.7.0, which runs them:\n")
    assert re.search(r"^  ssh-monitor ", ours, re.MULTILINE)
    assert re.search(r"^  history-prune ", theirs, re.MULTILINE)
    assert not re.search(r"^  ssh-monitor ", theirs, re.MULTILINE)


def test_help_alone_says_what_is_missing(alone: Person) -> None:
    """Without the real experimaestro, the help lists the commands that it would add, and how to install it."""
    text = " ".join(alone.run("--help").stdout.split())
    assert "With experimaestro installed here (pip install experimaestro), also:" in text
    assert "cleanup" in text


def test_real_one_that_does_not_answer(beside: Person) -> None:
    """When the real experimaestro cannot even show its help, its known commands are listed."""
    # A module that python reads at its start keeps the real one from starting, and not us.
    stop = "import sys\nif 'experimaestro' in sys.orig_argv: raise SystemExit(1)\n"
    beside.write("stop/sitecustomize.py", stop)
    done = beside.run("experiments", "--help", PYTHONPATH=str(beside.home / "stop"))
    assert done.status == 0
    assert re.search(r"^  history-prune$", done.stdout.replace(" \n", "\n"), re.MULTILINE)


def test_python_m(alone: Person) -> None:
    """``python -m xpm_remote`` is the same command."""
    done = alone.run_python("-m", "xpm_remote", "workspaces", "show", "x")
    assert done.status == 4
    assert done.error.startswith("xpm-remote: no workspace")


def test_quiet(alone: Person) -> None:
    """``--quiet`` suppresses warnings, and never errors."""
    alone.settle("workspaces: [{id: w, path: /w, colour: red}]")
    assert 'unknown key "colour"' in alone.run("workspaces", "list").error
    assert alone.run("--quiet", "workspaces", "list").stderr == ""
    assert alone.run("--quiet", "workspaces", "show", "x").error.startswith("experimaestro: no ")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("xpm-remote jobs --workspace my", ["my-cluster", "my-disk"]),
        ("xpm-remote jobs --workspace=my-c", ["my-cluster"]),
        ("xpm-remote jobs list --workspace my-d", ["my-disk"]),
        ("xpm-remote experiments --workspace o", ["other"]),
        ("xpm-remote experiments ssh-monitor --workspace my-c", ["my-cluster"]),
        ("xpm-remote experiments monitor --workspace my-d", ["my-disk"]),
        ("xpm-remote doctor --workspace o", ["other"]),
        ("xpm-remote workspaces show my-c", ["my-cluster"]),
        ("xpm-remote workspaces which e --workspace o", ["other"]),
        ("xpm-remote run-experiment --workspace o", ["other"]),
        ("xpm-remote --settings {other} jobs --workspace my", []),
        ("xpm-remote --settings {broken} jobs --workspace my", []),
        ("xpm-remote experiments tag --workspace my", ["my-cluster", "my-disk"]),
        ("xpm-remote job", ["jobs"]),
    ],
)
def test_completion(words: str, expected: list[str], tmp_path: Path) -> None:
    """Shells complete commands and the ids of workspaces; settings that cannot be used have none, and no error."""
    settings = tmp_path / "settings.yaml"
    settings.write_text(
        "workspaces:\n- {id: my-cluster, path: /a, ssh: {host: me@far}}\n"
        "- {id: my-disk, path: /b}\n- {id: other, path: /c}\n"
    )
    (tmp_path / "other.yaml").write_text("workspaces: []")
    (tmp_path / "broken.yaml").write_text("workspaces: [")
    words = words.format(other=tmp_path / "other.yaml", broken=tmp_path / "broken.yaml")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from xpm_remote.cli.main import run; import sys; sys.argv[0] = 'xpm-remote'; sys.exit(run())",
        ],
        env={
            **os.environ,
            "HOME": str(tmp_path),
            "XPM_REMOTE_SETTINGS": str(settings),
            "_XPM_REMOTE_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert [line.partition(",")[2] for line in done.stdout.split()] == expected


INTERRUPTING = """
import atexit, os, signal, sys

class Interrupting:
    at = int(sys.argv.pop(1))
    imports = 0

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        cls.imports += 1
        if cls.imports == cls.at:
            os.kill(os.getpid(), signal.SIGINT)

from xpm_remote.__main__ import run
sys.meta_path.insert(0, Interrupting)
atexit.register(lambda: print(Interrupting.imports))
run()
"""
"""Runs the command line, with Ctrl-C at an import."""


@pytest.mark.parametrize(
    "words",
    [("jobs", "list"), ("orphans",), ("workspaces", "check"), ("experiments", "ssh-monitor")],
)
def test_interrupt_while_importing(words: tuple[str, ...], tmp_path: Path) -> None:
    """Ctrl-C at any import ends the command with its status, and without a traceback."""

    def run(at: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", INTERRUPTING, str(at), *words, "--workspace", "none"],
            env={**os.environ, "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    whole = run(0)
    assert whole.returncode not in (1, 130), whole.stderr
    imports = int(whole.stdout.split()[-1])
    shares = range(1, 7) if examples(0, 1) else (1, 3)
    for at in (1, *(imports * share // 7 for share in shares)):
        done = run(at)
        assert (done.returncode, done.stderr.strip()) == (130, ""), (at, done)
