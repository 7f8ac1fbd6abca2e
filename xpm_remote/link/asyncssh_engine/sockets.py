"""What carries a connection: TCP to an SSH server, or a ``ProxyCommand``."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import tempfile
from collections.abc import Mapping
from typing import IO, Any, NamedTuple

from xpm_remote.errors import ResolveError, UnreachableError
from xpm_remote.link.observer import UNOBSERVED, Observer, Step
from xpm_remote.link.process import CONNECT_TIMEOUT
from xpm_remote.waiting import wait_within


class TcpConnection(NamedTuple):
    """An open socket on which the server has sent its first byte, and the seconds of TCP's first round trip."""

    sock: socket.socket
    round_trip: float


GREETING_SHOWN = 255
"""Bytes of the server's greeting that an observer gets: the longest that SSH allows."""


async def open_tcp(
    host: str,
    port: int,
    *,
    family: int = socket.AF_UNSPEC,
    local_address: tuple[str, int] | None = None,
    timeout: float | None = CONNECT_TIMEOUT,
    attempts: int = 1,
    observer: Observer = UNOBSERVED,
) -> TcpConnection:
    """Connect to the first address of the host that answers.

    Args:
        host: A name or an address.
        port: The port.
        family: The family of addresses to use.
        local_address: The address and port to bind to.
        timeout: Seconds for each address; None: the operating system's own limit.
        attempts: The number of times that all addresses are tried.
        observer: Receives the steps.

    Raises:
        ResolveError: The host has no address.
        UnreachableError: No address answers, or the server sends nothing.
    """
    reason = "it has no address"
    where = f"{host} port {port}"
    observer.enter(Step.RESOLVE, where)
    addresses = await _addresses(host, port, family)
    observer.note("addresses", [str(address[4][0]) for address in addresses])
    observer.enter(Step.TCP, where)
    for address in addresses * attempts:
        observer.note("address", str(address[4][0]))
        try:
            return await _connect(address, local_address, timeout, observer)
        except (TimeoutError, asyncio.TimeoutError):
            reason = f"no answer within {timeout:g} s"
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
    raise UnreachableError(
        f"cannot connect to {where}: {reason}", "check host, port, network, or the VPN"
    )


async def _addresses(host: str, port: int, family: int) -> list[tuple[Any, ...]]:
    loop = asyncio.get_running_loop()
    try:
        return list(await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM))
    except (socket.gaierror, UnicodeError) as error:
        raise ResolveError(
            f"the host name {host} cannot be resolved: {error}",
            "check its spelling, the network, or the VPN",
        ) from error


async def _connect(
    info: tuple[Any, ...],
    local_address: tuple[str, int] | None,
    timeout: float | None,
    observer: Observer,
) -> TcpConnection:
    family, kind, protocol, _, address = info
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        if local_address is not None:
            sock.bind(local_address)
        round_trip = await wait_within(_greeted(sock, address), timeout)
        observer.note("round_trip", round_trip)
        greeting = sock.recv(GREETING_SHOWN, socket.MSG_PEEK)
        observer.note("greeting", greeting.decode("utf-8", "backslashreplace").rstrip())
    except BaseException:
        sock.close()
        raise
    return TcpConnection(sock, round_trip)


async def _greeted(sock: socket.socket, address: tuple[Any, ...]) -> float:
    """Connect and wait for the first byte, which in SSH the server sends unasked; return the first round trip."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await loop.sock_connect(sock, address)
    round_trip = loop.time() - began
    readable = asyncio.Event()
    loop.add_reader(sock, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(sock)
    return round_trip


END_TIME = 1.0
"""Seconds for the command to end after its socket was closed, before it is killed."""

STDERR_SHOWN = 500
"""Characters of the end of the command's stderr in an error message."""


class ProxyCommand:
    """A running command whose stdin and stdout are the connection."""

    def __init__(
        self, process: asyncio.subprocess.Process, sock: socket.socket, stderr: IO[bytes]
    ) -> None:
        self._process = process
        self._stderr = stderr
        self.sock = sock

    @property
    def complaint(self) -> str:
        """The end of its stderr, as one line."""
        self._stderr.seek(0)
        text = self._stderr.read().decode("utf-8", "backslashreplace")
        return " | ".join(text[-STDERR_SHOWN:].split("\n")).strip(" |")

    async def aclose(self) -> None:
        """Close the socket and wait for the end; kill the command if it does not end."""
        self.sock.close()
        try:
            await wait_within(self._process.wait(), END_TIME)
        except (TimeoutError, asyncio.TimeoutError):
            self._process.kill()
            await self._process.wait()
        self._stderr.close()


async def start_proxy_command(command: str) -> ProxyCommand:
    """Start a command, its tokens expanded, by the shell, as OpenSSH does."""
    ours, theirs = socket.socketpair()
    # A file, not a pipe, which would have to be read all the time.
    stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the command
    with theirs:
        process = await asyncio.create_subprocess_shell(
            f"exec {command}",
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=stderr,
            start_new_session=True,
        )
    ours.setblocking(False)
    return ProxyCommand(process, ours, stderr)


def fill_in(command: str, tokens: Mapping[str, str]) -> str:
    """Expand tokens such as ``%h``; what is no token stays."""
    return re.sub(r"%(.)", lambda found: tokens.get(found[1], found[0]), command)
