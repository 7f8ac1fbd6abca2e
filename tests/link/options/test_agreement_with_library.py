"""OpenSSH's options, checked against the library that is to honour them."""

from __future__ import annotations

import contextlib
import shlex
import socket
from pathlib import Path

import asyncssh
import pytest
from asyncssh.config import SSHClientConfig
from hypothesis import example, given
from hypothesis import strategies as st

from xpm_remote.errors import OptionError
from xpm_remote.link.options.connect_options import parse_ssh_options
from xpm_remote.link.options.keywords import READ_BY_LIBRARY


def read_by_library(text: str, path: Path) -> dict[str, object]:
    """Return what asyncssh's parser reads from a configuration file."""
    path.write_text(text)
    config = SSHClientConfig.load(None, path, False, False, False, "me", (), "host", ())
    return config._options


@pytest.fixture(scope="module")
def config_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where to write a configuration file."""
    return tmp_path_factory.mktemp("ssh") / "config"


VALUES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"], exclude_characters="%$"),
    min_size=1,
    max_size=12,
)


@given(value=VALUES.filter(lambda value: value.lower() != "none"))
@example("=a")
@example("==")
@example("a b")
@example("'\"\\ #")
@example("#")
def test_a_value_reaches_the_library_unchanged(config_file: Path, value: str) -> None:
    """Any value is read back unchanged by asyncssh."""
    options = ["-i", shlex.quote(value), "-o", f"HostKeyAlias={shlex.quote(value)}"]
    read = read_by_library(parse_ssh_options("host", options).config_text(), config_file)
    assert read == {"IdentityFile": [value], "HostKeyAlias": value}


@given(
    values=st.lists(VALUES, min_size=2, max_size=4).filter(
        lambda v: "none" not in map(str.lower, v)
    )
)
@example(["=a", "==b", "c", "=d"])
def test_a_list_reaches_the_library_unchanged(config_file: Path, values: list[str]) -> None:
    """Lists are read back word by word, whatever the words contain."""
    options = ["-o", f"UserKnownHostsFile={shlex.join(values)}"]
    read = read_by_library(parse_ssh_options("host", options).config_text(), config_file)
    assert read == {"UserKnownHostsFile": values}


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("-C", True),
        ("-4", socket.AF_INET),
        ("ConnectTimeout=1m", 60),
        ("CanonicalizeMaxDots=2", 2),
        ("CanonicalizeHostname=always", "always"),
        ("CanonicalDomains a b", ["a", "b"]),
        ("RekeyLimit 1G 1h", ("1073741824", "3600")),
        ("RekeyLimit default none", ((), None)),
        ("SendEnv LANG LC_*", ["LANG", "LC_*"]),
        ("SetEnv A=1 'B=2 3'", ["A=1", "B=2 3"]),
        ("IdentityAgent=none", None),
        ("-J u@a:1,b", "u@a:1,b"),
        ("ProxyCommand nc 'a  b' | cat", "nc 'a  b' | cat"),
        ("UserKnownHostsFile=none", ["/dev/null"]),
        ("EnableSSHKeysign=yes", True),
    ],
)
def test_the_library_reads(config_file: Path, option: str, expected: object) -> None:
    """Each kind of value has its meaning in asyncssh."""
    options = parse_ssh_options("host", [option])
    name = options.keywords[-1][0].lower()
    read = read_by_library(options.config_text(), config_file)
    assert {key.lower(): value for key, value in read.items()}[name] == expected


def test_only_what_the_library_honours_is_written() -> None:
    """What we honour ourselves, and what has no effect, is left out of asyncssh's configuration."""
    options = parse_ssh_options(
        "host", ["-T -x -C StrictHostKeyChecking=yes ForwardX11Trusted=yes"]
    )
    assert options.config_text() == "Compression yes\n"
    assert {name for name, _ in options.keywords} > {"StrictHostKeyChecking", "ForwardX11Trusted"}


