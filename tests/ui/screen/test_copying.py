"""Copying: what is copied, and which clipboard took it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.ui.screen import test_triage
from tests.ui.screen.fleets import FakeQuestions, dashboard
from xpm_remote.ui.screen import copying
from xpm_remote.ui.screen.copying import OSC_MOST, copied_words, copy_by_tool, fit_to_paste, tools

made, questions = test_triage.made, test_triage.questions


def program(folder: Path, name: str, script: str) -> dict[str, str]:
    """Make a program, and return the environment in which it may have the clipboard."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"DISPLAY": ":0", "PATH": f"{folder}:/usr/bin:/bin"}


@pytest.mark.parametrize(
    ("text", "copied", "is_changed"),
    [
        ("/data/ws ü/a\tb\nc", "/data/ws ü/a\tb\nc", False),
        ("/data/\u202eabc", "/data/\u202eabc", False),
        ("/data/\x1b[2J", "/data/\\x1b[2J", True),
        ("a\rb\nc", "a\\rb\nc", True),
        ("/data/\udcff", "/data/\\udcff", True),
    ],
)
def test_what_is_copied(text: str, copied: str, is_changed: bool) -> None:
    """A text is copied as it is, unless it has control characters, or bytes that are no text."""
    assert fit_to_paste(text) == (copied, is_changed)


def test_which_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs are those that have the clipboard of the screen before which the person sits."""

    def names(**environ: str) -> list[str]:
        return [tool.argv[0] for tool in tools(environ)]

    monkeypatch.setattr(sys, "platform", "linux")
    assert names() == []
    assert names(WAYLAND_DISPLAY="w", DISPLAY=":0") == ["wl-copy", "xclip", "xsel"]
    assert names(WSL_DISTRO_NAME="d") == ["clip.exe"]
    assert names(TMUX="/tmp/t,1,0", DISPLAY=":0") == ["xclip", "xsel", "tmux", "tmux"]
    monkeypatch.setattr(sys, "platform", "darwin")
    assert names() == ["pbcopy"]
    assert names(SSH_CONNECTION="a 1 b 2") == []


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs take as long as a busy machine needs."""
    monkeypatch.setattr(copying, "LIMIT", 60.0)


@pytest.mark.usefixtures("patient")
async def test_programs(tmp_path: Path) -> None:
    """The first one that takes the text is named, and why others did not."""
    taken = tmp_path / "taken"
    environ = program(tmp_path / "bin", "xsel", f"cat > {taken}")
    assert await copy_by_tool("ü", environ) == ("xsel", "")
    assert taken.read_text() == "ü"
    program(tmp_path / "bin", "xclip", "exit 3")
    assert await copy_by_tool("b", environ) == ("xsel", "xclip ended with exit code 3")
    (tmp_path / "bin" / "xsel").unlink()
    (tmp_path / "bin" / "xclip").write_text("#!/nowhere/at/all\n")
    tool, trouble = await copy_by_tool("b", environ)
    assert (tool, trouble) == ("", "xclip cannot be run: No such file or directory")


async def test_a_program_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that does not end is given up."""
    monkeypatch.setattr(copying, "LIMIT", 0.05)
    environ = program(tmp_path / "bin", "xclip", "exec sleep 60")
    assert await copy_by_tool("b", environ) == ("", "xclip has not ended after 0.05 s")


def test_what_is_said() -> None:
    """It is said which clipboard has the text, which was only sent it, and what is uncertain about that."""
    told = copied_words("the id", "x", "xsel", "", is_changed=False)
    assert told == "the id is in the clipboard by xsel, and was sent to the terminal (OSC 52)"
    told = copied_words("the path", "x" * (OSC_MOST + 1), "", "xsel failed", is_changed=True)
    assert told.startswith("the path, with escapes for its control characters, was sent to the")
    assert told.endswith("(OSC 52), which may cut so much; xsel failed")
    told = copied_words("the id", "x", "tmux", "", is_changed=False)
    assert told == "the id is in tmux's buffer, and was sent to the terminal (OSC 52)"
    assert "set-clipboard" in copied_words("the id", "x", "", "", is_changed=False)


@pytest.mark.usefixtures("patient")
async def test_traceback_and_line(tmp_path: Path, questions: FakeQuestions) -> None:
    """The traceback of a job, and a line of its log are copied, by the program of this machine too."""
    taken = tmp_path / "taken"
    environ = program(tmp_path / "bin", "xclip", f"cat > {taken}")
    async with dashboard(tmp_path, questions=questions, environ=environ) as screen:
        await screen.press("3", "y", "t")
        assert screen.app.clipboard == test_triage.TRACEBACK.rstrip()
        assert taken.read_text() == screen.app.clipboard
        assert "the traceback is in the clipboard by xclip" in screen.line("crumbs")
        await screen.press("enter", "slash", *"goodbye 99", "enter", "y")
        assert "l line" in screen.line("crumbs")
        await screen.press("l")
        assert screen.app.clipboard == "goodbye 99"
        await screen.press("y", "p")
        assert screen.app.clipboard == "/ws/jobs/demo.task/failed-job"
        await screen.press("2", "G", "y", "t")
        assert "no traceback" in screen.line("crumbs")
