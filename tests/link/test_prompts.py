"""Prompts at a terminal: what is shown, what is echoed, and the terminal's state afterwards."""

from __future__ import annotations

import asyncio
import os
import select
import sys
import termios
from collections.abc import Iterator
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from tests.link.readers import Reader
from xpm_remote.link.prompts import (
    NO_TERMINAL,
    RefusingPrompter,
    TerminalPrompter,
    UnansweredError,
    first_line,
    tell_once,
)

LIMIT = 10.0
"""Seconds for something to be shown."""


class Person:
    """A user at a terminal of their own."""

    def __init__(self) -> None:
        self._near, self._far = os.openpty()
        self.path = os.ttyname(self._far)
        self.prompter = TerminalPrompter(self.path)

    def close(self) -> None:
        """Close the terminal."""
        os.close(self._near)
        os.close(self._far)

    @property
    def sees_typing(self) -> bool:
        """Whether the terminal echoes."""
        return bool(termios.tcgetattr(self._far)[3] & termios.ECHO)

    def type(self, text: str, encoding: str = "utf-8") -> None:
        """Type a text."""
        os.write(self._near, text.encode(encoding))

    async def read_bytes(self) -> bytes:
        """Read a line as it is."""
        return await asyncio.to_thread(self._read_bytes)

    def _read_bytes(self) -> bytes:
        shown = b""
        while not shown.endswith(b"\n"):
            assert select.select([self._near], [], [], LIMIT)[0], f"only this was shown: {shown!r}"
            shown += os.read(self._near, 1024)
        return shown

    async def read_until(self, end: str) -> str:
        """Read the output until it ends so."""
        return await asyncio.to_thread(self._read_until, end)

    def _read_until(self, end: str) -> str:
        shown = ""
        while not shown.endswith(end):
            assert select.select([self._near], [], [], LIMIT)[0], f"only this was shown: {shown!r}"
            shown += os.read(self._near, 1024).decode()
        return shown


@pytest.fixture
def person() -> Iterator[Person]:
    """A user at a terminal."""
    person = Person()
    yield person
    person.close()


def ask(person: Person, question: str, *, echo: bool) -> asyncio.Task[str]:
    """Start a prompt."""
    return asyncio.create_task(person.prompter.ask(question, echo=echo))


