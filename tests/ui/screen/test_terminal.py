"""What a terminal sends, as keys."""

from __future__ import annotations

import pytest
from textual import events
from textual.drivers import linux_driver

from xpm_remote.ui.screen.terminal import KeyParser


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        ("\x1b", ["escape"]),
        ("\x1b:q", ["escape", "colon", "q"]),
        ("\x1bj", ["escape", "j"]),
        ("\x1b/", ["escape", "slash"]),
        ("\x1b3", ["escape", "3"]),
        ("\x1bb", ["escape", "b"]),
        ("\x1bP", ["escape", "P"]),
        ("\x1bOP", ["f1"]),
        ("\x1b[A", ["up"]),
        ("G\x1b[15~", ["G", "f5"]),
        ("\x1b[106;3u", ["alt+j"]),
    ],
)
def test_keys(sent: str, keys: list[str]) -> None:
    """Esc and a key that are read at once are two keys; sequences are one."""
    assert linux_driver.XTermParser is KeyParser  # type: ignore[attr-defined]
    parser = KeyParser()
    found = [*parser.feed(sent), *parser.feed("")]
    assert [each.key for each in found if isinstance(each, events.Key)] == keys


def test_a_paste() -> None:
    """What is pasted is no key."""
    parser = KeyParser()
    found = [*parser.feed("\x1b[200~xky\nq\x1b[201~"), *parser.feed("")]
    (paste,) = found
    assert isinstance(paste, events.Paste)
    assert paste.text == "xky\nq"
