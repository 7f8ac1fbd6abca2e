"""Which host keys are trusted, and what becomes of one that is not known yet."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import asyncssh

from xpm_remote.errors import HostKeyError

log = logging.getLogger(__name__)

DEFAULT_USER_FILES = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
DEFAULT_GLOBAL_FILES = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
SSH_PORT = 22
_SALT_SIZE = 20  # as OpenSSH makes them: the size of a SHA-1 digest


@dataclass
class HostKeyPolicy:
    """What ``StrictHostKeyChecking`` and the known_hosts files say of one host.

    Attributes:
        host: The name under which the host is known: ``HostKeyAlias`` or the name that is connected to.
        port: Its port, which is a part of the name unless it is 22.
        strict: ``yes``, ``ask``, ``accept-new`` or ``no``.
        user_files: The person's known_hosts files; a new key is written to the first.
        global_files: The system's.
        hash_names: Whether a new entry hides the name, as ``HashKnownHosts`` asks.
        refused: The key that was not accepted, once there is one.
    """

    host: str
    port: int
    strict: str = "ask"
    user_files: Sequence[str] = DEFAULT_USER_FILES
    global_files: Sequence[str] = DEFAULT_GLOBAL_FILES
    hash_names: bool = False
    refused: asyncssh.SSHKey | None = field(default=None, init=False)

    @property
    def files(self) -> list[str]:
        """The known_hosts files that exist."""
        paths = (Path(name).expanduser() for name in (*self.user_files, *self.global_files))
        return [str(path) for path in paths if os.access(path, os.R_OK)]

    @property
    def name(self) -> str:
        """How known_hosts names the host."""
        return self.host if self.port == SSH_PORT else f"[{self.host}]:{self.port}"

    def known_keys(self, address: str) -> Sequence[asyncssh.SSHKey]:
        """Give the keys that are known for the host or its address."""
        files = self.files
        if not files:
            return ()
        if self.port == SSH_PORT:
            return asyncssh.match_known_hosts(files, self.host, address, None)[0]
        # Given a port, the library would fall back on what it knows of port 22: often another machine's keys.
        names = [f"[{name}]:{self.port}" for name in (self.host, address) if name]
        keys = (asyncssh.match_known_hosts(files, name, "", None)[0] for name in names)
        return list(dict.fromkeys(itertools.chain.from_iterable(keys)))

    def accepts(self, address: str, key: asyncssh.SSHKey) -> bool:
        """Decide about a key that is not among the known ones.

        A host for which another key is known is never accepted: that is what host keys are for.
        """
        if self.strict in ("no", "accept-new") and not self.known_keys(address):
            self._remember(key)
            return True
        self.refused = key
        return False

    def error(self, reason: str) -> HostKeyError:
        """Say why the host was not trusted.

        Args:
            reason: The library's words, for the cases that are not about an unknown key.
        """
        if self.refused is None:
            return HostKeyError(f"the host key of {self.name} is refused: {reason}")
        found = fingerprint(self.refused)
        known = self.known_keys("")
        if not known:
            return HostKeyError(
                f"the host key of {self.name} is unknown: {found}",
                "compare it with what the site publishes, then connect once by ssh to record it,"
                " or pass -o StrictHostKeyChecking=accept-new",
            )
        expected = ", ".join(fingerprint(key) for key in known)
        return HostKeyError(
            f"the host key of {self.name} has changed: known is {expected}, the host sent {found}",
            "somebody may be listening in: ask the site before you remove the old key with"
            f" ssh-keygen -R '{self.name}'",
        )

    def _remember(self, key: asyncssh.SSHKey) -> None:
        if not self.user_files:
            return
        path = Path(self.user_files[0]).expanduser()
        if path == Path(os.devnull):
            return
        name = _hashed(self.name) if self.hash_names else self.name
        entry = f"{name} {key.export_public_key('openssh').decode().strip()}\n"
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with path.open("a+b") as file:
                file.write(_line_break(file) + entry.encode())
        except OSError as error:
            # As with ssh: the person chose to trust it, and will be asked no more often than now.
            log.warning("the host key of %s cannot be recorded in %s: %s", self.name, path, error)


def fingerprint(key: asyncssh.SSHKey) -> str:
    """Give the kind and the SHA256 fingerprint of a key, as ssh prints it."""
    return f"{key.get_algorithm()} {key.get_fingerprint()}"


def _line_break(file: BinaryIO) -> bytes:
    """Give what an entry must begin with, so that it does not continue an unfinished last line."""
    if file.seek(0, os.SEEK_END) == 0:
        return b""
    file.seek(-1, os.SEEK_END)
    return b"" if file.read(1) == b"\n" else b"\n"


def _hashed(name: str) -> str:
    """Hide a name as OpenSSH does: ``|1|salt|HMAC-SHA1``, both in base64."""
    salt = os.urandom(_SALT_SIZE)
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"
