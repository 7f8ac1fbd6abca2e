"""Which host keys are trusted, and what becomes of one that is not known yet."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import asyncssh

from xpm_remote.errors import HostKeyError
from xpm_remote.link.key_files import fingerprint
from xpm_remote.link.prompts import Prompter, UnansweredError, first_line

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
        is_alias: Whether the name stands for the host alone, whatever its address.
        refused: The key that was not accepted, once there is one.
        address: The address that sent it.
    """

    host: str
    port: int
    strict: str = "ask"
    user_files: Sequence[str] = DEFAULT_USER_FILES
    global_files: Sequence[str] = DEFAULT_GLOBAL_FILES
    hash_names: bool = False
    is_alias: bool = False
    refused: asyncssh.SSHKey | None = field(default=None, init=False)
    address: str = field(default="", init=False)
    _confirmed: list[asyncssh.SSHKey] = field(default_factory=list, init=False)
    _is_change_allowed: bool = field(default=False, init=False)

    @property
    def files(self) -> list[str]:
        """The known_hosts files that exist."""
        paths = (Path(name).expanduser() for name in (*self.user_files, *self.global_files))
        return [str(path) for path in paths if os.access(path, os.R_OK)]

    @property
    def name(self) -> str:
        """How known_hosts names the host."""
        return self.host if self.port == SSH_PORT else f"[{self.host}]:{self.port}"

    @property
    def trusted(self) -> asyncssh.SSHKnownHosts | Callable[[str, str, int | None], Sequence[Any]]:
        """What the known_hosts files say, as the library wants it."""
        entries = self._entries
        if not self.is_alias:
            return entries
        # By itself the library would also trust what is known of the address.
        return lambda _host, _address, _port: entries.match(self.host, "", None)[:3]

    @property
    def _entries(self) -> asyncssh.SSHKnownHosts:
        """The entries of the known_hosts files; lines that cannot be read say nothing."""
        return asyncssh.import_known_hosts("".join(map(_readable, self.files)))

    def known_keys(self, address: str) -> Sequence[asyncssh.SSHKey]:
        """Give the keys that are known for the host or its address."""
        entries = self._entries
        # Given a port, the library would fall back on what it knows of port 22: often another machine's keys.
        names = self._names(address)
        found = [key for name in names for key in entries.match(name, "", None)[0]]
        return list(dict.fromkeys(found))

    def _names(self, address: str) -> list[str]:
        names = [self.host] if self.is_alias else [name for name in (self.host, address) if name]
        return names if self.port == SSH_PORT else [f"[{name}]:{self.port}" for name in names]

    def accepts(self, address: str, key: asyncssh.SSHKey) -> bool:
        """Decide about a key that is not among the known ones.

        A host for which another key is known is not accepted: that is what host keys are for.
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

    @property
    def is_change_allowed(self) -> bool:
        """Whether the key that was refused is good enough for those who asked not to check."""
        return self.strict == "no" and self.refused is not None and not self._is_change_allowed

    def allow_change(self) -> None:
        """Take the refused key although another one is known, and say so; nothing is recorded."""
        if self.refused is None:
            return
        log.warning(
            "%s; connecting all the same, as StrictHostKeyChecking=no asks,"
            " without passwords and without forwarding the agent",
            self._changed(self.refused),
        )
        self._confirmed.append(self.refused)
        self._is_change_allowed = True

    @property
    def restrictions(self) -> dict[str, Any]:
        """The library's arguments that keep from a host of another key what it could misuse, as ssh does."""
        if not self._is_change_allowed:
            return {}
        return {"password_auth": False, "kbdint_auth": False, "agent_forwarding": False}

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
            raise self._unknown(f", and {error}", (first_line(question),)) from error
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
        if not self.known_keys(self.address):
            return self._unknown()
        return HostKeyError(
            self._changed(self.refused),
            "somebody may be listening in: ask the site before you remove the old key with"
            f" ssh-keygen -R '{self.name}'",
        )

    def _changed(self, key: asyncssh.SSHKey) -> str:
        known = self.known_keys(self.address)
        places = {each.key: each.place for each in self._find(self.address)}
        expected = ", ".join(f"{fingerprint(k)} ({places.get(k, 'recorded')})" for k in known)
        return (
            f"the host key of {self.name} has changed: known is {expected},"
            f" the host sent {fingerprint(key)}"
        )

    def _unknown(self, more: str = "", unanswered: tuple[str, ...] = ()) -> HostKeyError:
        found = "" if self.refused is None else fingerprint(self.refused)
        return HostKeyError(
            f"the host key of {self.name} is unknown: {found}{more}",
            "compare it with what the site publishes, then connect once by ssh to record it,"
            " or pass -o StrictHostKeyChecking=accept-new",
            unanswered=unanswered,
        )

    def place(self, key: asyncssh.SSHKey, address: str) -> str:
        """Say where a key of the host is known, as ``file:line``; empty for nowhere."""
        return next((known.place for known in self._find(address) if known.key == key), "")

    def _find(self, address: str) -> list[KnownKey]:
        """Give the keys that are known, with their places: what the library does not tell."""
        names = self._names(address)
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
    for number, line in enumerate(_lines(file), 1):
        known = _imported(line)
        if known is None:
            continue
        for name in names:
            for key in known.match(name, "", None)[0]:
                yield KnownKey(key, f"{file}:{number}")


def _lines(file: str) -> list[str]:
    return Path(file).read_text(encoding="utf-8", errors="replace").splitlines()


def _readable(file: str) -> str:
    """Give the text of a file without the lines that are no entries, over which ssh passes, too."""
    lines = _lines(file)
    text = "".join(f"{line}\n" for line in lines)
    if _imported(text) is not None:
        return text
    return "".join(f"{line}\n" for line in lines if _imported(line) is not None)


def _imported(text: str) -> asyncssh.SSHKnownHosts | None:
    try:
        return asyncssh.import_known_hosts(text)
    except ValueError:
        return None


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


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
