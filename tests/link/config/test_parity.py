"""Options and config files together: what a connection is made of is what ``ssh -G`` says."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.link.ssh_judge import Refused, expanded, ssh_dump
from xpm_remote.errors import OptionError
from xpm_remote.link.config.dump import Dump
from xpm_remote.link.config.resolution import Resolution, resolve
from xpm_remote.link.library.connection import describe_connection
from xpm_remote.link.options.connect_options import ConnectOptions, parse_ssh_options

EXAMPLES = 350
HOPS = 3
"""Jump hosts in a row that are looked at: enough to see a chain, and the beginning of a circle."""
OUR_KEEPALIVE = 15
NOBODY_SAID = ("0", "300")
"""The default of ssh, and that of Debian's with ``BatchMode``; no example here sets either."""

HOSTS = ("t", "alias", "j1", "j2")


class Parts(NamedTuple):
    """What is compared."""

    host: str
    port: int
    user: str
    identity_files: list[str]
    certificates: list[str]
    alias: str | None
    user_hosts: str
    global_hosts: str
    agent: str
    timeout: int | None
    interval: int
    patience: int
    command: str
    flags: tuple[bool, ...]
    strict: str


def ours(found: Resolution) -> Parts:
    """Take the parts from what the library would be given."""
    library = found.library
    named = found.identity_files
    return Parts(
        library.host,
        library.port,
        library.username,
        ["default"] if named is None else named,
        found.certificates,
        library.host_key_alias,
        " ".join(cast("list[str]", found.config("UserKnownHostsFile"))),
        " ".join(cast("list[str]", found.config("GlobalKnownHostsFile"))),
        cast("str", found.config("IdentityAgent", "as it is") or "none"),
        cast("int | None", found.config("ConnectTimeout")),
        int(library.keepalive_interval),
        library.keepalive_count_max,
        found.proxy_command or "",
        (bool(found.config("IdentitiesOnly")), found.own.is_batch, found.own.hash_names),
        found.own.strict,
    )


def theirs(dump: Dump, arguments: Sequence[str], defaults: Dump) -> Parts:
    """Take the parts from what ssh says."""

    def one(name: str, default: str = "") -> str:
        return dump.get(name, (default,))[0]

    def paths(name: str) -> list[str]:
        return [expanded(v, arguments) for v in dump.get(name, ()) if v.lower() != "none"]

    is_default = dump["identityfile"] == defaults["identityfile"]
    host, port, user = one("hostname"), one("port"), one("user")
    tokens = {"%h": host, "%p": port, "%r": user, "%n": arguments[-1], "%%": "%"}
    command = one("proxycommand")
    for token, value in tokens.items():
        command = command.replace(token, value)
    timeout, interval = one("connecttimeout"), one("serveraliveinterval")
    return Parts(
        host,
        int(port),
        user,
        ["default"] if is_default else paths("identityfile"),
        paths("certificatefile"),
        one("hostkeyalias") or None,
        _or_null(one("userknownhostsfile")),
        _or_null(one("globalknownhostsfile")),
        one("identityagent", "as it is"),
        None if timeout == "none" else int(timeout),
        OUR_KEEPALIVE if interval in NOBODY_SAID else int(interval),
        int(one("serveralivecountmax")),
        command,
        tuple(one(name) == "yes" for name in ("identitiesonly", "batchmode", "hashknownhosts")),
        {"true": "yes", "false": "no"}.get(
            one("stricthostkeychecking"), one("stricthostkeychecking")
        ),
    )


def _or_null(files: str) -> str:
    return os.devnull if files == "none" else files


async def chain(options: ConnectOptions) -> list[Parts]:
    """Follow the way from a host to the first jump host, as we go it."""
    found: list[Parts] = []
    hop: ConnectOptions | None = options
    while hop is not None and len(found) <= HOPS:
        async with resolve(hop) as resolution:
            found.append(ours(resolution))
            hop = resolution.jump
    return found


