"""Problems as values and as messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from xpm_remote.errors import ExitCode, SettingsError
from xpm_remote.settings.problems import InvalidSettingsError, Position, Problem, cleaned, quoted

FILE = Path("/s.yaml")


def test_problem_with_everything() -> None:
    """A problem says file, line, column, key, what was found and what is allowed."""
    problem = Problem(
        file=FILE, position=Position(3, 7), key="server.port", what="found x", allowed="y"
    )
    assert str(problem) == "/s.yaml:3:7: server.port: found x; allowed: y"


def test_problem_of_the_whole_file() -> None:
    """A problem without a place names the file alone."""
    assert str(Problem(file=FILE, what="no such file")) == "/s.yaml: no such file"


def test_error_lists_all_in_the_order_of_the_file() -> None:
    """The error is a settings error with one line for each problem, sorted by place."""
    late, early, whole = (
        Problem(file=FILE, position=Position(9, 1), what="late"),
        Problem(file=FILE, position=Position(2, 5), what="early"),
        Problem(file=FILE, what="whole"),
    )
    error = InvalidSettingsError([late, early, whole], [late, whole])
    assert isinstance(error, SettingsError)
    assert error.exit_code is ExitCode.SETTINGS
    assert error.problems == (whole, early, late)
    assert error.warnings == (whole, late)
    assert str(error) == "/s.yaml: whole\n/s.yaml:2:5: early\n/s.yaml:9:1: late"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("é x", "é x"),
        ("a\x1b[31m\n", r"a\x1b[31m\n"),
        ("a‮b", r"a\u202eb"),
        ("\udc80", r"\udc80"),
        ("x" * 100, "x" * 80 + "…"),
    ],
)
def test_text_in_a_message(text: str, shown: str) -> None:
    """A text of the file is shortened, and what a terminal would obey is escaped."""
    assert cleaned(text) == shown
    assert quoted(text) == f'"{shown}"'
