"""What two sides of SSH offer each other, and what they cannot agree on. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from xpm_remote.errors import NegotiationError
from xpm_remote.link.known_hosts import split_string

KINDS = {
    "KexAlgorithms": "key exchange",
    "HostKeyAlgorithms": "host key algorithm",
    "Ciphers": "cipher",
    "MACs": "MAC",
}
"""The keywords of what is agreed upon, and its name in messages."""

SHOWN = 4
"""Algorithms of a list that a message names."""

_START = 17  # the type of the message and a random cookie
_ORDER = ("KexAlgorithms", "HostKeyAlgorithms", "Ciphers", "Ciphers", "MACs", "MACs")
# Offered among key exchanges to announce abilities, by either side.
_ANNOUNCEMENTS = ("ext-info-", "kex-strict-")
# They need no MAC.
_AUTHENTICATED = ("chacha20-poly1305@openssh.com", "AEAD_AES_128_GCM", "AEAD_AES_256_GCM")


class Disagreement(NamedTuple):
    """What two sides have no algorithm in common for.

    Attributes:
        keyword: OpenSSH's keyword of the algorithms.
        ours: What we offer.
        theirs: What the host offers.
    """

    keyword: str
    ours: tuple[str, ...]
    theirs: tuple[str, ...]

    def error(
        self, where: str, hint: str = "", *, allowed: Collection[str] = ()
    ) -> NegotiationError:
        """Return the error for it.

        Args:
            where: Host and port.
            hint: What to do next, if that is known.
            allowed: Algorithms of the host's that we could offer.
        """
        usable = next((each for each in self.theirs if each in allowed), None)
        if not hint and usable is not None:
            hint = f"if the host has no better one, allow its: -o {self.keyword}=+{usable}"
        return NegotiationError(
            f"{where} and we have no {KINDS[self.keyword]} in common: it offers {_short(self.theirs)},"
            f" we offer {_short(self.ours)}",
            hint or "its SSH server may be old, or restricted: ask the site",
            keyword=self.keyword,
            theirs=self.theirs,
        )


def disagreement(ours: bytes, theirs: bytes) -> Disagreement | None:
    """Return what two sides cannot agree on, by the messages (SSH_MSG_KEXINIT) with which they begin; None if they can.

    Of algorithms for both directions the first counts in which they disagree.
    """
    cipher = ""
    for keyword, mine, other in zip(_ORDER, _lists(ours), _lists(theirs), strict=False):
        if keyword == "MACs" and _is_authenticated(cipher):
            continue
        chosen = next((each for each in mine if each in other), None)
        if chosen is None:
            return Disagreement(keyword, mine, other)
        cipher = chosen if keyword == "Ciphers" else cipher
    return None


def _lists(message: bytes) -> Iterator[tuple[str, ...]]:
    rest = message[_START:]
    while rest:
        text, rest = split_string(rest)
        names = text.decode("ascii", "replace").split(",") if text else []
        yield tuple(name for name in names if not name.startswith(_ANNOUNCEMENTS))


def _is_authenticated(cipher: str) -> bool:
    return cipher in _AUTHENTICATED or cipher.endswith("-gcm@openssh.com")


def _short(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more if names else "none"
