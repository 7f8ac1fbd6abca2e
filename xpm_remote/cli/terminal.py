"""Lines for a person or for a program."""

from __future__ import annotations

import os
import shutil
import textwrap
from typing import NamedTuple

import click

CONTINUED = 4
"""Columns by which the rest of a long line is moved in, so that the next line is told from it."""


_STDOUT, _STDERR = 1, 2


class Line(NamedTuple):
    """A line, and the column at which its rest goes on where it is too long for the terminal."""

    text: str
    indent: int = CONTINUED


def say(line: Line | str, *, err: bool = False) -> None:
    """Print a line: on a terminal broken between words where it is too long, else as it is."""
    text, indent = line if isinstance(line, Line) else Line(line)
    width = shutil.get_terminal_size().columns
    if os.isatty(_STDERR if err else _STDOUT) and len(text) > width:
        # Room enough for a path is left.
        indentation = " " * min(indent, width // 3)
        text = textwrap.fill(
            text,
            width,
            subsequent_indent=indentation,
            break_long_words=False,
            break_on_hyphens=False,
        )
    click.echo(text, err=err)
