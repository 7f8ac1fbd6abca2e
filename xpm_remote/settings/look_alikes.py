"""Characters that look like YAML's spaces and quotes and are none, as copied from a page or a chat. Pure."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator

from xpm_remote.escaping import quoted

_SPACES = "\u00a0\u00ad\u1680\u180e\u2000-\u200d\u202f\u205f\u2060\u3000\ufeff"
_SPACE = f"[{_SPACES}]"
_NAMES = {"\u00a0": "no-break space", "\u3000": "full-width space", "\ufeff": "byte order mark"}

# In the indentation, behind a dash, or behind the colon of a key, where only a space ends the key.
_STRUCTURE = re.compile(rf"^[ \t]*(?:-[ \t]+)*-?(?:\w[\w.-]*:)?(?P<space>{_SPACE})", re.MULTILINE)
# At the ends of a plain text, or before what was meant as a comment.
_AROUND = re.compile(rf"\A{_SPACE}|{_SPACE}+\Z|{_SPACE}(?=#)")
_BEFORE_COLON = re.compile(rf"{_SPACE}(?=[ \t]*:(?:\s|\Z))")

_QUOTES = "“”„‟«»‘’‚‛‹›"  # noqa: RUF001 - these are the subject
_QUOTE = re.compile(rf"(?:(?<=[\s\[,{{])|\A)[{_QUOTES}]")
_QUOTED = re.compile(rf"[{_QUOTES}](.{{0,200}}?)[{_QUOTES}]")

Span = tuple[int, int]


def find_look_alikes(text: str, plain: Iterable[Span], broken: Span) -> Iterator[tuple[int, str]]:
    """Yield the offset of each such character outside of quoted texts, scripts and comments, and a message.

    Args:
        text: The document.
        plain: Where its texts without quotes stand, in order.
        broken: What the parser could not read; empty where it read everything.
    """
    spans = list(plain)
    found: dict[int, str] = {}
    for start, end in spans:
        written = text[start:end]
        if written[:1] in _QUOTES and written:
            found[start] = _about_quotes(text, start, end)
        for each in _AROUND.finditer(written):
            found.setdefault(start + each.start(), _about_space(each[0][0]))
    starts = [start for start, _ in spans]
    for each in _STRUCTURE.finditer(text):
        at = each.start("space")
        index = bisect_right(starts, at) - 1
        if broken[0] <= at < broken[1] or (index >= 0 and at < spans[index][1]):
            found.setdefault(at, _about_space(text[at]))
    for each in _BEFORE_COLON.finditer(text, *broken):
        found.setdefault(each.start(), _about_space(each[0]))
    quote = _QUOTE.search(text, *broken)
    if quote:
        found.setdefault(quote.start(), _about_quotes(text, quote.start(), quote.end()))
    yield from sorted(found.items())


def _about_space(space: str) -> str:
    name = _NAMES.get(space) or unicodedata.name(space).lower()
    remedy = "delete it" if unicodedata.category(space) == "Cf" else "write an ordinary space"
    return (
        f"found the character U+{ord(space):04X} ({name}), which is no space in YAML; {remedy}, or quote the text"
        " if it belongs there"
    )


def _about_quotes(text: str, start: int, end: int) -> str:
    """Return the message about a text that starts with a quote; what it holds may have ended it, as ``: `` does."""
    if end - start > 1 and text[end - 1] in _QUOTES:
        inner = text[start + 1 : end - 1]
    else:
        whole = _QUOTED.match(text, start)
        inner = whole[1] if whole else text[start + 1 : end]
    return (
        f"found the typographic quote {text[start]} (U+{ord(text[start]):04X}), which is no quote in YAML;"
        f" write {quoted(inner.strip())}"
    )
