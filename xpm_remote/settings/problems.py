"""What is wrong with a settings file: values for a person, an exit code for a script."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from xpm_remote.errors import SettingsError

_LONGEST_QUOTE = 80  # characters; a message stays a line


class Position(Struct, frozen=True):
    """A place in the settings file; line and column count from 1, as editors do."""

    line: int
    column: int


class Problem(Struct, frozen=True, kw_only=True):
    """One thing in a settings file that is wrong (an error) or looks wrong (a warning).

    Attributes:
        file: The settings file.
        position: Where in the file; None when it is about the file as a whole.
        key: The setting, as in ``workspaces[1].folders[0].mode``; empty for the whole document.
        what: What was found.
        allowed: What may stand there instead; empty when ``what`` says it all.
    """

    file: Path
    position: Position | None = None
    key: str = ""
    what: str
    allowed: str = ""

    def __str__(self) -> str:
        place = f":{self.position.line}:{self.position.column}" if self.position else ""
        subject = f"{self.key}: " if self.key else ""
        remedy = f"; allowed: {self.allowed}" if self.allowed else ""
        return f"{self.file}{place}: {subject}{self.what}{remedy}"


class InvalidSettingsError(SettingsError):
    """The settings file cannot be used; one line for each problem, in the order of the file.

    Args:
        problems: What makes it unusable, at least one.
        warnings: What only looks wrong.
    """

    def __init__(self, problems: Iterable[Problem], warnings: Iterable[Problem] = ()) -> None:
        self.problems = in_file_order(problems)
        self.warnings = in_file_order(warnings)
        super().__init__("\n".join(map(str, self.problems)))


def quoted(text: str) -> str:
    """A text of the file for a message, in quotes."""
    return f'"{cleaned(text)}"'


def cleaned(text: str) -> str:
    """A text of the file for a message: shortened, and nothing in it that a terminal obeys."""
    return printable(text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "…")


def printable(text: str) -> str:
    """The text with every other character as an escape."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def in_file_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Sort by position; what is about the whole file comes first."""
    return tuple(sorted(problems, key=_order))


def _order(problem: Problem) -> tuple[int, int]:
    place = problem.position
    return (place.line, place.column) if place else (0, 0)
