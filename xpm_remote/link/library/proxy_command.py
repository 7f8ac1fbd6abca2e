"""A connection carried by a command, as ``ProxyCommand`` asks for."""

from __future__ import annotations

import asyncio
import re
import socket
import tempfile
from collections.abc import Mapping
from typing import IO

from xpm_remote.waiting import wait_within

END_TIME = 1.0
"""Seconds for the command to end after its connection was closed, before it is killed."""

STDERR_SHOWN = 500
"""Characters of the end of its stderr in an error message."""


class ProxyCommand:
    """A running command whose stdin and stdout are our connection."""

    def __init__(
        self, process: asyncio.subprocess.Process, sock: socket.socket, stderr: IO[bytes]
    ) -> None:
        self._process = process
        self._stderr = stderr
        self.sock = sock

    @property
    def complaint(self) -> str:
        """The end of what it wrote to stderr, as one line."""
        self._stderr.seek(0)
        text = self._stderr.read().decode("utf-8", "backslashreplace")
        return " | ".join(text[-STDERR_SHOWN:].split("\n")).strip(" |")

    async def aclose(self) -> None:
        """Let it end, and see to it that it does."""
        self.sock.close()
        try:
            await wait_within(self._process.wait(), END_TIME)
        except (TimeoutError, asyncio.TimeoutError):
            self._process.kill()
            await self._process.wait()
        self._stderr.close()


async def start_proxy_command(command: str) -> ProxyCommand:
    """Start a command by the shell, as OpenSSH does; tokens are filled in already."""
    ours, theirs = socket.socketpair()
    # A file, not a pipe: it may say much or nothing, and nobody reads along. (tempfile has no async twin.)
    stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the command
    with theirs:
        process = await asyncio.create_subprocess_shell(
            f"exec {command}",
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=stderr,
            start_new_session=True,
        )
    ours.setblocking(False)
    return ProxyCommand(process, ours, stderr)


def fill_in(command: str, tokens: Mapping[str, str]) -> str:
    """Replace ``%h`` and its like; what is no token stays."""
    return re.sub(r"%(.)", lambda found: tokens.get(found[1], found[0]), command)
