"""Asking a person before something is done, and pointing at a mistake in what they typed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import IO, Any, TypeVar

import click

from xpm_remote.errors import ExitCode, UsageError
from xpm_remote.escaping import safe
from xpm_remote.model.filter_tokens import FilterError
from xpm_remote.model.filters import Filter, parse_filter

_WINDOW = 60
"""Characters of a long filter that are shown before the mistake, so that it stays on a line."""

_Command = TypeVar("_Command", bound=Callable[..., Any])

yes_option = click.option("-y", "--yes", "is_sure", is_flag=True, help="Do not ask.")
"""``--yes``."""


def confirm(question: str, *, is_sure: bool) -> None:
    """Go on only if a person says so, unless that was said on the command line.

    Raises:
        UsageError: There is no terminal to ask at.
        Abort: The answer is no.
    """
    if is_sure:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"{question} Nobody is here to be asked, so nothing is done", "give --yes")
    click.confirm(safe(question), abort=True, err=True)


class PointedError(click.ClickException):
    """A mistake in a filter: a line that says what is wrong, then the filter with a caret below the place.

    Args:
        error: What is wrong, and where.
        program: The name of the program.
    """

    exit_code = ExitCode.USAGE

    def __init__(self, error: FilterError, program: str) -> None:
        super().__init__(str(error))
        self._error = error
        self._program = program

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it."""
        start = max(0, self._error.column - _WINDOW)
        # Escapes are longer than what they stand for.
        before = safe(self._error.text[start : self._error.column])
        shown = before + safe(self._error.text[self._error.column :][:_WINDOW])
        click.echo(f"{self._program}: {safe(self.message)}", file=file, err=True)
        click.echo(f"  {shown}\n  {' ' * len(before)}^", file=file, err=True)


def _read_filter(ctx: click.Context, _: click.Parameter, text: str | None) -> Filter | None:
    if text is None:
        return None
    try:
        return parse_filter(text)
    except FilterError as error:
        raise PointedError(error, ctx.find_root().info_name or "") from error


def filter_option(command: _Command) -> _Command:
    """Add ``--filter`` to a command, which gets it as ``accepts``, or None."""
    return click.option(
        "--filter",
        "accepts",
        metavar="FILTER",
        callback=_read_filter,
        help='Only jobs that match, such as \'model = "bm25" and @state = "done"\'; see docs/filters.md.',
    )(command)
