"""Which keys are shown to a host: files, certificates, and what an agent holds for them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import asyncssh

from xpm_remote.errors import AuthenticationError
from xpm_remote.link.library.locked_keys import default_keys, is_locked, public_half
from xpm_remote.link.options.connect_options import ConnectOptions


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
            if (certificate := _certificate(path))
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
    return Keys(paths, private, [path for path in found if _certificate(path)])


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


def _certificate(path: str) -> asyncssh.SSHCertificate | None:
    try:
        return asyncssh.read_certificate(path)
    except (OSError, asyncssh.KeyImportError):
        return None
