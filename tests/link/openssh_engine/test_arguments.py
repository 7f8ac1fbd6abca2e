"""The command lines of ``ssh``, and that the ssh of this machine reads them as intended."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from xpm_remote.link.openssh_engine import connection
from xpm_remote.link.openssh_engine.arguments import (
    check_arguments,
    command_arguments,
    master_arguments,
)
from xpm_remote.link.options.connect_options import ConnectOptions, parse_ssh_options
from xpm_remote.link.ssh_config.text import SshConfig, dump_arguments, parse_dump
from xpm_remote.settings.schema import SshEngine


def parsed(*options: str) -> ConnectOptions:
    """Parse options for the program ssh, without a config file."""
    return parse_ssh_options("me@host", ["-F none", *options], SshEngine.OPENSSH)


def ask(arguments: list[str]) -> SshConfig:
    """Return what the ssh of this machine makes of arguments."""
    done = subprocess.run(["ssh", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return SshConfig(parse_dump(done.stdout))


def whole(options: ConnectOptions) -> list[str]:
    """Return the arguments with which ssh prints what it makes of all options."""
    return dump_arguments(options, is_whole=True)


def understood(*options: str) -> SshConfig:
    """Return what ssh makes of the options."""
    return ask(whole(parsed(*options)))


def connecting(
    *options: str, is_batch: bool = False, is_keepalive_set: bool = False, **config: str
) -> SshConfig:
    """Return what ssh makes of the arguments for a connection.

    Args:
        options: The user's.
        is_batch: Whether prompts are forbidden.
        is_keepalive_set: Whether options or config files set the keepalive.
        config: What config files add to the options, in the words of ``ssh -G``.
    """
    given = parsed(*options)
    known = {name: (value,) for name, value in config.items()}
    effective = SshConfig({**ask(whole(given)).values, **known}, is_keepalive_set)
    arguments = master_arguments(given, effective, None, is_batch=is_batch, connect_timeout=20)
    assert arguments[0] == "-N"
    assert arguments[-2:] == ["--", "host"]
    return ask(["-G", *arguments])


@pytest.mark.parametrize(
    ("options", "keyword", "value"),
    [
        (["-p 22"], "port", "22"),
        (["-l you"], "user", "you"),
        (["-J gate"], "proxyjump", "gate"),
        (["ProxyCommand=nc '%h' %p"], "proxycommand", "nc '%h' %p"),
        (["-L 8080:localhost:80"], "localforward", "8080 [localhost]:80"),
        (["LocalForward=8080 localhost:80"], "localforward", "8080 [localhost]:80"),
        (["-D 1080"], "dynamicforward", "1080"),
        (["-R 9:h:10"], "remoteforward", "9 [h]:10"),
        (["-S /a/socket"], "controlpath", "/a/socket"),
        (["ControlMaster=auto"], "controlmaster", "auto"),
        (["-B eth0"], "bindinterface", "eth0"),
        (["IdentityFile='/a b/c\"d\\e'"], "identityfile", '/a b/c"d\\e'),
        (["IdentityFile=~/%h"], "identityfile", "~/%h"),
        (["UserKnownHostsFile='/a b' /c"], "userknownhostsfile", "/a b /c"),
        (["UserKnownHostsFile=/%h"], "userknownhostsfile", "/host"),
        (["-i none"], "identityfile", "none"),
        (["RequiredRSASize=3000"], "requiredrsasize", "3000"),
        (["HostKeyAlias='a#b'"], "hostkeyalias", "a#b"),
        (["ConnectTimeout=1m"], "connecttimeout", "60"),
    ],
)  # fmt: skip
def test_options_reach_ssh(options: list[str], keyword: str, value: str) -> None:
    """The user's options reach ssh unchanged, also those that the library cannot honour."""
    assert understood(*options).get_all(keyword) == (value,)


def test_first_of_two_ways_wins() -> None:
    """A ProxyCommand before a ProxyJump counts, as for ssh."""
    config = understood("ProxyCommand=nc %h %p", "ProxyJump=gate")
    assert config.get("ProxyCommand") == "nc %h %p"
    assert config.get("ProxyJump") is None


