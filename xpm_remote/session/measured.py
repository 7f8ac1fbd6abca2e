"""The transport of a server that the probe became: what it brings is counted, and the probe's marks are left out."""

from __future__ import annotations

from xpm_remote.link.process import RemoteProcess
from xpm_remote.link.remote.probe import without_marks
from xpm_remote.link.remote.startup import RemoteExit
from xpm_remote.link.transport import Transport


class MeasuredTransport(Transport):
    """The stdio of a probe that becomes a server.

    Attributes:
        received: How many bytes it has brought.
    """

    def __init__(self, process: RemoteProcess) -> None:
        super().__init__(process, clock=None)
        self.received = 0

    @property
    def exit(self) -> RemoteExit:
        """How the server ended; of stderr, what came after ``shell_init``."""
        ended = super().exit
        return RemoteExit(ended.status, without_marks(ended.stderr), ended.lost)

    async def receive(self) -> bytes:
        """Give what has arrived; ``b""`` once the process has ended."""
        data = await super().receive()
        self.received += len(data)
        return data
