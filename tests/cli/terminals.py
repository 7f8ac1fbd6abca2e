"""Run our command in a real terminal."""

from __future__ import annotations

import re
import sys
import termios
from pathlib import Path
from typing import Any

import pexpect

from tests.cli.commands import Commands
from tests.support import forked

CHECKOUT = Path(__file__).parents[2]
SCREEN_LIMIT = 30
"""Seconds for something to appear on the screen."""
_LOCAL_FLAGS = 3


class Terminal:
    """A terminal in which ``ssh-monitor`` runs.

    Args:
        commands: The home and the settings.
        arguments: The command's.
        shell: Words of a program that is given the command line and runs it.
        size: Lines and columns.
        is_inline: Whether the picture is drawn below the prompt, not on the whole screen.
    """

    child: Any

    def __init__(
        self,
        commands: Commands,
        *arguments: str,
        shell: tuple[str, ...] = (),
        size: tuple[int, int] = (24, 120),
        is_inline: bool = True,
    ) -> None:
        words = commands.words(*(["--inline"] if is_inline else []), *arguments)
        environment = {**commands._environment(), "TERM": "xterm-256color"}
        if not shell:
            self.child = forked.spawn(words, environment, size=size, limit=SCREEN_LIMIT)
            return
        argv = [*shell, sys.executable, "-m", "xpm_remote", *words]
        self.child = pexpect.spawn(
            argv[0],
            argv[1:],
            env=environment,
            dimensions=size,
            encoding="utf-8",
            timeout=SCREEN_LIMIT,
        )

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.child.close(force=True)

    @property
    def is_as_usual(self) -> bool:
        """Whether the terminal collects lines and echoes them."""
        flags = termios.tcgetattr(self.child.child_fd)[_LOCAL_FLAGS]
        return bool(flags & termios.ICANON) and bool(flags & termios.ECHO)

    def see(self, text: str) -> str:
        """Wait for a text on the screen; return what was shown since the previous one."""
        self.child.expect(re.escape(text))
        return str(self.child.before)

    def type(self, text: str) -> None:
        """Type a line."""
        self.child.sendline(text)

    def press(self, key: str) -> None:
        """Press a key."""
        self.child.send(key)

    def finish(self) -> tuple[int | None, str]:
        """Wait for the end; return the exit status and the rest of the output, without control codes."""
        self.child.expect(pexpect.EOF)
        shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.child.before)
        self.child.wait()
        status: int | None = self.child.exitstatus
        return status, shown


class Program(Terminal):
    """A terminal in which another program of Python runs.

    Args:
        commands: The home.
        words: The program's, after the interpreter.
    """

    def __init__(self, commands: Commands, words: list[str]) -> None:
        self.child = pexpect.spawn(
            sys.executable,
            words,
            env={**commands._environment(), "TERM": "xterm-256color"},
            cwd=str(CHECKOUT),
            encoding="utf-8",
            timeout=SCREEN_LIMIT,
        )
