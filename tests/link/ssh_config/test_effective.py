"""The output of ssh -G, as options that need no config file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from xpm_remote.errors import OptionError
from xpm_remote.link.options.connect_options import ConnectOptions, parse_ssh_options
from xpm_remote.link.options.destination import Destination
from xpm_remote.link.ssh_config.effective import (
    HostReading,
    effective_options,
    is_read_twice,
    needs_probe,
    needs_tokens,
    next_hop,
)
from xpm_remote.link.ssh_config.text import Dump, mentions, parse_dump

DEFAULTS = parse_dump(
    "user me\nhostname t\nport 22\naddressfamily any\ncompression no\npubkeyauthentication true\n"
    "serveraliveinterval 0\nserveralivecountmax 3\nstricthostkeychecking ask\nconnecttimeout none\n"
    "loglevel INFO\nrekeylimit 0 0\nciphers a,b\nidentityfile ~/.ssh/id_rsa\nforwardagent no\n"
    "userknownhostsfile /home/me/.ssh/known_hosts /home/me/.ssh/known_hosts2\n"
    "globalknownhostsfile /etc/ssh/ssh_known_hosts\n"
)
READING = HostReading(
    DEFAULTS,
    DEFAULTS,
    home="/home/me",
    local_user="me",
    uid=1000,
    local_host="lap.top.example",
    environ={"SOCK": "/s", "SSH_AUTH_SOCK": "/a%b"},
    algorithms={"Ciphers": frozenset({"b", "c"})},
)


def effective(dump: str = "", *options: str, config: str = "", **changes: Any) -> ConnectOptions:
    """Return the result when ssh prints this besides its defaults."""
    said: Dump = {**DEFAULTS, **parse_dump(dump)}
    lines = tuple(mentions(config, "/config", is_own=True))
    reading = replace(READING, dump=said, mentions=lines, **changes)
    return effective_options(parse_ssh_options("t", options), reading)


def test_defaults_are_left_out() -> None:
    """Our own defaults, and ssh's, are left out, except its algorithms: the library's defaults are weaker."""
    found = effective()
    assert (found.host, found.user, found.port, found.config_file) == ("t", "me", 22, "none")
    assert found.keywords == (
        ("Hostname", "t"),
        ("ProxyJump", "none"),
        ("AddressFamily", "any"),
        ("ServerAliveCountMax", "3"),
        ("StrictHostKeyChecking", "ask"),
        ("PubkeyAuthentication", "yes"),
        ("UserKnownHostsFile", "/home/me/.ssh/known_hosts /home/me/.ssh/known_hosts2"),
        ("GlobalKnownHostsFile", "/etc/ssh/ssh_known_hosts"),
        ("ForwardAgent", "no"),
        ("Ciphers", "b"),
    )


@pytest.mark.parametrize(
    ("dump", "keyword", "expected"),
    [
        ("hostname fe80::1%lo\n", "Hostname", "fe80::1%%lo"),
        ("connecttimeout 60\n", "ConnectTimeout", "60"),
        ("loglevel SILENT\n", "LogLevel", "QUIET"),
        ("loglevel DEBUG\n", "LogLevel", "DEBUG1"),
        ("rekeylimit 1024 0\n", "RekeyLimit", "1024 none"),
        ("serveralivecountmax 0\n", "ServerAliveCountMax", "1"),
        ("stricthostkeychecking false\n", "StrictHostKeyChecking", "no"),
        ("pubkeyauthentication false\n", "PubkeyAuthentication", "no"),
        ("pubkeyauthentication host-bound\n", "PubkeyAuthentication", "yes"),
        ("sendenv A\nsendenv B*\n", "SendEnv", "A 'B*'"),
        ("proxyjump a,u@[10.0.0.1]:5\n", "ProxyJump", "a,u@10.0.0.1:5"),
        ("proxycommand nc %h %p %r %n %% %x\n", "ProxyCommand", "nc t 22 me t %% %%x"),
        ("identityfile none\n", "IdentityFile", "none"),
        ("identityfile none\nidentityfile ~/k\n", "IdentityFile", "/home/me/k"),
        ("identityfile %d/%h-%i-%k-%L-%l-%n-%p-%r-%u-%%-${SOCK}\n", "IdentityFile",
         "/home/me/t-1000-t-lap-lap.top.example-t-22-me-me-%%-/s"),
        ("certificatefile none\ncertificatefile ~/%r\n", "CertificateFile", "/home/me/me"),
        ("identityagent none\n", "IdentityAgent", "none"),
        ("identityagent /x/%y\n", "IdentityAgent", "/x/%%y"),
        ("identityagent $SOCK\n", "IdentityAgent", "/s"),
        ("identityagent SSH_AUTH_SOCK\n", "IdentityAgent", "/a%%b"),
        ("identityagent $MISSING\n", "IdentityAgent", "none"),
        ("forwardagent yes\n", "ForwardAgent", "yes"),
        ("forwardagent $SOCK\n", "ForwardAgent", "/s"),
        ("forwardagent $MISSING\n", "ForwardAgent", "no"),
        ("ciphers a,b,c\n", "Ciphers", "b,c"),
        ("userknownhostsfile none\n", "UserKnownHostsFile", "/dev/null"),
        ("globalknownhostsfile /a ~/b\n", "GlobalKnownHostsFile", "/a /home/me/b"),
        ("compression yes\n", "Compression", "yes"),
    ],
)  # fmt: skip
def test_values(dump: str, keyword: str, expected: str) -> None:
    """Each value is in the form for the library's parser."""
    assert effective(dump).get(keyword) == expected


