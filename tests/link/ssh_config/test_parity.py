"""Options and config files together: the settings of a connection are those of ``ssh -G``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.link.ssh_config.two_ways import chain, ssh_chain
from tests.link.ssh_judge import Refused
from tests.support.effort import examples
from xpm_remote.errors import OptionError
from xpm_remote.link.options.connect_options import parse_ssh_options

pytestmark = pytest.mark.slow

EXAMPLES = examples(50, 350)

HOSTS = ("t", "alias", "j1", "j2")


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
    """Return a setting in one of the spellings of a config file."""
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