class TestTerminal:
    """Prompts with a terminal."""

    @pytest.mark.parametrize("echo", [True, False])
    async def test_answer(self, person: Person, *, echo: bool) -> None:
        """A line is the answer; it is echoed if allowed, and the terminal echoes again afterwards."""
        asked = ask(person, "Who? ", echo=echo)
        await person.read_until("Who? ")
        assert person.sees_typing == echo
        person.type("  müller \n")
        assert await asyncio.wait_for(asked, LIMIT) == "  müller "
        assert person.sees_typing
        assert ("müller" in await person.read_until("\r\n")) == echo

    async def test_remote_text(self, person: Person) -> None:
        """A prompt cannot move the cursor, but may have several lines."""
        asked = ask(person, "one\x1b[A\r\ntwo\x07: ", echo=True)
        assert await person.read_until("two\\x07: ") == "one\\x1b[A\r\ntwo\\x07: "
        person.type("\n")
        assert await asyncio.wait_for(asked, LIMIT) == ""

    async def test_tell(self, person: Person) -> None:
        """A message is escaped, and ends its line."""
        person.prompter.tell("first\nsecond\x1b[2J\n\n")
        assert await person.read_until("2J\r\n") == "first\r\nsecond\\x1b[2J\r\n"

    async def test_encoding(self, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
        """On a terminal of another encoding, what that lacks is replaced, and answers are read in it."""
        monkeypatch.setattr(sys, "stderr", TextIOWrapper(BytesIO(), encoding="iso-8859-1"))
        person.prompter.tell("é … → \N{SNOWMAN}")
        assert await person.read_bytes() == b"\xe9 ... -> \\u2603\r\n"
        asked = ask(person, "Wer? ", echo=True)
        await person.read_until("Wer? ")
        person.type("müller\n", "iso-8859-1")
        assert await asyncio.wait_for(asked, LIMIT) == "müller"

    async def test_encoding_of_the_locale_c(
        self, person: Person, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where only ASCII is shown, an answer is what a terminal of today sends."""
        monkeypatch.setattr(sys, "stderr", TextIOWrapper(BytesIO(), encoding="ascii"))
        asked = ask(person, "Für? ", echo=True)
        await person.read_until("F\\xfcr? ")
        person.type("müller\n")
        assert await asyncio.wait_for(asked, LIMIT) == "müller"

    async def test_typed_before_the_question(self, person: Person) -> None:
        """Input before a prompt for a secret is not the secret."""
        person.type("ls -l\n")
        await person.read_until("\n")
        asked = ask(person, "Secret: ", echo=False)
        await person.read_until("Secret: ")
        person.type("real\n")
        assert await asyncio.wait_for(asked, LIMIT) == "real"

    @pytest.mark.parametrize("echo", [True, False])
    async def test_end_of_input(self, person: Person, *, echo: bool) -> None:
        """Ctrl-D is no answer."""
        asked = ask(person, "Who? ", echo=echo)
        await person.read_until("Who? ")
        person.type("\x04")
        with pytest.raises(UnansweredError, match="ended"):
            await asyncio.wait_for(asked, LIMIT)
        assert person.sees_typing

    @pytest.mark.parametrize("echo", [True, False])
    async def test_cancelled(self, person: Person, *, echo: bool) -> None:
        """A cancelled prompt stops at once, and restores the terminal and leaves its input."""
        asked = ask(person, "Who? ", echo=echo)
        await person.read_until("Who? ")
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asked, LIMIT)
        assert person.sees_typing
        again = ask(person, "And? ", echo=True)
        await person.read_until("And? ")
        person.type("me\n")
        assert await asyncio.wait_for(again, LIMIT) == "me"

    async def test_loop_goes_on(self, person: Person) -> None:
        """While a prompt is open, the event loop runs."""
        asked = ask(person, "Who? ", echo=True)
        await person.read_until("Who? ")
        await asyncio.wait_for(asyncio.to_thread(int), LIMIT)
        assert not asked.done()
        person.type("\n")
        await asyncio.wait_for(asked, LIMIT)

    def test_obstacle(self, person: Person) -> None:
        """There is no obstacle."""
        assert person.prompter.obstacle is None


class TestNoPrompts:
    """No terminal, or prompts forbidden."""

    async def test_no_terminal(self, tmp_path: Path) -> None:
        """Without a terminal a prompt fails at once, and a message does nothing."""
        prompter = TerminalPrompter(str(tmp_path / "none"))
        assert prompter.obstacle == NO_TERMINAL
        prompter.tell("anything")
        with pytest.raises(UnansweredError, match=NO_TERMINAL):
            await prompter.ask("Who? ", echo=True)

    async def test_not_a_terminal(self, tmp_path: Path) -> None:
        """A prompt for a secret needs a terminal whose echo can be turned off."""
        (tmp_path / "file").touch()
        with pytest.raises(UnansweredError, match="terminal"):
            await TerminalPrompter(str(tmp_path / "file")).ask("Secret: ", echo=False)
        assert (tmp_path / "file").read_text() == ""

    async def test_refusing(self) -> None:
        """Where prompts are forbidden there are none."""
        prompter = RefusingPrompter("it is night")
        assert prompter.obstacle == "it is night"
        prompter.tell("anything")
        with pytest.raises(UnansweredError, match="it is night"):
            await prompter.ask("Who? ", echo=True)
        with pytest.raises(UnansweredError):
            await prompter.ask("Password of me@host: \nmore", echo=False)

    def test_first_line(self) -> None:
        """An error names a prompt by its first line."""
        assert first_line("Who? ") == "Who?"
        assert first_line("Password of me@host: \nmore") == "Password of me@host"


def test_a_text_is_told_once() -> None:
    """Lines of one host are shown once, those of another again, and none where no one reads."""
    reader, text = Reader(), f"line {os.urandom(4).hex()}\nmore {os.urandom(4).hex()}\n"
    tell_once(RefusingPrompter("no one reads"), "h", text)
    for host in ("h", "h", "other"):
        tell_once(reader, host, text)
    tell_once(reader, "h", f"{text}new {text}")
    assert reader.told == [text.strip(), text.strip(), f"new {text.splitlines()[0]}"]
