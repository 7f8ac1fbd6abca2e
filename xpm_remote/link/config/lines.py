"""The lines of config files, whatever host they are for: where a keyword stands, and how its value is quoted. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from xpm_remote.link.options.keywords import find_keyword

_LINE = re.compile(r"\s*\"?([A-Za-z0-9]+)\"?(?:\s*=\s*|\s+)(.*\S)\s*")
# Of ssh's quotes: both kinds, and a backslash before a quote, a backslash, or outside of quotes a blank.
_WORD = re.compile(r"""(?:"(?:\\["'\\]|[^"])*"?|'(?:\\["'\\]|[^'])*'?|\\["'\\ ]|[^\s"'])+""")
_PART = re.compile(
    r"""\\(["'\\ ])|"((?:\\["'\\]|[^"])*)"?|'((?:\\["'\\]|[^'])*)'?|([^"'])""", re.DOTALL
)
_ESCAPED = re.compile(r"""\\(["'\\])""")


class Mention(NamedTuple):
    """A keyword in a config file.

    Attributes:
        keyword: In the spelling of ssh_config(5), or as written when it is none of ours.
        words: Its value, without quotes.
        place: ``file:line``.
        is_own: Whether the file is the person's, or read by the person's, not the system's.
    """

    keyword: str
    words: tuple[str, ...]
    place: str
    is_own: bool


def mentions(text: str, file: str, *, is_own: bool) -> Iterator[Mention]:
    """Give the keywords of a file, those for other hosts included."""
    for number, line in enumerate(text.splitlines(), 1):
        found = _LINE.fullmatch(line)
        if found is not None:
            keyword = find_keyword(found[1])
            name = found[1] if keyword is None else keyword.name
            yield Mention(name, tuple(config_words(found[2])), f"{file}:{number}", is_own)


def find_mentions(found: Iterable[Mention], keyword: str) -> list[Mention]:
    """Give those of one keyword."""
    return [each for each in found if each.keyword.lower() == keyword.lower()]


def config_words(value: str) -> list[str]:
    """Split a value as ssh does; a comment ends it."""
    words = []
    for found in _WORD.finditer(value):
        if found[0].startswith("#"):
            break
        words.append("".join(_part(each) for each in _PART.finditer(found[0])))
    return words


def _part(found: re.Match[str]) -> str:
    escaped, double, single, plain = found.groups()
    quoted = double if double is not None else single
    if quoted is not None:
        return _ESCAPED.sub(r"\1", quoted)
    return escaped or plain
