"""The keys of one test session: the host's, each user's, and a CA that signs user certificates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncssh

KEY_TYPE = "ssh-ed25519"
PRIVATE_MODE = 0o600


@dataclass(frozen=True)
class Login:
    """The account's name on the host, and the private key's file."""

    user: str
    key: Path


class Keys:
    """Keys made in a folder of their own, as OpenSSH files.

    Args:
        folder: An existing folder, private to this session.
        names: Who gets a key.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.folder = folder
        self.host_key = _new_key(folder / "ssh_host_ed25519_key")
        self.ca_key = _new_key(folder / "user_ca")
        self._private = {name: _new_key(folder / f"id_{name}") for name in names}

    def private(self, name: str) -> Path:
        """Return the private key of ``name``."""
        return self._private[name]

    def public(self, key: Path) -> str:
        """Return the public half of a key of this session, as one line without its end."""
        return _public(key).read_text().strip()

    def certificate(self, name: str) -> Path:
        """Return a fresh private key with which only its certificate (``…-cert.pub`` beside it) logs in as ``name``."""
        key = _new_key(self.folder / f"id_{name}_certified")
        signed = asyncssh.read_private_key(self.ca_key).generate_user_certificate(
            asyncssh.read_public_key(_public(key)), f"{name} of this session", principals=[name]
        )
        signed.write_certificate(key.with_name(f"{key.name}-cert.pub"))
        return key


def _new_key(path: Path) -> Path:
    key = asyncssh.generate_private_key(KEY_TYPE, comment=path.name)
    key.write_private_key(path)
    key.write_public_key(_public(path))
    path.chmod(PRIVATE_MODE)
    return path


def _public(key: Path) -> Path:
    return key.with_name(f"{key.name}.pub")