def test_file_names_with_blanks() -> None:
    """Names that ssh prints without quotes are split by the line, or the option, that has them."""
    said = "userknownhostsfile /home/me/o n e /k/t\n"
    words = "'/home/me/o n e' /k/t"
    config = 'Host x\n UserKnownHostsFile %Z\nHost t\n UserKnownHostsFile "~/o n e" /k/%h\n'
    assert effective(said, config=config).get("UserKnownHostsFile") == words
    option = "UserKnownHostsFile='/home/me/o n e' /k/t"
    assert effective(said, "-o", option).get("UserKnownHostsFile") == words
    said, config = "globalknownhostsfile ~/o n e\n", 'GlobalKnownHostsFile "~/o n e"\n'
    assert effective(said, config=config).get("GlobalKnownHostsFile") == "'/home/me/o n e'"


def test_our_defaults() -> None:
    """Whether a file switches a setting off is found by asking ssh with our values after the files."""
    off = {"serveraliveinterval": ("0",), "compression": ("no",)}
    unset = {"serveraliveinterval": ("86399",), "compression": ("yes",)}
    assert effective(probed=off).get("ServerAliveInterval") == "0"
    assert effective(probed=off).get("Compression") == "no"
    assert effective(probed=unset).get("ServerAliveInterval") is None
    assert effective(probed=unset).get("Compression") is None
    assert effective("", "ServerAliveInterval=0").get("ServerAliveInterval") == "0"


def test_lacking_package() -> None:
    """A setting for which the library lacks a package is not passed to it."""
    said = "pkcs11provider /l\n"
    assert effective(said).get("PKCS11Provider") == "/l"
    assert effective(said, lacking=frozenset({"PKCS11Provider"})).get("PKCS11Provider") is None


@pytest.mark.parametrize(
    ("dump", "message"),
    [
        ("identityfile %Z\n", "unknown token %Z"),
        ("identityfile ${MISSING}\n", r"\$\{MISSING\}, which is not set"),
        ("ciphers x,y\n", "none of the Ciphers x,y of t is known"),
        ("connecttimeout soon\n", "ConnectTimeout .*soon"),
    ],
)
def test_what_cannot_be_used(dump: str, message: str) -> None:
    """A value that proves wrong only now is an error that names it."""
    with pytest.raises(OptionError, match=message):
        effective(dump)


def test_needs() -> None:
    """Ssh is run again only where its first answer is not sufficient."""
    assert needs_tokens({"identityfile": ("/k/%C",)})
    assert needs_tokens({"certificatefile": ("/k/%j",)})
    assert not needs_tokens({"identityfile": ("/k/%%C",)})
    assert effective("identityfile /%C\n", tokens={"C": "01"}).get("IdentityFile") == "/01"
    lines = list(mentions("Match FINAL\nServerAliveInterval 0\n", "/f", is_own=True))
    assert needs_probe(ConnectOptions("t"), lines)
    assert not needs_probe(parse_ssh_options("t", ["ServerAliveInterval=1"]), lines)
    assert not needs_probe(ConnectOptions("t"), lines[:1])
    assert is_read_twice({}, lines)
    assert not is_read_twice({}, lines[1:])
    assert is_read_twice({"canonicalizehostname": ("true",)}, [])


def test_jump_hosts() -> None:
    """A jump host has the target's config file, the jumps before it, and nothing else of the target."""
    target = parse_ssh_options("t", ["-F /f -l me -C -p 5"])
    jump = Destination("u", "b", 7)
    assert next_hop([], target) is None
    assert next_hop([jump], target) == ConnectOptions("b", "u", 7, "/f")
    before = (("ProxyJump", "a"),)
    expected = ConnectOptions("b", "u", 7, "/f", before)
    assert next_hop([Destination(None, "a", None), jump], target) == expected


def test_key_exchanges_by_gssapi() -> None:
    """If they are asked for and possible, the library's come first: ssh does not list them."""
    known = {**READING.algorithms, "KexAlgorithms": frozenset({"k", "gss-b", "gss-a", "gss-sha1"})}
    dump = "gssapikeyexchange yes\nkexalgorithms k,l\n"
    assert effective(dump, algorithms=known).get("KexAlgorithms") == "gss-a,gss-b,k"
    lacking = frozenset({"GSSAPIKeyExchange"})
    assert effective(dump, algorithms=known, lacking=lacking).get("KexAlgorithms") == "k"
