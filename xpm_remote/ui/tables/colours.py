"""Lines of logs as they were coloured: SGR sequences are styles, other escape sequences are removed. Pure."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

from rich.color import Color
from rich.segment import Segment
from rich.style import Style

from xpm_remote.escaping import safe

LONGEST = 16 * 1024
"""Characters of a line that are drawn."""

TAB = 8

_ESCAPE = re.compile(
    r"""
    (?:\x1b\[|\x9b) (?P<parameters>[0-?]*) [ -/]* (?P<final>[@-~])
    | (?:\x1b[\]PX^_]|[\x90\x98\x9d\x9e\x9f]) [^\x1b\x07\x9c]* (?:\x1b\\|\x07|\x9c)?
    | \x1b [ -/]* [0-~]?
    """,
    re.VERBOSE,
)
_PARAMETERS_MOST = 32

_CODES: dict[int, dict[str, object]] = {
    **{
        number: {name: True}
        for number, name in (
            (1, "bold"), (2, "dim"), (3, "italic"), (4, "underline"), (7, "reverse"), (9, "strike")
        )
    },
    22: {"bold": None, "dim": None},
    23: {"italic": None},
    24: {"underline": None},
    27: {"reverse": None},
    29: {"strike": None},
    39: {"color": None},
    49: {"bgcolor": None},
    **{30 + number: {"color": Color.from_ansi(number)} for number in range(8)},
    **{40 + number: {"bgcolor": Color.from_ansi(number)} for number in range(8)},
    **{90 + number: {"color": Color.from_ansi(8 + number)} for number in range(8)},
    **{100 + number: {"bgcolor": Color.from_ansi(8 + number)} for number in range(8)},
}  # fmt: skip
"""What the numbers of SGR sequences set; others count for nothing, such as the one that conceals."""

_GROUNDS = {38: "color", 48: "bgcolor"}


@functools.lru_cache(maxsize=512)
def segments(text: str) -> tuple[Segment, ...]:
    """Return a line of a log as it is drawn, without characters that a terminal would obey."""
    return tuple(_segments(text[:LONGEST]))


def _segments(text: str) -> Iterator[Segment]:
    style: dict[str, object] = {}
    at = column = 0
    for escape in _ESCAPE.finditer(text):
        shown = _shown(text[at : escape.start()], column)
        if shown:
            yield Segment(shown, _style(style))
            column += len(shown)
        at = escape.end()
        if escape["final"] == "m":
            _apply(style, escape["parameters"])
    shown = _shown(text[at:], column)
    if shown:
        yield Segment(shown, _style(style))


def _shown(text: str, column: int) -> str:
    return safe((" " * column + text).expandtabs(TAB)[column:])


def _style(style: dict[str, object]) -> Style:
    return Style(**style)  # type: ignore[arg-type]


def _apply(style: dict[str, object], parameters: str) -> None:
    """Apply the parameters of an SGR sequence."""
    words = re.split("[:;]", parameters[: 4 * _PARAMETERS_MOST])[:_PARAMETERS_MOST]
    left = iter([int(word) if word.isdigit() else 0 for word in words])
    for number in left:
        if number == 0:
            style.clear()
        elif number in _GROUNDS:
            colour = _colour(left)
            if colour is not None:
                style[_GROUNDS[number]] = colour
        else:
            style.update(_CODES.get(number, {}))


def _colour(left: Iterator[int]) -> Color | None:
    kind = next(left, 0)
    if kind == 5:
        return Color.from_ansi(min(255, next(left, 0)))
    if kind == 2:
        red, green, blue = (min(255, next(left, 0)) for _ in range(3))
        return Color.from_rgb(red, green, blue)
    return None
