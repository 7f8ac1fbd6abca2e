"""Text from outside made fit for a terminal and for messages. Pure."""

from __future__ import annotations

import difflib
import itertools
import json
from collections.abc import Iterable

_LONGEST_QUOTE = 80  # characters; a message stays a line

# difflib takes up to a millisecond for a guess, more with the square of the length.
_MAX_CANDIDATES = 50
_LONGEST_GUESS = 64  # characters


def safe(text: str) -> str:
    """Return the text with an escape for every character that is not printable.

    These are control and format characters, line breaks, and lone surrogates.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def safe_lines(text: str) -> str:
    """Escape each line of a text by itself; line breaks within it stay, trailing ones are dropped."""
    return "\n".join(safe(line) for line in text.rstrip().splitlines())


def json_safe(text: str) -> str:
    """Return a JSON text with an escape for every character that is not printable: the same JSON.

    Encoders leave most of them as they are: DEL, control characters above it, marks of direction, U+2028.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


def json_ascii(text: str) -> str:
    """Return a JSON text in ASCII: the same JSON."""
    if text.isascii():
        return text
    return "".join(char if char.isascii() else json.dumps(char)[1:-1] for char in text)


_ALIKE = {
    "…": "...",
    "→": "->",
    "●": "*",
    "·": "-",
    "±": "+-",
    "“": '"',
    "”": '"',
    "─": "-",
    "━": "-",
    "│": "|",
}
"""What stands for the characters of our own texts and tables where an encoding lacks them."""


def encodable(text: str, encoding: str, *, keeps_bytes: bool = False) -> str:
    """Return the text with other characters, or an escape, for each character that an encoding lacks.

    Args:
        text: The text.
        encoding: The name of the encoding.
        keeps_bytes: Whether bytes that were no text, as file names may have them (PEP 383), are written as they were.
    """
    errors = "surrogateescape" if keeps_bytes else "strict"

    def has(part: str) -> bool:
        try:
            part.encode(encoding, errors)
        except UnicodeEncodeError:
            return False
        return True

    if has(text):
        return text
    return "".join(char if has(char) else _ALIKE.get(char) or _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode()


def cleaned(text: str) -> str:
    """Return a text for a message: shortened and escaped."""
    return safe(text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "…")


def quoted(text: str) -> str:
    """Return a text for a message in quotes: shortened and escaped."""
    return f'"{cleaned(text)}"'


def nearest(word: str, known: Iterable[str]) -> str:
    """Return "did you mean …?" with the known word most like this one; empty where none is like it."""
    candidates = [name[:_LONGEST_GUESS] for name in itertools.islice(known, _MAX_CANDIDATES)]
    close = difflib.get_close_matches(word[:_LONGEST_GUESS], candidates, n=1)
    return f"did you mean {quoted(close[0])}?" if close else ""
