"""What carries a connection: TCP to an SSH server, or a ``ProxyCommand``."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
import socket
import tempfile
import threading
from collections.abc import Mapping
from typing import IO, Any, NamedTuple

from xpm_remote.errors import ResolveError, UnreachableError
from xpm_remote.link.course import Course
from xpm_remote.link.observer import UNOBSERVED, Observer, Step
from xpm_remote.link.waits import Wait
from xpm_remote.waiting import wait_within

STAGGER = 0.25
"""Seconds until the next address of a host is tried beside those that have not answered yet (RFC 8305)."""

ATTEMPT_PAUSE = 1.0
"""Seconds between two attempts of ConnectionAttempts, as in ssh."""

_Address = tuple[Any, ...]


class TcpConnection(NamedTuple):
    """An open socket, and the seconds of TCP's first round trip."""

    sock: socket.socket
    round_trip: float


async def open_tcp(
    host: str,
    port: int,
    *,
    course: Course,
    named: str = "",
    family: int = socket.AF_UNSPEC,
    local_address: tuple[str, int] | None = None,
    timeout: float | None = None,
    attempts: int = 1,
    observer: Observer = UNOBSERVED,
) -> TcpConnection:
    """Connect to the first address of the host that answers.

    An address that does not answer at once does not delay the others.

    Args:
        host: A name or an address.
        port: The port.
        course: Follows the waits.
        named: The host and port as messages name them; by default host and port.
        family: The family of addresses to use.
        local_address: The address and port to bind to.
        timeout: Seconds for TCP; None: the usual ones.
        attempts: The number of times that all addresses are tried.
        observer: Receives the steps.

    Raises:
        ResolveError: The host has no address, or no answer comes.
        UnreachableError: No address answers.
    """
    reason = ""
    where = f"{host} port {port}"
    observer.enter(Step.RESOLVE, where)
    course.enter(Wait.RESOLVE, where=host)
    addresses = _alternating(await course.carry(_addresses(host, port, family)))
    names = [str(address[4][0]) for address in addresses]
    observer.note("addresses", names)
    observer.enter(Step.TCP, where)
    observer.note("address", names[0])
    named = named or where
    for number in range(attempts):
        if number:
            await asyncio.sleep(ATTEMPT_PAUSE)
        course.enter(
            Wait.TCP, timeout, named if names == [host] else f"{named} ({', '.join(names)})"
        )
        try:
            address, connection = await course.carry(_race(addresses, local_address))
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
        except UnreachableError:
            if number == attempts - 1:
                raise
        else:
            observer.note("address", str(address[4][0]))
            observer.note("round_trip", connection.round_trip)
            return connection
    raise UnreachableError(
        f"cannot connect to {named}: {reason}", "check host, port, network, or the VPN"
    )


async def _addresses(host: str, port: int, family: int) -> list[_Address]:
    """Resolve a name, in a thread of its own: one that hangs must not hold up the end of the program."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[_Address]] = loop.create_future()

    def settle(found: list[_Address] | None, error: Exception | None) -> None:
        if answer.done():
            return
        if error is None:
            answer.set_result(found or [])
        else:
            answer.set_exception(error)

    def ask() -> None:
        found: list[_Address] | None = None
        failure: Exception | None = None
        try:
            found = list(socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: it is too late
            loop.call_soon_threadsafe(settle, found, failure)

    threading.Thread(target=ask, name="resolver", daemon=True).start()
    try:
        return await answer
    except (OSError, UnicodeError) as error:
        raise ResolveError(
            f"the host name {host} cannot be resolved: {error}",
            "check its spelling, the network, or the VPN",
        ) from error


def _alternating(addresses: list[_Address]) -> list[_Address]:
    """Return addresses in their order, but with the families in turn: where one family is dead, all of it is."""
    families = dict.fromkeys(address[0] for address in addresses)
    groups = [[each for each in addresses if each[0] == family] for family in families]
    rows = itertools.zip_longest(*groups)
    return [address for row in rows for address in row if address is not None]


async def _race(
    addresses: list[_Address], local_address: tuple[str, int] | None
) -> tuple[_Address, TcpConnection]:
    """Connect to the first address that answers; each begins ``STAGGER`` after the one before, or when that has failed.

    Raises:
        OSError: All have failed; the last failure.
    """
    left = list(addresses)
    trying: dict[asyncio.Task[TcpConnection], _Address] = {}
    failure = OSError("it has no address")
    try:
        while left or trying:
            if left:
                address = left.pop(0)
                trying[asyncio.create_task(_connect(address, local_address))] = address
            done, _ = await asyncio.wait(
                trying, timeout=STAGGER if left else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                error = task.exception()
                if error is None:
                    return trying.pop(task), task.result()
                if not isinstance(error, OSError):
                    raise error
                failure = error
                del trying[task]
        raise failure
    finally:
        await _abandon(list(trying))


async def _abandon(tasks: list[asyncio.Task[TcpConnection]]) -> None:
    """End attempts that are not needed any more, and close what they have opened."""
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, TcpConnection):
            result.sock.close()


async def _connect(info: _Address, local_address: tuple[str, int] | None) -> TcpConnection:
    family, kind, protocol, _, address = info
    loop = asyncio.get_running_loop()
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        if local_address is not None:
            sock.bind(local_address)
        began = loop.time()
        await loop.sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return TcpConnection(sock, loop.time() - began)


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