def test_what_config_files_may_not_do() -> None:
    """Settings of a config file for interactive sessions are turned off."""
    config = connecting("-o RequestTTY=no")
    assert config.get("RequestTTY") == "false"
    assert config.get("SessionType") == "none"
    assert config.get("StdinNull") == "no"
    assert config.get("ForkAfterAuthentication") == "no"
    assert config.get("EscapeChar") == "none"
    assert config.get("ClearAllForwardings") == "yes"
    assert config.get("ForwardX11") == "no"
    assert config.get("ControlMaster") == "false"


def test_options_may() -> None:
    """Settings in the options are kept."""
    config = connecting("-X", "-L 1:h:2", "-M", "Tunnel=yes")
    assert config.get("ForwardX11") == "yes"
    assert config.get("LocalForward") == "1 [h]:2"
    assert config.get("ControlMaster") == "true"
    assert config.get("Tunnel") == "point-to-point"


def test_a_master_with_a_life_of_its_own_may_start() -> None:
    """ControlMaster of a config file counts where ControlPersist keeps the master when we end."""
    given = parsed()
    effective = SshConfig({**ask(whole(given)).values, "controlpersist": ("600",)})
    arguments = master_arguments(given, effective, None, is_batch=False, connect_timeout=20)
    assert not any(argument.startswith("ControlMaster") for argument in arguments)


def test_unknown_to_an_old_ssh() -> None:
    """A keyword that ssh does not print is not passed to it."""
    arguments = master_arguments(parsed(), SshConfig(), None, is_batch=False, connect_timeout=20)
    assert not any(argument.startswith("StdinNull") for argument in arguments)


def test_defaults() -> None:
    """Our keepalive and time limit are used where none is set."""
    config = connecting()
    assert (config.get("ServerAliveInterval"), config.get("ConnectTimeout")) == ("15", "20")
    config = connecting("ServerAliveInterval=0", "ConnectTimeout=7", is_keepalive_set=True)
    assert (config.get("ServerAliveInterval"), config.get("ConnectTimeout")) == ("0", "7")
    config = connecting(is_keepalive_set=True, connecttimeout="8")
    assert (config.get("ServerAliveInterval"), config.get("ConnectTimeout")) == ("0", "none")


def test_compression() -> None:
    """A far connection is compressed, unless options or config files decide."""
    given, undecided, decided = parsed(), SshConfig(), SshConfig(is_compression_set=True)
    for config, is_far, is_compressed in (
        (undecided, True, True),
        (undecided, False, False),
        (decided, True, False),
    ):
        arguments = master_arguments(
            given, config, None, is_batch=False, connect_timeout=20, is_far=is_far
        )
        assert ("Compression=yes" in arguments) is is_compressed