@pytest.mark.parametrize(
    ("option", "attribute", "expected"),
    [
        ("-C", "compression_algs", [b"zlib@openssh.com", b"zlib", b"none"]),
        ("-6", "family", socket.AF_INET6),
        ("-b 127.0.0.1", "local_addr", ("127.0.0.1", 0)),
        ("-J u@a:1", "tunnel", "u@a:1"),
        ("ProxyCommand nc %h %p", "proxy_command", ["nc", "host", "22"]),
        ("ConnectTimeout=2m", "connect_timeout", 120),
        ("ConnectTimeout=none", "connect_timeout", None),
        ("ServerAliveInterval=1m", "keepalive_interval", 60),
        ("ServerAliveCountMax=7", "keepalive_count_max", 7),
        ("TCPKeepAlive=no", "tcp_keepalive", False),
        ("HostKeyAlias=alias", "host_key_alias", "alias"),
        ("Hostname=%h.example", "host", "host.example"),
        ("-c aes128-ctr", "encryption_algs", [b"aes128-ctr"]),
        ("-m hmac-sha2-256", "mac_algs", [b"hmac-sha2-256"]),
        ("KexAlgorithms=curve25519-sha256", "kex_algs", [b"curve25519-sha256"]),
        ("RekeyLimit 1M 1h", "rekey_bytes", 2**20),
        ("RekeyLimit 1M 1h", "rekey_seconds", 3600),
        ("PreferredAuthentications=publickey,password", "preferred_auth", ["publickey", "password"]),
        ("PasswordAuthentication=no", "password_auth", False),
        ("PubkeyAuthentication=no", "public_key_auth", False),
        ("KbdInteractiveAuthentication=no", "kbdint_auth", False),
        ("HostbasedAuthentication=no", "host_based_auth", False),
        ("GSSAPIDelegateCredentials=yes", "gss_delegate_creds", True),
        ("PKCS11Provider=lib.so", "pkcs11_provider", "lib.so"),
        ("IdentityAgent=/agent", "agent_path", "/agent"),
        ("IdentityAgent=none", "agent_path", ""),
        ("ForwardAgent=/agent", "agent_forward_path", "/agent"),
        ("SendEnv LANG", "send_env", ["LANG"]),
        ("SetEnv A=1", "env", ["A=1"]),
        ("CanonicalizeHostname=yes", "canonicalize_hostname", True),
        ("CanonicalDomains=a", "canonical_domains", ["a"]),
        ("CanonicalizePermittedCNAMEs=*.a:*.b", "canonicalize_permitted_cnames", [("*.a", "*.b")]),
    ],
)  # fmt: skip
def test_the_library_honours(
    config_file: Path, option: str, attribute: str, expected: object
) -> None:
    """An option reaches the options of asyncssh's connection."""
    config_file.write_text(parse_ssh_options("host", [option]).config_text())
    options = asyncssh.SSHClientConnectionOptions(
        host="host", config=[str(config_file)], username="me"
    )
    assert getattr(options, attribute) == expected


def test_a_forwarded_agent_at_home(config_file: Path) -> None:
    """A tilde in the path of a forwarded agent means the home directory."""
    config_file.write_text(parse_ssh_options("host", ["ForwardAgent=~/agent"]).config_text())
    options = asyncssh.SSHClientConnectionOptions(
        host="host", config=[str(config_file)], username="me"
    )
    assert options.agent_forward_path == str(Path("~/agent").expanduser())


SAMPLES = ("yes", "1024", "inet", "a", "a:b", "A=1")


@pytest.mark.parametrize("name", sorted(READ_BY_LIBRARY))
def test_all_that_the_library_is_given(config_file: Path, name: str) -> None:
    """Every keyword for asyncssh can be set by an option, and is read by asyncssh's parser."""
    read: set[str] = set()
    for value in SAMPLES:
        with contextlib.suppress(OptionError):
            options = parse_ssh_options("host", ["-o", f"{name}={value}"])
            read |= {key.lower() for key in read_by_library(options.config_text(), config_file)}
    assert name.lower() in read
