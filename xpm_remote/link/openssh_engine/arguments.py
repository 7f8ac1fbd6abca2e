"""The command lines of the program ``ssh``: the given options, and what we need.

Of several values of a keyword ``ssh`` takes the first, and its command line counts before its config files. So what
is required comes first, then the given options, then our defaults for what ``ssh -G`` reports as undecided. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from xpm_remote.link.options.connect_options import ConnectOptions, given_arguments, ssh_quoted
from xpm_remote.link.options.keywords import BY_NAME, FORWARDS
from xpm_remote.link.ssh_config.text import SshConfig

KEEPALIVE = 15
"""Seconds between two keepalive messages; ``ssh`` gives up after the third without an answer: 45 s."""

# The log level is set separately, since we read the log.
_GIVEN = frozenset(BY_NAME) - {"loglevel"}

_OF_COMMANDS = frozenset({"sendenv", "setenv", "forwardagent"})

# A config file may set these for interactive sessions; ours runs one command.
_ALWAYS = {
    "RequestTTY": "no",
    "EscapeChar": "none",
    "RemoteCommand": "none",
    "StdinNull": "no",
    "ForkAfterAuthentication": "no",
}
_SINCE_OPENSSH_8_7 = ("SessionType", "StdinNull", "ForkAfterAuthentication")


def check_arguments(options: ConnectOptions) -> list[str]:
    """Return the arguments with which ``ssh`` checks whether a ControlMaster is alive."""
    return ["-O", "check", *given_arguments(options, _GIVEN), "--", options.host]


def lent_arguments(options: ConnectOptions, path: str) -> list[str]:
    """Return the same for the ControlMaster of a socket, whatever options and config files say."""
    return ["-F", "none", "-O", "check", "-o", f"ControlPath={_literal(path)}", "--", options.host]


def master_arguments(
    options: ConnectOptions,
    config: SshConfig,
    path: str | None,
    *,
    is_batch: bool,
    connect_timeout: float,
    is_far: bool = False,
    strict: str | None = None,
) -> list[str]:
    """Return the arguments that log in to the host, and run no command there.

    Args:
        options: The given options.
        config: The answer of ``ssh -G`` to them.
        path: The socket for those that share the connection; None: as the options and config files say.
        is_batch: Whether questions are forbidden.
        connect_timeout: Seconds for TCP and the greeting unless options or config files decide.
        is_far: Whether compression pays, unless options or config files decide.
        strict: The ``StrictHostKeyChecking`` instead of that of the options; None: theirs.
    """
    first = _known(_ALWAYS, config) | _unless_asked_for(options, config)
    first |= {"LogLevel": log_level(options, config)}
    if path is not None:
        first |= {"ControlMaster": "yes", "ControlPath": path, "ControlPersist": "no"}
    if is_batch:
        first["BatchMode"] = "yes"
    if strict is not None:
        first["StrictHostKeyChecking"] = strict
    last: dict[str, str] = {}
    if not config.is_keepalive_set:
        last["ServerAliveInterval"] = str(KEEPALIVE)
    if is_far and not config.is_compression_set:
        last["Compression"] = "yes"
    if options.get("ConnectTimeout") is None and config.get("ConnectTimeout") == "none":
        last["ConnectTimeout"] = f"{connect_timeout:g}"
    given = given_arguments(options, _GIVEN)
    return ["-N", *_pairs(first), *given, *_pairs(last), "--", options.host]


def command_arguments(
    options: ConnectOptions, config: SshConfig, path: str, command: str
) -> list[str]:
    """Return the arguments that run a command by the ControlMaster of a socket, and by nothing else.

    Args:
        options: The given options.
        config: The answer of ``ssh -G`` to them.
        path: The socket.
        command: The remote command line.
    """
    first = _known({**_ALWAYS, "SessionType": "default"}, config)
    first |= {
        "ControlMaster": "no",
        "ControlPath": _literal(path),
        "LogLevel": _at_least("DEBUG2", options),
    }
    # Without the master ssh would log in by itself, with questions.
    first |= {"BatchMode": "yes", "ProxyCommand": "false", "ClearAllForwardings": "yes"}
    first |= {"ForwardX11": "no", "Tunnel": "no"}
    given = given_arguments(options, _OF_COMMANDS)
    return [*_pairs(first), *given, "--", options.host, command]


def log_level(options: ConnectOptions, config: SshConfig) -> str:
    """Return the log level that we need, or the one that the options ask for if it is higher.

    Only at DEBUG1 does ``ssh`` report whose an exit status of 255 is; of a shared connection, only at DEBUG2.
    """
    return _at_least("DEBUG2" if config.has_control_path else "DEBUG1", options)


def _at_least(needed: str, options: ConnectOptions) -> str:
    asked = options.get("LogLevel") or ""
    return max(needed, asked) if asked.startswith("DEBUG") else needed


def _unless_asked_for(options: ConnectOptions, config: SshConfig) -> dict[str, str]:
    """Return the keywords that turn off what options may ask for, but config files may not.

    A monitor that runs for a week must not hold the ports that interactive sessions forward. A ControlMaster in the
    foreground would end other sessions when it ends; one with ControlPersist is a process of its own.
    """
    unless = {"ForwardX11": "no", "Tunnel": "no"}
    if config.get("ControlPersist") in (None, "no"):
        unless["ControlMaster"] = "no"
    unless = {name: value for name, value in unless.items() if options.get(name) is None}
    if not any(options.get(name) for name in FORWARDS):
        unless["ClearAllForwardings"] = "yes"
    return unless


def _literal(path: str) -> str:
    return ssh_quoted(path.replace("%", "%%"))


def _known(keywords: Mapping[str, str], config: SshConfig) -> dict[str, str]:
    """Return those of some keywords that this ssh has; another one names something that it cannot do."""
    return {
        name: value
        for name, value in keywords.items()
        if name not in _SINCE_OPENSSH_8_7 or config.get(name) is not None
    }


def _pairs(keywords: Mapping[str, str]) -> Iterator[str]:
    for name, value in keywords.items():
        yield from ("-o", f"{name}={value}")
