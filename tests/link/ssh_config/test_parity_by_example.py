"""Config files, one feature at a time: each means what it means to ssh."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.link.ssh_config.two_ways import Parts, chain, ssh_chain
from xpm_remote.errors import OptionError
from xpm_remote.link.asyncssh_engine.connection import describe_connection
from xpm_remote.link.asyncssh_engine.resolution import resolve
from xpm_remote.link.options.connect_options import parse_ssh_options
from xpm_remote.link.ssh_config.reader import read_for_openssh, require_ssh


async def first(config: Path, *options: str, host: str = "t") -> Parts:
    """Return what is in effect for a host, checked against ssh."""
    found = (await chain(parse_ssh_options(host, [f"-F {config}", *options])))[0]
    words = [word for option in options for word in option.split()]
    expected = await asyncio.to_thread(ssh_chain, config, words, host)
    assert found == expected[0]
    return found


@pytest.mark.parametrize(
    ("config", "part", "expected"),
    [
        # The first value for a host counts.
        ("Host t\n Port 1\nHost *\n Port 2\n", "port", 1),
        ("Host * !t\n Port 1\nHost *\n Port 2\n", "port", 2),
        ("Host one t\n Port 1\n", "port", 1),
        # Quotes, equal signs, comments, times.
        ('"HostName" "real"\n', "host", "real"),
        ("HostName=real # the real one\n", "host", "real"),
        ("HostName\t=  real\n", "host", "real"),
        ('IdentityFile "/k/t w o"\n', "identity_files", ["/k/t w o"]),
        ("IdentityFile '/k/t w o'\n", "identity_files", ["/k/t w o"]),
        ("IdentityFile /k/t\\ w\\ o\n", "identity_files", ["/k/t w o"]),
        ('UserKnownHostsFile "/o n e" /two\n', "user_hosts", "/o n e /two"),
        ("ServerAliveInterval 1m\n", "interval", 60),
        ("ConnectTimeout 1h30m\n", "timeout", 5400),
        ("ConnectTimeout 0\n", "timeout", 0),
        # Match.
        ("HostName real\nMatch host real\n Port 1\n", "port", 1),
        ("HostName real\nMatch originalhost t\n Port 1\n", "port", 1),
        ("User bob\nMatch user bob\n Port 1\n", "port", 1),
        ("Match !user bob\n Port 1\n", "port", 1),
        ("Match localuser nobody-at-all\n Port 1\nMatch all\n Port 2\n", "port", 2),
        ('Match exec "test %h = t"\n Port 1\n', "port", 1),
        ("Match exec false\n Port 1\nMatch all\n Port 2\n", "port", 2),
        ("Match final\n Port 1\n", "port", 1),
        ("Match final\n ServerAliveInterval 7\n", "interval", 7),
        # Tokens.
        ("HostName %h.example.org\n", "host", "t.example.org"),
        ("User bob\nIdentityFile /k/%r@%h:%p-%n-%%\n", "identity_files", ["/k/bob@t:22-t-%"]),
        ("IdentityFile /k/pct%%h\n", "identity_files", ["/k/pct%h"]),
        ("IdentityFile /k/%%%%u%h%%\n", "identity_files", ["/k/%%ut%"]),
        ("CertificateFile /c/%%d\n", "certificates", ["/c/%d"]),
        ("HostKeyAlias a\nCertificateFile /c/%k\n", "certificates", ["/c/a"]),
        ("HostName fe80::1%%lo\n", "host", "fe80::1%lo"),
        ("ProxyCommand nc %h %p %r%% \"it's\"\nUser u\n", "command", "nc t 22 u% \"it's\""),
        # None.
        ("ProxyCommand none\nProxyCommand nc\n", "command", ""),
        ("IdentityFile none\n", "identity_files", []),
        ("IdentityFile none\nIdentityFile /k/1\n", "identity_files", ["/k/1"]),
        ("UserKnownHostsFile none\n", "user_hosts", os.devnull),
        # The first of a jump host and a command counts.
        ("Host t\nProxyCommand nc\nProxyJump j\n", "command", "nc"),
        ("Host t\nProxyJump j\nProxyCommand nc\n", "command", ""),
    ],
)  # fmt: skip
async def test_config(tmp_path: Path, config: str, part: str, expected: object) -> None:
    """Each of these means what it means to ssh."""
    file = tmp_path / "config"
    file.write_text(config)
    assert getattr(await first(file), part) == expected


async def test_options_count_before_files(tmp_path: Path) -> None:
    """The command line takes precedence; keys of both are tried, the command line's first."""
    file = tmp_path / "config"
    file.write_text("User bob\nPort 2\nIdentityFile /k/1\nServerAliveInterval 9\n")
    found = await first(
        file, "-l carol", "-p 1", "-o IdentityFile=/k/0", "-o ServerAliveInterval=8"
    )
    assert (found.user, found.port, found.interval) == ("carol", 1, 8)
    assert found.identity_files == ["/k/0", "/k/1"]


