"""The known_hosts files: the keys of a host in them, and what of them cannot be read.

ssh skips a line that it cannot read, and a file that it cannot open, as if no key were known; then a changed key would
pass as new. Here each line about a host is a key or a flaw, and with a flaw only a known key is accepted. The matching
of names is that of ssh. Keys are compared by their bytes, so those of kinds that the SSH library lacks count, too.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from xpm_remote.errors import HostKeyError

DEFAULT_USER_FILES = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
DEFAULT_GLOBAL_FILES = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
SSH_PORT = 22

_BLANKS = re.compile(rb"[ \t]+")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SSH1 = re.compile(rb"\d+[ \t]+\d+[ \t]+\d")
"""A key of SSH 1: bits, exponent, modulus. No host has shown one for years, and it hides no other key."""
_SALT_SIZE = 20
"""Bytes of the salt of a hashed name, as in OpenSSH: those of a SHA-1 digest."""
_SIGNATURES = {b"rsa-sha2-256": b"ssh-rsa", b"rsa-sha2-512": b"ssh-rsa"}
"""Names of signatures that ssh accepts for the kind of a key."""
_CERTIFICATE = b"-cert-v0"
_LENGTH = 4  # bytes of the length of a string of SSH


class Marker(Enum):
    """The word before a host's name."""

    NONE = b""
    AUTHORITY = b"@cert-authority"
    REVOKED = b"@revoked"


class KnownKey(NamedTuple):
    """A key in a known_hosts file.

    Attributes:
        kind: Its algorithm, such as ``ssh-ed25519``.
        data: The public key in the encoding of SSH.
        place: ``file:line``.
        marker: Whether it is the host's, that of an authority, or revoked.
    """

    kind: str
    data: bytes
    place: str
    marker: Marker

    def __str__(self) -> str:
        return f"{self.kind} {fingerprint(self.data)} ({self.place})"


class Flaw(NamedTuple):
    """A line that may be about the host, or a file, that cannot be read.

    Attributes:
        place: ``file:line``, or the file.
        why: The reason, as part of a sentence.
        is_revocation: Whether the line revokes a key, which is then unknown.
    """

    place: str
    why: str
    is_revocation: bool = False


@dataclass(frozen=True)
class KnownHosts:
    """What the known_hosts files hold about a host.

    Attributes:
        name: The host as named there.
        found: The keys of all markers, in the order of the files.
        flaws: What cannot be read.
    """

    name: str
    found: tuple[KnownKey, ...] = ()
    flaws: tuple[Flaw, ...] = ()

    @property
    def keys(self) -> list[KnownKey]:
        """The host's own keys."""
        return self._marked(Marker.NONE)

    @property
    def authorities(self) -> list[KnownKey]:
        """The keys whose certificates are accepted."""
        return self._marked(Marker.AUTHORITY)

    @property
    def revoked(self) -> list[KnownKey]:
        """The keys that are refused."""
        return self._marked(Marker.REVOKED)

    def _marked(self, marker: Marker) -> list[KnownKey]:
        return [each for each in self.found if each.marker is marker]

    def revoked_error(self, key: KnownKey) -> HostKeyError:
        """Return the error for a host that showed a revoked key, or a certificate by a revoked authority."""
        return HostKeyError(
            f"the host key of {self.name} is revoked: {key}",
            "another machine may have it: ask the site for the new key",
        )

    def check_revocations(self) -> None:
        """Raise an error if a revocation cannot be read.

        Raises:
            HostKeyError: It may be that of the host's key.
        """
        unclear = [each for each in self.flaws if each.is_revocation]
        if unclear:
            raise self.flaw_error(unclear)

    def flaw_error(self, flaws: Iterable[Flaw] = ()) -> HostKeyError:
        """Return the error for a host that cannot be checked, because of some flaws or of all."""
        shown = ", ".join(f"{each.place} ({each.why})" for each in flaws or self.flaws)
        return HostKeyError(
            f"the host key of {self.name} cannot be checked: {shown}",
            "correct or remove what cannot be read: it may hold another key of the host",
        )


def host_name(host: str, port: int) -> str:
    """Return a host as named in known_hosts."""
    host = host.lower()
    return host if port == SSH_PORT else f"[{host}]:{port}"


