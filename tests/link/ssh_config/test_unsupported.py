"""Settings of a config file that no engine honours."""

from __future__ import annotations

import pytest

from xpm_remote.link.options.connect_options import parse_ssh_options
from xpm_remote.link.ssh_config.effective import ALGORITHMS, HostReading
from xpm_remote.link.ssh_config.text import Dump, Mention, mentions, parse_dump
from xpm_remote.link.ssh_config.unsupported import (
    UnsupportedSetting,
    find_unsupported,
    unknown_algorithms,
)

DEFAULTS = parse_dump(
    "controlmaster false\nport 22\nipqos lowdelay throughput\ngssapiauthentication no\n"
    "pubkeyacceptedalgorithms a,b\nescapechar ~\nupdatehostkeys true\n"
)


def found(
    config: str,
    dump: str,
    *options: str,
    is_own: bool = True,
    lacking: frozenset[str] = frozenset(),
) -> list[UnsupportedSetting]:
    """Return what is not honoured in a config file, of which ssh reports what is in effect."""
    changed: Dump = {**DEFAULTS, **parse_dump(dump)}
    lines: list[Mention] = list(mentions(config, "/config", is_own=is_own))
    return find_unsupported(parse_ssh_options("t", options), changed, DEFAULTS, lines, lacking)


def test_message() -> None:
    """The message has the keyword, its value as written, the line, the effect, and the alternative."""
    (one,) = found("Host t\n  AddKeysToAgent Ask\n", "addkeystoagent ask\n")
    assert str(one) == (
        "AddKeysToAgent Ask (/config:2) is not honoured: xpm-remote adds no keys to the agent;"
        " --ssh-engine openssh honours it"
    )
    assert not one.is_needed


def test_what_no_engine_does() -> None:
    """Where the program ssh would not help either, it is not recommended."""
    (one,) = found("RemoteCommand tmux\n", "remotecommand tmux\n")
    assert "--ssh-engine" not in str(one)
    (one,) = found("LocalForward 1 h:2\n", "localforward 1 [h]:2\n")
    assert "--ssh-engine" not in str(one)


@pytest.mark.parametrize(
    ("config", "dump"),
    [
        ("Port 1\n", "port 1\n"),  # honoured
        ("Host other\nVisualHostKey yes\n", ""),  # not in effect
        (
            "ControlMaster auto\nControlPath /s\n",
            "controlmaster auto\ncontrolpath /s\n",
        ),  # not missed
        ("EscapeChar none\n", "escapechar none\n"),  # shapes what we never do
        ("UpdateHostKeys no\n", "updatehostkeys false\n"),  # as we do anyway
        ("PubkeyAcceptedAlgorithms +ssh-rsa\n", "pubkeyacceptedalgorithms a,b,ssh-rsa\n"),
        ("IgnoreUnknown x\nHost t\n", "ignoreunknown x\nhost t\n"),  # for ssh's own reading
        ("", "updatehostkeys false\n"),  # a consequence of something else
        ("", "frobnicate yes\n"),  # nothing that we know of
    ],
)
def test_nothing_to_say(config: str, dump: str) -> None:
    """A setting that is honoured, not in effect, or without effect is not reported."""
    assert found(config, dump) == []


def test_option() -> None:
    """Options have been checked before."""
    assert found("VisualHostKey yes\n", "visualhostkey no\n", "VisualHostKey=no") == []


def test_right_line() -> None:
    """The line is that of the value in effect, in any notation; else the first."""
    config = "Host a\n VisualHostKey no\nHost t\n VisualHostKey yes\n"
    assert found(config, "visualhostkey yes\n")[0].place == "/config:4"
    config = "Host a\n IPQoS none\nHost t\n IPQoS ef\n IPQoS cs1\n"
    assert found(config, "ipqos ef ef\n")[0].place == "/config:4"
    assert found('VisualHostKey ""\n', "visualhostkey yes\n")[0].place == "/config:1"


def test_system_files() -> None:
    """Settings of a distribution are ignored, except those about the route or about trust."""
    assert found("IPQoS ef\n", "ipqos ef ef\n", is_own=False) == []
    (one,) = found("KnownHostsCommand /c\n", "knownhostscommand /c\n", is_own=False)
    assert one.is_needed


def test_package_that_is_lacking() -> None:
    """A setting that needs a package is not honoured without it."""
    lacking = frozenset({"GSSAPIAuthentication", "PKCS11Provider"})
    config, dump = "GSSAPIAuthentication yes\n", "gssapiauthentication yes\n"
    (one,) = found(config, dump, lacking=lacking)
    assert one.reason == "the package gssapi is not installed here"
    assert one.is_needed
    assert found(config, dump) == []
    (one,) = found("PKCS11Provider /l\n", "pkcs11provider /l\n", lacking=lacking)
    assert "python-pkcs11" in one.reason


def test_unknown_algorithms() -> None:
    """A list without any of the library's algorithms is reported, of an option or of a file."""
    lines = list(mentions("Host t\n MACs new\n", "/config", is_own=True))
    dump = parse_dump("ciphers new\nmacs new\nkexalgorithms old,new\nhostkeyalgorithms new\n")
    defaults = parse_dump("hostkeyalgorithms new\n")
    known = {name: frozenset({"old"}) for name in ALGORITHMS}
    reading = HostReading(dump, defaults, mentions=lines, algorithms=known)
    found = unknown_algorithms(parse_ssh_options("t", ["-c new"]), reading)
    assert [(each.keyword, each.place) for each in found] == [
        ("Ciphers", "an option"),
        ("MACs", "/config:2"),
    ]
    assert all(each.is_needed for each in found)
