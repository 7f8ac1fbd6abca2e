"""Calls the person: the bell and a notice of the terminal that is not looked at, and a command of the settings."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence

from xpm_remote.escaping import quoted
from xpm_remote.settings.schema import NoticeSettings
from xpm_remote.ui.documents import json_line
from xpm_remote.ui.screen.notices import Item, terminal_text, text_of
from xpm_remote.ui.text import local_time
from xpm_remote.waiting import wait_within

SCHEMA = "xpm-remote/notice/1"

COMMAND_LIMIT = 10.0
"""Seconds for the command: it only passes a notice on, and the next one comes after a minute."""


class Caller:
    """Calls by the terminal and by a command.

    Args:
        settings: When and how.
        environ: The environment.
        write: Writes to the terminal.
        tell: Is called with what went wrong, once.

    Attributes:
        has_focus: Whether the terminal is looked at; None while it has not told.
    """

    def __init__(
        self,
        settings: NoticeSettings,
        environ: Mapping[str, str],
        write: Callable[[str], None],
        tell: Callable[[str], None],
    ) -> None:
        self._command = settings.command
        self._environ = environ
        self._write = write
        self._tell = tell
        self._has_failed = False
        self.has_focus: bool | None = None

    async def call(self, items: Sequence[Item]) -> None:
        """Tell this."""
        text = text_of(items)
        if self.has_focus is False:
            term = self._environ.get("TERM", "")
            self._write(terminal_text(text, term=term, is_tmux="TMUX" in self._environ))
        if self._command:
            document = {
                "schema": SCHEMA,
                "time": local_time(time.time()),
                "text": text,
                "has_focus": self.has_focus,
                "notices": [item.document for item in items],
            }
            trouble = await _run(self._command, json_line(document).encode() + b"\n")
            if trouble and not self._has_failed:
                self._has_failed = True
                self._tell(f"{trouble}; see notices.command in the settings")


async def _run(argv: Sequence[str], data: bytes) -> str:
    """Run a command with data on its stdin; return what went wrong."""
    name = quoted(argv[0])
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        return f"the command {name} of notices cannot be run: {why}"
    try:
        await wait_within(process.communicate(data), COMMAND_LIMIT)
    except (TimeoutError, asyncio.TimeoutError):
        return f"the command {name} of notices was killed after {COMMAND_LIMIT:.0f} s"
    finally:
        if process.returncode is None:
            # With what it has started: it has a session of its own.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    status = process.returncode
    return f"the command {name} of notices ended with {status}" if status else ""
