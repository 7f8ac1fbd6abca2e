"""The keys that are offered to a host: files, certificates, those of an agent, and files that a passphrase locks."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import copy
import logging
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import asyncssh

from xpm_remote.errors import AuthenticationError
from xpm_remote.link.key_files import default_keys, embedded_public_half, is_locked
from xpm_remote.link.known_hosts import split_string
from xpm_remote.link.options.connect_options import ConnectOptions
from xpm_remote.link.prompts import UnansweredError
from xpm_remote.link.ssh_config.files import with_home
from xpm_remote.waiting import wait_within

log = logging.getLogger(__name__)

AGENT_TIMEOUT = 10.0
"""Seconds for an agent to list its keys: it is on this machine, and asks no one."""


class _Sequence(list[Any]):
    """A list that is true even if empty: the library takes an empty one for none."""

    def __bool__(self) -> bool:
        return True


class _Offer(NamedTuple):
    """A key or certificate of a file, and what signs by it; None where only an agent could."""

    public_data: bytes
    pair: asyncssh.SSHKeyPair | None


class Keys(NamedTuple):
    """The keys for a login.

    Attributes:
        named: Paths of private keys, or of public ones whose private half an agent holds; they need not exist.
        private: Those of them that are files with a private key.
        certificates: Paths of certificates; if there are none, those next to the keys count.
    """

    named: list[str]
    private: list[str]
    certificates: list[str]

    def arguments(
        self, held: Sequence[asyncssh.SSHKeyPair], unlocking: Unlocking, *, only: bool
    ) -> dict[str, Any]:
        """Return the library's arguments: what is offered in the order of ssh, for hosts end a login after a few keys.

        That is: the named certificates; of an agent's keys those that are named, then its others; then the other
        keys that are named, in their order, each with the certificate next to it after it.

        Args:
            held: The keys of the agent.
            unlocking: How the files that a passphrase locks are unlocked.
            only: Whether only the named ones of the agent's keys are tried: ``IdentitiesOnly``.
        """
        files = [each for path in self.named for each in self._offers(path, unlocking)]
        named = {each.public_data for each in files}
        known = {pair.public_data for pair in held}
        first = [pair for pair in held if pair.public_data in named]
        rest = [] if only else [pair for pair in held if pair.public_data not in named]
        signing = [each.pair for each in files if each.pair is not None]
        last = [pair for pair in signing if pair.public_data not in known]
        return {
            "client_keys": _Sequence([*self._certified([*held, *signing]), *first, *rest, *last]),
            "client_certs": [],  # the library would offer no key for which there is one without it
            "agent_identities": [b""],  # nor any key before the agent's
        }

    def _offers(self, path: str, unlocking: Unlocking) -> list[_Offer]:
        """Return the key of a file, and the certificate next to it."""
        private = read_unlocked(path) if path in self.private else None
        public = public_half(path) if private is None else private.convert_to_public()
        if public is None:
            return []
        beside = None if self.certificates else read_certificate(f"{path}-cert.pub")
        found = []
        for certificate in (None, beside) if beside else (None,):
            data = public.public_data if certificate is None else certificate.public_data
            pair: asyncssh.SSHKeyPair | None = None
            if private is not None:
                pair = _pair(private, certificate)
            elif path in self.private:
                pair = LockedKey(path, public, unlocking).pair(certificate)
            found.append(_Offer(data, pair))
        return found

    def _certified(self, pairs: Sequence[asyncssh.SSHKeyPair]) -> list[asyncssh.SSHKeyPair]:
        """Return the named certificates, each with the first key that signs for it."""
        found = []
        for path in self.certificates:
            certificate = read_certificate(path)
            for pair in pairs:
                if certificate and pair.public_data == certificate.key.public_data:
                    certified = copy.copy(pair)
                    certified.set_certificate(certificate)
                    found.append(certified)
                    break
        return found


def _pair(key: asyncssh.SSHKey, certificate: asyncssh.SSHCertificate | None) -> asyncssh.SSHKeyPair:
    # The library returns the key with its certificate, and then the key alone.
    return asyncssh.load_keypairs([key if certificate is None else (key, certificate)])[0]


def offer_once(connection: asyncssh.SSHClientConnection, pair: asyncssh.SSHKeyPair) -> None:
    """Have an RSA certificate offered once, under the name that the server knows; the library would try two names."""
    greeting = str(connection.get_extra_info("server_version"))
    if connection._saved_rsa_key is pair and not _KNOWS_OLD_NAME.match(greeting):  # noqa: SLF001
        connection._saved_rsa_key = None  # noqa: SLF001
        pair.algorithm = pair.sig_algorithm + b"-cert-v01@openssh.com"


_KNOWS_OLD_NAME = re.compile(r"SSH-2\.0-OpenSSH_([1-6]\.|7\.[0-7])")
"""The greeting of a server to which a certificate of an RSA key is of SHA-1, whatever it signs with: before 7.8."""


@contextlib.asynccontextmanager
async def agent_keys(path: str | None) -> AsyncIterator[Sequence[asyncssh.SSHKeyPair]]:
    """Yield the keys of an agent, usable until the end of the context; none where no agent answers."""
    if not path:
        yield ()
        return
    held: Sequence[asyncssh.SSHKeyPair] = ()
    async with contextlib.AsyncExitStack() as stack:
        try:
            agent = await wait_within(asyncssh.connect_agent(path), AGENT_TIMEOUT)
            stack.callback(agent.close)
            held = await wait_within(agent.get_keys(), AGENT_TIMEOUT)
        except (TimeoutError, asyncio.TimeoutError):
            log.warning("the agent at %s does not answer; its keys are left out", path)
        except (OSError, ValueError, asyncssh.Error) as error:
            log.debug("there is no agent at %s: %s", path, error)
        yield held


def find_keys(
    options: ConnectOptions, named: Sequence[str] | None, certificates: Sequence[str]
) -> Keys:
    """Return the named keys, or else the default ones.

    Args:
        options: The options as given; a key that they name must exist.
        named: All private keys that options and config files name; None if they name none.
        certificates: The certificates that they name.

    Raises:
        AuthenticationError: A key that an option names does not exist.
    """
    if named is None:
        paths = default_keys()
    else:
        paths = [with_home(name) for name in named]
        for path in paths[: len(options.get_all("IdentityFile"))]:
            if not Path(path).exists() and not Path(f"{path}.pub").exists():
                raise AuthenticationError(f"the private key {path} does not exist", "check -i")
    files = [path for path in paths if Path(path).is_file() and os.access(path, os.R_OK)]
    private = [path for path in files if not _is_public(path)]
    found = [with_home(path) for path in certificates]
    return Keys(paths, private, [path for path in found if read_certificate(path)])


def _is_public(path: str) -> bool:
    try:
        return read_unlocked(path) is None and not is_locked(path) and public_half(path) is not None
    except OSError:
        return False


def read_unlocked(path: str) -> asyncssh.SSHKey | None:
    """Return a private key; None if a passphrase locks it, or it is none."""
    try:
        return asyncssh.read_private_key(path)
    except asyncssh.KeyImportError:
        return None


def public_half(path: str) -> asyncssh.SSHKey | None:
    """Return the public half of a key, from the file beside it or from an unencrypted part of the file; or None."""
    for each in (f"{path}.pub", path):
        try:
            return asyncssh.read_public_key(each)
        except (OSError, asyncssh.KeyImportError):
            continue
    try:
        public = embedded_public_half(Path(path).read_bytes())
        kind, _ = split_string(public)
        return asyncssh.import_public_key(kind + b" " + base64.b64encode(public))
    except (OSError, asyncssh.KeyImportError):
        return None


def read_certificate(path: str) -> asyncssh.SSHCertificate | None:
    """Return the certificate in a file; None if there is none."""
    try:
        return asyncssh.read_certificate(path)
    except (OSError, asyncssh.KeyImportError):
        return None


AskPassphrase = Callable[[str, int], Awaitable[str]]
"""Asks for the passphrase of a key file, for the first (0) or a later time; raises UnansweredError."""

PASSPHRASE_ATTEMPTS = 3
"""Attempts at a key's passphrase, as in ssh."""


