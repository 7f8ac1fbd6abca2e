"""Key files, as far as they can be read without a passphrase and without the SSH library."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path

from xpm_remote.link.known_hosts import split_string
from xpm_remote.link.ssh_config.files import home

DEFAULT_KEYS = ("id_ed25519_sk", "id_ecdsa_sk", "id_ed25519", "id_ecdsa", "id_rsa")
"""The keys in ``~/.ssh`` that are tried if no other is named."""

_MAGIC = b"openssh-key-v1\0"
_PEM = re.compile(rb"-----BEGIN OPENSSH PRIVATE KEY-----(.*?)-----END", re.DOTALL)
_ENCRYPTED = re.compile(rb"^(?:Proc-Type: 4,ENCRYPTED|-----BEGIN ENCRYPTED )", re.MULTILINE)
_LENGTH = 4


def default_keys() -> list[str]:
    """Return the key files in ``~/.ssh`` with the usual names."""
    paths = (home() / ".ssh" / name for name in DEFAULT_KEYS)
    return [str(path) for path in paths if path.is_file()]


def is_locked(path: str) -> bool:
    """Return whether a private key file needs a passphrase."""
    try:
        data = Path(path).read_bytes()
    except OSError:
        return False
    cipher, _ = split_string(_content(data))
    return cipher not in (b"", b"none") or _ENCRYPTED.search(data) is not None


def embedded_public_half(data: bytes) -> bytes:
    """Return the public key in the unencrypted part of a private key file; empty if it has none.

    The part has, by OpenSSH's PROTOCOL.key: cipher, KDF, its options, the number of keys, the public key.
    """
    rest = _content(data)
    for _ in range(3):
        _, rest = split_string(rest)
    return split_string(rest[_LENGTH:])[0]


def _content(data: bytes) -> bytes:
    """Return what a private key file in OpenSSH's own format holds after its magic bytes; empty for any other file."""
    match = _PEM.search(data)
    try:
        blob = base64.b64decode(match[1]) if match else b""
    except binascii.Error:
        return b""
    return blob[len(_MAGIC) :] if blob.startswith(_MAGIC) else b""
