"""What is sent to the client: whole lines, from any thread, through one stream."""

from __future__ import annotations

import os
import threading
from typing import Any

from xpm_remote.workspace.agent.wire import Stream, notice


class Output:
    """The stdout of this process.

    Args:
        descriptor: Where bytes go.
        stream: How lines become bytes.
    """

    def __init__(self, descriptor: int, stream: Stream) -> None:
        self._descriptor = descriptor
        self._stream = stream
        self._lock = threading.Lock()
        self.is_broken = False
        """Whether nobody reads any more."""

    def send(self, line: bytes) -> None:
        """Send a line, waiting for room; without effect once nobody reads."""
        with self._lock:
            if self.is_broken:
                return
            left = memoryview(self._stream.pack(line))
            try:
                while left:
                    left = left[os.write(self._descriptor, left) :]
            except OSError:
                self.is_broken = True

    def notify(self, method: str, params: dict[str, Any]) -> None:
        """Send a notification."""
        self.send(notice(method, params))
