"""Proving who we are, and what it means when the host does not believe it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

import asyncssh

from xpm_remote.errors import (
    AuthenticationError,
    LinkError,
    NegotiationError,
    OptionError,
    UnreachableError,
)
from xpm_remote.link.host_keys import HostKeyPolicy
from xpm_remote.link.ssh_options import ConnectOptions


class LoginClient(asyncssh.SSHClient):
    """Answers what the library asks while it connects."""

    def __init__(self, policy: HostKeyPolicy) -> None:
        self._policy = policy
        self.asked_for: list[str] = []

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        """Decide about a key that is not known."""
        return self._policy.accepts(addr, key)

    def password_auth_requested(self) -> str | None:
        """Take note that the host would take a password."""
        self.asked_for.append("a password")
        return None

    def kbdint_auth_requested(self) -> str | None:
        """Take note that the host would ask questions."""
        self.asked_for.append("an interactive login")
        return None


def key_files(options: ConnectOptions, resolved: asyncssh.SSHClientConnectionOptions) -> list[str]:
    """Give the private keys to try; one that a config file names need not exist."""
    named = cast("list[str]", resolved.config.get("IdentityFile", []))
    paths = [Path(name).expanduser() for name in named]
    for path in paths[: len(options.get_all("IdentityFile"))]:
        if not path.exists():
            raise AuthenticationError(f"the private key {path} does not exist", "check -i")
    return [str(path) for path in paths if os.access(path, os.R_OK)]


def explain_failure(
    error: Exception, where: str, client: LoginClient, keys: list[str]
) -> LinkError | OptionError:
    """Tell what an error of the library means for the person."""
    reason = getattr(error, "reason", None) or str(error) or type(error).__name__
    if isinstance(error, asyncssh.PermissionDenied):
        return _refused(f"{where} refuses to log us in: {reason}", client, keys)
    if isinstance(error, (asyncssh.KeyImportError, asyncssh.KeyEncryptionError)):
        return AuthenticationError(
            f"a private key for {where} cannot be used: {reason}",
            "load it into an agent with ssh-add, or name another with -i",
        )
    if isinstance(error, asyncssh.ChannelOpenError):
        return UnreachableError(f"the jump host cannot reach {where}: {reason}")
    if isinstance(error, (asyncssh.ConnectionLost, OSError)):
        return UnreachableError(
            f"{where} dropped the connection: {reason}", "the host may be busy; try again"
        )
    if isinstance(error, asyncssh.DisconnectError):
        return NegotiationError(f"{where} and we cannot agree: {reason}")
    return OptionError(f"the SSH options for {where}: {reason}")


def _refused(what: str, client: LoginClient, keys: list[str]) -> AuthenticationError:
    """Say why we could not log in, and what would help, as far as we can see."""
    if client.asked_for:
        what += f"; the host would take {' or '.join(dict.fromkeys(client.asked_for))}"
    locked = [key for key in keys if _is_locked(key)]
    if locked:
        what += f"; the private key {', '.join(locked)} needs a passphrase"
        return AuthenticationError(what, "load it into an agent with ssh-add")
    return AuthenticationError(
        what, "check the user name and the keys: ssh -v to the same host tells more"
    )


def _is_locked(key: str) -> bool:
    try:
        asyncssh.read_private_key(key)
    except asyncssh.KeyImportError as error:
        return "assphrase" in str(error)
    except OSError:
        return False
    return False
