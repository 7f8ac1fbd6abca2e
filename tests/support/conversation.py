"""Exchange lines of JSON with a program through its pipes, as with monitor servers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, TypeVar

Json = dict[str, Any]
This = TypeVar("This", bound="Conversation")


class Conversation:
    """A running program, with its children; they are killed after a limit, so no read waits longer.

    Args:
        command: The program with its arguments.
        limit: Seconds for the whole conversation.
        environ: Its environment; None: ours.
        directory: Its current directory; None: ours.
        stderr: Where its stderr goes, as Popen takes it.

    Attributes:
        process: The program.
        notices: The messages that came before answers that were waited for.
    """

    def __init__(
        self,
        command: Sequence[str],
        limit: float,
        *,
        environ: Mapping[str, str] | None = None,
        directory: Path | None = None,
        stderr: int = subprocess.PIPE,
    ) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=environ,
            cwd=directory,
            start_new_session=True,
        )
        self.notices: list[Json] = []
        self._seconds = limit
        self._limit = threading.Timer(limit, self._kill)
        self._limit.start()
        self._calls = 0

    def __enter__(self: This) -> This:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it by force."""
        self._limit.cancel()
        self._kill()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            with suppress(BrokenPipeError):  # what it has not read before its end
                if stream is not None:
                    stream.close()
        self.process.wait(self._seconds)

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

    def ask(self, method: str, **params: Any) -> int:
        """Send a request; return its id."""
        self._calls += 1
        request = {"jsonrpc": "2.0", "id": self._calls, "method": method, "params": params}
        self.write(json.dumps(request).encode() + b"\n")
        return self._calls

    def read(self) -> Json:
        """Read a message."""
        message: Json = json.loads(self.stdout.readline())
        return message

    def answer(self, request_id: int) -> Json:
        """Read up to an answer; earlier notifications are in ``notices``."""
        while True:
            message = self.read()
            if message.get("id") == request_id:
                return message
            self.notices.append(message)

    def call(self, method: str, **params: Any) -> Json:
        """Send a request and read up to its answer."""
        return self.answer(self.ask(method, **params))

    def result(self, method: str, **params: Any) -> Any:
        """Return the result of a request."""
        answer = self.call(method, **params)
        assert "result" in answer, answer
        return answer["result"]

    def end(self) -> tuple[bytes, str, int]:
        """Close its stdin; return its remaining output, its stderr and its status."""
        out, err = self.process.communicate(timeout=self._seconds)
        return out, err.decode(errors="replace"), self.process.returncode

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