class OpenedKeys:
    """Private keys that a person has unlocked, in memory; the passphrases are not kept."""

    def __init__(self) -> None:
        self._keys: dict[bytes, asyncssh.SSHKey] = {}

    def find(self, public: asyncssh.SSHKey) -> asyncssh.SSHKey | None:
        """Return the private half of a key; None if it has not been unlocked."""
        return self._keys.get(public.public_data)

    def keep(self, private: asyncssh.SSHKey) -> None:
        """Add an unlocked key."""
        self._keys[private.public_data] = private


class Unlocking(NamedTuple):
    """How locked keys are unlocked.

    Attributes:
        ask: Asks for a passphrase.
        opened: The keys that have been unlocked, whose passphrases are not asked for again.
    """

    ask: AskPassphrase
    opened: OpenedKeys


class LockedKey:
    """A key file whose private half cannot be read without its passphrase.

    Args:
        path: The file.
        public: Its public half.
        unlocking: How it is unlocked.
    """

    def __init__(self, path: str, public: asyncssh.SSHKey, unlocking: Unlocking) -> None:
        self.path = path
        self.public = public
        self._unlocking = unlocking
        self._failed = False

    def pair(self, certificate: asyncssh.SSHCertificate | None = None) -> asyncssh.SSHKeyPair:
        """Return what can be offered to a host: the key alone, or by a certificate."""
        return _LockedPair(self, certificate)

    async def unlock(self) -> asyncssh.SSHKey:
        """Return the private half: unlocked before, or now by the passphrase, which is asked for once for all pairs.

        Raises:
            ValueError: No passphrase fitted, or there was no answer.
        """
        private = self._unlocking.opened.find(self.public)
        if private is None and not self._failed:
            self._failed = True  # unless the next lines say otherwise
            private = await self._ask()
        if private is None:
            raise ValueError("the private key stays locked")
        self._unlocking.opened.keep(private)
        return private

    async def _ask(self) -> asyncssh.SSHKey | None:
        for attempt in range(PASSPHRASE_ATTEMPTS):
            try:
                passphrase = await self._unlocking.ask(self.path, attempt)
            except UnansweredError:
                return None
            try:
                # A thread: turning a passphrase into a key takes a second on purpose.
                return await asyncio.to_thread(asyncssh.read_private_key, self.path, passphrase)
            except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
                continue
        return None


class _LockedPair(asyncssh.SSHKeyPair):
    """A locked key in the form that the library offers to a host; it signs only after the host has accepted it."""

    def __init__(self, locked: LockedKey, certificate: asyncssh.SSHCertificate | None) -> None:
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

    async def sign_async(self, data: bytes) -> bytes:
        """Ask for the passphrase and sign.

        Raises:
            ValueError: The key stays locked; the library then tries the next one.
        """
        private = await self._locked.unlock()
        return private.sign(data, self.sig_algorithm)
