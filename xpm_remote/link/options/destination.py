"""Destinations: ``host``, ``user@host``, ``ssh://user@host:port``, and lists of jump hosts.

Names that OpenSSH refuses (shell syntax, a leading dash) are refused here too: they reach ``ProxyCommand`` and
``Match exec`` through ``%h`` and ``%r``. Pure.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import NamedTuple
from urllib.parse import unquote

from xpm_remote.errors import OptionError

SCHEME = "ssh://"
MAX_PORT = 65535

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NOT_IN_HOST = re.compile(r"""[\s'"`$\\;&<>|(){}\[\],/@*?!]""")
_NOT_IN_USER = re.compile(r"""['"`;&<>|(){}]|\\\Z|\s-""")
_HOST_PORT = re.compile(r"(?:\[(?P<ipv6>[^\[\]]*)\]|(?P<host>[^:\[\]]*))(?::(?P<port>[^:]*))?")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Destination(NamedTuple):
    """A host, and a user and port, which are None if the configuration decides."""

    user: str | None
    host: str
    port: int | None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = "" if self.user is None else f"{self.user}@"
        return f"{user}{host}" if self.port is None else f"{user}{host}:{self.port}"


def parse_destination(text: str) -> Destination:
    """Read ``host``, ``user@host`` or ``ssh://[user@]host[:port]``.

    The last ``@`` splits, so a user may contain one. An IPv6 address has brackets in the third form only.

    Raises:
        OptionError: The text is none of these.
    """
    try:
        return _uri(text) if text.startswith(SCHEME) else _plain(text)
    except ValueError as error:
        raise OptionError(
            f"the SSH host {text!r} cannot be used: {error}",
            "write host, user@host or ssh://user@host:port",
        ) from None


def parse_jumps(text: str) -> tuple[Destination, ...]:
    """Read a value of ``ProxyJump``: hosts in the order in which they are visited, or ``none``.

    Raises:
        OptionError: One of the hosts is malformed.
    """
    try:
        return read_jumps(text)
    except ValueError as error:
        raise OptionError(
            f"the jump host {text!r} cannot be used: {error}",
            "write user@host:port, several with commas between",
        ) from None


def read_jumps(text: str) -> tuple[Destination, ...]:
    """Read jump hosts as ``parse_jumps`` does, for a caller that names the option in its own error.

    Raises:
        ValueError: One of the hosts is malformed.
    """
    if text.lower() == "none":
        return ()
    return tuple(_hop(hop) for hop in text.split(","))


def parse_port(text: str) -> int:
    """Read a TCP port, 1 to 65535.

    Raises:
        ValueError: The text is no port.
    """
    port = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(MAX_PORT)) else 0
    if not 1 <= port <= MAX_PORT:
        raise ValueError(f"{text!r} is not a port from 1 to {MAX_PORT}")
    return port


def check_user(user: str) -> str:
    """Return a user name that OpenSSH would accept.

    Raises:
        ValueError: It would not accept it.
    """
    if not user:
        message = "the user name is empty"
    elif user.startswith("-"):
        message = f"the user name {user!r} starts with a dash"
    elif _CONTROL.search(user) or _NOT_IN_USER.search(user):
        message = f"the user name {user!r} has characters that a name may not have"
    else:
        return user
    raise ValueError(message)


def check_host(host: str) -> str:
    """Return a host name or address that OpenSSH would accept.

    Raises:
        ValueError: It would not accept it, or a port follows.
    """
    if not host:
        message = "the host name is empty"
    elif host.startswith("-"):
        message = f"the host name {host!r} starts with a dash"
    elif _CONTROL.search(host) or _NOT_IN_HOST.search(host):
        message = f"the host name {host!r} has characters that a name may not have"
    elif ":" in host and not _is_ipv6(host):
        message = f"{host!r} is not an IPv6 address, and a port is written ssh://host:port or -p"
    else:
        return host
    raise ValueError(message)


def _is_ipv6(host: str) -> bool:
    try:
        IPv6Address(host)
    except ValueError:
        return False
    return True


def _plain(text: str) -> Destination:
    user, at, host = text.rpartition("@")
    return Destination(check_user(user) if at else None, check_host(host), None)


def _uri(text: str) -> Destination:
    authority, _, path = text.removeprefix(SCHEME).partition("/")
    if path:
        raise ValueError("it has a path")
    user, at, rest = authority.rpartition("@")
    if ";" in user:
        raise ValueError("connection parameters (;...) are not supported")
    return _host_and_port(check_user(_percent_decoded(user)) if at else None, rest)


def _hop(text: str) -> Destination:
    if text.startswith(SCHEME):
        return _uri(text)
    user, at, rest = text.rpartition("@")
    return _host_and_port(check_user(user) if at else None, rest)


def _host_and_port(user: str | None, text: str) -> Destination:
    found = _HOST_PORT.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not host:port; an IPv6 address stands in [brackets]")
    if found["ipv6"] is not None and not _is_ipv6(found["ipv6"]):
        raise ValueError(f"{found['ipv6']!r} is not an IPv6 address")
    host = check_host(found["ipv6"] or found["host"] or "")
    return Destination(user, host, parse_port(found["port"]) if found["port"] else None)


def _percent_decoded(text: str) -> str:
    if _BAD_PERCENT.search(text):
        raise ValueError(f"{text!r} has a % that is not followed by two hexadecimal digits")
    return unquote(text, errors="strict")
