"""The keys that are offered to a host: files, certificates, those of an agent, and files that a passphrase locks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import asyncssh

from xpm_remote.errors import AuthenticationError
from xpm_remote.link.key_files import default_keys, is_locked, public_half, read_certificate
from xpm_remote.link.options.connect_options import ConnectOptions
from xpm_remote.link.prompts import UnansweredError
from xpm_remote.waiting import wait_within

log = logging.getLogger(__name__)

AGENT_TIMEOUT = 10.0
"""Seconds for an agent to list its keys: it is on this machine, and asks no one."""


class _Sequence(list[Any]):
    """A list that is true even if empty: the library takes an empty one for none."""

    def __bool__(self) -> bool:
        return True


class Keys(NamedTuple):
    """The keys for a login.

    Attributes:
        named: Paths of private keys, or of public ones whose private half an agent holds; they need not exist.
        private: Those of them that are files with a private key.
        certificates: Paths of certificates, besides those next to the keys.
    """

    named: list[str]
    private: list[str]
    certificates: list[str]

    def arguments(self, held: Sequence[asyncssh.SSHKeyPair], *, only: bool) -> dict[str, Any]:
        """Return the library's arguments: what is offered in the order of ssh.

        Of an agent's keys, which come first, those are first that are named; hosts end a login after a few keys.

        Args:
            held: The keys of the agent.
            only: Whether only the named ones of them are tried: ``IdentitiesOnly``.
        """
        named = self._public()
        first = [pair for pair in held if pair.public_data in named]
        rest = [] if only else [pair for pair in held if pair.public_data not in named]
        return {
            "client_keys": _Sequence([*first, *rest, *self.not_held(held)]),
            "client_certs": self.certificates,
            "agent_identities": [b""],  # the library would put all of them first
        }

    def not_held(self, held: Sequence[asyncssh.SSHKeyPair]) -> list[str]:
        """Return the private key files whose keys an agent does not hold, and those with a certificate."""
        known = {pair.public_data for pair in held}
        certified = [each.key.public_data for each in self._certificates()]
        found = []
        for path in self.private:
            public = public_half(path)
            data = None if public is None else public.public_data
            if data not in known or data in certified:
                found.append(path)
        return found

    def _public(self) -> list[bytes]:
        found = [public.public_data for path in self.named if (public := public_half(path))]
        return found + [each.public_data for each in self._certificates()]

    def _certificates(self) -> list[asyncssh.SSHCertificate]:
        beside = [f"{path}-cert.pub" for path in self.named]
        paths = (*beside, *self.certificates)
        return [found for path in paths if (found := read_certificate(path))]


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


class LockedKey:
    """A key file whose private half cannot be read without its passphrase.

    Args:
        path: The file.
        public: Its public half.
        certificates: Certificates for it.
        opened: The keys that have been unlocked; this one is added once it is.
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

    def pairs(self, ask: AskPassphrase) -> list[asyncssh.SSHKeyPair]:
        """Return what can be offered to a host: each certificate, and the key alone."""
        return [_LockedPair(self, each, ask) for each in (*self.certificates, None)]

    async def unlock(self, ask: AskPassphrase) -> asyncssh.SSHKey:
        """Return the private half: unlocked before, or now by the passphrase, which is asked for once for all pairs.

        Raises:
            ValueError: No passphrase fitted, or there was no answer.
        """
        private = self._opened.find(self.public)
        if private is None and not self._failed:
            self._failed = True  # unless the next lines say otherwise
            private = await self._ask(ask)
        if private is None:
            raise ValueError("the private key stays locked")
        self._opened.keep(private)
        return private

    async def _ask(self, ask: AskPassphrase) -> asyncssh.SSHKey | None:
        for attempt in range(PASSPHRASE_ATTEMPTS):
            try:
                passphrase = await ask(self.path, attempt)
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

    def __init__(
        self, locked: LockedKey, certificate: asyncssh.SSHCertificate | None, ask: AskPassphrase
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
        self._ask = ask

    async def sign_async(self, data: bytes) -> bytes:
        """Ask for the passphrase and sign.

        Raises:
            ValueError: The key stays locked; the library then tries the next one.
        """
        private = await self._locked.unlock(self._ask)
        return private.sign(data, self.sig_algorithm)


def find_locked_keys(
    paths: Iterable[str], certificates: Iterable[str], opened: OpenedKeys | None = None
) -> list[LockedKey]:
    """Return the key files that need a passphrase, each with its certificates.

    Args:
        paths: Key files; those that cannot be read, or are not locked, are left out.
        certificates: Certificate files to search, besides those next to the keys.
        opened: The keys that have been unlocked: their passphrases are not asked for again.
    """
    opened = OpenedKeys() if opened is None else opened
    found = []
    for path in paths:
        public = public_half(path) if is_locked(path) else None
        if public is None:
            continue
        read = map(read_certificate, [f"{path}-cert.pub", *certificates])
        own = [each for each in read if each and each.key.public_data == public.public_data]
        found.append(LockedKey(path, public, own, opened))
    return found
