"""Run the agent's command line by the shells of this machine, and exchange messages with the agent."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tests.support.conversation import Conversation, Json
from xpm_remote.link.remote.agent import PLAIN, Greeting, agent_command
from xpm_remote.link.remote.bundle import agent_bundle

PYTHON = os.environ.get("XPM_TEST_AGENT_PYTHON") or sys.executable
"""The interpreter that runs the agent, unless a test says another: so all can be run with the oldest."""

MODULES = "modules"
"""The id of the request that brings the modules that were not sent at first."""

LIMIT = 60.0
"""Seconds for the longest conversation; what takes longer waits for something that does not come."""


def working_pythons() -> list[str]:
    """Return the interpreters of this machine on which the agent runs: ours, those in the PATH and XPM_TEST_PYTHONS."""
    names = [*(f"python3.{minor}" for minor in range(8, 16)), "pypy3"]
    names += os.environ.get("XPM_TEST_PYTHONS", "").split()
    found = [path for name in names if (path := shutil.which(name)) and _works(path)]
    return [sys.executable, *found]


def _works(path: str) -> bool:
    probe = [path, "-I", "-c", "import json"]
    return subprocess.run(probe, capture_output=True, check=False, timeout=LIMIT).returncode == 0


class Talk(Conversation):
    """A running agent; it is killed after :data:`LIMIT`, so no read waits longer.

    Args:
        workspace: What it serves.
        python: Its interpreter, as settings name one.
        compress: Whether it compresses.
        shell: The login shell that runs the command line.
        environ: Its environment.
        payload: What is sent in place of the bundle.
        more: Bytes sent right behind the bundle.
        command: Another command line.
        directory: The directory that it is started in.
        sends_modules: Whether to send the modules that it asks for.

    Attributes:
        modules_sent: How often they were sent.
    """

    def __init__(
        self,
        workspace: Path | str,
        *,
        python: str | None = PYTHON,
        compress: bool = False,
        shell: str = "sh",
        environ: Mapping[str, str] | None = None,
        payload: bytes | None = None,
        more: bytes = b"",
        command: str | None = None,
        directory: Path | None = None,
        sends_modules: bool = True,
    ) -> None:
        bundle = agent_bundle()
        command = command or agent_command(str(workspace), python=python, compress=compress)
        words = [shutil.which(shell) or shell, "-c", command]
        super().__init__(words, LIMIT, environ=environ, directory=directory)
        self._buffer = bytearray()
        self._searched = 0
        self._sends_modules = sends_modules
        self.modules_sent = 0
        self._inflate = zlib.decompressobj() if compress else None
        self.greeting = Greeting()
        with suppress(BrokenPipeError):
            self.write((bundle.payload if payload is None else payload) + more)

    def greet(self) -> None:
        """Read up to its greeting."""
        while True:
            data = os.read(self.stdout.fileno(), 65536)
            assert data, self.end()
            rest = self.greeting.feed(data)
            bundle = agent_bundle()
            if rest is not None and self.greeting.asks is not None:
                is_plain = self.greeting.asks == PLAIN
                self.write(bundle.plain if is_plain else bundle.payload_again)
            elif rest is not None:
                self._take(rest)
                return

    def read(self) -> Json:
        """Read a message; send the modules that are asked for."""
        while True:
            message = self._read()
            is_asking = message.get("method") == "notification.modules_needed"
            if is_asking and self._sends_modules:
                self.modules_sent += 1
                params = agent_bundle().other_modules(message["params"]["packed"])
                request = {"jsonrpc": "2.0", "id": MODULES, "method": "modules", "params": params}
                self.write(json.dumps(request).encode() + b"\n")
            elif message.get("id") != MODULES:
                return message

    def _read(self) -> Json:
        # A line may have many megabytes: each byte is searched and copied once.
        while (end := self._buffer.find(b"\n", self._searched)) < 0:
            self._searched = len(self._buffer)
            data = os.read(self.stdout.fileno(), 65536)
            assert data, self.end()
            self._take(data)
        message: Json = json.loads(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        assert message["jsonrpc"] == "2.0"
        return message

    def notice(self, method: str) -> Json:
        """Read up to a notification; return its parameters."""
        while True:
            for message in self.notices:
                if message.get("method") == method:
                    self.notices.remove(message)
                    return dict(message["params"])
            self.notices.append(self.read())

    def _take(self, data: bytes) -> None:
        self._buffer += (
            self._inflate.decompress(data) if self._inflate and self.greeting.compressed else data
        )