@pytest.mark.parametrize(
    ("host", "way", "round_trip", "is_far"),
    [
        ("login.example.org", {}, None, True),
        ("login.example.org", {}, 0.001, False),
        ("login.example.org", {}, 0.1, True),
        ("127.0.0.1", {}, None, False),
        ("::1", {}, 0.1, False),
        ("localhost", {}, None, False),
        ("localhost", {"proxyjump": ("gate",)}, None, True),
        ("localhost", {"proxycommand": ("nc a b",)}, None, True),
    ],
)
def test_far(
    host: str,
    way: dict[str, tuple[str, ...]],
    round_trip: float | None,
    is_far: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """This machine is near, and a host to which the last connection took no time; what is carried is far."""
    config = SshConfig({"hostname": (host,), "port": ("22",), **way})
    known = {} if round_trip is None else {config.where: round_trip}
    monkeypatch.setattr(connection, "_round_trips", known)
    assert connection.is_far(config) is is_far


def test_batch_mode() -> None:
    """Where prompts are forbidden, ssh makes none."""
    assert connecting(is_batch=True).get("BatchMode") == "yes"
    assert connecting().get("BatchMode") == "no"


@pytest.mark.parametrize(
    ("options", "config", "level"),
    [
        ([], {}, "DEBUG"),
        (["-q"], {}, "DEBUG"),
        (["-vvv"], {}, "DEBUG3"),
        (["-S /socket"], {}, "DEBUG2"),
        (["-vvv"], {"controlpath": "/socket"}, "DEBUG3"),
    ],
)
def test_log_level(options: list[str], config: dict[str, Any], level: str) -> None:
    """The program logs what we need, and more if more is requested."""
    assert connecting(*options, **config).get("LogLevel") == level


def test_a_changed_host_key_is_as_it_is_to_ssh() -> None:
    """StrictHostKeyChecking is passed to ssh unchanged."""
    assert connecting("StrictHostKeyChecking=no").get("StrictHostKeyChecking") == "false"
    assert connecting("StrictHostKeyChecking=yes").get("StrictHostKeyChecking") == "true"


def test_check() -> None:
    """A ControlMaster is checked with the options of the connection."""
    assert check_arguments(parsed("-S /socket")) == [
        *("-O", "check", "-F", "none", "-l", "me", "-o", "ControlPath=/socket", "--", "host")
    ]


@pytest.mark.parametrize(
    ("options", "where", "name"),
    [
        ([], "host port 22", "host"),
        (["-p 2"], "host port 2", "[host]:2"),
        (["HostKeyAlias=other", "-p 2"], "host port 2", "other"),
    ],
)
def test_names(options: list[str], where: str, name: str) -> None:
    """Messages have the host's name for connecting, and its name in known_hosts."""
    config = understood(*options)
    assert config.where == where
    assert config.host_key_name == name


def test_control_path() -> None:
    """A connection may be shared only with a ControlPath."""
    assert understood("-S /socket").has_control_path
    assert not understood().has_control_path
    assert not SshConfig({"controlpath": ("none",)}).has_control_path


def test_stricter_checking() -> None:
    """A stricter check of host keys than the options ask for takes precedence."""
    given = parsed("StrictHostKeyChecking=no")
    arguments = master_arguments(
        given, SshConfig(), None, is_batch=False, connect_timeout=20, strict="yes"
    )
    assert arguments.index("StrictHostKeyChecking=yes") < arguments.index(
        "StrictHostKeyChecking=no"
    )


def test_files_and_jumps_of_a_config() -> None:
    """The known_hosts files and the jump hosts of a config are lists; none is no entry."""
    said = "userknownhostsfile /a /b\nglobalknownhostsfile none\nproxyjump u@a:1,b\n"
    config = SshConfig(parse_dump(said))
    assert config.known_hosts_files == ["/a", "/b"]
    assert config.jumps == ("u@a:1", "b")
    assert SshConfig().jumps == ()


def running(*options: str) -> SshConfig:
    """Return what ssh makes of the arguments for a command by a ControlMaster."""
    given = parsed(*options)
    arguments = command_arguments(given, ask(whole(given)), "/a b/50%", "the command")
    assert arguments[-3:] == ["--", "host", "the command"]
    return ask(["-G", *arguments[:-1]])


def test_command_by_a_master_only() -> None:
    """A command reaches the host by the socket of the master, and neither connects nor asks without it."""
    config = running("-J gate", "-L 1:h:2", "-S /other", "-M", "-X")
    assert config.get("ControlPath") == "/a b/50%"
    assert config.get("ControlMaster") == "false"
    assert config.get("ProxyCommand") == "false"
    assert config.get("ProxyJump") is None
    assert config.get("BatchMode") == "yes"
    assert config.get("ClearAllForwardings") == "yes"
    assert config.get("ForwardX11") == "no"
    assert config.get("SessionType") == "default"
    assert config.get("LogLevel") == "DEBUG2"


def test_what_a_command_takes_along() -> None:
    """The environment and the agent that the options pass on go with each command."""
    config = running("SendEnv=LANG", "SetEnv=A=b", "-A")
    assert config.get_all("SendEnv") == ("LANG",)
    assert config.get_all("SetEnv") == ("A=b",)
    assert config.get("ForwardAgent") == "yes"


def test_private_master() -> None:
    """The socket of a master that ends with us takes the place of the user's."""
    given = parsed("-S /other", "ControlPersist=yes")
    arguments = master_arguments(
        given, ask(whole(given)), "/run/s", is_batch=False, connect_timeout=20
    )
    config = ask(["-G", *arguments])
    assert config.get("ControlPath") == "/run/s"
    assert config.get("ControlMaster") == "true"
    assert config.get("ControlPersist") == "no"
