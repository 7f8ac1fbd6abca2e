"""Rows as lines, and numbers as people read them."""

from __future__ import annotations

import pytest

from xpm_remote.ui.tables import count_text, size_text, table


def test_columns() -> None:
    """Columns stand below each other; empty ones are left out, and nothing trails."""
    rows = [("a", "", "long one", "x"), ("bbb", "", "", "")]
    assert list(table(rows, indent=1)) == [" a    long one  x", " bbb"]
    assert list(table([])) == []


def test_hostile_cells() -> None:
    """A cell cannot move the cursor, and its escape is counted as what is seen."""
    assert list(table([("\x1b[2J", "1"), ("abcdefg", "2")])) == ["\\x1b[2J  1", "abcdefg  2"]


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_940, "9.9 kB"),
        (12_345, "12 kB"),
        (999_600, "1.0 MB"),
        (1_500_000_000, "1.5 GB"),
        (10**19, "10000 PB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    """Sizes have two or three digits and a unit."""
    assert size_text(size) == text


def test_counts() -> None:
    """One thing is one, others are many."""
    assert [count_text(n, "job") for n in (0, 1, 1200)] == ["0 jobs", "1 job", "1,200 jobs"]
