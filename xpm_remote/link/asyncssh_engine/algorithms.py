"""The algorithms of connections by the library: those of ssh as far as the library has them."""

from __future__ import annotations

import functools
import re
from typing import Any

import asyncssh
from asyncssh.encryption import get_encryption_algs
from asyncssh.gss import gss_available
from asyncssh.kex import get_kex_algs
from asyncssh.mac import get_mac_algs
from asyncssh.pkcs11 import pkcs11_available
from asyncssh.public_key import get_certificate_algs, get_public_key_algs

from xpm_remote.link.negotiation import Disagreement, disagreement
from xpm_remote.link.options.connect_options import ConnectOptions
from xpm_remote.link.options.keywords import NEEDS_GSSAPI
from xpm_remote.link.ssh_config.effective import Abilities

SIGNATURES = "PubkeyAcceptedAlgorithms"

# The defaults of OpenSSH 9 and 10, in their order, for machines without it. The library's own have SHA-1.
_SAFE = {
    "KexAlgorithms": (
        "mlkem768x25519-sha256 curve25519-sha256 curve25519-sha256@libssh.org ecdh-sha2-nistp256"
        " ecdh-sha2-nistp384 ecdh-sha2-nistp521 diffie-hellman-group-exchange-sha256"
        " diffie-hellman-group16-sha512 diffie-hellman-group18-sha512 diffie-hellman-group14-sha256"
    ),
    "Ciphers": (
        "chacha20-poly1305@openssh.com aes128-gcm@openssh.com aes256-gcm@openssh.com"
        " aes128-ctr aes192-ctr aes256-ctr"
    ),
    "MACs": (
        "umac-64-etm@openssh.com umac-128-etm@openssh.com hmac-sha2-256-etm@openssh.com"
        " hmac-sha2-512-etm@openssh.com hmac-sha1-etm@openssh.com umac-64@openssh.com"
        " umac-128@openssh.com hmac-sha2-256 hmac-sha2-512 hmac-sha1"
    ),
    "HostKeyAlgorithms": (
        "ssh-ed25519-cert-v01@openssh.com ecdsa-sha2-nistp256-cert-v01@openssh.com"
        " ecdsa-sha2-nistp384-cert-v01@openssh.com ecdsa-sha2-nistp521-cert-v01@openssh.com"
        " rsa-sha2-512-cert-v01@openssh.com rsa-sha2-256-cert-v01@openssh.com ssh-ed25519"
        " ecdsa-sha2-nistp256 ecdsa-sha2-nistp384 ecdsa-sha2-nistp521 rsa-sha2-512 rsa-sha2-256"
    ),
}
_ARGUMENTS = {"KexAlgorithms": "kex_algs", "Ciphers": "encryption_algs", "MACs": "mac_algs"}
_SECURITY_KEYS = "sk-ssh-ed25519@openssh.com sk-ecdsa-sha2-nistp256@openssh.com"
# With it, only the library can tell which algorithms are meant.
_PATTERN = re.compile(r"^[-+^]|[*?!]")


@functools.cache
def library_abilities() -> Abilities:
    """Return the algorithms that the library knows, and the keywords for which it lacks a package."""
    known = {
        "Ciphers": get_encryption_algs(),
        "HostKeyAlgorithms": get_certificate_algs() + get_public_key_algs(),
        "KexAlgorithms": get_kex_algs(),
        "MACs": get_mac_algs(),
    }
    lacking = frozenset() if gss_available else NEEDS_GSSAPI
    if not pkcs11_available:
        lacking |= {"PKCS11Provider"}
    names = {name: frozenset(each.decode() for each in found) for name, found in known.items()}
    return Abilities(names, lacking)


def safe(keyword: str) -> list[str]:
    """Return the algorithms of a keyword that are used where there is no ssh whose own could be."""
    known = library_abilities().algorithms[keyword]
    return [each for each in _SAFE[keyword].split() if each in known]


def algorithm_arguments(
    options: ConnectOptions, library: asyncssh.SSHClientConnectionOptions
) -> dict[str, Any]:
    """Return the library's arguments for the algorithms that neither options nor config files name.

    Args:
        options: The options; if ssh has read the config files, they name all algorithms.
        library: What the library has read.
    """
    unset = {
        name: argument for name, argument in _ARGUMENTS.items() if not library.config.get(name)
    }
    return {
        **{argument: safe(name) for name, argument in unset.items()},
        "signature_algs": _signatures(options.get(SIGNATURES)),
    }


def _signatures(given: str | None) -> list[str]:
    """Return the signatures with which keys of ours may log in."""
    plain = {each.decode() for each in get_public_key_algs()}
    default = [*safe("HostKeyAlgorithms"), *_SECURITY_KEYS.split()]
    names = default if given is None else given.removeprefix("+").split(",")
    if given is not None and given.startswith("+"):
        names = [*default, *names]
    return [each for each in names if each in plain]


def host_key_algorithms(library: asyncssh.SSHClientConnectionOptions) -> list[str] | None:
    """Return the algorithms of host keys in the order of preference; None if only the library can tell."""
    configured = library.config.get("HostKeyAlgorithms")
    if configured is None:
        return safe("HostKeyAlgorithms")
    return None if _PATTERN.search(str(configured)) else str(configured).split(",")


def found_disagreement(connection: asyncssh.SSHClientConnection | None) -> Disagreement | None:
    """Return what a host and we could not agree on; None if that is not why the connection failed.

    The library knows it only as a text, and of host keys not at all: the host ends the connection. So the messages are
    read that it keeps for the key exchange.
    """
    ours = getattr(connection, "_client_kexinit", b"")
    theirs = getattr(connection, "_server_kexinit", b"")
    return disagreement(ours, theirs) if ours and theirs else None