def ssh_chain(config: Path, options: Sequence[str], host: str) -> list[Parts]:
    """Follow it as ssh does: by another ssh for the last of the jump hosts, with ``-J`` for those before it."""
    defaults = ssh_dump("-F", "none", "localhost")
    arguments = [*options, host]
    found: list[Parts] = []
    while len(found) <= HOPS:
        arguments = ["-F", str(config), *arguments]
        dump = ssh_dump(*arguments)
        found.append(theirs(dump, arguments, defaults))
        if "proxyjump" not in dump:
            break
        before, _, last = dump["proxyjump"][0].rpartition(",")
        arguments = [*(["-J", before] if before else []), f"ssh://{_without_brackets(last)}"]
        arguments = _plain(arguments)
    return found


def _without_brackets(jump: str) -> str:
    return jump.replace("[", "").replace("]", "")


def _plain(arguments: list[str]) -> list[str]:
    """Write the destination as ssh does for its jump hosts: ``-l``, ``-p`` and the name."""
    *rest, uri = arguments
    user, at, place = uri.removeprefix("ssh://").rpartition("@")
    host, _, port = place.partition(":")
    return [*rest, *(["-l", user] if at else []), *(["-p", port] if port else []), host]


# --- generated -----------------------------------------------------------------------------------

VALUES: dict[str, Sequence[str]] = {
    "HostName": ("10.0.0.1", "%h.example.org", "real.example.org", "fe80::1"),
    "User": ("bob", "alice", "me.too"),
    "Port": ("2200", "23"),
    "IdentityFile": ("/k/one", "~/.ssh/%r@%h", '"/k/t w o"', "%d/%n-%p-%u-%i", "/k/%%", "/k/%C"),
    "CertificateFile": ("/c/one-cert.pub", "~/%k-cert.pub", '"/c/t w o"'),
    "ProxyJump": ("j1", "u@j1:2022", "j1,j2", "none", "v@10.9.8.7:24", "j2,w@j1"),
    "ProxyCommand": ("nc %h %p", "none", "ssh -W '%h:%p' %r@gate", 'sh -c "nc  %h %p" %n'),
    "HostKeyAlias": ("known-as", "other.name"),
    "ConnectTimeout": ("5", "1m", "1h30m", "2M10", "none"),
    "ServerAliveInterval": ("7", "1m", "1m30s", "2h"),
    "ServerAliveCountMax": ("1", "9"),
    "IdentityAgent": ("/a/sock", "none", "~/agent-%r", "${HOME}/agent", "%d/%h.sock"),
    "UserKnownHostsFile": ("/h/one", "~/a ~/b", '"/h/o n e" /h/two', "/h/%k-%r", "none"),
    "GlobalKnownHostsFile": ("/g/one /g/two", "/g/one"),
    "IdentitiesOnly": ("yes", "no"),
    "BatchMode": ("yes", "no"),
    "HashKnownHosts": ("yes", "no"),
    "StrictHostKeyChecking": ("yes", "no", "ask", "accept-new", "off"),
}
HEADERS = (
    "Host *",
    "Host t",
    "Host t alias",
    "Host j? !j2",
    "Host=alias",
    "Host *.example.org 10.*",
    "Match all",
    "Match host t",
    "Match host *.example.org",
    "Match !host j*",
    "Match originalhost alias,t",
    "Match user bob",
    "Match user bob host t",
    "Match localuser nobody-at-all",
    "Match exec true",
    'Match exec "test %n = t"',
    "Match !exec \"test '%r' = bob\"",
    "Match final",
    "Match final host real.example.org",
    "Match canonical",
)


@st.composite
def lines(draw: st.DrawFn) -> str:
    """Write a setting in one of the spellings of a config file."""
    name = draw(st.sampled_from(sorted(VALUES)))
    value = draw(st.sampled_from(VALUES[name]))
    name = draw(st.sampled_from((name, name.lower(), name.upper())))
    indent = draw(st.sampled_from(("", "  ", "\t")))
    between = draw(st.sampled_from((" ", "=", " = ", "\t", "  ")))
    return f"{indent}{name}{between}{value}{draw(st.sampled_from(('', ' ', '  ')))}\n"


