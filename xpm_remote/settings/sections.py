"""Mappings and lists: nodes to plain values, by the table of keys; not yet checked against each other. Pure."""

from __future__ import annotations

from typing import Any

import yaml

from xpm_remote.escaping import quoted
from xpm_remote.settings.bindings import read_bindings
from xpm_remote.settings.keys import SSH, Key, Kind, Section
from xpm_remote.settings.reading import Reading, is_null
from xpm_remote.settings.scalars import read_scalar, read_spelling, read_text

# By key; one that is absent, or whose value is a problem, is not in there.
Values = dict[str, Any]


def read_section(reading: Reading, at: str, node: yaml.Node, section: Section) -> Values:
    """Convert a mapping whose keys are known; record every problem, and warn of unknown keys.

    Args:
        reading: Collects what is wrong.
        at: The key of the mapping, such as ``workspaces[0]``; empty for the document.
        node: The node that should be the mapping.
        section: Its keys.
    """
    values: Values = {}
    given: set[str] = set()
    if not (isinstance(node, yaml.MappingNode) or is_null(node)):
        reading.wrong_type(at, node, "a mapping: lines of the form key: value")
        return values
    entries = reading.entries(at, node) if isinstance(node, yaml.MappingNode) else []
    for name, value in entries:
        key = section.find(name.value)
        if key is None:
            known = reading.guess(name.value, [each.name for each in section.keys])
            reading.warn(at, f"unknown key {quoted(name.value)}{known}", name)
        elif not _is_absent(value, key):
            given.add(key.name)
            found = _read_value(reading, f"{at}.{key.name}" if at else key.name, value, key)
            if found is not None:
                values[key.name] = found
    for key in section.keys:
        if key.required and key.name not in given:
            reading.error(f"{at}.{key.name}", "is missing", node=node)
    return values


def _is_absent(value: yaml.Node, key: Key) -> bool:
    """Return whether a value is absent: ``key: null``, or a key whose whole content is commented out.

    An empty ``ssh:`` is not: the workspace would silently become a local one. Nor is ``path: ~``, which is meant.
    """
    is_meant = (key.section is SSH and value.value == "") or (
        key.kind is Kind.PATH and value.value == "~"
    )
    return is_null(value) and not is_meant


def _read_value(reading: Reading, at: str, node: yaml.Node, key: Key) -> object | None:
    reading.visit(at, node)
    if key.section is not None and key.kind is Kind.SECTION:
        return read_section(reading, at, node, key.section)
    if key.section is not None:
        items = _items(reading, at, node, "a list of mappings: each starts with a dash")
        return tuple(read_section(reading, *item, key.section) for item in items)
    if key.kind is Kind.ENV:
        return _read_env(reading, at, node)
    if key.kind is Kind.BINDINGS:
        return read_bindings(reading, at, node)
    if key.kind is Kind.TEXTS:
        return _read_texts(reading, at, node)
    if key.kind is Kind.OPTIONS:
        return _read_options(reading, at, node)
    found = read_scalar(reading, at, node, key.kind)
    is_blank = isinstance(found, str) and not found.strip()
    if is_blank and key.required:
        reading.error(at, "is empty", node=node)
    return None if is_blank else found


def _items(reading: Reading, at: str, node: yaml.Node, allowed: str) -> list[tuple[str, yaml.Node]]:
    if not isinstance(node, yaml.SequenceNode):
        reading.wrong_type(at, node, allowed)
        return []
    items = [(f"{at}[{index}]", item) for index, item in enumerate(node.value)]
    for item_at, item in items:
        reading.visit(item_at, item)
    return items


def _read_texts(reading: Reading, at: str, node: yaml.Node) -> tuple[str, ...] | None:
    allowed = "a list"
    if isinstance(node, yaml.ScalarNode):
        allowed = f"a list: [{quoted(node.value)}]"
    items = _items(reading, at, node, allowed)
    texts = [read_text(reading, item_at, item) for item_at, item in items]
    good = tuple(text for text in texts if text is not None)
    return good if len(good) == len(texts) else None


def _read_options(reading: Reading, at: str, node: yaml.Node) -> tuple[str, ...]:
    """Convert SSH options: a list with numbers in it, one text, or one text a line."""
    if isinstance(node, yaml.ScalarNode):
        options = (read_spelling(reading, at, node) or "").splitlines()
    else:
        items = _items(reading, at, node, Kind.OPTIONS.value)
        options = [read_spelling(reading, item_at, item) or "" for item_at, item in items]
    return tuple(option.strip() for option in options if option.strip())


def _read_env(reading: Reading, at: str, node: yaml.Node) -> dict[str, str]:
    if not isinstance(node, yaml.MappingNode):
        reading.wrong_type(at, node, "a mapping: lines of the form NAME: value")
        return {}
    env: dict[str, str] = {}
    for name, value in reading.entries(at, node):
        if not name.value or not name.value.isprintable() or "=" in name.value:
            what = f"{quoted(name.value)} cannot name an environment variable"
            reading.error(at, what, "a name without = and without control characters", name)
            continue
        value_at = f"{at}.{name.value}"
        reading.visit(value_at, value)
        spelling = read_spelling(reading, value_at, value)
        if spelling is not None:
            env[name.value] = spelling
    return env
