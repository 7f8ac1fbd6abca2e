"""``workspaces check``: everything that is wrong, and an exit status for scripts."""

from __future__ import annotations

import re

from tests.cli.people import Person

MISTAKES = """\
env: {A: "${env:NOPE}"}
workspaces:
  - id: one
    path: /one
    trigers: [a]
    folders: [{path: /f, mode: bakcup}]
  - id: one
    path: /two
"""


def test_everything_in_one_run(alone: Person) -> None:
    """Errors and warnings are shown together, each a line with its place, and counted."""
    file = alone.settle(MISTAKES)
    done = alone.run("workspaces", "check")
    assert (done.status, done.stderr) == (3, "")
    assert [line.partition(" ")[0] for line in done.stdout.splitlines()] == [
        "error:",
        "error:",
        "warning:",
        "warning:",
        f"{file}:",
    ]
    assert f'error: {file}:6:32: workspaces[0].folders[0].mode: found the text "bakcup"' in (
        done.stdout
    )
    assert f'warning: {file}:5:5: workspaces[0]: unknown key "trigers"' in done.stdout
    assert done.stdout.endswith(f"{file}: 2 errors, 2 warnings\n")


def test_json(alone: Person) -> None:
    """The document has the parts of each problem."""
    file = alone.settle(MISTAKES)
    done = alone.run("workspaces", "check", "--format", "json")
    assert done.status == 3
    document = done.document
    assert (document["schema"], document["settings"]) == ("xpm-remote/check/1", str(file))
    assert document["errors"][0] == {
        "position": {"line": 6, "column": 32},
        "key": "workspaces[0].folders[0].mode",
        "what": 'found the text "bakcup"',
        "allowed": 'use, backup, move; did you mean "backup"?',
    }
    assert [each["key"] for each in document["warnings"]] == ["env.A", "workspaces[0]"]


def test_warnings_only(alone: Person) -> None:
    """Warnings alone leave the exit status at 0."""
    file = alone.settle("colour: red")
    done = alone.run("workspaces", "check")
    assert done.status == 0
    assert done.stdout.splitlines()[-1] == f"{file}: no errors, 1 warning"


def test_nothing_wrong(alone: Person) -> None:
    """Good settings are said to be good."""
    file = alone.settle("workspaces: [{id: w, path: /w}]")
    done = alone.run("workspaces", "check")
    assert (done.status, done.stdout) == (0, f"{file}: no problems\n")


def test_no_settings(alone: Person) -> None:
    """Absent settings are no problem, but are said to be absent; a named file has to be there."""
    done = alone.run("workspaces", "check")
    assert (done.status, done.stdout.count("no such file")) == (0, 1)
    done = alone.run("--settings", "missing.yaml", "workspaces", "check")
    assert done.status == 3
    assert "error: missing.yaml: no such file" in done.stdout


def test_ssh_options(alone: Person) -> None:
    """An SSH option that cannot be honoured is an error at its place, before anybody connects."""
    file = alone.settle(
        """\
        workspaces:
          - {id: good, path: /g, ssh: {host: h, options: -p 22}}
          - id: bad
            path: /b
            ssh:
              host: h
              options: [-q, "-L 1:h:2"]
          - {id: worse, path: /w, ssh: {host: "ssh://h:nine"}}
        """
    )
    done = alone.run("workspaces", "check")
    assert done.status == 3
    first, second, last = done.stdout.splitlines()
    assert first.startswith(f"error: {file}:7:16: workspaces[1].ssh: ")
    assert "-L" in first
    assert second.startswith(f"error: {file}:8:32: workspaces[2].ssh: ")
    assert last.endswith("2 errors, no warnings")


def test_not_even_yaml(alone: Person) -> None:
    """What cannot be parsed is one error, with its place."""
    file = alone.settle("workspaces: [{id: a, path: /a}\nenv: {}\n")
    done = alone.run("workspaces", "check")
    assert done.status == 3
    assert re.match(rf"error: {file}:[12]:\d+: not valid YAML: .*\n{file}: 1 error,", done.stdout)
