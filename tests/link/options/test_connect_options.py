"""OpenSSH's options, checked against OpenSSH itself and against the library that is to honour them."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import asyncssh
import pytest
from asyncssh.config import SSHClientConfig
from hypothesis import example, given, settings
from hypothesis import strategies as st

from xpm_remote.errors import OptionError
from xpm_remote.link.options.connect_options import ConnectOptions, parse_jumps, parse_ssh_options
from xpm_remote.link.options.keywords import KEYWORDS, READ_BY_LIBRARY, Honoured, Keyword
from xpm_remote.settings.schema import SshEngine

KEY_FILES = ("/etc/passwd", "/etc/hosts", "/dev/null")
"""Files that exist everywhere: ssh passes over -i with one that does not."""


def keywords(*options: str) -> tuple[tuple[str, str], ...]:
    """Return the keywords of the options for some host."""
    return parse_ssh_options("host", options).keywords


# --- spellings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        ["-p 2222"],
        ["-p2222"],
        ["-p", "2222"],
        ["-p", " 2222 "],
        ["'-p' \"2222\""],
        ["-o Port=2222"],
        ["-oPort=2222"],
        ["-oPort 2222"],
        ["-o Port 2222"],
        ['-o "Port 2222"'],
        ["-o 'Port = 2222'"],
        ["-o", "Port=2222"],
        ["-o", "Port 2222"],
        ["-o", "'Port=2222'"],
        ["-o", 'port="2222"'],
        ["Port=2222"],
        ["PORT 2222"],
        ["Port = 2222"],
        ["Port= 2222"],
        ["Port =2222"],
        ["'Port 2222'"],
        ["", "  ", "-p 2222\n"],
    ],
)
def test_spellings_of_a_port(options: list[str]) -> None:
    """One option is understood in every spelling."""
    assert parse_ssh_options("host", options) == ConnectOptions("host", port=2222)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["-4C"], [("AddressFamily", "inet"), ("Compression", "yes")]),
        (["-Ci key"], [("Compression", "yes"), ("IdentityFile", "key")]),
        (["-CoBatchMode=yes"], [("Compression", "yes"), ("BatchMode", "yes")]),
        (["-i '~/a b'", "-i", "~/c d"], [("IdentityFile", "~/a b"), ("IdentityFile", "~/c d")]),
        (["-o IdentityFile='a b' -C"], [("IdentityFile", "a b"), ("Compression", "yes")]),
        (["-A", "-a"], [("ForwardAgent", "no")]),
        (["-2"], []),
        (["-vv"], [("LogLevel", "DEBUG2")]),
        (["-vvvvv"], [("LogLevel", "DEBUG3")]),
        (["-K"], [("GSSAPIAuthentication", "yes"), ("GSSAPIDelegateCredentials", "yes")]),
        (["-e none -S none -T -x"],
         [("EscapeChar", "none"), ("ControlPath", "none"), ("RequestTTY", "no"), ("ForwardX11", "no")]),
        (["-b 127.0.0.1 -c aes128-ctr -m hmac-sha1 -I lib.so -P tag"],
         [("BindAddress", "127.0.0.1"), ("Ciphers", "aes128-ctr"), ("MACs", "hmac-sha1"),
          ("PKCS11Provider", "lib.so"), ("Tag", "tag")]),
        (["KeepAlive no"], [("TCPKeepAlive", "no")]),
        (["ConnectTimeout=1m30s BatchMode=yes"], [("ConnectTimeout", "90"), ("BatchMode", "yes")]),
        (["SendEnv LANG LC_* -C"], [("SendEnv", "LANG 'LC_*'"), ("Compression", "yes")]),
        (["SendEnv LANG BatchMode=yes"], [("SendEnv", "LANG"), ("BatchMode", "yes")]),
        (["SetEnv A=1 B=2"], [("SetEnv", "A=1 B=2")]),
        (["-o SendEnv LANG TERM"], [("SendEnv", "LANG TERM")]),
        (["-o 'SendEnv=LANG TERM' -C"], [("SendEnv", "LANG TERM"), ("Compression", "yes")]),
        (['-o UserKnownHostsFile="/a b"'], [("UserKnownHostsFile", "'/a b'")]),
        (["-o", 'UserKnownHostsFile="/a b" /c'], [("UserKnownHostsFile", "'/a b' /c")]),
        (["UserKnownHostsFile=/a '/b c'"], [("UserKnownHostsFile", "/a '/b c'")]),
    ],
)  # fmt: skip
def test_spellings(options: list[str], expected: list[tuple[str, str]]) -> None:
    """Options in one string or several give keywords in order."""
    assert list(keywords(*options)) == expected


@pytest.mark.parametrize(
    "options",
    [
        ["ProxyCommand ssh -W '%h:%p' jump"],
        ["ProxyCommand = ssh -W '%h:%p' jump"],
        ["ProxyCommand=ssh -W '%h:%p' jump"],
        ["-o ProxyCommand=ssh -W '%h:%p' jump"],
        ["-oProxyCommand ssh -W '%h:%p' jump"],
        ["-o", "ProxyCommand=ssh -W '%h:%p' jump"],
        ["-o \"ProxyCommand=ssh -W '%h:%p' jump\""],
        ["-o ProxyCommand=\"ssh -W '%h:%p' jump\""],
    ],
)
def test_spellings_of_a_command(options: list[str]) -> None:
    """A command takes the rest of its string, or what is quoted."""
    assert keywords(*options)[-1] == ("ProxyCommand", "ssh -W '%h:%p' jump")


@pytest.mark.parametrize(
    "option",
    [
        "-o 'ProxyCommand=nc %h' -C",
        "-o ProxyCommand='nc' -C",
        "-o ProxyCommand=nc -o 'Hostname=%h.example' -C",
        "ProxyCommand=none -C",
    ],
)
def test_options_after_a_command(option: str) -> None:
    """A quoted command, one word after -o, and none leave the rest of the string to other options."""
    assert keywords(option)[-1] == ("Compression", "yes")


def test_config_file() -> None:
    """The last -F counts, and none is one."""
    assert parse_ssh_options("host", ["-F ~/a", "-F", "none"]).config_file == "none"
    assert parse_ssh_options("host", []).config_file is None


# --- precedence ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "options", "user", "port"),
    [
        ("a@host", [], "a", None),
        ("a@host", ["-l b"], "b", None),
        ("a@host", ["-o User=c -l b"], "c", None),
        ("ssh://a@host:1", ["-p 2", "-o Port=3"], "a", 2),
        ("ssh://host:1", [], None, 1),
    ],
)
def test_options_count_before_the_host(
    host: str, options: list[str], user: str | None, port: int | None
) -> None:
    """As in ``ssh OPTIONS HOST``, options say user and port before the host does, the first of them."""
    found = parse_ssh_options(host, options)
    assert (found.host, found.user, found.port) == ("host", user, port)


def test_first_wins() -> None:
    """Of two values the first counts, unless both do."""
    assert keywords("HostKeyAlias=a HostKeyAlias=b") == (("HostKeyAlias", "a"),)
    assert keywords("-i a -i b -i a") == (("IdentityFile", "a"), ("IdentityFile", "b"))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("-o 'ProxyCommand=x' -o ProxyJump=a", [("ProxyJump", "none"), ("ProxyCommand", "x")]),
        ("-o ProxyJump=a -o 'ProxyCommand=x'", [("ProxyJump", "a")]),
        ("-J none -o 'ProxyCommand=x'", [("ProxyJump", "none"), ("ProxyCommand", "x")]),
    ],
)
def test_one_way_to_the_host(options: str, expected: list[tuple[str, str]]) -> None:
    """The first of ProxyCommand and ProxyJump counts, also against the other one in a file."""
    assert list(keywords(options)) == expected


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "named", "cause"),
    [
        (["-p"], "-p", "lacks"),
        (["-o"], "-o", "lacks"),
        (["-F ''"], "-F", "lacks"),
        (["-p 0"], "-p (Port)", "65535"),
        (["-i 'a"], "-i 'a", "split"),
        (["-i", "it's"], "it's", "split"),
        (["-z"], "-z", "not an option"),
        (["--"], "--", "not an option"),
        (["-4z"], "-z in -4z", "not an option"),
        (["jump"], "'jump'", "elsewhere"),
        (["host"], "Host", "-F"),
        (["-C user@host"], "'user@host'", "elsewhere"),
        (["-C", "ls -l"], "'ls'", "elsewhere"),
        (["Compresion yes"], "'Compresion'", "perhaps Compression"),
        (["Compresion=yes"], "Compresion", "perhaps Compression"),
        (["-o Zzz=1"], "Zzz", "man ssh_config"),
        (["-o ''"], "-o ''", "Keyword=value"),
        (["-o =1"], "'=1'", "Keyword=value"),
        (["Compression"], "Compression", "empty"),
        (["-o ProxyCommand="], "ProxyCommand", "empty"),
        (["-o ProxyCommand= -C"], "ProxyCommand", "empty"),
        (["-o SendEnv= -C"], "SendEnv", "empty"),
        (["-o Compression=yes no"], "'no'", "elsewhere"),
        (["-o UserKnownHostsFile=/a /b"], "'/b'", "elsewhere"),
        (["-J a -J b"], "-J", "one -J"),
        (["-o 'ProxyCommand=x' -J b"], "-J", "no ProxyCommand"),
        (["-L 1:a:2"], "-L (LocalForward)", "forwards nothing"),
        (["-R 1:a:2"], "-R (RemoteForward)", "forwards nothing"),
        (["-D 1"], "-D (DynamicForward)", "forwards nothing"),
        (["-W a:1"], "-W", "forwards nothing"),
        (["-w 0"], "-w", "forwards nothing"),
        (["-X"], "-X (ForwardX11)", "forwards nothing"),
        (["-g"], "-g (GatewayPorts)", "forwards nothing"),
        (["-N"], "-N (SessionType)", "remote command"),
        (["-s"], "-s (SessionType)", "remote command"),
        (["-n"], "-n (StdinNull)", "stdin"),
        (["-f"], "-f (ForkAfterAuthentication)", "stdin"),
        (["-t"], "-t (RequestTTY)", "terminal"),
        (["-M"], "-M (ControlMaster)", "share"),
        (["-S ~/s"], "-S (ControlPath)", "share"),
        (["-O check"], "-O", "share"),
        (["-B eth0"], "-B (BindInterface)", "-b ADDRESS"),
        (["-E log"], "-E", "stderr"),
        (["-y"], "-y", "stderr"),
        (["-G"], "-G", "--dry-run"),
        (["-1"], "-1", "no longer"),
        (["ControlMaster=auto"], "ControlMaster", "share"),
        (["LocalForward 1 a:2"], "LocalForward", "forwards nothing"),
        (["RemoteCommand top"], "RemoteCommand", "remote command"),
        (["PubkeyAuthentication=host-bound"], "PubkeyAuthentication", "yes, no"),
        (["Host a"], "Host", "-F"),
    ],
)  # fmt: skip
def test_errors(options: list[str], named: str, cause: str) -> None:
    """What is malformed, unknown or cannot be honoured is an error that names it and says why."""
    with pytest.raises(OptionError) as caught:
        parse_ssh_options("host", options)
    assert named in caught.value.what
    assert cause in str(caught.value)


@pytest.mark.parametrize("keyword", KEYWORDS, ids=lambda keyword: str(keyword.name))
@pytest.mark.parametrize("value", ["yes", "1", "/a:b"])
def test_nothing_is_dropped(keyword: Keyword, value: str) -> None:
    """Each keyword either ends up in the result or is an error that names it."""
    try:
        found = parse_ssh_options("host", ["-o", f"{keyword.name}={value}"])
    except OptionError as error:
        named = keyword.name in error.what
        assert named
    else:
        assert keyword.honoured is not Honoured.NEVER
        assert found.get(keyword.name) or found.user == value or found.port == 1


# --- agreement with OpenSSH ----------------------------------------------------------------------

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
    """Compare what we found with what ssh prints."""
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
    assert openssh["compression"] == [found.get("Compression") or "no"]
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
    """As one string or as several, options mean what they mean to ssh, or are refused by both."""
    openssh = ask_openssh(arguments, host)
    for options in (arguments, [shlex.join(arguments)]):
        try:
            found = parse_ssh_options(host, options)
        except OptionError:
            assert openssh is None
        else:
            assert openssh is not None
            check_agreement(found, openssh)


# --- agreement with the library ------------------------------------------------------------------


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
    """Whatever a value holds, asyncssh reads the same one back."""
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
    """Lists are read back word by word, whatever the words hold."""
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
    """Each kind of value is read by asyncssh as what it means."""
    options = parse_ssh_options("host", [option])
    name = options.keywords[-1][0].lower()
    read = read_by_library(options.config_text(), config_file)
    assert {key.lower(): value for key, value in read.items()}[name] == expected


def test_only_what_the_library_honours_is_written() -> None:
    """What we honour ourselves, and what asks for nothing, stays out of asyncssh's configuration."""
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
    """An option arrives in the options of asyncssh's connection."""
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


