"""The table of OpenSSH's keywords."""

from __future__ import annotations

import subprocess

import pytest
from asyncssh.config import SSHClientConfig

from xpm_remote.link.options.keywords import (
    ACCUMULATING,
    ALIASES,
    BY_NAME,
    FLAGS_WITH_ARGUMENT,
    FORWARDS,
    KEYWORDS,
    NEEDS_GSSAPI,
    NEEDS_OPENSSH,
    OURS,
    PLAIN_FLAGS,
    READ_BY_LIBRARY,
    REFUSED_FLAGS,
    Honoured,
    Keyword,
    find_keyword,
    nearest_keyword,
)

NAMES = [keyword.name for keyword in KEYWORDS]


def test_each_keyword_stands_once() -> None:
    """No keyword has two entries, and no alias hides one."""
    lower = [name.lower() for name in NAMES]
    assert len(set(lower)) == len(lower)
    assert not set(ALIASES) & set(lower)
    assert len(BY_NAME) == len(lower) + len(ALIASES)


def test_has_what_openssh_has() -> None:
    """Every keyword that the installed ssh prints is in the table."""
    done = subprocess.run(
        ["ssh", "-G", "-F", "none", "host"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    printed = {line.split()[0].lower() for line in done.stdout.splitlines()}
    assert printed - set(BY_NAME) == set()


NEWER_THAN_OPENSSH_9_2 = {
    "ChannelTimeout",
    "ObscureKeystrokeTiming",
    "RefuseConnection",
    "Tag",
    "VersionAddendum",
    "WarnWeakCrypto",
}
PATCHED_IN_BY_DEBIAN = {"protocolkeepalives", "setuptimeout"} | {
    name for name in NAMES if name.startswith("GSSAPI")
}


@pytest.mark.parametrize(
    "name", sorted({*NAMES, *ALIASES} - NEWER_THAN_OPENSSH_9_2 - PATCHED_IN_BY_DEBIAN)
)
def test_openssh_has_it(name: str) -> None:
    """The installed ssh has each keyword and alias, except those of newer or patched releases."""
    done = subprocess.run(
        ["ssh", "-G", "-F", "none", "-o", f"{name}=1", "host"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Bad configuration option" not in done.stderr


def test_library_reads_what_it_is_given() -> None:
    """The parser of asyncssh has each keyword that is written for it."""
    handled = {name.lower() for name in SSHClientConfig._handlers}
    assert {name.lower() for name in READ_BY_LIBRARY} <= handled


def test_table_knows_what_the_library_reads() -> None:
    """Each keyword of asyncssh's parser has an entry."""
    assert set(SSHClientConfig._handlers) <= set(BY_NAME)


def test_what_we_honour_is_named() -> None:
    """The set of what the transport must honour is the table's."""
    assert {k.name for k in KEYWORDS if k.honoured is Honoured.BY_US} == OURS
    assert NEEDS_GSSAPI <= READ_BY_LIBRARY
    assert ACCUMULATING - FORWARDS <= READ_BY_LIBRARY
    assert set(NEEDS_OPENSSH) <= set(NAMES)


@pytest.mark.parametrize("keyword", KEYWORDS, ids=NAMES)
def test_refusals_are_explained(keyword: Keyword) -> None:
    """Every refusal has a reason and advice."""
    assert bool(keyword.reason.why and keyword.reason.advice) is (keyword.accepted is not None)
    assert (keyword.accepted == frozenset()) is (keyword.honoured is Honoured.NEVER)


def test_flags_set_known_keywords() -> None:
    """Each letter has one meaning, in keywords of the table."""
    set_by_flags = {name for pairs in PLAIN_FLAGS.values() for name, _ in pairs}
    set_by_flags |= {name for name, _ in FLAGS_WITH_ARGUMENT.values()}
    assert set_by_flags <= set(NAMES)
    letters = [*PLAIN_FLAGS, *FLAGS_WITH_ARGUMENT, *REFUSED_FLAGS, "F", "o", "v"]
    assert len(set(letters)) == len(letters)


def test_flags_are_openssh_s() -> None:
    """All letters of the installed ssh are honoured or refused explicitly."""
    usage = subprocess.run(["ssh"], capture_output=True, text=True, check=False).stderr
    plain = set(usage.split("[-", 1)[1].split("]", 1)[0])
    with_argument = {part[0] for part in usage.split("[-")[2:]}
    ours = {*PLAIN_FLAGS, *FLAGS_WITH_ARGUMENT, *REFUSED_FLAGS, "F", "o", "v"}
    assert len(plain) > 10
    assert len(with_argument) > 10
    assert plain | with_argument <= ours


def test_find() -> None:
    """A keyword is found by its name or an alias, in any case."""
    keyword = find_keyword("KEEPALIVE")
    assert keyword is not None
    assert keyword.name == "TCPKeepAlive"
    assert find_keyword("host name") is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Compresion", "Compression"), ("identityfiles", "IdentityFile"), ("ls", None), ("", None)],
)
def test_nearest(name: str, expected: str | None) -> None:
    """A typo finds its keyword, another word none."""
    assert nearest_keyword(name) == expected
