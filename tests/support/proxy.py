"""A TCP proxy that delays, stalls, cuts and refuses, for tests of network failures.

It runs on an event loop of its own, in a thread, so that a test drives it with plain calls whether the
test itself is synchronous or a coroutine.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")

LOOPBACK = "127.0.0.1"
CALL_LIMIT = 10.0
"""Seconds for the proxy's loop to run a test's call; all of it is quick."""
CONNECT_LIMIT = 10.0
"""Seconds for the connection to the server behind the proxy."""
CHUNK = 65536
HELD_CHUNKS = 64
"""Chunks held back in each direction; beyond them the sender feels the stall, as on a network."""
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER's value with which closing sends RST, not FIN."""


class _Way:
    """One direction, for all connections."""

    def __init__(self) -> None:
        self.delay = 0.0
        self.bytes = 0
        self.open = asyncio.Event()
        self.open.set()


class _Link:
    """A connection through the proxy: two sockets, and the task that pumps between them."""

    def __init__(self, task: asyncio.Task[None], *writers: asyncio.StreamWriter) -> None:
        self.task = task
        self.writers = writers

    def close(self, reset: bool) -> None:
        for writer in self.writers:
            if reset:
                connection: socket.socket = writer.get_extra_info("socket")
                with suppress(OSError):  # the other end was faster
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                writer.transport.abort()
            else:
                writer.close()


class Proxy:
    """A proxy on a free loopback port, from entering the context to leaving it.

    Args:
        host: The address of the server behind it.
        port: The port of the server behind it.

    Attributes:
        host: The address to connect to.
        port: The port to connect to; it stays the same through refusals.
        connections: How many connections were accepted so far.
    """

    host = LOOPBACK
    port: int

    def __init__(self, host: str, port: int) -> None:
        self.connections = 0
        self._progress = threading.Condition()
        self._drops = False
        self._upstream = (host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        self._listener: asyncio.Server | None = None
        self._links: set[_Link] = set()

    def __enter__(self) -> Proxy:
        self._thread.start()
        self.port = self._call(self._start())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._call(self._refuse())
        self._call(self._cut(reset=True))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_LIMIT)
        self._loop.close()

    @property
    def open_connections(self) -> int:
        """The number of open connections."""
        return len(self._links)

    @property
    def bytes_to_server(self) -> int:
        """The number of bytes passed on to the server."""
        return self._to_server.bytes

    @property
    def bytes_to_client(self) -> int:
        """The number of bytes passed on to clients."""
        return self._to_client.bytes

    def wait_for(self, condition: Callable[[], bool], limit: float) -> bool:
        """Wait until a condition on the traffic so far holds; return whether it did within the limit."""
        with self._progress:
            return self._progress.wait_for(condition, limit)

    def delay(self, to_server_ms: float = 0, to_client_ms: float = 0) -> None:
        """Delay data from now on by so long, in each direction, at the same throughput."""
        self._to_server.delay = to_server_ms / 1000
        self._to_client.delay = to_client_ms / 1000

    def stall(self, to_server: bool = True, to_client: bool = True) -> None:
        """Pass nothing on any more; connections, also new ones, stay open."""
        self._call(self._gates(not to_server, not to_client))

    def cut(self, reset: bool = True) -> None:
        """End the open connections at both ends: with RST, or with FIN; delayed data is lost."""
        self._call(self._cut(reset))

    def refuse(self) -> None:
        """Refuse new connections; open ones are not affected."""
        self._call(self._refuse())

    def drop(self) -> None:
        """Accept new connections and end them at once; open ones are not affected."""
        self._drops = True

    def restore(self) -> None:
        """Accept connections again, and pass everything on at once."""
        self._drops = False
        self.delay()
        self._call(self._gates(True, True))
        self._call(self._listen(self.port))

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_LIMIT)

    async def _start(self) -> int:
        self._to_server, self._to_client = _Way(), _Way()
        return await self._listen(0)

    async def _listen(self, port: int) -> int:
        if self._listener is None:
            self._listener = await asyncio.start_server(self._serve, LOOPBACK, port)
        bound: int = self._listener.sockets[0].getsockname()[1]
        return bound

    async def _refuse(self) -> None:
        # Not wait_closed(): since Python 3.12 it also waits for the open connections.
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _gates(self, to_server: bool, to_client: bool) -> None:
        for way, opened in ((self._to_server, to_server), (self._to_client, to_client)):
            if opened:
                way.open.set()
            else:
                way.open.clear()

    async def _cut(self, reset: bool) -> None:
        links = list(self._links)
        for link in links:
            link.close(reset)
            link.task.cancel()
        await asyncio.gather(*(link.task for link in links), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connections += 1
        self._note_progress()
        link = _Link(task, writer)
        self._links.add(link)
        try:
            if self._drops:
                link.close(reset=False)
                return
            connecting = asyncio.open_connection(*self._upstream)
            far_reader, far_writer = await asyncio.wait_for(connecting, CONNECT_LIMIT)
            link.writers = (writer, far_writer)
            await _both(
                self._pump(reader, far_writer, self._to_server),
                self._pump(far_reader, writer, self._to_client),
            )
            link.close(reset=False)
        except (OSError, asyncio.TimeoutError):
            link.close(reset=True)
        except asyncio.CancelledError:
            # Only `_cut` cancels, after it closed the sockets. Passing it on would make the
            # stream library of Python 3.10 and 3.11 report an error.
            pass
        finally:
            self._links.discard(link)

    def _note_progress(self) -> None:
        with self._progress:
            self._progress.notify_all()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: _Way
    ) -> None:
        held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(HELD_CHUNKS)
        await _both(_fill(reader, held, way), self._drain(held, writer, way))

    async def _drain(
        self, held: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, way: _Way
    ) -> None:
        while True:
            due, data = await held.get()
            await asyncio.sleep(due - self._loop.time())
            await way.open.wait()
            if not data:
                break
            way.bytes += len(data)
            self._note_progress()
            writer.write(data)
            await writer.drain()
        writer.write_eof()


async def _fill(
    reader: asyncio.StreamReader, held: asyncio.Queue[tuple[float, bytes]], way: _Way
) -> None:
    """Put incoming data, and the time when it is due, into the queue; empty bytes are the end."""
    loop, data = asyncio.get_running_loop(), b"more"
    while data:
        data = await reader.read(CHUNK)
        await held.put((loop.time() + way.delay, data))


async def _both(*work: Coroutine[Any, Any, None]) -> None:
    """Run both to their end; when one fails, cancel the other and raise that failure."""
    tasks = [asyncio.ensure_future(part) for part in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
