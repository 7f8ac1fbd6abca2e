"""The agent's command line, really run by the shells of this machine, and a conversation with what it starts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from xpm_remote.link.remote.agent_command import Greeting, agent_command
from xpm_remote.link.remote.agent_source import agent_bundle

Json = dict[str, Any]

PYTHON = os.environ.get("XPM_TEST_AGENT_PYTHON") or sys.executable
"""The interpreter that runs the agent, unless a test says another: so all can be run with the oldest."""

LIMIT = 60.0
"""Seconds for the longest conversation; what takes longer waits for something that does not come."""


def working_pythons() -> list[str]:
    """Give the interpreters of this machine on which the agent may run: ours, and what the PATH has."""
    names = [f"python3.{minor}" for minor in range(8, 16)]
    found = [path for name in names if (path := shutil.which(name)) and _works(path)]
    return [sys.executable, *found]


def _works(path: str) -> bool:
    probe = [path, "-I", "-c", "import ctypes, zlib"]
    return subprocess.run(probe, capture_output=True, check=False, timeout=LIMIT).returncode == 0


class Talk:
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
    ) -> None:
        bundle = agent_bundle()
        command = command or agent_command(bundle, str(workspace), python=python, compress=compress)
        self.process = subprocess.Popen(
            [shutil.which(shell) or shell, "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(os.environ if environ is None else environ),
            cwd=directory,
            start_new_session=True,
        )
        self._limit = threading.Timer(LIMIT, self._kill)
        self._limit.start()
        self._calls = 0
        self._buffer = b""
        self._inflate = zlib.decompressobj() if compress else None
        self.notices: list[Json] = []
        self.greeting = Greeting()
        with suppress(BrokenPipeError):
            self.write((bundle.payload if payload is None else payload) + more)

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it by force."""
        self._limit.cancel()
        self._kill()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            with suppress(BrokenPipeError):
                stream.close()
        self.process.wait(LIMIT)

    @property
    def stdout(self) -> IO[bytes]:
        """The stream that it answers on."""
        assert self.process.stdout is not None
        return self.process.stdout

    def write(self, data: bytes) -> None:
        """Write bytes to its stdin."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def greet(self) -> None:
        """Read up to its greeting."""
        while True:
            data = os.read(self.stdout.fileno(), 65536)
            assert data, self.end()
            rest = self.greeting.feed(data)
            if rest is not None:
                self._take(rest)
                return

    def ask(self, method: str, **params: Any) -> int:
        """Send a request; give its id."""
        self._calls += 1
        request = {"jsonrpc": "2.0", "id": self._calls, "method": method, "params": params}
        self.write(json.dumps(request).encode() + b"\n")
        return self._calls

    def read(self) -> Json:
        """Read a message."""
        while b"\n" not in self._buffer:
            data = os.read(self.stdout.fileno(), 65536)
            assert data, self.end()
            self._take(data)
        line, self._buffer = self._buffer.split(b"\n", 1)
        message: Json = json.loads(line)
        assert message["jsonrpc"] == "2.0"
        return message

    def answer(self, request_id: int) -> Json:
        """Read up to an answer; what was announced before it is in ``notices``."""
        while True:
            message = self.read()
            if message.get("id") == request_id:
                return message
            self.notices.append(message)

    def call(self, method: str, **params: Any) -> Json:
        """Send a request and read up to its answer."""
        return self.answer(self.ask(method, **params))

    def result(self, method: str, **params: Any) -> Any:
        """Give the result of a request."""
        answer = self.call(method, **params)
        assert "result" in answer, answer
        return answer["result"]

    def notice(self, method: str) -> Json:
        """Read up to a notification; give its parameters."""
        while True:
            for message in self.notices:
                if message.get("method") == method:
                    self.notices.remove(message)
                    return dict(message["params"])
            self.notices.append(self.read())

    def end(self) -> tuple[bytes, str, int]:
        """Close its stdin; give what it still wrote, its stderr and its status."""
        out, err = self.process.communicate(timeout=LIMIT)
        return out, err.decode(errors="replace"), self.process.returncode

    def _take(self, data: bytes) -> None:
        self._buffer += self._inflate.decompress(data) if self._inflate else data

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, 9)