BLOCK = st.builds(
    lambda head, body: f"{head}\n{''.join(body)}",
    st.sampled_from((*HEADERS, *HEADERS[:4], "Include {folder}/inc*", "# nothing")),
    st.lists(lines(), min_size=1, max_size=4),
)
CONFIG = st.builds(
    lambda first, blocks: "".join((*first, *blocks)),
    st.lists(lines(), max_size=2),
    st.lists(BLOCK, max_size=5),
)
OPTIONS = st.lists(
    st.sampled_from(
        (
            ("-p", "99"),
            ("-l", "carol"),
            ("-i", "/etc/passwd"),
            ("-o", "IdentityFile=/k/opt"),
            ("-J", "x@j1:77,j2"),
            ("-o", "HostKeyAlias=opt"),
            ("-o", "ConnectTimeout=1m1"),
            ("-o", "ServerAliveInterval=33"),
            ("-o", "ServerAliveCountMax=2"),
            ("-o", "Hostname=opt.example.org"),
            ("-o", "ProxyCommand=nc -x %h %p"),
            ("-o", 'UserKnownHostsFile="/o h" /o'),
            ("-o", "CertificateFile=/c/opt"),
            ("-o", "IdentityAgent=none"),
            ("-o", "BatchMode=yes"),
        )
    ),
    max_size=3,
    unique_by=lambda option: option[1].partition("=")[0],
).filter(lambda found: not {"-J", "ProxyCommand=nc -x %h %p"} <= {w for o in found for w in o})


@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(config=CONFIG, included=CONFIG, options=OPTIONS, host=st.sampled_from(HOSTS))
def test_agrees_with_ssh(
    tmp_path: Path, config: str, included: str, options: list[tuple[str, str]], host: str
) -> None:
    """Host, port, user, keys, jump hosts with their own configuration, and the rest are those of ssh."""
    file = tmp_path / "config"
    file.write_text(config.replace("{folder}", str(tmp_path)))
    (tmp_path / "inc1").write_text(included.replace("Include", "# Include"))
    words = [word for option in options for word in option]
    arguments = parse_ssh_options(host, [f"-F {file}", *words])
    try:
        expected = ssh_chain(file, words, host)
    except Refused:
        with pytest.raises(OptionError):
            asyncio.run(chain(arguments))
        return
    assert asyncio.run(chain(arguments)) == expected


# --- by example ----------------------------------------------------------------------------------


async def first(config: Path, *options: str, host: str = "t") -> Parts:
    """Give what counts for a host, checked against ssh."""
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
    """What the command line says wins; keys of both are tried, the command line's first."""
    file = tmp_path / "config"
    file.write_text("User bob\nPort 2\nIdentityFile /k/1\nServerAliveInterval 9\n")
    found = await first(
        file, "-l carol", "-p 1", "-o IdentityFile=/k/0", "-o ServerAliveInterval=8"
    )
    assert (found.user, found.port, found.interval) == ("carol", 1, 8)
    assert found.identity_files == ["/k/0", "/k/1"]


async def test_include(tmp_path: Path) -> None:
    """Files are included where they are named, in order, inside a block for its hosts only, and in one another."""
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
    """Each host on the way has its own configuration, the first of them its own way, too."""
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
    """Ours counts where nobody says anything, and not where a file switches it off for this host."""
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
    """What a file decides is decided; else the round trip decides."""
    file = tmp_path / "config"
    file.write_text(config)
    async with resolve(parse_ssh_options("t", [f"-F {file}"])) as found:
        assert found.config("Compression") is expected


async def test_a_command_of_match_runs_once(tmp_path: Path) -> None:
    """Reading the files does not run what they run more often than ssh does."""
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
    """What ssh refuses is refused with ssh's words and the line."""
    file = tmp_path / "config"
    file.write_text(config)
    with pytest.raises(OptionError, match=message):
        await describe_connection(parse_ssh_options("t", [f"-F {file}"]))
