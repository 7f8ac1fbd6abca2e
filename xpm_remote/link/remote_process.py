"""What every SSH engine makes of a command that runs on a host: its output, its input and its end."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

from xpm_remote.link.remote_exit import RemoteExit
from xpm_remote.waiting import wait_within

BUFFER_HIGH = 8 * 1024 * 1024
"""Bytes waiting to be read at which the remote is told to pause."""

DRAIN_TIME = 0.5
"""Seconds for output to arrive after the exit status: a forgotten background process may hold the pipe for ever."""


class RemoteProcess(ABC):
    """A command on a host, and the connection that carries it.

    An engine hands over what it gets by ``_take`` and says that no more comes by ``_end``.
    """

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._size = 0
        self._ended = asyncio.Event()
        self._readable = asyncio.Event()

    @property
    @abstractmethod
    def exit(self) -> RemoteExit:
        """How the process ended; meaningful once ``receive`` gave no more bytes."""

    @abstractmethod
    def send(self, data: bytes) -> None:
        """Send bytes to the process; without effect once it has ended.

        What waits to be sent is not bounded here: our questions are few, and each is waited for.
        """

    @abstractmethod
    def close_stdin(self) -> None:
        """Tell the process that nothing more is sent."""

    @abstractmethod
    def terminate(self) -> None:
        """Have the process end, without waiting for it."""

    @abstractmethod
    async def aclose(self, *, by_force: bool = False) -> None:
        """Close the connection, and with it whatever of the process is left.

        Args:
            by_force: Whether to wait for no polite words.
        """

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended and its output is complete."""
        return self._ended.is_set()

    async def receive(self) -> bytes:
        """Give what has arrived, waiting for at least one byte; ``b""`` once the process has ended."""
        await self._readable.wait()
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        if not self._ended.is_set():
            self._readable.clear()
            self._resume()
        return data

    def put_back(self, data: bytes) -> None:
        """Have bytes be what ``receive`` gives next."""
        if data:
            self._chunks.insert(0, data)
            self._size += len(data)
            self._readable.set()

    async def wait_ended(self, timeout: float) -> bool:
        """Wait for the end of the process; tell whether it came."""
        try:
            await wait_within(self._ended.wait(), timeout)
        except (TimeoutError, asyncio.TimeoutError):
            return False
        return True

    @abstractmethod
    def _pause(self) -> None:
        """Have the remote wait."""

    @abstractmethod
    def _resume(self) -> None:
        """Have the remote go on, if it waits."""

    def _take(self, data: bytes) -> None:
        self._chunks.append(data)
        self._size += len(data)
        self._readable.set()
        if self._size > BUFFER_HIGH:
            self._pause()

    def _end(self) -> None:
        self._ended.set()
        self._readable.set()
