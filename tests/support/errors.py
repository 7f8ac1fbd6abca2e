"""Errors of the support itself; each says in one line what a developer has to do."""

from __future__ import annotations

from collections.abc import Sequence

TAIL_LINES = 15
"""Lines of a program's output that an error shows: the cause is nearly always in the last few."""
REASON_LINES = 3
"""Lines that are joined to one where only one is to be shown."""


class ServerUnavailableError(Exception):
    """The test server is not available on this machine; the message is one line."""


class CommandError(Exception):
    """A program ended with a status other than 0."""

    def __init__(self, command: Sequence[str], status: int, output: str) -> None:
        super().__init__(command, status, output)
        self.command = command
        self.status = status
        self.output = output

    def __str__(self) -> str:
        return f"{' '.join(self.command)}\nended with {self.status}:\n{tail(self.output)}"


def tail(text: str, lines: int = TAIL_LINES) -> str:
    """Return the last ``lines`` lines of ``text``."""
    return "\n".join(text.splitlines()[-lines:])


def one_line(text: str) -> str:
    """Return the last lines of ``text`` as one."""
    return " ".join(tail(text, REASON_LINES).split())
