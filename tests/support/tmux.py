"""A terminal of tmux: what is on the screen, at any size."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.polling import wait_until

SCREEN_LIMIT = 60.0
"""Seconds for something to appear on the screen, also on a busy machine."""


class Tmux:
    """Runs a command in a terminal of its own server of tmux.

    Args:
        folder: Where its socket and what the command writes to stderr are.
        command: The command.
        environment: Its environment.
        size: Columns and lines.
    """

    def __init__(
        self,
        folder: Path,
        command: Sequence[str | Path],
        environment: Mapping[str, str],
        size: tuple[int, int],
    ) -> None:
        self._socket = folder / "tmux"
        self._errors = folder / "stderr"
        columns, lines = size
        words = shlex.join(map(str, command))
        # The last line stays on the screen until the server ends.
        script = f"{words} 2>{shlex.quote(str(self._errors))}; echo ended with $?; cat"
        start = ["-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(lines)]
        environment = {**environment, "TERM": "xterm-256color", "PATH": os.environ["PATH"]}
        self._tmux(*start, "sh", "-c", script, environment=environment)

    def __enter__(self) -> Tmux:
        return self

    def __exit__(self, *_: object) -> None:
        self._tmux("kill-server")

    def _tmux(self, *words: str, environment: Mapping[str, str] | None = None) -> str:
        argv = ["tmux", "-u", "-S", str(self._socket), *words]
        done = subprocess.run(
            argv, check=True, capture_output=True, env=environment, timeout=SCREEN_LIMIT
        )
        return done.stdout.decode()

    def press(self, *keys: str) -> None:
        """Press keys, by tmux's names."""
        self._tmux("send-keys", *keys)

    def paste(self, text: str) -> None:
        """Paste a text, as the terminal of a person does."""
        self._tmux("set-buffer", "--", text)
        self._tmux("paste-buffer", "-p")

    def resize(self, columns: int, lines: int) -> None:
        """Make the terminal another size."""
        self._tmux("resize-window", "-x", str(columns), "-y", str(lines))

    @property
    def screen(self) -> list[str]:
        """The lines on the screen."""
        return self._tmux("capture-pane", "-p").splitlines()

    @property
    def styled(self) -> str:
        """What is on the screen, with its escape sequences for colours and styles."""
        return self._tmux("capture-pane", "-p", "-e")

    @property
    def title(self) -> str:
        """The title of the terminal, which programs may set."""
        return self._tmux("display-message", "-p", "#{pane_title}").strip()

    @property
    def buffer(self) -> str:
        """What was copied last within tmux."""
        return self._tmux("show-buffer")

    @property
    def errors(self) -> str:
        """What the command wrote to stderr."""
        return self._errors.read_text()

    def see(self, *texts: str) -> list[str]:
        """Wait until all texts are on the screen; return its lines."""
        seen: list[str] = []

        def is_there() -> bool:
            seen[:] = self.screen
            return all(text in "\n".join(seen) for text in texts)

        try:
            wait_until(is_there, SCREEN_LIMIT, f"{texts} on the screen")
        except TimeoutError as error:
            shown = "\n".join(seen)
            raise TimeoutError(f"{error}; it shows:\n{shown}") from None
        return seen
