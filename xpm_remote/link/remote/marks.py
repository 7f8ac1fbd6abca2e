"""What a remote prints, told apart: lines of ours, and noise by whose it is. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from xpm_remote.link.remote.startup import LINE_KEPT, MARK, NOISE_KEPT


class Section(str, Enum):
    """Whose words they are that are not ours."""

    LOGIN = "login files"
    SHELL_INIT = "shell_init"
    REST = "our commands"


_BEGINS = {"shell": Section.SHELL_INIT, "init": Section.REST}


class Mark(NamedTuple):
    """A line of ours: its first word and the rest."""

    word: str
    rest: str


@dataclass
class Noise:
    """What somebody else printed.

    Attributes:
        size: How many bytes.
        head: The first of them, a screenful.
    """

    size: int = 0
    head: bytearray = field(default_factory=bytearray)

    def add(self, data: bytes) -> None:
        """Take more of it."""
        self.size += len(data)
        self.head += data[: max(0, NOISE_KEPT - len(self.head))]

    def drop_newline(self) -> None:
        """Forget the last newline: it is the one with which a mark begins."""
        self.size -= 1
        del self.head[self.size :]

    @property
    def text(self) -> str:
        """The head; odd bytes are escaped."""
        return self.head.decode("utf-8", "backslashreplace")


class MarkedStream:
    """Tells marks from noise in a stream.

    Attributes:
        noise: What was printed besides the marks, by section.
    """

    def __init__(self) -> None:
        self.noise = {section: Noise() for section in Section}
        self._section = Section.LOGIN
        self._partial = b""

    def feed(self, data: bytes) -> list[Mark]:
        """Take bytes; give the marks that are complete by now."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        marks = [mark for line in lines if (mark := self._take(line)) is not None]
        if len(self._partial) > LINE_KEPT:
            self.noise[self._section].add(self._partial)
            self._partial = b""
        return marks

    def end(self) -> None:
        """Take note that nothing follows: what is there of a line is noise."""
        self.noise[self._section].add(self._partial)
        self._partial = b""

    def _take(self, line: bytes) -> Mark | None:
        noise = self.noise[self._section]
        text = line.decode("utf-8", "backslashreplace")
        if not text.startswith(f"{MARK} "):
            noise.add(line + b"\n")
            return None
        if noise.size:
            noise.drop_newline()
        word, _, rest = text[len(MARK) + 1 :].partition(" ")
        self._section = _BEGINS.get(word, self._section)
        return Mark(word, rest)
