"""Changes to a text by position, and what of it must not get lost."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from msgspec import Struct

_COMMENT = re.compile(r"(?<!\S)#[^\r\n]*")
_LINE = re.compile(
    r"[^\n]*\n|[^\n]+"
)  # what diff and patch call a line; YAML and Python know more breaks


class Edit(Struct, frozen=True, order=True):
    """Put ``text`` in the place of the characters from ``start`` up to, not including, ``end``."""

    start: int
    end: int
    text: str


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """Make the changes, none of which may overlap; positions are those of the old text."""
    for edit in sorted(edits, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def comments_in(text: str, start: int, end: int, values: Iterable[tuple[int, int]]) -> list[str]:
    """The comments of a stretch of YAML, given the places of the values in it, which may hold a ``#``."""
    for first, last in values:
        text = text[:first] + "x" * (last - first) + text[last:]
    return _COMMENT.findall(text[start:end])


def line_start(text: str, index: int) -> int:
    """Where the line of a character begins."""
    return text.rfind("\n", 0, index) + 1


def line_end(text: str, index: int) -> int:
    """Where the line of a character ends, before its line break."""
    end = text.find("\n", index)
    end = len(text) if end < 0 else end
    return end - 1 if text[index:end].endswith("\r") else end


def newline_of(text: str) -> str:
    """The line break that a text uses."""
    return "\r\n" if "\r\n" in text else "\n"


def unified_diff(old: str, new: str, name: str) -> str:
    """The difference of two texts in the form that ``patch`` reads; empty when there is none."""
    lines = difflib.unified_diff(_LINE.findall(old), _LINE.findall(new), name, name)
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )
