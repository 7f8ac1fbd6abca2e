"""Which host keys are trusted, and what becomes of one that is not known yet."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

import asyncssh

from xpm_remote.errors import HostKeyError
from xpm_remote.link.prompts import Prompter, UnansweredError

log = logging.getLogger(__name__)

DEFAULT_USER_FILES = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
DEFAULT_GLOBAL_FILES = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
SSH_PORT = 22
_SALT_SIZE = 20  # as OpenSSH makes them: the size of a SHA-1 digest


class KnownKey(NamedTuple):
    """A key that is known for a host, and where that is written, as ``file:line``."""

    key: asyncssh.SSHKey
    place: str


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
        address: The address that sent it.
    """

    host: str
    port: int
    strict: str = "ask"
    user_files: Sequence[str] = DEFAULT_USER_FILES
    global_files: Sequence[str] = DEFAULT_GLOBAL_FILES
    hash_names: bool = False
    refused: asyncssh.SSHKey | None = field(default=None, init=False)
    address: str = field(default="", init=False)
    _confirmed: list[asyncssh.SSHKey] = field(default_factory=list, init=False)

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
        if key in self._confirmed:
            return True
        if self.strict in ("no", "accept-new") and not self.known_keys(address):
            self._remember(key)
            return True
        self.refused = key
        self.address = address
        return False

    @property
    def is_in_question(self) -> bool:
        """Whether a person may yet accept the key that was refused."""
        return (
            self.strict == "ask"
            and self.refused is not None
            and not self._confirmed
            and not self.known_keys(self.address)
        )

    async def confirm(self, prompter: Prompter) -> None:
        """Ask whether the refused key is the host's, and record it if so.

        Raises:
            HostKeyError: It is not, or nobody answered.
        """
        if self.refused is None:
            return
        found = fingerprint(self.refused)
        at = f" ({self.address})" if self.address not in ("", self.host) else ""
        question = (
            f"The host {self.name}{at} is not known yet.\nIt shows the key {found}.\n"
            "Is that its key? It will be recorded. (yes / no / its fingerprint) "
        )
        try:
            is_right = await _confirmed(prompter, question, self.refused.get_fingerprint())
        except UnansweredError as error:
            raise self._unknown(f", and {error}") from error
        if not is_right:
            raise HostKeyError(f"the host key of {self.name} was not accepted: {found}")
        self._confirmed.append(self.refused)
        self._remember(self.refused)

    def error(self, reason: str) -> HostKeyError:
        """Say why the host was not trusted.

        Args:
            reason: The library's words, for the cases that are not about an unknown key.
        """
        if self.refused is None:
            return HostKeyError(f"the host key of {self.name} is refused: {reason}")
        found = fingerprint(self.refused)
        known = self.known_keys(self.address)
        if not known:
            return self._unknown("")
        places = {each.key: each.place for each in self._find(self.address)}
        expected = ", ".join(f"{fingerprint(k)} ({places.get(k, 'recorded')})" for k in known)
        return HostKeyError(
            f"the host key of {self.name} has changed: known is {expected}, the host sent {found}",
            "somebody may be listening in: ask the site before you remove the old key with"
            f" ssh-keygen -R '{self.name}'",
        )

    def _unknown(self, more: str) -> HostKeyError:
        found = "" if self.refused is None else fingerprint(self.refused)
        return HostKeyError(
            f"the host key of {self.name} is unknown: {found}{more}",
            "compare it with what the site publishes, then connect once by ssh to record it,"
            " or pass -o StrictHostKeyChecking=accept-new",
        )

    def _find(self, address: str) -> list[KnownKey]:
        """Give the keys that are known, with their places: what the library does not tell."""
        default = self.port == SSH_PORT
        names = [n if default else f"[{n}]:{self.port}" for n in (self.host, address) if n]
        return [known for file in self.files for known in _entries(file, names)]

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
            with open(path, "a+b", opener=_open_private) as file:
                file.write(_line_break(file) + entry.encode())
        except OSError as error:
            # As with ssh: the person chose to trust it, and will be asked no more often than now.
            log.warning("the host key of %s cannot be recorded in %s: %s", self.name, path, error)


async def _confirmed(prompter: Prompter, question: str, expected: str) -> bool:
    """Ask until the answer is yes, no, or the fingerprint."""
    while True:
        answer = (await prompter.ask(question, echo=True)).strip()
        if answer == expected or answer.lower() == "yes":
            return True
        if answer.lower() == "no":
            return False
        question = "Type 'yes', 'no', or the fingerprint as it should be: "


def _entries(file: str, names: Sequence[str]) -> Iterator[KnownKey]:
    """Give the keys that a file has for one of the names."""
    lines = Path(file).read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            known = asyncssh.import_known_hosts(line)
        except ValueError:
            continue
        for name in names:
            for key in asyncssh.match_known_hosts(known, name, "", None)[0]:
                yield KnownKey(key, f"{file}:{number}")


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


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