# --- the value -----------------------------------------------------------------------------------


def test_get() -> None:
    """A keyword is found in any case, its first value or all of them."""
    options = parse_ssh_options("host", ["-i a -i b"])
    assert options.get("identityfile") == "a"
    assert options.get_all("IDENTITYFILE") == ("a", "b")
    assert options.get("Port") is None
    assert options.get_all("Port") == ()


def test_is_a_value() -> None:
    """The result compares by value and does not change."""
    options = parse_ssh_options("host", ["-C"])
    assert options == parse_ssh_options("host", ["Compression yes"])
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.port = 1  # type: ignore[misc]


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


class TestOtherEngines:
    """Options for the program ssh, which does what the library cannot."""

    @pytest.mark.parametrize("engine", [SshEngine.OPENSSH, SshEngine.AUTO])
    @pytest.mark.parametrize(
        ("options", "keywords", "beyond"),
        [
            (["-M -S ~/s"], (("ControlMaster", "yes"), ("ControlPath", "~/s")),
             ("-M (ControlMaster)", "-S (ControlPath)")),
            (["-L 1:a:2", "-L 3:b:4"], (("LocalForward", "1:a:2"), ("LocalForward", "3:b:4")),
             ("-L (LocalForward)", "-L (LocalForward)")),
            (["-B eth0"], (("BindInterface", "eth0"),), ("-B (BindInterface)",)),
            (["IdentityFile=~/%h"], (("IdentityFile", "~/%h"),), ("IdentityFile",)),
            (["UserKnownHostsFile=~/%h '/a b'"], (("UserKnownHostsFile", "'~/%h' '/a b'"),), ("UserKnownHostsFile",)),
            (["ControlMaster=no"], (("ControlMaster", "no"),), ()),
            (["-C"], (("Compression", "yes"),), ()),
        ],
    )  # fmt: skip
    def test_accepted(
        self,
        options: list[str],
        keywords: tuple[tuple[str, str], ...],
        beyond: tuple[str, ...],
        engine: SshEngine,
    ) -> None:
        """What the library cannot honour is taken, and named as what needs the program."""
        found = parse_ssh_options("host", options, engine)
        assert found.keywords == keywords
        assert found.beyond == beyond

    @pytest.mark.parametrize(
        "option",
        ["-N", "-f", "-n", "-t", "-W a:1", "-s", "-E log", "-G", "-y", "RemoteCommand=top",
         "RequestTTY=force", "SessionType=none", "StdinNull=yes", "ForkAfterAuthentication=yes",
         "Host=a", "IgnoreUnknown=a", "LogVerbose=a", "FingerprintHash=md5", "Port=x", "Nonsense=1"],
    )  # fmt: skip
    def test_refused(self, option: str) -> None:
        """What would keep us from talking to the remote command, or is no option, is an error for all."""
        with pytest.raises(OptionError) as caught:
            parse_ssh_options("host", [option], SshEngine.OPENSSH)
        assert "--ssh-engine" not in str(caught.value)

    def test_hint(self) -> None:
        """The library's refusal says what to use instead, where that helps."""
        with pytest.raises(OptionError, match="or use --ssh-engine openssh"):
            parse_ssh_options("host", ["ControlMaster=auto"])
