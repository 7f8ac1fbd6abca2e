"""The breaking proxy, in front of an echo server."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.polling import wait_until
from tests.support.proxy import Proxy

pytestmark = pytest.mark.slow

LIMIT = 10.0
"""Seconds for anything to come through; loopback needs milliseconds."""
SILENCE = 0.2
"""Seconds in which nothing must arrive: a hundred times what loopback needs."""


class Echo(socketserver.BaseRequestHandler):
    """Sends back what it receives."""

    def handle(self) -> None:
        """Echo until the end of input or of the connection."""
        try:
            while data := self.request.recv(65536):
                self.request.sendall(data)
        except ConnectionError:
            return


@pytest.fixture
def echo() -> Iterator[tuple[str, int]]:
    """Serve an echo on a free port; return its address."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        host, port = server.server_address[:2]
        yield str(host), port
        server.shutdown()
        thread.join(LIMIT)


@pytest.fixture
def proxy(echo: tuple[str, int]) -> Iterator[Proxy]:
    """A proxy in front of the echo server."""
    with Proxy(*echo) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    """A connection through the proxy."""
    with socket.create_connection((proxy.host, proxy.port), LIMIT) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield client


def receive(client: socket.socket, count: int) -> bytes:
    """Return exactly so many bytes."""
    data = b""
    while len(data) < count:
        data += client.recv(count - len(data))
    return data


def test_passes_bytes_on_and_counts_them(proxy: Proxy, client: socket.socket) -> None:
    """All data passes in order, and both directions and the connections are counted."""
    sent = bytes(range(256)) * 4000
    threading.Thread(target=client.sendall, args=(sent,)).start()
    assert receive(client, len(sent)) == sent
    assert (proxy.bytes_to_server, proxy.bytes_to_client) == (len(sent), len(sent))
    assert (proxy.connections, proxy.open_connections) == (1, 1)


def test_the_end_of_input_is_passed_on(proxy: Proxy, client: socket.socket) -> None:
    """A half-closed connection still gets the rest of the answer, then ends."""
    client.sendall(b"last")
    client.shutdown(socket.SHUT_WR)
    assert receive(client, 4) == b"last"
    assert client.recv(1) == b""
    wait_until(lambda: proxy.open_connections == 0, LIMIT, "the connection to be forgotten")


@pytest.mark.parametrize("ways", [(150, 0), (0, 150), (100, 50)])
def test_delays_each_direction(
    proxy: Proxy, client: socket.socket, ways: tuple[float, float]
) -> None:
    """An echo takes at least the delay of both directions together."""
    proxy.delay(*ways)
    begin = time.monotonic()
    client.sendall(b"x")
    receive(client, 1)
    assert time.monotonic() - begin >= 0.15


def test_a_delay_does_not_slow_a_stream_down(proxy: Proxy, client: socket.socket) -> None:
    """Twenty pieces sent in a row arrive one delay later, not twenty."""
    proxy.delay(to_server_ms=200)
    begin = time.monotonic()
    for _ in range(20):
        client.sendall(b"x")
    receive(client, 20)
    assert time.monotonic() - begin < 2.0


def test_stalls_and_restores(proxy: Proxy, client: socket.socket) -> None:
    """While stalled no data passes on an open connection; restored, the delayed data does."""
    proxy.stall()
    client.sendall(b"held")
    client.settimeout(SILENCE)
    with pytest.raises(TimeoutError):
        client.recv(1)
    client.settimeout(LIMIT)
    proxy.restore()
    assert receive(client, 4) == b"held"


def test_stalls_one_direction(proxy: Proxy, client: socket.socket) -> None:
    """With only the way back stalled, data still reaches the server."""
    proxy.stall(to_server=False)
    client.sendall(b"there")
    wait_until(lambda: proxy.bytes_to_server == 5, LIMIT, "the bytes to reach the server")
    assert proxy.bytes_to_client == 0


def test_cuts_with_a_reset(proxy: Proxy, client: socket.socket) -> None:
    """A cut by RST is an error for the client, and the connection is gone."""
    wait_until(lambda: proxy.open_connections == 1, LIMIT, "the connection")
    proxy.cut(reset=True)
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    assert proxy.open_connections == 0


def test_cuts_with_an_end(proxy: Proxy, client: socket.socket) -> None:
    """A cut by FIN is an end of stream for the client."""
    wait_until(lambda: proxy.open_connections == 1, LIMIT, "the connection")
    proxy.cut(reset=False)
    assert client.recv(1) == b""
    assert proxy.open_connections == 0


def test_refuses_and_restores(proxy: Proxy, client: socket.socket) -> None:
    """While it refuses, the open connection continues and a new one fails; restored, it is accepted."""
    wait_until(lambda: proxy.open_connections == 1, LIMIT, "the connection")
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((proxy.host, proxy.port), LIMIT)
    client.sendall(b"on")
    assert receive(client, 2) == b"on"
    proxy.restore()
    with socket.create_connection((proxy.host, proxy.port), LIMIT) as second:
        second.sendall(b"again")
        assert receive(second, 5) == b"again"


def test_drops_and_restores(proxy: Proxy, client: socket.socket) -> None:
    """While it drops, new connections end at once, and an open one continues."""
    wait_until(lambda: proxy.open_connections == 1, LIMIT, "the connection")
    proxy.drop()
    with socket.create_connection((proxy.host, proxy.port), LIMIT) as dropped:
        dropped.settimeout(LIMIT)
        assert dropped.recv(1) == b""
    client.sendall(b"still")
    assert receive(client, 5) == b"still"
    proxy.restore()
    with socket.create_connection((proxy.host, proxy.port), LIMIT) as restored:
        restored.sendall(b"again")
        assert receive(restored, 5) == b"again"


def test_tells_when_something_has_come_through(proxy: Proxy, client: socket.socket) -> None:
    """A wait for a connection or for bytes ends when they come, or at its limit."""
    client.sendall(b"12345")
    assert proxy.wait_for(lambda: proxy.bytes_to_client >= 5, LIMIT)
    assert not proxy.wait_for(lambda: proxy.connections > 1, 0.01)


def test_a_dead_server_behind_it_resets_the_client() -> None:
    """Without a listener behind the proxy, the connection is accepted and then reset."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with (
            Proxy(*unused.getsockname()) as proxy,
            pytest.raises(ConnectionResetError),
            socket.create_connection((proxy.host, proxy.port), LIMIT) as client,
        ):
            client.recv(1)


async def test_a_coroutine_can_drive_it(proxy: Proxy) -> None:
    """The same plain calls work from a test that is a coroutine."""
    proxy.stall()
    proxy.restore()
    proxy.cut()
    assert proxy.open_connections == 0
