"""OpenSSH's options, in all their spellings, and those that no engine could honour."""

from __future__ import annotations

import dataclasses

import pytest

from xpm_remote.errors import OptionError
from xpm_remote.link.options.connect_options import ConnectOptions, parse_ssh_options
from xpm_remote.link.options.keywords import KEYWORDS, Honoured, Keyword
from xpm_remote.settings.schema import SshEngine


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
    """A command is the rest of its string, or a quoted word."""
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
    """A quoted command, one word after -o, and an empty one leave the rest of the string to other options."""
    assert keywords(option)[-1] == ("Compression", "yes")


def test_config_file() -> None:
    """The last -F counts, and "none" is one."""
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
    """As in ``ssh OPTIONS HOST``, user and port of the options take precedence over the host's, the first of them."""
    found = parse_ssh_options(host, options)
    assert (found.host, found.user, found.port) == ("host", user, port)


def test_first_wins() -> None:
    """The first of two values counts, unless both do."""
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
        (["-n"], "-n (StdinNull)", "does not apply"),
        (["-f"], "-f (ForkAfterAuthentication)", "does not apply"),
        (["-t"], "-t (RequestTTY)", "does not apply"),
        (["-M"], "-M (ControlMaster)", "share"),
        (["-S ~/s"], "-S (ControlPath)", "share"),
        (["-O check"], "-O", "share"),
        (["-B eth0"], "-B (BindInterface)", "-b ADDRESS"),
        (["-E log"], "-E", "stderr"),
        (["-y"], "-y", "stderr"),
        (["-G"], "-G", "--dry-run"),
        (["-1"], "-1", "does not apply"),
        (["ControlMaster=auto"], "ControlMaster", "share"),
        (["LocalForward 1 a:2"], "LocalForward", "forwards nothing"),
        (["RemoteCommand top"], "RemoteCommand", "remote command"),
        (["PubkeyAuthentication=host-bound"], "PubkeyAuthentication", "yes, no"),
        (["Host a"], "Host", "-F"),
    ],
)  # fmt: skip
def test_errors(options: list[str], named: str, cause: str) -> None:
    """A malformed or unknown option, or one that cannot be honoured, is an error with its name and the reason."""
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


# --- the value -----------------------------------------------------------------------------------


def test_get() -> None:
    """A keyword is found in any case, its first value or all of them."""
    options = parse_ssh_options("host", ["-i a -i b"])
    assert options.get("identityfile") == "a"
    assert options.get_all("IDENTITYFILE") == ("a", "b")
    assert options.get("Port") is None
    assert options.get_all("Port") == ()


def test_is_a_value() -> None:
    """The result compares by value and is immutable."""
    options = parse_ssh_options("host", ["-C"])
    assert options == parse_ssh_options("host", ["Compression yes"])
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.port = 1  # type: ignore[misc]


class TestOtherEngines:
    """Options for the program ssh, which can honour more than the library."""

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
        """An option that the library cannot honour is accepted, and listed as needing the program."""
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
        """An option that would separate us from the remote command, or an unknown one, is an error for all."""
        with pytest.raises(OptionError) as caught:
            parse_ssh_options("host", [option], SshEngine.OPENSSH)
        assert "--ssh-engine" not in str(caught.value)

    def test_hint(self) -> None:
        """The library's refusal has the alternative, where there is one."""
        with pytest.raises(OptionError, match="or use --ssh-engine openssh"):
            parse_ssh_options("host", ["ControlMaster=auto"])
