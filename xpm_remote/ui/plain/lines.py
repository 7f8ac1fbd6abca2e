"""The terminal of the line mode: lines that are typed, and lines that are told between them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import termios
from collections.abc import Callable, Sequence

PROMPT = "> "

GATHERED = 1.0
"""Seconds for which news are gathered: one line each would drown what is read when many jobs end at once."""

MOST = 10
"""News that are told one by one; of more the first ones are, and the others are counted."""

_READ = 64 * 1024


class Lines:
    """Reads lines, and tells news between them; nothing is drawn twice and no cursor is moved.

    Args:
        number: The file that is read.
        write: Writes a text.
        has_prompt: Whether a prompt is written.

    Attributes:
        is_lent: Whether another reads there, or it is over.
    """

    def __init__(self, number: int, write: Callable[[str], None], *, has_prompt: bool) -> None:
        self._number = number
        self._write = write
        self._prompt = PROMPT if has_prompt else ""
        self._typed: asyncio.Queue[str | None] = asyncio.Queue()
        self._rest = b""
        self._news: list[str] = []
        self._timer: asyncio.TimerHandle | None = None
        self._is_waiting = False
        self.is_lent = False
        self._is_over = False

    # What is typed

    def begin(self) -> None:
        """Read from now on."""
        self.is_lent = False
        if self._is_over:
            return
        try:
            asyncio.get_running_loop().add_reader(self._number, self._read)
        except (PermissionError, OSError):  # a file, which never lets one wait
            while not self._is_over:
                self._read()

    def end(self) -> None:
        """Read no more, since another reads there, or it is over."""
        self.is_lent = True
        with contextlib.suppress(OSError, ValueError):
            asyncio.get_running_loop().remove_reader(self._number)

    def _read(self) -> None:
        try:
            data = os.read(self._number, _READ)
        except BlockingIOError:
            return
        except OSError:  # the terminal is gone
            data = b""
        if not data:
            self.end()
            self._is_over = True
            if self._rest:
                self._typed.put_nowait(self._rest.decode("utf-8", "replace"))
            self._typed.put_nowait(None)
            return
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            self._typed.put_nowait(line.decode("utf-8", "replace"))

    def forget(self) -> None:
        """Forget what was typed before a question: a paste, or keys ahead, are no answer to it; a script's are."""
        if self._prompt:
            with contextlib.suppress(termios.error):
                termios.tcflush(self._number, termios.TCIFLUSH)
            while not self._typed.empty() and not self._is_over:
                self._typed.get_nowait()

    async def ask(self) -> str | None:
        """Return the next line that is typed; None for the end."""
        self._tell_news()
        if self._typed.empty():
            self._write(self._prompt)
        self._is_waiting = True
        try:
            return await self._typed.get()
        finally:
            self._is_waiting = False

    # What is told

    def say(self, line: str) -> None:
        """Write a line."""
        self._write(f"{line}\n")

    def tell(self, news: Sequence[str]) -> None:
        """Tell news, when the next ones have been gathered."""
        self._news += news
        if self._news and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHERED, self._tell_news)

    def _tell_news(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # A line between a question and its answer would be typed into.
        if not self._news or (self.is_lent and not self._is_over):
            return
        news, self._news = self._news, []
        if self._is_waiting and self._prompt:
            self._write("\n")
        for line in news[:MOST]:
            self.say(line)
        if len(news) > MOST:
            self.say(f"and {len(news) - MOST:,} more changes; activity lists the last ones")
        if self._is_waiting:
            self._write(self._prompt)
