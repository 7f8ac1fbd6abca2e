"""OpenSSH's options, checked against OpenSSH itself."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from xpm_remote.errors import OptionError
from xpm_remote.link.options.connect_options import ConnectOptions, parse_ssh_options
from xpm_remote.link.options.destination import parse_jumps

pytestmark = pytest.mark.slow

KEY_FILES = ("/etc/passwd", "/etc/hosts", "/dev/null")
"""Files that exist everywhere: ssh passes over -i with one that does not."""

TIMES = st.sampled_from(["0", "7", "90s", "1m", "1M30S", "2h", "1w1d", "1x", "-1", "1.5", ""])
HOPS = st.sampled_from(["a", "u@a", "a:22", "u@a:22", "[::1]:22", "ssh://u@b:1", "a:0", "::1", ""])
PORTS = st.sampled_from(["1", "22", "65535"])
BAD_PORTS = st.sampled_from(["0", "65536", "x", ""])
USERS = st.sampled_from(["bob", "a@b", "b-c"])


def assignments(name: str, values: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    """Spell ``-o`` with a keyword in the ways in which one argument of a command can."""
    forms = st.sampled_from(["{}={}", "{} {}", "{} = {}", "{}= {}"])
    cases = st.sampled_from([name, name.lower(), name.upper()])
    line = st.builds(lambda form, key, value: form.format(key, value), forms, cases, values)
    return st.one_of(line.map(lambda text: ["-o", text]), line.map(lambda text: [f"-o{text}"]))


def letters(letter: str, values: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    """Spell a letter with its argument, apart and joined."""
    return st.one_of(
        values.map(lambda value: [f"-{letter}", value]),
        values.filter(bool).map(lambda value: [f"-{letter}{value}"]),
        values.filter(bool).map(lambda value: [f"-T{letter}{value}"]),
    )


OPTIONS = st.one_of(
    letters("p", PORTS),
    assignments("Port", PORTS | BAD_PORTS),
    letters("l", USERS),
    assignments("User", USERS),
    letters("i", st.sampled_from(KEY_FILES)),
    assignments("IdentityFile", st.sampled_from(KEY_FILES)),
    letters("J", st.lists(HOPS, min_size=1, max_size=3).map(",".join) | st.just("none")),
    assignments("ProxyJump", st.lists(HOPS, min_size=1, max_size=3).map(",".join)),
    assignments("ProxyCommand", st.sampled_from(["nc %h %p", "none", "nc"])),
    assignments("HostKeyAlias", st.sampled_from(["alias", '"alias"', "a b", ""])),
    assignments("ConnectTimeout", TIMES),
    assignments("ServerAliveInterval", TIMES),
    assignments("ServerAliveCountMax", st.sampled_from(["1", "5", "x", "-1"])),
    assignments("Compression", st.sampled_from(["yes", "no", "NO", "maybe"])),
    assignments("AddressFamily", st.sampled_from(["any", "inet", "inet6", "INET", "ipx"])),
    assignments("Hostname", st.sampled_from(["real.example", "192.0.2.1", "2001:db8::1", ""])),
    assignments("LogLevel", st.sampled_from(["INFO", "debug2", "loud"])),
    st.sampled_from([["-4"], ["-6"], ["-C"], ["-4C"], ["-v"], ["-T"], ["-a"]]),
)
ARGUMENTS = st.lists(OPTIONS, max_size=6).map(
    lambda lists: [word for each in lists for word in each]
)
DESTINATIONS = st.sampled_from(["host", "me@host", "ssh://me@host:2022", "ssh://host"])


def ask_openssh(arguments: Sequence[str], host: str) -> dict[str, list[str]] | None:
    """Return what ``ssh -G`` makes of the arguments; None if it refuses them."""
    done = subprocess.run(
        ["ssh", "-G", "-F", "none", *arguments, host],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        return None
    answer: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        name, _, value = line.partition(" ")
        answer.setdefault(name, []).append(value)
    return answer


def check_agreement(found: ConnectOptions, openssh: dict[str, list[str]]) -> None:
    """Compare our result with what ssh prints."""
    local_user = ask_openssh([], "host")
    assert local_user is not None
    assert openssh["hostname"] == [found.get("Hostname") or found.host]
    assert openssh["user"] == ([found.user] if found.user is not None else local_user["user"])
    assert openssh["port"] == [str(found.port or 22)]
    if files := found.get_all("IdentityFile"):
        # ssh itself may keep one twice, from -i and from -o.
        assert list(dict.fromkeys(openssh["identityfile"])) == list(files)
    jumps = parse_jumps(found.get("ProxyJump") or "none")
    assert parse_jumps(openssh.get("proxyjump", ["none"])[0]) == jumps
    assert openssh.get("proxycommand") == (
        None if found.get("ProxyCommand") in (None, "none") else [found.get("ProxyCommand")]
    )
    assert openssh.get("hostkeyalias", [None]) == [found.get("HostKeyAlias")]
    assert openssh["connecttimeout"][0].replace("none", "0") == (found.get("ConnectTimeout") or "0")
    assert openssh["serveraliveinterval"] == [found.get("ServerAliveInterval") or "0"]
    assert openssh["serveralivecountmax"] == [found.get("ServerAliveCountMax") or "3"]
    # OpenSSH 10 prints UNKNOWN for -C.
    assert [openssh["compression"][0].replace("UNKNOWN", "yes")] == [
        found.get("Compression") or "no"
    ]
    assert openssh["addressfamily"] == [found.get("AddressFamily") or "any"]
    level = (found.get("LogLevel") or "INFO").replace("DEBUG1", "DEBUG")
    assert openssh["loglevel"] == [level]


@settings(deadline=None)  # a process is started for each example
@given(arguments=ARGUMENTS, host=DESTINATIONS)
@example(arguments=["-o", "AddressFamily=inet6", "-4", "-o", "AddressFamily=any"], host="host")
@example(arguments=["-oCompression=no", "-C"], host="host")
@example(arguments=["-J", "a", "-o", "ProxyCommand=nc"], host="host")
@example(arguments=["-o", "ProxyCommand=nc", "-o", "ProxyJump=a"], host="host")
@example(arguments=["-o", "ProxyJump=a", "-J", "b"], host="host")
@example(arguments=["-o", "ProxyCommand=nc", "-J", "none"], host="host")
@example(arguments=["-o", "ConnectTimeout=none"], host="host")
@example(arguments=["-p", "0"], host="host")
@example(arguments=["-l", "-x"], host="host")
@example(arguments=["-l", "a", "-oUser=b", "-p", "3", "-oPort=4"], host="ssh://me@host:2022")
def test_agrees_with_openssh(arguments: list[str], host: str) -> None:
    """Options in one string or several mean what they mean to ssh, or are refused by both."""
    openssh = ask_openssh(arguments, host)
    for options in (arguments, [shlex.join(arguments)]):
        try:
            found = parse_ssh_options(host, options)
        except OptionError:
            assert openssh is None
        else:
            assert openssh is not None
            check_agreement(found, openssh)
