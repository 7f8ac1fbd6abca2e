"""YAML text to nodes with positions. Refused are tags beyond those of plain data, deep nesting and large files.

Aliases share nodes, so nodes never need more memory than the text; a walk over them counts every visit
(``reading.Reading.spend``). Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from xpm_remote.escaping import quoted, safe
from xpm_remote.settings.look_alikes import Span, find_look_alikes
from xpm_remote.settings.schema import InvalidSettingsError, Problem, SourcePosition

# Bytes, and so characters: fifty times a long settings file, still read within a few seconds.
MAX_SIZE = 128 * 1024
MAX_DEPTH = 32  # levels; the deepest setting lies at 6, and the parsers recurse
_MAX_LOOK_ALIKES = 20  # problems; a whole file of them has one cause

TOO_LONG = f"longer than {MAX_SIZE} bytes, so hardly a settings file"

# libyaml where it is built in: ten times faster, same nodes.
LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_STANDARD = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset(
    _STANDARD + name for name in ("str", "int", "float", "bool", "null", "timestamp")
)
_ALLOWED_TAGS = _PLAIN_TAGS | {_STANDARD + "seq", _STANDARD + "map", "!"}

# The characters that YAML 1.1 calls not printable; checked here since the parsers report positions differently.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def compose(text: str, file: Path) -> yaml.Node | None:
    """Parse one YAML document into nodes; return None for an empty one.

    Raises:
        InvalidSettingsError: Parsing stopped; has one problem.
    """
    text = text.removeprefix("\ufeff")
    plain: list[Span] = []
    try:
        _check_text(text)
        _check_events(yaml.parse(text, LOADER), plain)
        _check_look_alikes(text, file, plain, (0, 0))
        return yaml.compose(text, LOADER)
    except _RefusedError as refusal:
        problem = Problem(file=file, position=refusal.position, what=refusal.what)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        # The parser stopped in what follows the last text that it read, often a line further down.
        read = plain[-1][1] if plain else 0
        line_end = text.find("\n", mark.index if mark else len(text))
        broken = (read, len(text) if line_end < 0 else line_end)
        _check_look_alikes(text, file, plain, broken)
        at = _position(mark) if mark else None
        problem = Problem(file=file, position=at, what=safe(_describe(error)))
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # The parser written in Python lets int() and chr() fail on absurd escapes and versions.
        problem = Problem(file=file, what=safe(f"not valid YAML: {error}"))
    raise InvalidSettingsError([problem])


def position(node: yaml.Node) -> SourcePosition:
    """Return where a node starts."""
    return _position(node.start_mark)


def short_tag(node: yaml.Node) -> str:
    """Return the tag without its standard prefix: ``int``, ``str``, ``merge``."""
    return str(node.tag).removeprefix(_STANDARD)


class _RefusedError(Exception):
    """The text is YAML of a kind that settings do not need."""

    def __init__(self, position: SourcePosition | None, what: str) -> None:
        super().__init__(what)
        self.position = position
        self.what = what


def _check_text(text: str) -> None:
    if len(text) > MAX_SIZE:
        raise _RefusedError(None, TOO_LONG)
    found = _UNPRINTABLE.search(text)
    if found:
        what = f"not valid YAML: the character U+{ord(found[0]):04X} is not allowed"
        raise _RefusedError(_position_of(text, found.start()), what)


def _position_of(text: str, offset: int) -> SourcePosition:
    return SourcePosition(text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset))


def _check_look_alikes(text: str, file: Path, plain: list[Span], broken: Span) -> None:
    problems = [
        Problem(file=file, position=_position_of(text, offset), what=what)
        for offset, what in islice(find_look_alikes(text, plain, broken), _MAX_LOOK_ALIKES)
    ]
    if problems:
        raise InvalidSettingsError(problems)


def _check_events(events: Iterator[yaml.Event], plain: list[Span]) -> None:
    """Refuse what settings do not need; collect where the texts without quotes stand."""
    open_anchors: list[str | None] = []
    for event in events:
        if isinstance(event, yaml.ScalarEvent) and not event.style:
            plain.append((_offset(event.start_mark), _offset(event.end_mark)))
        if isinstance(event, yaml.CollectionStartEvent):
            open_anchors.append(event.anchor)
        elif isinstance(event, yaml.CollectionEndEvent):
            open_anchors.pop()
        refusal = _refusal(event, open_anchors)
        if refusal:
            raise _RefusedError(_position(event.start_mark), refusal)


def _refusal(event: yaml.Event, open_anchors: list[str | None]) -> str:
    """Return why an event is refused, given the anchors of the collections around it; empty if it is not."""
    if len(open_anchors) > MAX_DEPTH:
        return f"nested deeper than {MAX_DEPTH} levels"
    if isinstance(event, yaml.AliasEvent) and event.anchor in open_anchors:
        return f"the alias {quoted(f'*{event.anchor}')} stands inside what it repeats"
    tag = getattr(event, "tag", None)
    if tag is not None and tag not in _ALLOWED_TAGS:
        return (
            f"the tag {quoted(tag)} is not allowed: settings are texts, numbers, lists and mappings"
        )
    return ""


def _offset(mark: Any) -> int:  # noqa: ANN401 - each parser has a Mark class of its own
    return int(mark.index)


def _position(mark: Any) -> SourcePosition:  # noqa: ANN401 - each parser has a Mark class of its own
    return SourcePosition(mark.line + 1, mark.column + 1)


def _describe(error: yaml.MarkedYAMLError) -> str:
    if not error.context:
        return f"not valid YAML: {error.problem}"
    line = f" at line {error.context_mark.line + 1}" if error.context_mark else ""
    return f"not valid YAML: {error.context}{line}: {error.problem}"
