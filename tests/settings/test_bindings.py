"""The keys of a keyboard in the settings."""

from __future__ import annotations

import pytest

from tests.settings.support import complaints, read
from xpm_remote.settings.bindings import key_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("z", "z"), ("Z", "Z"), ("é", "é"), ("~", "~"), (" ", "space"), ("Space", "space"), ("↓", "down"),
        ("Esc", "escape"), ("Escape", "escape"), ("PgDn", "pagedown"), ("F5", "f5"), ("f24", "f24"),
        ("Ctrl-D", "ctrl+d"), ("ctrl+d", "ctrl+d"), ("CTRL-M", "enter"), ("ctrl-i", "tab"),
        ("Shift-Tab", "shift+tab"),
    ],
)  # fmt: skip
def test_names(text: str, name: str) -> None:
    """A key may be written as the documentation shows it, or as Textual names it."""
    assert key_name(text) == name


@pytest.mark.parametrize(
    "text",
    ["", "zz", "F25", "F0", "Ctrl-", "Ctrl-5", "Ctrl-Up", "Ctrl-é", "Alt-x", "Shift-A", "\t", "\x1b", "Meta-X"],
)  # fmt: skip
def test_no_names(text: str) -> None:
    """What no terminal sends, or what is two keys, is none."""
    assert key_name(text) is None


def test_reading() -> None:
    """An action has a key or a list of them; numbers and words of truth keep their spelling."""
    settings = read("keys: {mark: z, act: [F5, Ctrl-X, F5], group: 5, find: '/'}")
    assert settings.keys == {
        "mark": ("z",), "act": ("f5", "ctrl+x"), "group": ("5",), "find": ("/",)
    }  # fmt: skip
    assert read("keys:\n").keys == {}


def test_problems() -> None:
    """Whatever is no key is an error at its place."""
    text = "keys:\n  mark: zz\n  act: [z, [x]]\n  group: ~\n  find: []\n  back: {a: b}\n  A b: z\n"
    found = complaints(text)
    assert found[0].startswith('2:9: keys.mark: "zz" is no key; allowed: a character, Ctrl-D')
    assert found[1].startswith("3:12: keys.act[1]: found a list")
    assert found[2].startswith("4:10: keys.group: found ~, which means nothing in YAML")
    assert found[3].startswith("5:9: keys.find: has no key")
    assert found[4].startswith("6:9: keys.back: found a mapping")
    assert found[5] == '7:3: keys: "A b" is no name of an action'
    assert complaints("keys: [a]")[0].startswith("1:7: keys: found a list; allowed: a mapping")
