"""The command lines of the program ``ssh``: the given options, and what we need.

Of several values of a keyword ``ssh`` takes the first, and its command line counts before its config files. So what
is required comes first, then the given options, then our defaults for what ``ssh -G`` reports as undecided. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from xpm_remote.link.options.connect_options import ConnectOptions, given_arguments
from xpm_remote.link.options.keywords import BY_NAME, FORWARDS
from xpm_remote.link.ssh_config.text import SshConfig

KEEPALIVE = 15
"""Seconds between two keepalive messages; ``ssh`` gives up after the third without an answer: 45 s."""

# The log level is set separately, since we read the log.
_GIVEN = frozenset(BY_NAME) - {"loglevel"}

# A config file may set these for interactive sessions; ours runs one command.
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
    """Return the arguments with which ``ssh`` checks whether a ControlMaster is alive."""
    return ["-O", "check", *given_arguments(options, _GIVEN), "--", options.host]


def connect_arguments(
    options: ConnectOptions,
    config: SshConfig,
    command: str,
    *,
    is_batch: bool,
    connect_timeout: float,
    is_far: bool = False,
    strict: str | None = None,
) -> list[str]:
    """Return the arguments that run a command on the host.

    Args:
        options: The given options.
        config: The answer of ``ssh -G`` to them.
        command: The remote command line.
        is_batch: Whether questions are forbidden.
        connect_timeout: Seconds for TCP and the greeting unless options or config files decide.
        is_far: Whether compression pays, unless options or config files decide.
        strict: The ``StrictHostKeyChecking`` instead of that of the options; None: theirs.
    """
    # A keyword that this ssh does not have names something that it cannot do.
    first = {
        name: value
        for name, value in _ALWAYS.items()
        if name not in _SINCE_OPENSSH_8_7 or config.get(name) is not None
    }
    first |= _unless_asked_for(options, config)
    first["LogLevel"] = log_level(options, config)
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
    return [
        *_pairs(first),
        *given_arguments(options, _GIVEN),
        *_pairs(last),
        "--",
        options.host,
        command,
    ]


def log_level(options: ConnectOptions, config: SshConfig) -> str:
    """Return the log level that we need, or the one that the options ask for if it is higher.

    Only at DEBUG1 does ``ssh`` report whose an exit status of 255 is; of a shared connection, only at DEBUG2.
    """
    needed = "DEBUG2" if config.has_control_path else "DEBUG1"
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


def _pairs(keywords: Mapping[str, str]) -> Iterator[str]:
    for name, value in keywords.items():
        yield from ("-o", f"{name}={value}")
