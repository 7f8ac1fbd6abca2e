"""Following the library through a login: which methods the host offers, what is tried, and what becomes of it."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable

import asyncssh

from xpm_remote.link.observer import Attempt, Observer, Outcome, Step

BANNER_KEPT = 4096
"""Characters of the text that a host shows before the login: a screenful."""

_CERTIFICATE = "-cert-v01@openssh.com"
_LENGTH = 4
_SOURCES = {"local": "a file", "agent": "the agent", "pkcs11": "a token"}
_NONE = "none"
"""The method by which one asks for the others."""


class LoginWatch:
    """Tells an observer of one login.

    The library tells its client only of what it needs from it. Which key it offers, and that the host refused it, is
    seen at two methods of its connection, which are wrapped; that they are called as we think is tested.

    Args:
        observer: Is told.
        host: Host and port.
        known: Gives the place where a host key is known, for the address that sent it; empty for nowhere.
    """

    def __init__(
        self, observer: Observer, host: str, known: Callable[[asyncssh.SSHKey, str], str]
    ) -> None:
        self._observer = observer
        self._host = host
        self._known = known
        self._connection: asyncssh.SSHClientConnection | None = None
        self._method = ""
        self._identity = ""
        self._began = 0.0

    def attach(self, connection: asyncssh.SSHClientConnection) -> None:
        """Follow a connection from its beginning."""
        self._connection = connection
        request, proceed = connection.public_key_auth_requested, connection.try_next_auth

        async def requested() -> asyncssh.SSHKeyPair | None:
            pair = await request()
            if pair is not None:
                self._identity = describe_key(pair)
            return pair

        def proceeding(*, next_method: bool = False) -> None:
            if not next_method:  # else nothing was tried: there is nothing to try by this method
                self._note_failure(connection)
            proceed(next_method=next_method)
            self._note_next(connection)

        connection.public_key_auth_requested = requested  # type: ignore[method-assign]
        connection.try_next_auth = proceeding  # type: ignore[method-assign]

    def begin(self) -> None:
        """Take note that the host's key was accepted, and the login begins."""
        connection = self._connection
        key = None if connection is None else connection.get_server_host_key()
        if connection is not None and key is not None:
            peer = connection.get_extra_info("peername") or ("",)
            self._observer.note("key", f"{key.get_algorithm()} {key.get_fingerprint()}")
            self._observer.note("known", self._known(key, str(peer[0])))
        self._observer.enter(Step.AUTHENTICATION, self._host)
        self._began = time.monotonic()

    def show_banner(self, text: str) -> None:
        """Take note of the text that the host shows before the login."""
        self._observer.note("banner", text[:BANNER_KEPT])

    def succeed(self) -> None:
        """Take note that we are logged in."""
        self._tell(Outcome.ACCEPTED)

    def _note_failure(self, connection: asyncssh.SSHClientConnection) -> None:
        methods = list(connection.get_server_auth_methods())
        if self._method == _NONE:
            self._observer.note("methods", methods)
        elif self._method:
            # A method that has succeeded, where others are asked for as well, is not offered again.
            self._tell(Outcome.REFUSED if self._method in methods else Outcome.PARTIAL)

    def _note_next(self, connection: asyncssh.SSHClientConnection) -> None:
        self._method = next(iter(connection.get_server_auth_methods()), "")
        self._identity = ""
        self._began = time.monotonic()

    def _tell(self, outcome: Outcome) -> None:
        seconds = time.monotonic() - self._began
        self._observer.attempted(Attempt(self._method, self._identity, outcome, seconds))


def describe_key(pair: asyncssh.SSHKeyPair) -> str:
    """Name a key: its kind, its fingerprint unless it is a certificate's, and where it is from."""
    data = pair.public_data
    kind = data[_LENGTH : _LENGTH + int.from_bytes(data[:_LENGTH], "big")].decode(
        "ascii", "replace"
    )
    words = [kind.removesuffix(_CERTIFICATE)]
    if kind.endswith(_CERTIFICATE):
        words.append("certificate")
    else:
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        words.append(f"SHA256:{digest}")
    source = _SOURCES.get(pair.get_key_type(), pair.get_key_type())
    comment = pair.get_comment(errors="backslashreplace") or ""
    return " ".join([*words, *([f"({comment})"] if comment else []), f"from {source}"])
