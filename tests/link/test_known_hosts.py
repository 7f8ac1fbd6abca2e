"""The known_hosts files: what is read of them; what ssh makes of the same is in ``test_host_key_agreement``."""

from __future__ import annotations

from pathlib import Path

import asyncssh
import pytest

from xpm_remote.link.known_hosts import (
    Flaw,
    KnownHosts,
    fingerprint,
    hashed,
    key_at,
    matches,
    read_known_hosts,
)

KEY = asyncssh.generate_private_key("ssh-ed25519")
PUBLIC = KEY.export_public_key("openssh").decode().strip()
NAME = "[example.org]:2222"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that does not exist yet."""
    return tmp_path / "known"


def read(file: Path, text: str | bytes) -> KnownHosts:
    """Write the file and read it."""
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_known_hosts(NAME, [str(file.parent / "none"), str(file)])


@pytest.mark.parametrize(
    ("name", "pattern", "is_match"),
    [
        (NAME, "[*.org]:22??", True),
        (NAME, "[EXAMPLE.org]:2222", True),
        (NAME, "[abc]*", False),
        ("a", "[abc]", False),
        ("a" * 200, "*a" * 60 + "*b", False),
        ("", "*", True),
        ("a.b", "a?b", True),
        ("axb", "a.b", False),
        ("a\nb", "a*", True),
    ],
)
def test_patterns(name: str, pattern: str, is_match: bool) -> None:
    """Only * and ? are special, and many of them take no longer."""
    assert matches(name, pattern) is is_match


@pytest.mark.parametrize(
    ("hosts", "keys"), [(hashed(NAME), 1), (hashed("elsewhere"), 0)], ids=["host", "another"]
)
def test_hashed_name(file: Path, hosts: str, keys: int) -> None:
    """A hashed name is that of the host or that of another."""
    known = read(file, f"{hosts} {PUBLIC}\n")
    assert (len(known.keys), known.flaws) == (keys, ())


@pytest.mark.parametrize(
    "hosts", ["|", "|2|AAAA|AAAA", "|1|AAAA|AAAA", "|1|§|AAAA", "|1|AAAA|AAAA|"]
)
def test_hash_that_cannot_be_read(file: Path, hosts: str) -> None:
    """Another hash, another salt, or what is no hash, may be any name."""
    assert read(file, f"{hosts} {PUBLIC}\n").flaws == (
        Flaw(f"{file}:1", "the host's name cannot be read"),
    )


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_utf_16(file: Path, encoding: str) -> None:
    """A file in UTF-16, as an editor of Windows may write, is a flaw and not one without lines."""
    known = read(file, f"{NAME} {PUBLIC}\n".encode(encoding))
    assert known.keys == []
    assert known.flaws


def test_keys_of_an_unknown_kind(file: Path) -> None:
    """A key of an unknown kind counts, if its encoding is whole."""
    known = read(
        file, f"{NAME} ssh-new AAAAB3NzaC1uZXcAAAABAQ==\n{NAME} ssh-new AAAAB3NzaC1uZXcAAAAB\n"
    )
    assert [each.kind for each in known.keys] == ["ssh-new"]
    assert [each.why for each in known.flaws] == ["the key is cut off"]


def test_key_at_a_place(file: Path) -> None:
    """The key of a line is shown with its fingerprint and place; of any other line there is none."""
    read(file, f"# mine\n\t{NAME}\t{PUBLIC} wörld\r\n@revoked  *  {PUBLIC}\nwhat\n")
    shown = f"ssh-ed25519 {fingerprint(KEY.public_data)} ({file}:"
    assert [key_at((str(file), number)) for number in (2, 3)] == [f"{shown}2)", f"{shown}3)"]
    assert [key_at((str(file), number)) for number in (1, 4, 9)] == [None] * 3
    assert key_at(None) is None
    assert key_at((str(file.parent), 1)) is None
