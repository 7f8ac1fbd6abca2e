"""Key files, as far as they can be read without a passphrase."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path

import asyncssh

from xpm_remote.link.known_hosts import split_string
from xpm_remote.link.ssh_config.files import home

DEFAULT_KEYS = ("id_ed25519_sk", "id_ecdsa_sk", "id_ed25519", "id_ecdsa", "id_rsa")
"""The keys in ``~/.ssh`` that are tried if no other is named."""

_MAGIC = b"openssh-key-v1\0"
_PEM = re.compile(rb"-----BEGIN OPENSSH PRIVATE KEY-----(.*?)-----END", re.DOTALL)
_LENGTH = 4


def default_keys() -> list[str]:
    """Return the key files in ``~/.ssh`` with the usual names."""
    paths = (home() / ".ssh" / name for name in DEFAULT_KEYS)
    return [str(path) for path in paths if path.is_file()]


def is_locked(path: str) -> bool:
    """Return whether a key file needs a passphrase."""
    try:
        asyncssh.read_private_key(path)
    except asyncssh.KeyImportError as error:
        return "assphrase" in str(error)
    except OSError:
        return False
    return False


def public_half(path: str) -> asyncssh.SSHKey | None:
    """Return the public half of a key, from the file beside it or from an unencrypted part of the file; or None."""
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
    """Read a file by OpenSSH's PROTOCOL.key: cipher, KDF, its options, the number of keys, the public key."""
    match = _PEM.search(data)
    blob = base64.b64decode(match[1]) if match else b""
    if not blob.startswith(_MAGIC):
        return None
    rest = blob[len(_MAGIC) :]
    for _ in range(3):
        _, rest = split_string(rest)
    public, _ = split_string(rest[_LENGTH:])
    kind, _ = split_string(public)
    return asyncssh.import_public_key(kind + b" " + base64.b64encode(public))


def read_certificate(path: str) -> asyncssh.SSHCertificate | None:
    """Return the certificate in a file; None if there is none."""
    try:
        return asyncssh.read_certificate(path)
    except (OSError, asyncssh.KeyImportError):
        return None


def fingerprint(key: asyncssh.SSHKey) -> str:
    """Return the kind and the SHA256 fingerprint of a key, as ssh prints them."""
    return f"{key.get_algorithm()} {key.get_fingerprint()}"
