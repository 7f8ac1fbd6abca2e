"""The keys of a keyboard as settings write them: ``z``, ``Ctrl-D``, ``F5``, ``PgDn``. Pure."""

from __future__ import annotations

import re

import yaml

from xpm_remote.escaping import quoted
from xpm_remote.settings.reading import Reading
from xpm_remote.settings.scalars import read_spelling

ALLOWED = (
    "a character, Ctrl-D, F5, Space, Enter, Esc, Tab, Up, Down, Left, Right, Home, End, PgUp, PgDn"
)

_NAMES = {
    "space": "space", "enter": "enter", "return": "enter", "esc": "escape", "escape": "escape", "tab": "tab",
    "up": "up", "down": "down", "left": "left", "right": "right", "↑": "up", "↓": "down", "←": "left", "→": "right",
    "home": "home", "end": "end", "pgup": "pageup", "pageup": "pageup", "pgdn": "pagedown", "pagedown": "pagedown",
    "ins": "insert", "insert": "insert", "del": "delete", "delete": "delete", "backspace": "backspace",
}  # fmt: skip

# What a terminal sends for the one is what it sends for the other.
_SAME = {"ctrl+i": "tab", "ctrl+m": "enter", "ctrl+h": "backspace", "shift+tab": "shift+tab"}

_FUNCTION = re.compile(r"f([1-9]|1[0-9]|2[0-4])")
_ACTION = re.compile(r"[a-z0-9_]+")
_MODIFIED = re.compile(r"(ctrl|shift)[-+](.+)", re.DOTALL)


def key_name(text: str) -> str | None:
    """Return the name of a key as the dashboard knows it; None for what is no key."""
    if len(text) == 1 and text.isprintable() and text not in _NAMES:
        return "space" if text == " " else text
    word = text.strip().lower()
    if word in _NAMES:
        return _NAMES[word]
    if _FUNCTION.fullmatch(word):
        return word
    modified = _MODIFIED.fullmatch(word)
    if modified is None:
        return None
    modifier, rest = modified.groups()
    name = f"{modifier}+{_NAMES.get(rest, rest)}"
    if name in _SAME:
        return _SAME[name]
    is_letter = len(rest) == 1 and rest.isascii() and rest.isalpha()
    # Alt and a key are what Esc and that key are, typed fast.
    return name if modifier == "ctrl" and is_letter else None


def read_bindings(reading: Reading, at: str, node: yaml.Node) -> dict[str, tuple[str, ...]]:
    """Convert a mapping of actions to one key or several; which actions there are is not known here."""
    if not isinstance(node, yaml.MappingNode):
        reading.wrong_type(at, node, "a mapping: lines of the form action: key")
        return {}
    bindings: dict[str, tuple[str, ...]] = {}
    for name, value in reading.entries(at, node):
        if not _ACTION.fullmatch(name.value):
            reading.error(at, f"{quoted(name.value)} is no name of an action", node=name)
            continue
        action_at = f"{at}.{name.value}"
        reading.visit(action_at, value)
        items = [(action_at, value)]
        if isinstance(value, yaml.SequenceNode):
            items = [(f"{action_at}[{index}]", item) for index, item in enumerate(value.value)]
        keys = [_read_key(reading, *item) for item in items]
        if not items:
            reading.error(action_at, "has no key", ALLOWED, value)
        good = tuple(dict.fromkeys(key for key in keys if key is not None))
        if good and len(keys) == sum(key is not None for key in keys):
            bindings[name.value] = good
    return bindings


def _read_key(reading: Reading, at: str, node: yaml.Node) -> str | None:
    reading.visit(at, node)
    text = read_spelling(reading, at, node)
    if text is None:
        return None
    key = key_name(text)
    if key is None:
        reading.error(at, f"{quoted(text)} is no key", ALLOWED, node)
    return key
