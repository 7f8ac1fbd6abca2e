"""The route to a host, hop by hop: by our resolution, and by ssh."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, cast

from tests.link.ssh_judge import defaults, expanded, ssh_dump
from xpm_remote.link.asyncssh_engine.resolution import Resolution, resolve
from xpm_remote.link.options.connect_options import ConnectOptions
from xpm_remote.link.ssh_config.text import Dump

HOPS = 3
"""Jump hosts in a row that are looked at: enough to see a chain, and the beginning of a circle."""
OUR_KEEPALIVE = 15
NOBODY_SAID = ("0", "300")
"""The default of ssh, and that of Debian's with ``BatchMode``; no example here sets either."""


class Parts(NamedTuple):
    """The compared values."""

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
    """Return the parts from what the library would be given."""
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


def theirs(dump: Dump, arguments: Sequence[str]) -> Parts:
    """Return the parts from what ssh prints."""

    def one(name: str, default: str = "") -> str:
        return dump.get(name, (default,))[0]

    def paths(name: str) -> list[str]:
        return [expanded(v, arguments) for v in dump.get(name, ()) if v.lower() != "none"]

    is_default = dump["identityfile"] == defaults()["identityfile"]
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
    """Return the route from a host to the first jump host, by our resolution."""
    found: list[Parts] = []
    hop: ConnectOptions | None = options
    while hop is not None and len(found) <= HOPS:
        async with resolve(hop) as resolution:
            found.append(ours(resolution))
            hop = resolution.jump
    return found


def ssh_chain(config: Path, options: Sequence[str], host: str) -> list[Parts]:
    """Return it as ssh goes it: by another ssh for the last of the jump hosts, with ``-J`` for those before it."""
    arguments = [*options, host]
    found: list[Parts] = []
    while len(found) <= HOPS:
        arguments = ["-F", str(config), *arguments]
        dump = ssh_dump(*arguments)
        found.append(theirs(dump, arguments))
        if "proxyjump" not in dump:
            break
        before, _, last = dump["proxyjump"][0].rpartition(",")
        arguments = [*(["-J", before] if before else []), f"ssh://{_without_brackets(last)}"]
        arguments = _plain(arguments)
    return found


def _without_brackets(jump: str) -> str:
    return jump.replace("[", "").replace("]", "")


def _plain(arguments: list[str]) -> list[str]:
    """Return the destination in ssh's form for its jump hosts: ``-l``, ``-p`` and the name."""
    *rest, uri = arguments
    user, at, place = uri.removeprefix("ssh://").rpartition("@")
    host, _, port = place.partition(":")
    return [*rest, *(["-l", user] if at else []), *(["-p", port] if port else []), host]
