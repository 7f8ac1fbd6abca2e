"""The stdio of an agent: the bundle sent first, its greeting awaited, its compressed output unpacked."""

from __future__ import annotations

import asyncio
import zlib

from xpm_remote.errors import LinkLostError, ProtocolError, RemoteTimeoutError
from xpm_remote.link.remote.agent_command import Greeting
from xpm_remote.link.remote.bootstrap import Bundle
from xpm_remote.link.transport import RemoteExit, Transport
from xpm_remote.waiting import wait_within

GREETING_TIMEOUT = 60.0
"""Seconds from the bundle to the greeting: it takes a tenth of one, and on a login node whose disks are busy some."""

UNPACKED_MAX = 8 * 1024 * 1024
"""Bytes unpacked at once: a few can stand for a thousand times as many, and other tasks are to have their turn."""


class AgentTransport:
    """As ``Transport``, of an agent that has greeted. Use ``greet_agent`` to get one.

    Args:
        transport: The stdio of its process.
        greeting: What it said.
        rest: What has come behind the greeting.
    """

    def __init__(self, transport: Transport, greeting: Greeting, rest: bytes) -> None:
        self._transport = transport
        self._inflate = zlib.decompressobj() if greeting.compressed else None
        self._waiting = rest
        self.clock = transport.clock
        self.received = len(rest)
        """Bytes that came, before they were unpacked."""

    @property
    def exit(self) -> RemoteExit:
        """How the process ended; meaningful once ``receive`` gave no more bytes."""
        return self._transport.exit

    async def receive(self) -> bytes:
        """Give what has arrived, waiting for at least one byte; ``b""`` once the process has ended.

        Raises:
            ProtocolError: What came cannot be unpacked.
        """
        while True:
            data, self._waiting = self._waiting, b""
            if not data:
                data = await self._transport.receive()
                self.received += len(data)
                if not data:
                    return b""
            unpacked = self._unpack(data)
            if unpacked:
                return unpacked

    def send(self, data: bytes) -> None:
        """Send bytes to the process; without effect once it has ended."""
        self._transport.send(data)

    async def aclose(self, *, finish: float = 0.0) -> None:
        """End the process and the connection.

        Args:
            finish: Seconds that it is given, besides the usual ones, to finish the action in hand.
        """
        await self._transport.aclose(finish=finish)

    def _unpack(self, data: bytes) -> bytes:
        if self._inflate is None:
            return data
        try:
            unpacked = self._inflate.decompress(data, UNPACKED_MAX)
        except zlib.error as error:
            raise ProtocolError(
                f"what the agent sent cannot be unpacked: {error}", "try again"
            ) from error
        self._waiting = self._inflate.unconsumed_tail
        return unpacked


async def greet_agent(transport: Transport, bundle: Bundle) -> AgentTransport:
    """Send the agent to the interpreter that waits for it, and wait for its greeting.

    Args:
        transport: The stdio of the process that ``agent_command`` started.
        bundle: The agent, the same as in that command.

    Raises:
        StartError: No interpreter will do, or the agent ended.
        LinkLostError: The connection broke.
        RemoteTimeoutError: It does not greet.
    """
    transport.send(bundle.payload)
    greeting = Greeting()
    try:
        rest = await wait_within(_read_greeting(transport, greeting), GREETING_TIMEOUT)
    except (TimeoutError, asyncio.TimeoutError):
        raise RemoteTimeoutError(
            f"the agent has not greeted within {GREETING_TIMEOUT:g} s",
            "look at the load of the host",
        ) from None
    return AgentTransport(transport, greeting, rest)


async def _read_greeting(transport: Transport, greeting: Greeting) -> bytes:
    while data := await transport.receive():
        rest = greeting.feed(data)
        if rest is not None:
            return rest
    ended = transport.exit
    if ended.lost is not None:
        raise LinkLostError(f"the connection broke while the agent started: {ended.lost}")
    raise greeting.failure(ended.status, ended.stderr)
