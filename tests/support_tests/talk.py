"""A conversation with the fake monitor server through its pipes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from tests.support.fakes import FAKE_SERVER

Json = dict[str, Any]

LIMIT = 20.0
"""Seconds for the longest conversation, a burst of one second included."""


class Fake:
    """A running fake monitor server; it is killed after :data:`LIMIT`, so no read waits longer."""

    def __init__(self, scenario: Path) -> None:
        self.process = subprocess.Popen(
            [
                *(sys.executable, str(FAKE_SERVER), "--scenario", str(scenario)),
                *("--quiet", "experiments", "--workdir", "/data/my ws", "monitor-server"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._calls = 0
        self._limit = threading.Timer(LIMIT, self.process.kill)
        self._limit.start()

    def close(self) -> None:
        """End it."""
        self._limit.cancel()
        self.process.kill()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            with suppress(BrokenPipeError):  # what it did not live to read
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

    def ask(self, method: str, **params: Any) -> None:
        """Send a request."""
        self._calls += 1
        request = {"jsonrpc": "2.0", "id": self._calls, "method": method, "params": params}
        self.write(json.dumps(request).encode() + b"\n")

    def read(self) -> Json:
        """Read a message."""
        message: Json = json.loads(self.stdout.readline())
        return message

    def call(self, method: str, **params: Any) -> Json:
        """Send a request and read messages up to its answer."""
        self.ask(method, **params)
        while (message := self.read()).get("id") != self._calls:
            pass
        return message

    def result(self, method: str, **params: Any) -> Any:
        """Return the result of a request."""
        return self.call(method, **params)["result"]

    def end(self) -> tuple[list[bytes], bytes, int]:
        """Close its stdin; return the lines still to come, its stderr and its status."""
        out, err = self.process.communicate(timeout=LIMIT)
        return out.splitlines(), err, self.process.returncode


Start = Callable[..., Fake]
"""Starts a fake server; the keywords are its scenario."""


def states(jobs: list[Json], key: str = "state") -> list[str]:
    """Return the states of jobs, in their order."""
    return [job[key] for job in jobs]