def fingerprint(data: bytes) -> str:
    """Return the SHA256 fingerprint of a public key, as ssh prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def split_string(data: bytes) -> tuple[bytes, bytes]:
    """Split off a string of SSH, which its length precedes."""
    end = _LENGTH + int.from_bytes(data[:_LENGTH], "big")
    return data[_LENGTH:end], data[end:]


def read_known_hosts(name: str, files: Iterable[str]) -> KnownHosts:
    """Return what some files hold about a host; a file that does not exist holds nothing."""
    found: list[KnownKey] = []
    flaws: list[Flaw] = []
    for file in files:
        try:
            data = Path(file).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            flaws.append(Flaw(file, os.strerror(error.errno or 0)))
            continue
        for each in _about(name.lower(), file, data):
            if isinstance(each, Flaw):
                flaws.append(each)
            else:
                found.append(each)
    return KnownHosts(name, tuple(found), tuple(flaws))


def key_at(place: tuple[str, int] | None) -> str | None:
    """Return the kind, the fingerprint and the place of the key in a line of a file; None if it cannot be read."""
    if place is None:
        return None
    file, number = place
    try:
        line = Path(file).read_bytes().split(b"\n")[number - 1]
    except (OSError, IndexError):
        return None
    marker, rest = _split_marker(line.strip(b" \t\r"))
    key = [*_BLANKS.split(rest, maxsplit=1), b""][1]
    read = _read_key(key, f"{file}:{number}", marker or Marker.NONE)
    return str(read) if isinstance(read, KnownKey) else None


def hashed(name: str) -> str:
    """Return a name in the manner of OpenSSH that hides it: ``|1|salt|HMAC-SHA1``, both in base64."""
    salt = os.urandom(_SALT_SIZE)
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


def matches(name: str, pattern: str) -> bool:
    """Return whether a pattern of ``*`` and ``?`` matches all of a name, whatever the case.

    Between its stars a pattern has fixed parts. Each is found as early as possible, so that nothing is tried twice.
    """
    first, *parts = (_part(each) for each in pattern.lower().split("*"))
    name = name.lower()
    found = first.match(name)
    if not parts or found is None:
        return found is not None and found.end() == len(name)
    at = found.end()
    for part in parts[:-1]:
        found = part.search(name, at)
        if found is None:
            return False
        at = found.end()
    start = len(name) - len(pattern.rpartition("*")[2])
    return start >= at and parts[-1].match(name, start) is not None


def _part(text: str) -> re.Pattern[str]:
    return re.compile(".".join(map(re.escape, text.split("?"))), re.DOTALL)


def _about(name: str, file: str, data: bytes) -> Iterator[KnownKey | Flaw]:
    """Yield the keys and flaws of a file that are about a host."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        yield Flaw(file, "its encoding is UTF-16")
        return
    for number, line in enumerate(data.split(b"\n"), 1):
        place = f"{file}:{number}"
        found = _read_line(name, line.removeprefix(_BYTE_ORDER_MARK).strip(b" \t\r"), place)
        if found is not None and line.startswith(_BYTE_ORDER_MARK):
            # To ssh it is a part of the name.
            is_revocation = line.startswith(_BYTE_ORDER_MARK + Marker.REVOKED.value)
            found = Flaw(place, "the line begins with a byte order mark", is_revocation)
        if found is not None:
            yield found
        if b"\r" in line.rstrip(b"\r"):
            yield Flaw(place, "there is a carriage return inside the line")


def _read_line(name: str, line: bytes, place: str) -> KnownKey | Flaw | None:
    """Return the key in a line, or why there is none; None if the line is not about the host."""
    if not line or line.startswith(b"#"):
        return None
    marker, rest = _split_marker(line)
    hosts, key = [*_BLANKS.split(rest, maxsplit=1), b""][:2]
    is_included = _is_included(name, hosts)
    if is_included is False or _SSH1.match(key):
        return None
    if is_included is None:
        return Flaw(place, "the host's name cannot be read", marker is Marker.REVOKED)
    if marker is None:
        return Flaw(place, "the word before the name is neither @cert-authority nor @revoked")
    return _read_key(key, place, marker)


def _split_marker(line: bytes) -> tuple[Marker | None, bytes]:
    """Split the marker off a line; it is None if there is no such marker."""
    if not line.startswith(b"@"):
        return Marker.NONE, line
    word, rest = [*_BLANKS.split(line, maxsplit=1), b""][:2]
    if rest.startswith(b"@"):
        return None, _split_marker(rest)[1]
    known = {each.value: each for each in (Marker.AUTHORITY, Marker.REVOKED)}
    return known.get(word), rest


def _is_included(name: str, hosts: bytes) -> bool | None:
    """Return whether the hosts of a line include one; None if they cannot be read."""
    if b"\0" in hosts:
        return None
    if hosts.startswith(b"|"):
        return _is_hash_of(name, hosts)
    is_included = False
    for pattern in hosts.decode("utf-8", "surrogateescape").split(","):
        if matches(name, pattern.removeprefix("!")):
            if pattern.startswith("!"):
                return False
            is_included = True
    return is_included


def _is_hash_of(name: str, text: bytes) -> bool | None:
    try:
        empty, version, *encoded = text.split(b"|")
        salt, digest = (base64.b64decode(each, validate=True) for each in encoded)
    except ValueError:
        return None
    if version != b"1" or len(salt) != _SALT_SIZE:
        return None
    found = hmac.new(salt, name.encode("utf-8", "surrogateescape"), hashlib.sha1).digest()
    return not empty and hmac.compare_digest(found, digest)


def _read_key(text: bytes, place: str, marker: Marker) -> KnownKey | Flaw:
    """Read the kind of a key and the key; a comment may follow."""
    is_revocation = marker is Marker.REVOKED
    kind, encoded, *_ = [*_BLANKS.split(text.strip(b" \t"), maxsplit=2), b"", b""]
    if not kind or kind.startswith(b"#") or not encoded:
        return Flaw(place, "the line has no key", is_revocation)
    try:
        # A carriage return at the end, as in files of Windows, counts for nothing.
        data = base64.b64decode(b"".join(encoded.split()), validate=True)
    except ValueError:
        return Flaw(place, "the key is not base64", is_revocation)
    if split_string(data)[0] != _SIGNATURES.get(kind, kind):
        return Flaw(place, "the key is not of the kind that is named before it", is_revocation)
    if _CERTIFICATE not in kind and not _is_whole(data):
        return Flaw(place, "the key is cut off", is_revocation)
    return KnownKey(split_string(data)[0].decode("ascii", "replace"), data, place, marker)


def _is_whole(data: bytes) -> bool:
    """Return whether a key is a sequence of strings to its end."""
    while len(data) >= _LENGTH:
        length = int.from_bytes(data[:_LENGTH], "big")
        text, data = split_string(data)
        if len(text) < length:
            return False
    return not data
