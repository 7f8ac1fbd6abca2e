"""Destinations and jump hosts."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from xpm_remote.errors import OptionError
from xpm_remote.link.options.destination import (
    Destination,
    parse_destination,
    parse_jumps,
    parse_port,
)

NAMES = st.from_regex(r"[a-z][a-z0-9.-]{0,20}", fullmatch=True)
PORTS = st.none() | st.integers(1, 65535)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("host", (None, "host", None)),
        ("user@host", ("user", "host", None)),
        ("user@site@host.example", ("user@site", "host.example", None)),
        ("::1", (None, "::1", None)),
        ("user@fe80::1%eth0", ("user", "fe80::1%eth0", None)),
        ("ssh://host", (None, "host", None)),
        ("ssh://host:22", (None, "host", 22)),
        ("ssh://user@host:22/", ("user", "host", 22)),
        ("ssh://user@[::1]:22", ("user", "::1", 22)),
        ("ssh://[::1]", (None, "::1", None)),
        ("ssh://host:", (None, "host", None)),
        ("ssh://us%40er@host", ("us@er", "host", None)),
        ("ssh://us@er@host", ("us@er", "host", None)),
    ],
)
def test_destination(text: str, expected: tuple[str | None, str, int | None]) -> None:
    """Each form of a destination gives user, host and port."""
    assert parse_destination(text) == expected


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "empty"),
        ("@host", "user name is empty"),
        ("user@", "host name is empty"),
        ("-host", "dash"),
        ("-oProxyCommand=x@host", "dash"),
        ("user@-host", "dash"),
        ("ho st", "characters"),
        ("ho\nst", "characters"),
        ("ho\x7fst", "characters"),
        ("us\ner@host", "characters"),
        ("us'er@host", "characters"),
        ("user -x@host", "characters"),
        ("user\\@host", "characters"),
        ("$(host)", "characters"),
        ("[::1]", "characters"),
        ("host/path", "characters"),
        ("host:22", "ssh://host:port or -p"),
        ("ssh://", "empty"),
        ("ssh://host/path", "path"),
        ("ssh://@host", "empty"),
        ("ssh://user;fingerprint=x@host", "connection parameters"),
        ("ssh://us%4@host", "hexadecimal"),
        ("ssh://us%ff@host", "decode"),
        ("ssh://::1", "brackets"),
        ("ssh://[host]:22", "IPv6"),
        ("ssh://host:0", "port"),
        ("ssh://host:65536", "port"),
        ("ssh://host:ssh", "port"),
        ("ssh://host:22:23", "brackets"),
    ],
)
def test_bad_destination(text: str, cause: str) -> None:
    """A malformed destination is an error with the reason and the right form."""
    with pytest.raises(OptionError, match=cause) as caught:
        parse_destination(text)
    assert "ssh://user@host:port" in caught.value.hint


@given(
    user=st.none() | st.from_regex(r"[a-z][a-z0-9@._-]{0,10}", fullmatch=True),
    host=NAMES | st.ip_addresses(v=6).map(str),
    port=PORTS,
)
def test_round_trip(user: str | None, host: str, port: int | None) -> None:
    """A destination prints as a text that is read as the same destination."""
    destination = Destination(user, host, port)
    assert parse_destination(f"ssh://{destination}") == destination
    assert parse_jumps(f"x,{destination}") == (Destination(None, "x", None), destination)


@settings(deadline=None)  # a process is started for each example
@given(text=st.text(alphabet="ab1.-_@:;/%[]'\"\\ $\t", min_size=1, max_size=12))
@example("a@b@c")
@example("ssh://a@b:1")
@example("a b@c")
def test_agrees_with_openssh(text: str) -> None:
    """OpenSSH reads an accepted destination as the same host, user and port."""
    try:
        user, host, port = parse_destination(text)
    except OptionError:
        return
    defaults = ["-l", "nobody"] if user is None else []
    done = subprocess.run(
        ["ssh", "-G", "-F", "none", *defaults, text],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert f"host {host}" in lines
    assert f"user {user or 'nobody'}" in lines
    assert f"port {port or 22}" in lines


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none", ()),
        ("None", ()),
        ("a", ((None, "a", None),)),
        ("u@a:1,ssh://b:2,[::1]:3", (("u", "a", 1), (None, "b", 2), (None, "::1", 3))),
    ],
)
def test_jumps(text: str, expected: tuple[Destination, ...]) -> None:
    """Jump hosts are returned in the order in which they are visited."""
    assert parse_jumps(text) == expected


@pytest.mark.parametrize("text", ["", "a,,b", "a:0", "::1", "@a", "ssh://a/b"])
def test_bad_jumps(text: str) -> None:
    """A malformed jump host is an error that shows it."""
    with pytest.raises(OptionError, match="jump host") as caught:
        parse_jumps(text)
    assert repr(text) in caught.value.what


@pytest.mark.parametrize(
    "text", ["", "0", "65536", "-1", "+5", " 22", "22 ", "ssh", "٢٢", "9" * 5000]
)
def test_bad_port(text: str) -> None:
    """A port is a number from 1 to 65535."""
    with pytest.raises(ValueError, match="not a port"):
        parse_port(text)
