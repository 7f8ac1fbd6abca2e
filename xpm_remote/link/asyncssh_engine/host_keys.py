"""Host keys: which are trusted, and the decision about one that is not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
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
_SALT_SIZE = 20  # as in OpenSSH: the size of a SHA-1 digest


class KnownKey(NamedTuple):
    """A key in a known_hosts file, and its place, as ``file:line``."""

    key: asyncssh.SSHKey
    place: str


@dataclass
class HostKeyPolicy:
    """The trust in one host's keys, by ``StrictHostKeyChecking`` and the known_hosts files.

    Attributes:
        host: The host's name in known_hosts: ``HostKeyAlias`` or the name that is connected to.
        port: The port, a part of the name in known_hosts unless it is 22.
        strict: ``yes``, ``ask``, ``accept-new`` or ``no``.
        user_files: The user's known_hosts files; a new key is written to the first.
        global_files: The system's known_hosts files.
        hash_names: Whether a new entry hides the name: ``HashKnownHosts``.
        is_alias: Whether the host is looked up by the name alone, not by its address.
        refused: The key that was refused, if any.
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
        """The host as named in known_hosts."""
        return self.host if self.port == SSH_PORT else f"[{self.host}]:{self.port}"

    @property
    def trusted(self) -> asyncssh.SSHKnownHosts | Callable[[str, str, int | None], Sequence[Any]]:
        """The known keys in the form that the library takes."""
        # Lines that cannot be parsed are skipped.
        entries = asyncssh.import_known_hosts("".join(map(_readable, self.files)))
        if not self.is_alias:
            return entries
        # By default the library would also trust the keys of the address.
        return lambda _host, _address, _port: entries.match(self.host, "", None)[:3]

    def known_keys(self, address: str) -> Sequence[asyncssh.SSHKey]:
        """Return the known keys of the host and of its address."""
        return list(dict(self._find(address)))

    def _names(self, address: str) -> list[str]:
        # Given a port, the library would fall back on the keys of port 22: often those of another machine.
        names = [self.host] if self.is_alias else [name for name in (self.host, address) if name]
        return names if self.port == SSH_PORT else [f"[{name}]:{self.port}" for name in names]

    def accepts(self, address: str, key: asyncssh.SSHKey) -> bool:
        """Return whether a key is accepted that is not among the known ones.

        It is not if another key of the host is known.
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
        """Whether a person may still accept the refused key."""
        return (
            self.strict == "ask"
            and self.refused is not None
            and not self._confirmed
            and not self.known_keys(self.address)
        )

    @property
    def is_change_allowed(self) -> bool:
        """Whether the refused key may be taken all the same: ``StrictHostKeyChecking=no``."""
        return self.strict == "no" and self.refused is not None and not self._is_change_allowed

    def allow_change(self) -> None:
        """Accept the refused key although another one is known, with a warning and without recording it."""
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
        """The library's arguments that withhold from a host with a changed key what it could misuse, as ssh does."""
        if not self._is_change_allowed:
            return {}
        return {"password_auth": False, "kbdint_auth": False, "agent_forwarding": False}

    async def confirm(self, prompter: Prompter) -> None:
        """Ask whether the refused key is the host's, and record it if so.

        Raises:
            HostKeyError: It is not, or there was no answer.
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
        """Return the error for a host that is not trusted.

        Args:
            reason: The library's message, for the cases that are not about an unknown key.
        """
        if self.refused is None:
            return HostKeyError(f"the host key of {self.name} is refused: {reason}")
        if not self.known_keys(self.address):
            return self._unknown()
        return HostKeyError(
            self._changed(self.refused),
            "the connection may be intercepted: ask the site before you remove the old key with"
            f" ssh-keygen -R '{self.name}'",
        )

    def _changed(self, key: asyncssh.SSHKey) -> str:
        known = dict(self._find(self.address)).items()
        expected = ", ".join(f"{fingerprint(each)} ({place})" for each, place in known)
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
        """Return the place of a known key of the host, as ``file:line``; empty if it is unknown."""
        return next((known.place for known in self._find(address) if known.key == key), "")

    def _find(self, address: str) -> list[KnownKey]:
        """Return the known keys with their places, which the library does not have."""
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
            with open(path, "a+b", opener=partial(os.open, mode=0o600)) as file:
                file.write(_line_break(file) + entry.encode())
        except OSError as error:
            # As in ssh: the key is trusted for this time, and is asked about again the next time.
            log.warning("the host key of %s cannot be recorded in %s: %s", self.name, path, error)


async def _confirmed(prompter: Prompter, question: str, expected: str) -> bool:
    while True:
        answer = (await prompter.ask(question, echo=True)).strip()
        if answer == expected or answer.lower() == "yes":
            return True
        if answer.lower() == "no":
            return False
        question = "Type 'yes', 'no', or the fingerprint as it should be: "


def _entries(file: str, names: Sequence[str]) -> Iterator[KnownKey]:
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
    """Return the text of a file without the lines that are no entries, which ssh skips, too."""
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


def _line_break(file: BinaryIO) -> bytes:
    """Return what separates a new entry from the end of the file: a newline if the last line is unfinished."""
    if file.seek(0, os.SEEK_END) == 0:
        return b""
    file.seek(-1, os.SEEK_END)
    return b"" if file.read(1) == b"\n" else b"\n"


def _hashed(name: str) -> str:
    """Hide a name in the manner of OpenSSH: ``|1|salt|HMAC-SHA1``, both in base64."""
    salt = os.urandom(_SALT_SIZE)
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"
