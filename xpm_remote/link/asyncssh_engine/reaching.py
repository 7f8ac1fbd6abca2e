"""What is done for a connection while the SSH library is still being imported: reading its configuration, and TCP."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from xpm_remote.link.asyncssh_engine.sockets import TcpConnection, open_tcp
from xpm_remote.link.course import Course
from xpm_remote.link.observer import Observer
from xpm_remote.link.options.connect_options import ConnectOptions
from xpm_remote.link.ssh_config.effective import HostReading, jumps_of
from xpm_remote.link.ssh_config.reader import read_host
from xpm_remote.link.ssh_config.text import Dump
from xpm_remote.link.waits import Limits

UNLIMITED = 130.0
"""Seconds for TCP, and for the greeting, with a ConnectTimeout of 0: what systems take to give up an address."""

_FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}


@dataclass
class Reached:
    """A host as far as it was reached.

    Attributes:
        reading: What ssh has read of its configuration; None if there is no ssh that can.
    """

    reading: HostReading | None = None
    _tcp: TcpConnection | None = None

    def take_tcp(self) -> TcpConnection | None:
        """Return the TCP connection to it, once; None where something else carries it, or the library is to decide."""
        tcp, self._tcp = self._tcp, None
        return tcp

    def close(self) -> None:
        """Close a TCP connection that was not taken."""
        tcp = self.take_tcp()
        if tcp is not None:
            tcp.sock.close()


async def reach(options: ConnectOptions, observer: Observer, limits: Limits) -> Reached:
    """Read the configuration of a host, and open TCP to it unless something else carries the connection.

    Args:
        options: The host and the options of the connection.
        observer: Receives the steps.
        limits: The seconds of each wait.

    Raises:
        OptionError: An option, or a config file, has a value that cannot be used.
        ResolveError: The host has no address, or no answer comes.
        UnreachableError: No address answers.
    """
    reading = await read_host(options)
    if reading is None or _is_carried(reading.dump) or _first(reading.dump, "bindaddress"):
        return Reached(reading)
    host, port = _first(reading.dump, "hostname"), int(_first(reading.dump, "port"))
    timeout = _first(reading.dump, "connecttimeout")
    tcp = await open_tcp(
        host,
        port,
        course=Course(observer, f"{host} port {port}", limits),
        family=_FAMILIES.get(_first(reading.dump, "addressfamily"), socket.AF_UNSPEC),
        timeout=(int(timeout) or UNLIMITED) if timeout.isdecimal() else None,
        attempts=int(_first(reading.dump, "connectionattempts") or 1),
        observer=observer,
    )
    return Reached(reading, tcp)


def _is_carried(dump: Dump) -> bool:
    """Return whether a jump host or a command carries the connection."""
    return bool(jumps_of(dump)) or bool(dump.get("proxycommand"))


def _first(dump: Dump, name: str) -> str:
    return dump.get(name, ("",))[0]
