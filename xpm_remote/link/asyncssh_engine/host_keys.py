"""Host keys: which are trusted, and the decision about one that is not."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import asyncssh
from asyncssh.public_key import (
    CERT_TYPE_HOST,
    SSHOpenSSHCertificate,
    decode_ssh_certificate,
    decode_ssh_public_key,
)

from xpm_remote.errors import HostKeyError
from xpm_remote.link.known_hosts import (
    DEFAULT_GLOBAL_FILES,
    DEFAULT_USER_FILES,
    SSH_PORT,
    KnownHosts,
    KnownKey,
    hashed,
    host_name,
    read_known_hosts,
    split_string,
)
from xpm_remote.link.prompts import Prompter, UnansweredError, first_line
from xpm_remote.link.ssh_config.files import with_home

log = logging.getLogger(__name__)

_CERTIFICATE = "-cert-v01@openssh.com"
_KINDS = {"rsa-sha2-256": "ssh-rsa", "rsa-sha2-512": "ssh-rsa"}
_WEAK_SIGNATURES = (b"ssh-rsa", b"ssh-dss")
"""Signatures of authorities that ssh does not accept by default: those with SHA-1."""
_LENGTH = 4


def fingerprint(key: asyncssh.SSHKey) -> str:
    """Return the kind and the SHA256 fingerprint of a key, as ssh prints them."""
    return f"{key.get_algorithm()} {key.get_fingerprint()}"


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
        refused: The key that was refused, if any.
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
    _vouched: dict[bytes, KnownKey] = field(default_factory=dict, init=False)
    _revoked: KnownKey | None = field(default=None, init=False)
    _is_change_allowed: bool = field(default=False, init=False)

    @property
    def files(self) -> list[str]:
        """The known_hosts files, of which some may not exist."""
        names = (*self.user_files, *self.global_files)
        return [with_home(name) for name in names if name != "none"]

    @property
    def name(self) -> str:
        """The host as named in known_hosts."""
        return host_name(self.host, self.port)

    @property
    def known(self) -> KnownHosts:
        """What the files hold about the host now."""
        return read_known_hosts(self.name, self.files)

    @property
    def trusted(self) -> Callable[[str, str, int | None], Sequence[Any]]:
        """The known keys in the form that the library takes: the host's, those of authorities, and the revoked ones.

        Raises:
            HostKeyError: A revocation cannot be read.
        """
        known = self.known
        known.check_revocations()
        # The library's own reader leaves out lines in silence, and mixes in the keys of other ports.
        return lambda _host, _address, _port: (_usable(known.keys), [], _usable(known.revoked))

    def order(self, algorithms: Sequence[str]) -> list[str]:
        """Return the algorithms of host keys with those of known keys first, as ssh does."""
        known = self.known
        kinds = {key.kind for key in known.keys}

        def is_known(algorithm: str) -> bool:
            is_vouched = algorithm.endswith(_CERTIFICATE) and bool(known.authorities)
            return is_vouched or _plain_kind(algorithm) in kinds

        if algorithms and _plain_kind(algorithms[0]) in kinds:
            return list(algorithms)
        return sorted(algorithms, key=lambda each: not is_known(each))

    def weigh(self, data: bytes) -> bytes:
        """Return the host key to be checked for what a host sent: of a certificate, the key that it is about.

        As in ssh, a certificate counts if a known authority has signed it for this host and time. Otherwise, it is
        treated like its key alone.

        Raises:
            HostKeyNotVerifiable: The key, or its authority, is revoked.
        """
        certificate = _certificate(data)
        known = self.known
        parts = [data]
        if certificate is not None:
            parts = [certificate.key.public_data, certificate.signing_key.public_data]
        self._revoked = next((each for each in known.revoked if each.data in parts), None)
        if self._revoked is not None:
            raise asyncssh.HostKeyNotVerifiable("the host key is revoked")
        if certificate is None:
            return data
        for authority in known.authorities:
            if authority.data == certificate.signing_key.public_data and self._is_valid(
                certificate, data
            ):
                self._vouched[certificate.key.public_data] = authority
        return certificate.key.public_data

    def _is_valid(self, certificate: SSHOpenSSHCertificate, data: bytes) -> bool:
        try:
            certificate.validate(CERT_TYPE_HOST, self.host.lower())
        except ValueError as error:
            log.info("the certificate of %s does not count: %s", self.name, error)
            return False
        authority = certificate.signing_key.public_data
        _, signature = split_string(data[data.rindex(authority) - _LENGTH :])
        return split_string(split_string(signature)[0])[0] not in _WEAK_SIGNATURES

    def accepts(self, address: str, key: asyncssh.SSHKey) -> bool:
        """Return whether a key is accepted that is not among the known ones.

        It is not if another key of the host is known, or something cannot be read that may hold one.
        """
        if key in self._confirmed or key.public_data in self._vouched:
            return True
        if self._is_known_without_port(key):
            return True
        known = self.known
        if self.strict in ("no", "accept-new") and not known.keys and not known.flaws:
            self._confirmed.append(key)  # the library asks again when keys are exchanged anew
            self._remember(key)
            return True
        self.refused = key
        self.address = address
        return False

    def _is_known_without_port(self, key: asyncssh.SSHKey) -> bool:
        """Return whether a host of which no key is known has the key that is known for its port 22, as in ssh."""
        if self.port == SSH_PORT or self.known.keys:
            return False
        known = read_known_hosts(host_name(self.host, SSH_PORT), self.files)
        data = key.public_data
        return any(each.data == data for each in known.keys) and not any(
            each.data == data for each in known.revoked
        )

    @property
    def is_in_question(self) -> bool:
        """Whether a person may still accept the refused key."""
        known = self.known
        is_open = not known.keys and not known.flaws and not self._confirmed
        return self.strict == "ask" and self.refused is not None and is_open

    @property
    def is_change_allowed(self) -> bool:
        """Whether the refused key may be taken all the same: ``StrictHostKeyChecking=no``."""
        is_open = not self._is_change_allowed and not self.known.flaws
        return self.strict == "no" and self.refused is not None and is_open

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
        known = self.known
        if self._revoked is not None:
            return known.revoked_error(self._revoked)
        if self.refused is None:
            return HostKeyError(f"the host key of {self.name} is refused: {reason}")
        if known.flaws:
            return known.flaw_error()
        if not known.keys:
            return self._unknown()
        return HostKeyError(
            self._changed(self.refused),
            "the connection may be intercepted: ask the site before you remove the old key with"
            f" ssh-keygen -R '{self.name}'",
        )

    def _changed(self, key: asyncssh.SSHKey) -> str:
        expected = ", ".join(map(str, self.known.keys))
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

    def place(self, key: asyncssh.SSHKey) -> str:
        """Return the place of a known key of the host, or of the authority for it; empty if it is unknown."""
        data = key.public_data
        known = next((each for each in self.known.keys if each.data == data), None)
        known = known or self._vouched.get(data)
        return known.place if known else ""

    def _remember(self, key: asyncssh.SSHKey) -> None:
        if not self.user_files or self.user_files[0] == "none":
            return
        path = Path(with_home(self.user_files[0]))
        if path == Path(os.devnull):
            return
        name = hashed(self.name) if self.hash_names else self.name
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


def _certificate(data: bytes) -> SSHOpenSSHCertificate | None:
    try:
        certificate = decode_ssh_certificate(data)
    except asyncssh.KeyImportError:
        return None
    return certificate if isinstance(certificate, SSHOpenSSHCertificate) else None


def _usable(keys: Iterable[KnownKey]) -> list[asyncssh.SSHKey]:
    """Return the keys of the kinds that the library has; no other can be agreed upon with a host."""
    found = []
    for each in keys:
        with contextlib.suppress(asyncssh.KeyImportError):
            found.append(decode_ssh_public_key(each.data))
    return found


def _plain_kind(algorithm: str) -> str:
    plain = algorithm.removesuffix(_CERTIFICATE)
    return _KINDS.get(plain, plain)


def _line_break(file: BinaryIO) -> bytes:
    """Return what separates a new entry from the end of the file: a newline if the last line is unfinished."""
    if file.seek(0, os.SEEK_END) == 0:
        return b""
    file.seek(-1, os.SEEK_END)
    return b"" if file.read(1) == b"\n" else b"\n"
