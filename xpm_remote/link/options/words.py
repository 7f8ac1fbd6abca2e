"""Option strings as words, each with its quotes.

There are two levels of quotes: those of the string, as for a shell, and those of a configuration line within
(``UserKnownHostsFile="/a b" /c``). So a word keeps its raw form until the level is known. Pure.
"""

from __future__ import annotations

import re
import shlex
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from xpm_remote.errors import OptionError

# One word by the rules of shlex, which are those of a POSIX shell.
_WORD = re.compile(r"""(?:[^ \t\r\n'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+""", re.DOTALL)


@dataclass(frozen=True)
class Word:
    """A word of an option string.

    Attributes:
        raw: The word as written.
        text: The word without its quotes.
        start: Its position in its string.
    """

    raw: str
    text: str
    start: int = 0

    def after(self, letters: int) -> Word:
        """Return the word without its first letters, keeping the quotes of the rest."""
        head = self.text[:letters]
        raw = self.raw[letters:] if self.raw.startswith(head) else self.text[letters:]
        return Word(raw, self.text[letters:])


def unquote(text: str) -> list[str]:
    """Split a text into words without their quotes.

    Raises:
        OptionError: The quotes do not fit together.
    """
    try:
        return shlex.split(text)
    except ValueError as error:
        raise OptionError(
            f"the SSH option {text!r} cannot be split into words: {error}",
            "close the quotes, or put a backslash before them",
        ) from None


def split_words(text: str) -> list[Word]:
    """Split a text into words with their quotes.

    Raises:
        OptionError: The quotes do not fit together.
    """
    texts = unquote(text)
    found = _WORD.finditer(text)
    return [Word(m[0], plain, m.start()) for m, plain in zip(found, texts, strict=True)]


class WordReader:
    """Reads the words of several strings in turn, aware of where each string ends."""

    def __init__(self, strings: Iterable[str]) -> None:
        self._strings = deque(strings)
        self._text = ""
        self._words: deque[Word] = deque()

    def next(self) -> Word | None:
        """Remove and return the next word of all strings; None after the last."""
        while not self._words and self._strings:
            self._text = self._strings.popleft()
            self._words.extend(split_words(self._text))
        return self._words.popleft() if self._words else None

    def peek(self) -> Word | None:
        """Return the next word of the same string; None at its end."""
        return self._words[0] if self._words else None

    def take(self) -> Word:
        """Remove and return the next word of the same string, after ``peek`` has returned it."""
        return self._words.popleft()

    def rest(self) -> list[Word]:
        """Return the remaining words of the same string."""
        return list(self._words)

    def take_rest(self) -> str:
        """Remove and return the rest of the same string, as written."""
        rest = self._text[self._words[0].start :].rstrip() if self._words else ""
        self._words.clear()
        return rest

    def argument(self, option: str) -> Word:
        """Remove and return the argument of an option: the next word, else the whole next string.

        Raises:
            OptionError: There is neither.
        """
        if self._words:
            return self._words.popleft()
        if not self._strings:
            raise OptionError(f"the SSH option {option} lacks its argument")
        text = self._strings.popleft()
        words = split_words(text)
        # A string of its own is one argument, with its blanks, like an argument of a command.
        return words[0] if len(words) == 1 else Word(text.strip(), text.strip())
