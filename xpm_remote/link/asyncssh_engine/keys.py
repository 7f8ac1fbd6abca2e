"""The keys offered to a host: files, certificates, an agent's, and files that a passphrase locks."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import asyncssh

from xpm_remote.errors import AuthenticationError
from xpm_remote.link.key_files import default_keys, is_locked, public_half, read_certificate
from xpm_remote.link.options.connect_options import ConnectOptions
from xpm_remote.link.prompts import UnansweredError


class _Sequence(list[Any]):
    """A list that counts as given also when it is empty: the library takes an empty one for none given."""

    def __bool__(self) -> bool:
        return True


class Keys(NamedTuple):
    """What there is to log in with.

    Attributes:
        named: Paths of private keys, or of public ones whose private half an agent holds; they need not exist.
        private: Those that are files with a private key.
        certificates: Paths of certificates, besides those that lie next to the keys.
    """

    named: list[str]
    private: list[str]
    certificates: list[str]

    def arguments(self, *, only: bool) -> dict[str, Any]:
        """Give the library's arguments.

        Args:
            only: Whether of an agent's keys just those are tried that are named: ``IdentitiesOnly``.
        """
        given = {"client_keys": _Sequence(self.private), "client_certs": self.certificates}
        # To the library an empty list means all keys of the agent.
        return {**given, "agent_identities": self._public() or [b""]} if only else given

    def _public(self) -> list[bytes]:
        beside = [f"{path}-cert.pub" for path in self.named]
        found = [public.public_data for path in self.named if (public := public_half(path))]
        return found + [
            certificate.public_data
            for path in (*beside, *self.certificates)
            if (certificate := read_certificate(path))
        ]


def find_keys(
    options: ConnectOptions, named: Sequence[str] | None, certificates: Sequence[str]
) -> Keys:
    """Look for the keys that are named, or for the default ones.

    Args:
        options: The options as they were given; a key that they name must exist.
        named: All private keys that options and config files name; None when they name none.
        certificates: The certificates that they name.

    Raises:
        AuthenticationError: A key that an option names does not exist.
    """
    if named is None:
        paths = default_keys()
    else:
        paths = [str(Path(name).expanduser()) for name in named]
        for path in paths[: len(options.get_all("IdentityFile"))]:
            if not Path(path).exists():
                raise AuthenticationError(f"the private key {path} does not exist", "check -i")
    files = [path for path in paths if Path(path).is_file() and os.access(path, os.R_OK)]
    private = [path for path in files if not _is_public(path)]
    found = [str(Path(path).expanduser()) for path in certificates]
    return Keys(paths, private, [path for path in found if read_certificate(path)])


def _is_public(path: str) -> bool:
    try:
        asyncssh.read_private_key(path)
    except asyncssh.KeyImportError:
        pass  # perhaps locked, perhaps not private at all
    except OSError:
        return False
    else:
        return False
    return not is_locked(path) and public_half(path) is not None


class Asks(Protocol):
    """Somebody who asks a person, and notes what was not answered."""

    async def ask_passphrase(self, key: str, attempt: int) -> str:
        """Ask for the passphrase of a key file, for the first (0) or a later time.

        Raises:
            UnansweredError: There is no answer.
        """


class OpenedKeys:
    """Private keys that a person has opened: in memory as long as this is, the passphrases nowhere."""

    def __init__(self) -> None:
        self._keys: dict[bytes, asyncssh.SSHKey] = {}

    def find(self, public: asyncssh.SSHKey) -> asyncssh.SSHKey | None:
        """Give the private half of a key, if it has been opened."""
        return self._keys.get(public.public_data)

    def keep(self, private: asyncssh.SSHKey) -> None:
        """Keep a key that has been opened."""
        self._keys[private.public_data] = private


class LockedKey:
    """A key file whose private half cannot be read without its passphrase.

    Args:
        path: The file.
        public: Its public half.
        certificates: Certificates for it.
        opened: The keys that have been opened before, and this one once it is.
    """

    def __init__(
        self,
        path: str,
        public: asyncssh.SSHKey,
        certificates: Sequence[asyncssh.SSHCertificate],
        opened: OpenedKeys,
    ) -> None:
        self.path = path
        self.public = public
        self.certificates = certificates
        self._opened = opened
        self._failed = False

    def pairs(self, asks: Asks, attempts: int) -> list[asyncssh.SSHKeyPair]:
        """Give what can be offered to a host: each certificate, and the key alone."""
        return [_LockedPair(self, each, asks, attempts) for each in (*self.certificates, None)]

    async def unlock(self, asks: Asks, attempts: int) -> asyncssh.SSHKey:
        """Give the private half: opened before, or by the passphrase, asked for until it fits, once for all pairs.

        Raises:
            ValueError: It did not, or nobody answered.
        """
        private = self._opened.find(self.public)
        if private is None and not self._failed:
            self._failed = True  # unless the next lines say otherwise
            private = await self._ask(asks, attempts)
        if private is None:
            raise ValueError("the private key stays locked")
        self._opened.keep(private)
        return private

    async def _ask(self, asks: Asks, attempts: int) -> asyncssh.SSHKey | None:
        for attempt in range(attempts):
            try:
                passphrase = await asks.ask_passphrase(self.path, attempt)
            except UnansweredError:
                return None
            try:
                # A thread: turning a passphrase into a key takes a second on purpose.
                return await asyncio.to_thread(asyncssh.read_private_key, self.path, passphrase)
            except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
                continue
        return None


class _LockedPair(asyncssh.SSHKeyPair):
    """A locked key as the library offers keys to a host; it signs only after the host has said that it would do."""

    def __init__(
        self,
        locked: LockedKey,
        certificate: asyncssh.SSHCertificate | None,
        asks: Asks,
        attempts: int,
    ) -> None:
        public = locked.public
        super().__init__(
            public.algorithm,
            public.algorithm,
            public.sig_algorithms,
            public.sig_algorithms,
            public.public_data,
            locked.path,
            certificate,
        )
        self._locked = locked
        self._asks = asks
        self._attempts = attempts

    async def sign_async(self, data: bytes) -> bytes:
        """Sign, after asking for the passphrase.

        Raises:
            ValueError: The key stays locked; the library then tries the next one.
        """
        private = await self._locked.unlock(self._asks, self._attempts)
        return private.sign(data, self.sig_algorithm)


def find_locked_keys(
    paths: Iterable[str], certificates: Iterable[str], opened: OpenedKeys | None = None
) -> list[LockedKey]:
    """Give those of the key files that need a passphrase, with the certificates that fit.

    Args:
        paths: Key files; what cannot be read, or is not locked, is left out.
        certificates: Certificate files to look through, besides those that lie next to the keys.
        opened: The keys that have been opened before: nobody is asked for their passphrases again.
    """
    opened = OpenedKeys() if opened is None else opened
    found = []
    for path in paths:
        public = public_half(path) if is_locked(path) else None
        if public is not None:
            named = [f"{path}-cert.pub", *certificates]
            found.append(LockedKey(path, public, _certificates(public, named), opened))
    return found


def _certificates(public: asyncssh.SSHKey, paths: Iterable[str]) -> list[asyncssh.SSHCertificate]:
    certificates = []
    for path in paths:
        try:
            certificate = asyncssh.read_certificate(path)
        except (OSError, asyncssh.KeyImportError):
            continue
        if certificate.key.public_data == public.public_data:
            certificates.append(certificate)
    return certificates
