"""Remote text on its way to a terminal."""

from __future__ import annotations

import pytest

from xpm_remote.escaping import safe, safe_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 漢", "plain é 漢"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb", "a\\nb"),
        ("right\u202eleft", "right\\u202eleft"),
        ("\udcff", "\\udcff"),
    ],
)
def test_safe(text: str, shown: str) -> None:
    """What is not printable is escaped, line breaks included."""
    assert safe(text) == shown


def test_safe_lines() -> None:
    """Line breaks inside of a text stay; what else moves the cursor does not."""
    assert safe_lines("one\r\ntwo\x1b[A\n\n") == "one\ntwo\\x1b[A"