async def test_option_with_a_percent_sign(tmp_path: Path) -> None:
    """A doubled percent sign of an option stands for one, and begins no token."""
    file = tmp_path / "config"
    file.write_text("User bob\n")
    found = await first(file, "-o IdentityFile=/k/pct%%h", "-o CertificateFile=/c/%%u")
    assert (found.identity_files, found.certificates) == (["/k/pct%h"], ["/c/%u"])


async def test_include(tmp_path: Path) -> None:
    """Files are included where they are named, in order, inside a block for its hosts only, and nested."""
    file = tmp_path / "config"
    (tmp_path / "a1").write_text("Port 1\n")
    (tmp_path / "a2").write_text(f"Port 2\nUser two\nInclude {tmp_path}/deep\n")
    (tmp_path / "deep").write_text("HostKeyAlias deep\n")
    file.write_text(f"Host other\n Include {tmp_path}/deep\nMatch host t\n Include {tmp_path}/a*\n")
    found = await first(file)
    assert (found.port, found.user, found.alias) == (1, "two", "deep")
    assert (await first(file, host="other")).alias == "deep"
    assert (await first(file, host="third")).alias is None


async def test_chain_of_jump_hosts(tmp_path: Path) -> None:
    """Each host on the way has its own configuration, and the first of them its own route."""
    file = tmp_path / "config"
    file.write_text(
        "Host t\n ProxyJump u@a:1,b\n Port 22\n"
        "Host a\n HostName a.example.org\n User nobody\n Port 9\n ProxyJump 10.0.0.1\n"
        "Host b\n ProxyCommand never\n User me\n"
        "Host 10.0.0.1\n ProxyCommand nc %h\n"
    )
    found = await chain(parse_ssh_options("t", [f"-F {file}", "-l root", "-i /etc/passwd"]))
    assert [(each.user, each.host, each.port) for each in found[:3]] == [
        ("root", "t", 22),
        ("me", "b", 22),
        ("u", "a.example.org", 1),
    ]
    assert (found[3].host, found[3].command) == ("10.0.0.1", "nc 10.0.0.1")
    words = ["-l", "root", "-i", "/etc/passwd"]
    assert found == await asyncio.to_thread(ssh_chain, file, words, "t")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("", 15),
        ("ServerAliveInterval 0\n", 0),
        ("Host other\n ServerAliveInterval 0\n", 15),
        ("Match final\n ServerAliveInterval 0\n", 0),
        ("BatchMode yes\n", 15),
        ("BatchMode yes\nServerAliveInterval 300\n", 300),
        ("Include {}/more\n", 0),
    ],
)
async def test_keepalive_of_a_file(tmp_path: Path, config: str, expected: int) -> None:
    """Our keepalive counts where none is set, and not where a file switches it off for this host."""
    (tmp_path / "more").write_text("ServerAliveInterval 0\n")
    file = tmp_path / "config"
    file.write_text(config.format(tmp_path))
    async with resolve(parse_ssh_options("t", [f"-F {file}"])) as found:
        assert found.library.keepalive_interval == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("", None),
        ("Compression no\n", False),
        ("Compression yes\n", True),
        ("Host other\n Compression no\n", None),
    ],
)
async def test_compression_of_a_file(tmp_path: Path, config: str, expected: bool | None) -> None:
    """A file may decide; otherwise the round trip does."""
    file = tmp_path / "config"
    file.write_text(config)
    options = parse_ssh_options("t", [f"-F {file}"])
    async with resolve(options) as found:
        assert found.config("Compression") is expected
    read = await read_for_openssh(require_ssh(), options)
    assert read.is_compression_set is (expected is not None)


async def test_a_command_of_match_runs_once(tmp_path: Path) -> None:
    """Reading the files does not run their commands more often than ssh does."""
    file = tmp_path / "config"
    file.write_text(f'Match exec "echo >>{tmp_path}/runs"\n Port 1\n')
    assert (await describe_connection(parse_ssh_options("t", [f"-F {file}"])))["port"] == 1
    assert (tmp_path / "runs").read_text() == "\n"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("Host *\n Foo bar\n", r"config.*line 2: Bad configuration option: foo"),
        ("Port many\n", r"config.*line 1: Bad"),
        ("IdentityFile /k/%Z\n", "unknown token %Z"),
        ("IdentityFile ${NO_SUCH_VARIABLE}/k\n", r"\$\{NO_SUCH_VARIABLE\}, which is not set"),
    ],
)
async def test_mistake_in_a_file(tmp_path: Path, config: str, message: str) -> None:
    """A mistake is refused with ssh's message and the line."""
    file = tmp_path / "config"
    file.write_text(config)
    with pytest.raises(OptionError, match=message):
        await describe_connection(parse_ssh_options("t", [f"-F {file}"]))
