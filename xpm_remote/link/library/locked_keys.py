"""Private keys that a passphrase locks: offered by their public halves, opened only if the host would take them."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import asyncssh

from xpm_remote.link.config.files import home
from xpm_remote.link.prompts import UnansweredError

DEFAULT_KEYS = ("id_ed25519_sk", "id_ecdsa_sk", "id_ed25519", "id_ecdsa", "id_rsa")
"""The keys in ``~/.ssh`` that are tried where no other is named."""

_MAGIC = b"openssh-key-v1\0"
_PEM = re.compile(rb"-----BEGIN OPENSSH PRIVATE KEY-----(.*?)-----END", re.DOTALL)
_LENGTH = 4


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


def default_keys() -> list[str]:
    """Give the person's key files of the usual names."""
    paths = (home() / ".ssh" / name for name in DEFAULT_KEYS)
    return [str(path) for path in paths if path.is_file()]


def is_locked(path: str) -> bool:
    """Tell whether a key file needs a passphrase."""
    try:
        asyncssh.read_private_key(path)
    except asyncssh.KeyImportError as error:
        return "assphrase" in str(error)
    except OSError:
        return False
    return False


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


def public_half(path: str) -> asyncssh.SSHKey | None:
    """Give the public half of a key: from the file beside it, or the file itself as far as it has that in clear."""
    for each in (f"{path}.pub", path):
        try:
            return asyncssh.read_public_key(each)
        except (OSError, asyncssh.KeyImportError):
            continue
    try:
        return _embedded_public_half(Path(path).read_bytes())
    except (OSError, asyncssh.KeyImportError, binascii.Error):
        return None


def _embedded_public_half(data: bytes) -> asyncssh.SSHKey | None:
    """Read a file as PROTOCOL.key of OpenSSH describes it: cipher, KDF, its options, their number, public key."""
    match = _PEM.search(data)
    blob = base64.b64decode(match[1]) if match else b""
    if not blob.startswith(_MAGIC):
        return None
    rest = blob[len(_MAGIC) :]
    for _ in range(3):
        _, rest = _string(rest)
    public, _ = _string(rest[_LENGTH:])
    kind, _ = _string(public)
    return asyncssh.import_public_key(kind + b" " + base64.b64encode(public))


def _string(data: bytes) -> tuple[bytes, bytes]:
    """Split off a string with its length before it, as SSH writes them."""
    end = _LENGTH + int.from_bytes(data[:_LENGTH], "big")
    return data[_LENGTH:end], data[end:]
