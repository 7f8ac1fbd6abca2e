"""Colours of logs."""

from __future__ import annotations

import pytest
from rich.style import Style

from xpm_remote.ui.tables.colours import segments


def text(line: str) -> str:
    """Return what is shown of a line."""
    return "".join(segment.text for segment in segments(line))


def styles(line: str) -> list[Style | None]:
    """Return the styles of the parts of a line."""
    return [segment.style for segment in segments(line)]


@pytest.mark.parametrize(
    ("codes", "style"),
    [
        ("31", "color(1)"),
        ("1;92", "bold color(10)"),
        ("44", "on color(4)"),
        ("103", "on color(11)"),
        ("38;5;200", "color(200)"),
        ("48:2:1:2:3", "on #010203"),
        ("38;9", ""),
        ("38", ""),
        ("1;2;3;4;7;9", "bold dim italic underline reverse strike"),
        ("1;22;31;39;4;24", ""),
        ("31;0", ""),
        ("", ""),
        ("8", ""),
        ("x", ""),
    ],
)
def test_colours_are_kept(codes: str, style: str) -> None:
    """SGR sequences are styles; one that conceals is none."""
    line = f"\x1b[{codes}mword"
    (shown,) = styles(line)
    if style:
        assert shown == Style.parse(style)
    else:
        assert not any(
            (shown.bold, shown.italic, shown.color, shown.bgcolor, shown.conceal) if shown else ()
        )
    assert text(line).endswith("word")


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("\x1b[2Ja\x1b[1;1Hb\x1b[?25lc", "abc"),
        ("\x1b]0;title\x07a\x1b]8;;http://x\x1b\\b", "ab"),
        ("\x1bPq\x1b\\a\x1bcb\x1b", "ab"),
        ("\x9b31ma\x9d0;x\x9cb", "ab"),
        ("a\tb\x07\u202e", "a       b\\x07\\u202e"),
        ("ab\x1b[1m\tc", "ab      c"),
        ("\udcff", "\\udcff"),
        ("", ""),
    ],
)
def test_all_else_is_removed_or_escaped(line: str, shown: str) -> None:
    """Nothing in a log moves the cursor, sets a title, or turns the direction of text."""
    assert text(line) == shown


def test_a_very_long_line_is_cut() -> None:
    """Of a line of megabytes its beginning is drawn."""
    assert len(text("a" * 1_000_000)) < 100_000
