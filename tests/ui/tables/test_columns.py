"""Widths of columns, texts that fit, and tags that differ."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tests.ui.pictures import HOSTILE
from xpm_remote.escaping import safe
from xpm_remote.ui.tables.columns import Cell, Column, Spread, Widths, fitted


def column(name: str, *, least: int = 3, most: int = 10, weight: int = 5) -> Column[object]:
    """Make a column."""
    return Column(name, name, lambda *_: Cell(""), least=least, most=most, weight=weight)


def fit(width: int, *columns: Column[object], **texts: str) -> dict[str, int]:
    """Return the widths of columns that show these texts."""
    widths = Widths()
    for each in columns:
        widths.note(each, [texts.get(each.name, "")])
    return widths.fit(columns, width)


def test_a_column_is_as_wide_as_what_it_shows() -> None:
    """The widest text or the head counts, and a column without a text is left out."""
    columns = (column("a"), column("bbbb"), column("c"))
    assert fit(80, *columns, a="漢字", bbbb="x") == {"a": 4, "bbbb": 4}


def test_too_little_room() -> None:
    """The widest shrink first, then the least important go; the last one has what there is."""
    columns = (column("a", most=20, weight=9), column("b", weight=1), column("c"))
    texts = {"a": "a" * 20, "b": "b" * 10, "c": "c" * 4}
    assert fit(40, *columns, **texts) == {"a": 20, "b": 10, "c": 4}
    assert fit(22, *columns, **texts) == {"a": 8, "b": 8, "c": 4}
    assert fit(11, *columns, **texts) == {"a": 3, "b": 3, "c": 3}
    assert fit(10, *columns, **texts) == {"a": 5, "c": 4}
    assert fit(2, *columns, **texts) == {"a": 2}
    assert fit(0, *columns, **texts) == {"a": 1}
    assert fit(10) == {}


def test_more_room_than_most() -> None:
    """What is cut grows where there is room, the most important first."""
    columns = (column("a", weight=1), column("b", weight=9))
    assert fit(35, *columns, a="a" * 20, b="b" * 20) == {"a": 14, "b": 20}


def test_widths_shrink_only_when_something_else_is_shown() -> None:
    """A column does not jump while rows come and go."""
    widths, only = Widths(), column("a")
    widths.note(only, ["12345"])
    widths.note(only, ["12"])
    assert widths.fit([only], 80) == {"a": 5}
    widths.reset()
    widths.note(only, ["12"])
    assert widths.fit([only], 80) == {"a": 2}


@given(HOSTILE, st.integers(0, 12), st.booleans())
def test_a_text_is_fitted_exactly(text: str, width: int, is_right: bool) -> None:
    """Whatever a text consists of, it takes exactly its room."""
    assert cell_len(fitted(safe(text), width, is_right=is_right)) == width


@pytest.mark.parametrize(
    ("text", "shown"), [("abc", "abc  "), ("abcdefg", "abcd…"), ("漢字漢字", "漢字…")]
)
def test_a_text_is_cut_with_a_mark(text: str, shown: str) -> None:
    """What is too long ends with a mark."""
    assert fitted(text, 5) == shown
    assert fitted("ab", 4, is_right=True) == "  ab"


def test_tags_that_differ() -> None:
    """A tag is common as long as every row has it with the same value."""
    spread = Spread()
    for tags in (
        {"a": 1, "b": 2, "c": 3},
        {"a": 1, "b": 2, "c": 3},
        {"a": 1, "b": 3, "d": 1},
        {"a": 1, "b": 2},
    ):
        spread.add(tags)
    assert spread.common == {"a": 1}
    assert list(spread.differing) == ["b", "d", "c"]
