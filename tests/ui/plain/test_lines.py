"""Lines that are typed, and lines that are told between them."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from xpm_remote.ui.plain import lines as module
from xpm_remote.ui.plain.lines import MOST, Lines


class Pipe:
    """A pipe to a reader of lines."""

    def __init__(self) -> None:
        self.out, self.into = os.pipe()
        self.shown: list[str] = []
        self._told = asyncio.Event()
        self.lines = Lines(self.out, self._show, has_prompt=True)

    def _show(self, text: str) -> None:
        self.shown.append(text)
        self._told.set()

    async def see(self, text: str) -> None:
        """Wait until a text has been written."""
        while text not in self.text:
            self._told.clear()
            await self._told.wait()

    def type(self, text: str) -> None:
        """Type a text."""
        os.write(self.into, text.encode("utf-8", "surrogateescape"))

    @property
    def text(self) -> str:
        """All that was written."""
        return "".join(self.shown)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A pipe."""
    made = Pipe()
    yield made
    for number in (made.out, made.into):
        with contextlib.suppress(OSError):
            os.close(number)


async def test_lines_are_read(pipe: Pipe) -> None:
    """Lines come whole, whatever parts they are typed in and bytes they have; the end is one, also of a last line."""
    pipe.lines.begin()
    pipe.type("one\ntw")
    assert await pipe.lines.ask() == "one"
    pipe.type("o\n\udcff\nrest")
    assert await pipe.lines.ask() == "two"
    assert await pipe.lines.ask() == "\ufffd"
    os.close(pipe.into)
    assert [await pipe.lines.ask() for _ in range(2)] == ["rest", None]
    pipe.lines.begin()
    pipe.lines.end()


async def test_a_file_is_read(tmp_path: Path) -> None:
    """Commands may stand in a file."""
    (tmp_path / "commands").write_text("fleet\n")
    with (tmp_path / "commands").open() as file:
        lines = Lines(file.fileno(), lambda _: None, has_prompt=False)
        lines.begin()
        assert [await lines.ask() for _ in range(2)] == ["fleet", None]


async def test_news(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """News are told on lines of their own, and the prompt again after them; many are counted."""
    monkeypatch.setattr(module, "GATHERED", 0.0)
    pipe.lines.begin()
    asking = asyncio.create_task(pipe.lines.ask())
    await asyncio.sleep(0)
    pipe.lines.tell(["one"])
    pipe.lines.tell([f"line {number}" for number in range(MOST)])
    await pipe.see("more changes")
    await pipe.see("last ones\n> ")
    assert pipe.text.startswith("> \none\nline 0\n")
    assert pipe.text.endswith("and 1 more changes; activity lists the last ones\n> ")
    pipe.type("x\n")
    assert await asking == "x"
    monkeypatch.setattr(module, "GATHERED", 3600.0)
    pipe.lines.tell(["late"])
    asking = asyncio.create_task(pipe.lines.ask())
    await asyncio.sleep(0)
    assert pipe.text.endswith("late\n> ")
    asking.cancel()


async def test_news_wait_for_a_login(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a host asks at the terminal, nothing is read or told."""
    monkeypatch.setattr(module, "GATHERED", 0.0)
    pipe.lines.begin()
    pipe.lines.end()
    pipe.lines.tell(["one"])
    for _ in range(3):
        await asyncio.sleep(0)
    assert pipe.text == ""
    pipe.lines.begin()
    pipe.lines.tell(["two"])
    await pipe.see("two\n")
    assert pipe.text == "one\ntwo\n"


async def test_what_was_typed_ahead_is_forgotten(pipe: Pipe) -> None:
    """What was typed before a question is no answer to it, but what a script has is."""
    pipe.type("x kill 1\ny\n")
    pipe.lines.begin()
    assert await pipe.lines.ask() == "x kill 1"
    pipe.lines.forget()
    pipe.type("n\n")
    assert await pipe.lines.ask() == "n"
    script = Lines(pipe.out, pipe.shown.append, has_prompt=False)
    pipe.lines.end()
    pipe.type("x kill 1\ny\n")
    script.begin()
    assert await script.ask() == "x kill 1"
    script.forget()
    assert await script.ask() == "y"
