"""The command lines of the program ``ssh``: what the person says, and what we need.

Of a keyword that ``ssh`` is given several times the first value counts, and its command line counts before its
config files. So what must hold stands first, then what the person says, then our defaults where ``ssh -G`` tells that
nobody has decided. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from xpm_remote.link.options.connect_options import ConnectOptions, given_arguments
from xpm_remote.link.options.keywords import BY_NAME, FORWARDS
from xpm_remote.link.ssh_config.text import SshConfig

KEEPALIVE = 15
"""Seconds between two questions whether the host is there; ``ssh`` gives up after the third: 45 s."""

# It is said apart, for what we need to be told.
_GIVEN = frozenset(BY_NAME) - {"loglevel"}

# A config file may say these for the person's own sessions; ours talks to one command.
_ALWAYS = {
    "RequestTTY": "no",
    "EscapeChar": "none",
    "RemoteCommand": "none",
    "SessionType": "default",
    "StdinNull": "no",
    "ForkAfterAuthentication": "no",
}
_SINCE_OPENSSH_8_7 = ("SessionType", "StdinNull", "ForkAfterAuthentication")


def check_arguments(options: ConnectOptions) -> list[str]:
    """Give the arguments that have ``ssh`` ask whether a ControlMaster lives."""
    return ["-O", "check", *given_arguments(options, _GIVEN), "--", options.host]


def connect_arguments(
    options: ConnectOptions,
    config: SshConfig,
    command: str,
    *,
    is_batch: bool,
    connect_timeout: float,
) -> list[str]:
    """Give the arguments that run a command on the host.

    Args:
        options: What the person says.
        config: What ``ssh -G`` says of that.
        command: The remote command line.
        is_batch: Whether nobody may be asked.
        connect_timeout: Seconds for TCP and the greeting unless somebody has decided.
    """
    first = {**_required(config), **_unless_asked_for(options, config)}
    first["LogLevel"] = log_level(options, config)
    if is_batch:
        first["BatchMode"] = "yes"
    last: dict[str, str] = {}
    if not config.is_keepalive_set:
        last["ServerAliveInterval"] = str(KEEPALIVE)
    if options.get("ConnectTimeout") is None and config.get("ConnectTimeout") == "none":
        last["ConnectTimeout"] = f"{connect_timeout:g}"
    return [
        *_pairs(first),
        *given_arguments(options, _GIVEN),
        *_pairs(last),
        "--",
        options.host,
        command,
    ]


def log_level(options: ConnectOptions, config: SshConfig) -> str:
    """Give the level at which ``ssh`` tells us what becomes of the connection, or more where more is asked for.

    Only at DEBUG1 does it say whose an exit status of 255 is; of a shared connection, only at DEBUG2.
    """
    needed = "DEBUG2" if config.has_control_path else "DEBUG1"
    return max(needed, options.get("LogLevel") or "", key=_verbosity)


def _verbosity(level: str) -> int:
    return int(level.removeprefix("DEBUG")) if level.startswith("DEBUG") else 0


def _required(config: SshConfig) -> dict[str, str]:
    """Give what must hold; what this ``ssh`` does not know, it cannot do."""
    return {
        name: value
        for name, value in _ALWAYS.items()
        if name not in _SINCE_OPENSSH_8_7 or config.get(name) is not None
    }


def _unless_asked_for(options: ConnectOptions, config: SshConfig) -> dict[str, str]:
    """Give what a config file shall not bring into our session, though options may.

    A monitor that runs for a week must not hold the ports that the person's own sessions forward. A ControlMaster in
    its foreground would take other sessions with it when it ends; one with ControlPersist has a life of its own.
    """
    unless = {"ForwardX11": "no", "Tunnel": "no"}
    if config.get("ControlPersist") in (None, "no"):
        unless["ControlMaster"] = "no"
    unless = {name: value for name, value in unless.items() if options.get(name) is None}
    if not any(options.get(name) for name in FORWARDS):
        unless["ClearAllForwardings"] = "yes"
    return unless


def _pairs(keywords: Mapping[str, str]) -> Iterator[str]:
    for name, value in keywords.items():
        yield from ("-o", f"{name}={value}")
