"""Problems as values and as messages."""

from __future__ import annotations

from pathlib import Path

from tests.settings.support import read
from xpm_remote.errors import ExitCode, SettingsError
from xpm_remote.settings.schema import InvalidSettingsError, Problem, SourcePosition, environment

FILE = Path("/s.yaml")


def test_problem_with_everything() -> None:
    """A problem has file, line, column, key, value and what is allowed."""
    problem = Problem(
        file=FILE, position=SourcePosition(3, 7), key="server.port", what="found x", allowed="y"
    )
    assert str(problem) == "/s.yaml:3:7: server.port: found x; allowed: y"


def test_problem_of_the_whole_file() -> None:
    """A problem without a place names only the file."""
    assert str(Problem(file=FILE, what="no such file")) == "/s.yaml: no such file"


def test_error_lists_all_in_the_order_of_the_file() -> None:
    """The error is a settings error with one line for each problem, sorted by place."""
    late, early, whole = (
        Problem(file=FILE, position=SourcePosition(9, 1), what="late"),
        Problem(file=FILE, position=SourcePosition(2, 5), what="early"),
        Problem(file=FILE, what="whole"),
    )
    error = InvalidSettingsError([late, early, whole], [late, whole])
    assert isinstance(error, SettingsError)
    assert error.exit_code is ExitCode.SETTINGS
    assert error.problems == (whole, early, late)
    assert error.warnings == (whole, late)
    assert str(error) == "/s.yaml: whole\n/s.yaml:2:5: early\n/s.yaml:9:1: late"


def test_the_nearer_wins() -> None:
    """The workspace's variables override the settings', and those override the process's own."""
    settings = read(
        """\
        env: {A: settings, B: settings}
        workspaces: [{id: w, path: /w, env: {A: workspace}}]
        """
    )
    process = {"A": "process", "B": "process", "C": "process"}
    assert environment(settings, settings.workspaces[0], process) == {
        "A": "workspace",
        "B": "settings",
        "C": "process",
    }
    assert process["A"] == "process"


def test_values_keep_their_spelling() -> None:
    """A value that YAML would turn into a number, a truth value or a date keeps its spelling."""
    settings = read(
        """\
        env:
          A: true
          B: No
          C: 3.10
          D: 0x1F
          E: 2024-01-01
          F: ""
          G: " x "
          H: 1_000
          I: =
          J: "null"
          10: ten
          K: |
            two
            lines
        """
    )
    assert dict(settings.env) == {
        "A": "true",
        "B": "No",
        "C": "3.10",
        "D": "0x1F",
        "E": "2024-01-01",
        "F": "",
        "G": " x ",
        "H": "1_000",
        "I": "=",
        "J": "null",
        "10": "ten",
        "K": "two\nlines\n",
    }
