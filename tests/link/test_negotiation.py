"""What two sides cannot agree on, and how it is told."""

from __future__ import annotations

import pytest

from xpm_remote.link.negotiation import Disagreement, disagreement


def message(*lists: str) -> bytes:
    """Return the message with which a side begins."""
    strings = b"".join(len(each).to_bytes(4, "big") + each.encode() for each in lists)
    return bytes(17) + strings


OURS = message("k1,k2,ext-info-c", "h1", "c1,c2", "c1", "m1", "m1", "none", "none")


@pytest.mark.parametrize(
    ("theirs", "found"),
    [
        (("k2", "h1", "c1", "c1", "m1", "m1"), None),
        (("k3,ext-info-c", "h1", "c1", "c1", "m1", "m1"), ("KexAlgorithms", ("k3",))),
        (("k1", "h2", "c1", "c1", "m1", "m1"), ("HostKeyAlgorithms", ("h2",))),
        (("k1", "h1", "c3", "c1", "m1", "m1"), ("Ciphers", ("c3",))),
        (("k1", "h1", "c2", "c3", "m1", "m1"), ("Ciphers", ("c3",))),
        (("k1", "h1", "c1", "c1", "m2,m3", "m1"), ("MACs", ("m2", "m3"))),
        (("k1", "h1", "c1", "c1", "m1", ""), ("MACs", ())),
        (("k1",), None),
    ],
)
def test_disagreement(theirs: tuple[str, ...], found: tuple[str, tuple[str, ...]] | None) -> None:
    """The first list counts of which none is common; announcements are no algorithms."""
    result = disagreement(OURS, message(*theirs))
    assert (result and (result.keyword, result.theirs)) == found


@pytest.mark.parametrize("cipher", ["aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com"])
def test_cipher_that_needs_no_mac(cipher: str) -> None:
    """With a cipher that authenticates, no MAC is needed."""
    ours = message("k", "h", cipher, cipher, "m1", "m1")
    assert disagreement(ours, message("k", "h", cipher, cipher, "m2", "m2")) is None


def test_error() -> None:
    """The lists are shortened; the way out is an algorithm of the host's, if we have it."""
    ours, theirs = tuple("abcde"), tuple("uvwxyz")
    found = Disagreement("KexAlgorithms", ours, theirs)
    error = found.error("h port 1", allowed={"w", "x"})
    assert str(error) == (
        "h port 1 and we have no key exchange in common: it offers u, v, w, x and 2 more,"
        " we offer a, b, c, d and 1 more;"
        " if the host has no better one, allow its: -o KexAlgorithms=+w"
    )
    assert (error.keyword, error.theirs) == ("KexAlgorithms", theirs)
    assert str(found.error("h", "do this")).endswith("; do this")
    assert "it offers none" in str(Disagreement("MACs", ours, ()).error("h"))
