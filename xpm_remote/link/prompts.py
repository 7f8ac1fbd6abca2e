"""Questions to a person, on the terminal or refused.

A question may have a remote's words, so it is escaped here. An answer may be a secret: it is returned and not kept,
and no exception of this module contains it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import sys
import termios
from collections.abc import Iterator
from typing import Protocol

from xpm_remote.escaping import encodable, safe, safe_lines

TERMINAL = "/dev/tty"
BATCH_MODE = "BatchMode=yes forbids questions"
NO_TERMINAL = "there is no terminal to ask on"
_MOST = 4096
"""The longest line, in bytes, of a terminal in line mode."""
_ECHO = 3
"""The index of the local flags in the result of ``tcgetattr``."""


def first_line(question: str) -> str:
    """Return the first line of a question, for ``LinkError.unanswered``."""
    return question.partition("\n")[0].rstrip(" .:")


class UnansweredError(Exception):
    """A question was refused or not answered; the text is the reason."""


_told: set[tuple[str, str]] = set()


def tell_once(prompter: Prompter, source: str, text: str) -> None:
    """Show the lines of a text that have not been shown, of the same source, in the life of this process."""
    if prompter.obstacle is not None:
        return
    lines = [line for line in text.splitlines() if (source, line) not in _told]
    _told.update((source, line) for line in lines)
    if any(line.strip() for line in lines):
        prompter.tell("\n".join(lines))


class Prompter(Protocol):
    """Asks a person, or refuses."""

    @property
    def obstacle(self) -> str | None:
        """Why no one can be asked; None if someone can."""

    def tell(self, text: str) -> None:
        """Show a text of one or more lines; without effect if no one can be asked."""

    async def ask(self, question: str, *, echo: bool) -> str:
        """Show a question of one or more lines and return a line of answer; the wait has no limit.

        Args:
            question: The question; the answer is typed right after it.
            echo: Whether the answer is visible.

        Raises:
            UnansweredError: No one can be asked, or the input ended.
        """


class RefusingPrompter:
    """Refuses every question.

    Args:
        reason: Why no one can be asked.
    """

    def __init__(self, reason: str) -> None:
        self._reason = reason

    @property
    def obstacle(self) -> str | None:
        """The reason."""
        return self._reason

    def tell(self, text: str) -> None:
        """Show nothing."""

    async def ask(self, question: str, *, echo: bool) -> str:
        """Refuse at once."""
        del question, echo
        raise UnansweredError(self._reason)


class Unattended(RefusingPrompter):
    """Refuses every question while a link is made without the person: the terminal is in use, and may be unattended."""

    def __init__(self, reason: str = "no question is asked while a lost link is restored") -> None:
        super().__init__(reason)


class InTurn:
    """Asks when no other question is open, by another prompter.

    Args:
        prompter: Asks.
        turn: Is held while a question is open; all that ask the same person share it.
    """

    def __init__(self, prompter: Prompter, turn: asyncio.Lock) -> None:
        self._prompter = prompter
        self._turn = turn

    @property
    def obstacle(self) -> str | None:
        """Why the other prompter cannot ask."""
        return self._prompter.obstacle

    def tell(self, text: str) -> None:
        """Show a text at once."""
        self._prompter.tell(text)

    async def ask(self, question: str, *, echo: bool) -> str:
        """Ask in turn."""
        async with self._turn:
            return await self._prompter.ask(question, echo=echo)


class TerminalPrompter:
    """Asks on the controlling terminal of this process, wherever stdin and stdout lead.

    Args:
        path: The terminal.
    """

    def __init__(self, path: str = TERMINAL) -> None:
        self._path = path

    @property
    def obstacle(self) -> str | None:
        """The reason if there is no terminal; else None."""
        try:
            with self._open():
                return None
        except UnansweredError as error:
            return str(error)

    def tell(self, text: str) -> None:
        """Write to the terminal."""
        with contextlib.suppress(UnansweredError), self._open() as terminal:
            _write(terminal, f"{safe_lines(text)}\n")

    async def ask(self, question: str, *, echo: bool) -> str:
        """Ask on the terminal; a cancelled task stops the thread that reads there."""
        stopped, stop = os.pipe()
        try:
            with self._open() as terminal:
                # A thread, so that the connection is kept alive meanwhile.
                reading = asyncio.ensure_future(
                    asyncio.to_thread(_converse, terminal, stopped, question, echo=echo)
                )
                try:
                    return await asyncio.shield(reading)
                finally:
                    # The thread restores the terminal's state, so wait for its end.
                    os.write(stop, b"\0")
                    await asyncio.gather(reading, return_exceptions=True)
        finally:
            os.close(stop)
            os.close(stopped)

    @contextlib.contextmanager
    def _open(self) -> Iterator[int]:
        try:
            terminal = os.open(self._path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError as error:
            raise UnansweredError(NO_TERMINAL) from error
        try:
            yield terminal
        finally:
            os.close(terminal)


def _converse(terminal: int, stopped: int, question: str, *, echo: bool) -> str:
    """Ask and return a line; stop once ``stopped`` is readable."""
    *above, last = question.split("\n")
    blank = " " if last.endswith(" ") else ""
    lines = [*(safe(line.rstrip()) for line in above), safe(last.rstrip()) + blank]
    try:
        with contextlib.nullcontext() if echo else _silenced(terminal):
            _write(terminal, "\n".join(lines))
            try:
                return _read_line(terminal, stopped)
            finally:
                if not echo:
                    _write(terminal, "\n")  # the typed one was not echoed
    except (OSError, termios.error) as error:
        raise UnansweredError("the terminal is gone") from error


@contextlib.contextmanager
def _silenced(terminal: int) -> Iterator[None]:
    """Turn echo off, and discard what was typed before the question."""
    before = termios.tcgetattr(terminal)
    silent = termios.tcgetattr(terminal)
    silent[_ECHO] &= ~(termios.ECHO | termios.ECHONL)
    termios.tcsetattr(terminal, termios.TCSAFLUSH, silent)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, before)


def _read_line(terminal: int, stopped: int) -> str:
    # Not poll(), which macOS lacks for terminals.
    line = b""
    while not line.endswith(b"\n"):
        readable, _, _ = select.select([terminal, stopped], [], [])
        if stopped in readable:
            raise UnansweredError("the connection ended first")
        part = os.read(terminal, _MOST)
        if not part:
            raise UnansweredError("the input ended")
        line += part
    charset = _charset()
    if charset == "ascii":  # the bytes are what a terminal of today sends
        charset = "utf-8"
    return line.decode(charset, "surrogateescape").rstrip("\r\n")


def _write(terminal: int, text: str) -> None:
    charset = _charset()
    os.write(terminal, encodable(text, charset).encode(charset, "backslashreplace"))


def _charset() -> str:
    """Return the encoding of the terminal: that of stderr, which the locale decides, too."""
    stream = sys.stderr
    return getattr(stream, "charset", None) or getattr(stream, "encoding", None) or "utf-8"
