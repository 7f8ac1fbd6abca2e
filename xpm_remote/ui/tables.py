"""Rows as lines of text, and numbers as people read them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from xpm_remote.escaping import safe

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_STEP = 1000


def table(rows: Iterable[Sequence[str]], *, indent: int = 0) -> Iterator[str]:
    """Give a line for each row, with the columns below each other; columns that are empty are left out."""
    columns = [list(map(safe, column)) for column in zip(*rows, strict=True)]
    padded = [_padded(column) for column in columns if any(column)]
    for row in zip(*padded, strict=True):
        yield (" " * indent + "  ".join(row)).rstrip()


def _padded(column: list[str]) -> list[str]:
    width = max(map(len, column))
    return [f"{cell:<{width}}" for cell in column]


def size_text(size: int) -> str:
    """Give a number of bytes in its unit: ``0 B``, ``12 kB``, ``1.5 GB``."""
    value, unit = float(size), 0
    while round(value) >= _STEP and unit < len(_UNITS) - 1:
        value, unit = value / _STEP, unit + 1
    digits = 1 if unit and value < 10 else 0
    return f"{value:.{digits}f} {_UNITS[unit]}"


def count_text(count: int, name: str) -> str:
    """Count things: ``1 job``, ``2 jobs``."""
    return f"{count:,} {name}{'' if count == 1 else 's'}"
