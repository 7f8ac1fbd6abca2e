"""What is on the terminal before the dashboard."""

from __future__ import annotations

import os
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TextIO

import pytest

from xpm_remote.ui.screen.first_frame import FirstFrame

ROOM = 4096


@pytest.fixture(name="ends")
def _ends() -> Iterator[tuple[int, TextIO]]:
    """A pseudo-terminal: the person's end, and ours."""
    person, ours = os.openpty()
    with ExitStack() as stack:
        stack.callback(os.close, person)
        yield person, stack.enter_context(os.fdopen(ours, "w", encoding="utf-8"))


def test_the_first_frame_is_drawn_and_goes_without_a_trace(ends: tuple[int, TextIO]) -> None:
    """On an error before the dashboard, the terminal is as before."""
    person, ours = ends
    before = termios.tcgetattr(ours)
    with FirstFrame(ours, ours, "connecting"):
        drawn = os.read(person, ROOM)
        assert b"\x1b[?1049h" in drawn
        assert b"xpm-remote" in drawn
        assert b"connecting" in drawn
    left = os.read(person, ROOM)
    assert b"\x1b[?1049l" in left
    assert b"\x1b[?25h" in left
    assert termios.tcgetattr(ours) == before


def test_keys_pressed_early_are_kept_as_they_are(ends: tuple[int, TextIO]) -> None:
    """Enter is no line feed, nothing is echoed, and a key does not wait for Enter."""
    person, ours = ends
    with FirstFrame(ours, ours, ""):
        os.read(person, ROOM)
        os.write(person, b"2\r")
        assert os.read(ours.fileno(), 1) + os.read(ours.fileno(), 1) == b"2\r"
        os.write(ours.fileno(), b"end")
        assert os.read(person, ROOM) == b"end"


def test_who_takes_the_terminal_over_restores_it(ends: tuple[int, TextIO]) -> None:
    """Then nothing is left by the first frame itself."""
    person, ours = ends
    before = termios.tcgetattr(ours)
    with FirstFrame(ours, ours, "") as first:
        os.read(person, ROOM)
        assert first.take_over() == before
    os.write(ours.fileno(), b"end")
    assert os.read(person, ROOM) == b"end"
    assert termios.tcgetattr(ours) != before


def test_what_is_no_terminal_is_left_alone() -> None:
    """Neither drawn on nor changed."""
    reader, writer = os.pipe()
    with os.fdopen(reader) as keyboard, os.fdopen(writer, "w") as screen:
        with FirstFrame(keyboard, screen, "") as first:
            assert first.take_over() is None
        screen.write("end")
        screen.close()
        assert keyboard.read() == "end"


def test_the_first_frame_waits_for_no_large_library() -> None:
    """Neither for what draws the dashboard, nor for SSH, nor for what decimals need."""
    slow = ["textual", "rich.console", "asyncssh", "statistics", "importlib.metadata"]
    program = (
        "import sys, xpm_remote.cli.main, xpm_remote.cli.monitor, xpm_remote.ui.screen.start,"
        " xpm_remote.session.journal, xpm_remote.ui.screen.remembered\n"
        f"print([name for name in {slow!r} if name in sys.modules])"
    )
    words = [sys.executable, "-c", program]
    said = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout
    assert said == "[]\n"
