"""A slow network between a client and a server: two network namespaces, and every packet carried late between them.

Linux and root; ``tc netem`` is not needed. TCP is the kernel's own, so handshake, slow start and window are real.
Nothing is lost, and the queue has no limit.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import struct
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
CLIENT, SERVER = "10.78.0.1", "10.78.0.2"
BATCH = 64
"""Packets that are taken from one side before the other one has its turn."""
EARLY = 0.0002
"""Seconds before its time at which a packet may be delivered: the clock of poll is no finer."""
TCP = 6


def obstacle() -> str:
    """Return why there can be no slow link here; empty if there can."""
    if os.geteuid() != 0:
        return "it needs root, for network namespaces"
    if not os.path.exists("/dev/net/tun"):  # noqa: PTH110 - no other use of paths here
        return "there is no /dev/net/tun"
    return ""


@dataclass
class Traffic:
    """What has passed.

    Attributes:
        size: Bytes each way.
        turns: How often the client sent something after the server had: the round trips that were waited for.
    """

    size: dict[str, int] = field(default_factory=lambda: {"up": 0, "down": 0})
    turns: int = 0
    _last: str = ""

    def note(self, way: str, packet: bytes) -> None:
        """Count a packet of TCP; those without content, such as acknowledgements, are no turn."""
        self.size[way] += len(packet)
        header = (packet[0] & 15) * 4
        content = len(packet) - header - (packet[header + 12] >> 4) * 4
        if (content > 0 or packet[header + 13] & 2) and way != self._last:
            self.turns += way == "up"
            self._last = way


class SlowLink:
    """The network. Use ``slow_link`` to get one.

    Args:
        delay: Seconds one way.
        mbit: Megabits a second each way; 0: no limit.

    Attributes:
        traffic: What has passed since this was set.
        listening: The process id of the server.
    """

    def __init__(self, delay: float, mbit: float) -> None:
        self._delay, self._rate = delay, mbit * 1e6 / 8
        self._names = {"up": f"xpmc{os.getpid()}", "down": f"xpms{os.getpid()}"}
        self.traffic = Traffic()
        self.listening = 0
        self._ended = threading.Event()
        self._queues: dict[int, deque[tuple[float, bytes]]] = {}
        self._free: dict[int, float] = {}
        self._ways: dict[int, str] = {}

    def open(self) -> threading.Thread:
        """Make the namespaces, and start to carry packets."""
        for way, name in self._names.items():
            _run(f"ip netns add {name}")
            _run(f"ip -n {name} link set lo up")
            own, other = (CLIENT, SERVER) if way == "up" else (SERVER, CLIENT)
            device = _tun(name, own, other)
            self._ways[device] = way
            self._queues[device], self._free[device] = deque(), 0.0
        carrier = threading.Thread(target=self._carry, name="slow-link")
        carrier.start()
        return carrier

    def close(self) -> None:
        """End, and remove the namespaces."""
        self._ended.set()
        for name in self._names.values():
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    def client(self, words: Sequence[str]) -> list[str]:
        """Return a command that runs at the client's end."""
        return ["nsenter", f"--net=/run/netns/{self._names['up']}", *words]

    def server(self, words: Sequence[str]) -> list[str]:
        """Return a command that runs at the server's end."""
        return ["nsenter", f"--net=/run/netns/{self._names['down']}", *words]

    def _carry(self) -> None:
        first, second = self._queues
        others = {first: second, second: first}
        poll = select.epoll()
        for device in others:
            poll.register(device, select.EPOLLIN)
        while not self._ended.is_set():
            for device, _ in poll.poll(max(0.0, min(self._deliver(others), 0.05))):
                self._take(device)
        for device in others:
            os.close(device)

    def _take(self, device: int) -> None:
        for _ in range(BATCH):
            try:
                packet = os.read(device, 2048)
            except OSError:
                return
            if packet[0] >> 4 != 4 or packet[9] != TCP:
                continue
            now = time.monotonic()
            self.traffic.note(self._ways[device], packet)
            if self._rate:
                self._free[device] = max(now, self._free[device]) + len(packet) / self._rate
            self._queues[device].append((max(now, self._free[device]) + self._delay, packet))

    def _deliver(self, others: dict[int, int]) -> float:
        """Deliver what has come to its time; return the seconds until the next packet."""
        now = time.monotonic()
        for device, queue in self._queues.items():
            while queue and queue[0][0] <= now + EARLY:
                with contextlib.suppress(OSError):  # an end that is gone
                    os.write(others[device], queue.popleft()[1])
        return min((queue[0][0] for queue in self._queues.values() if queue), default=now + 1) - now


@contextlib.contextmanager
def slow_link(delay: float, mbit: float, server: Sequence[str]) -> Iterator[SlowLink]:
    """Run a server behind a slow network.

    Args:
        delay: Seconds one way.
        mbit: Megabits a second each way; 0: no limit.
        server: The command of the server, which listens on ``SERVER``.
    """
    link = SlowLink(delay, mbit)
    carrier = link.open()
    try:
        running = subprocess.Popen(
            link.server(server), stdin=subprocess.DEVNULL, start_new_session=True
        )
        link.listening = running.pid
        try:
            yield link
        finally:
            os.killpg(running.pid, signal.SIGTERM)
            running.wait()
    finally:
        link.close()
        carrier.join()


def _run(command: str) -> None:
    subprocess.run(command.split(), check=True)


def _tun(name: str, own: str, other: str) -> int:
    """Make the device of a namespace; return its descriptor."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    _run(f"ip link set {name} netns {name}")
    _run(f"ip -n {name} addr add {own} peer {other} dev {name}")
    _run(f"ip -n {name} link set {name} mtu 1500 txqueuelen 5000 up")
    return device
