"""What can be read from key files without a passphrase."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path

import asyncssh

from xpm_remote.link.ssh_config.files import home

DEFAULT_KEYS = ("id_ed25519_sk", "id_ecdsa_sk", "id_ed25519", "id_ecdsa", "id_rsa")
"""The keys in ``~/.ssh`` that are tried where no other is named."""

_MAGIC = b"openssh-key-v1\0"
_PEM = re.compile(rb"-----BEGIN OPENSSH PRIVATE KEY-----(.*?)-----END", re.DOTALL)
_LENGTH = 4


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


def read_certificate(path: str) -> asyncssh.SSHCertificate | None:
    """Read a certificate; return None where the file holds none."""
    try:
        return asyncssh.read_certificate(path)
    except (OSError, asyncssh.KeyImportError):
        return None


def fingerprint(key: asyncssh.SSHKey) -> str:
    """Give the kind and the SHA256 fingerprint of a key, as ssh prints it."""
    return f"{key.get_algorithm()} {key.get_fingerprint()}"


def known_key(place: tuple[str, int] | None) -> str | None:
    """Give the kind, the fingerprint and the place of a key in a known_hosts file."""
    if place is None:
        return None
    file, number = place
    try:
        line = Path(file).read_text(encoding="utf-8", errors="replace").splitlines()[number - 1]
        key = asyncssh.import_public_key(" ".join(line.split()[1:3]))
    except (OSError, IndexError, ValueError):
        return None
    return f"{key.get_algorithm()} {key.get_fingerprint()} ({file}:{number})"
