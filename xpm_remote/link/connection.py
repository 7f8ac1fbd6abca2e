"""An SSH connection to a host, through its jump hosts, or an error that names the cause."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, cast

import asyncssh
from asyncssh.gss import gss_available

from xpm_remote.errors import HostKeyError, OptionError, UnreachableError
from xpm_remote.link.config_files import config_files
from xpm_remote.link.host_keys import DEFAULT_GLOBAL_FILES, DEFAULT_USER_FILES, HostKeyPolicy
from xpm_remote.link.locked_keys import default_keys, find_locked_keys
from xpm_remote.link.login import LoginClient, explain_failure, key_files
from xpm_remote.link.own_keywords import OwnKeywords, read_own_keywords
from xpm_remote.link.prompts import BATCH_MODE, Prompter, RefusingPrompter, TerminalPrompter
from xpm_remote.link.proxy_command import ProxyCommand, fill_in, start_proxy_command
from xpm_remote.link.ssh_keywords import NEEDS_GSSAPI
from xpm_remote.link.ssh_options import ConnectOptions, parse_jumps
from xpm_remote.link.tcp import CONNECT_TIMEOUT, open_tcp

NEAR = 0.002
"""Seconds of a round trip within which compression costs more time than it saves; our JSON shrinks to a tenth."""

CLOSE_TIMEOUT = 1.0
"""Seconds for a connection to close politely; the process on the other side has ended before."""

LOGIN_TIMEOUT = 120.0
"""Seconds to agree on keys and log in, as sshd's own LoginGraceTime; none once a person takes part: a second factor
may be a telephone in another room, and the host has its own patience."""

MAX_JUMPS = 8
"""Jump hosts in a row: more than any site has, so what exceeds it is a circle in a config file."""

_COMPRESSED = ("zlib@openssh.com", "zlib", "none")

_LOG_LEVELS = {
    "QUIET": logging.CRITICAL,
    "FATAL": logging.CRITICAL,
    "ERROR": logging.ERROR,
    "VERBOSE": logging.INFO,
    "DEBUG1": logging.DEBUG,
    "DEBUG2": logging.DEBUG,
    "DEBUG3": logging.DEBUG,
}

_CONFIG_ERRORS = (asyncssh.ConfigParseError, ValueError)


class Connection:
    """An open connection, and whatever carries it."""

    def __init__(
        self, ssh: asyncssh.SSHClientConnection, resources: contextlib.AsyncExitStack
    ) -> None:
        self.ssh = ssh
        self._resources = resources

    async def aclose(self) -> None:
        """Close it, and then what carried it; by force where nobody answers."""
        await self._resources.aclose()


async def _close(ssh: asyncssh.SSHClientConnection) -> None:
    ssh.close()
    try:
        await asyncio.wait_for(ssh.wait_closed(), CLOSE_TIMEOUT)
    except (TimeoutError, asyncio.TimeoutError):
        ssh.abort()
    except (OSError, asyncssh.Error):
        return  # it is closed, which is all that was asked for


async def open_connection(options: ConnectOptions, prompter: Prompter | None = None) -> Connection:
    """Connect and log in.

    Args:
        options: Where to connect to, and how.
        prompter: Who is asked for what only a person knows; None: whoever is at the terminal.
            With ``BatchMode=yes`` nobody is.

    Raises:
        OptionError: An option, or a config file, holds something that cannot be used.
        LinkError: One of its kinds, by the cause.
    """
    _set_log_level(options.get("LogLevel"))
    _check_gssapi(options)
    resources = contextlib.AsyncExitStack()
    try:
        ssh = await _open(options, resources, prompter or TerminalPrompter())
    except BaseException:
        await resources.aclose()
        raise
    return Connection(ssh, resources)


def _set_log_level(level: str | None) -> None:
    """Have the library log as much as ``LogLevel``, ``-v`` or ``-q`` ask for."""
    if level is not None and level in _LOG_LEVELS:
        logging.getLogger("asyncssh").setLevel(_LOG_LEVELS[level])


def _check_gssapi(options: ConnectOptions) -> None:
    for keyword in NEEDS_GSSAPI:
        if options.get(keyword) == "yes" and not gss_available:
            raise OptionError(
                f"{keyword}=yes cannot be honoured: the package gssapi is not installed here",
                "pip install gssapi, or leave the option out",
            )


async def describe_connection(options: ConnectOptions) -> dict[str, str | int | list[str]]:
    """Say where a connection would lead, by the options and the config files; connects to nothing.

    Raises:
        OptionError: An option, or a config file, holds something that cannot be used.
    """
    with config_files(options) as files:
        resolved = await _resolve_options(options, _arguments(options, files))
        own = await _own_keywords(options, files)
    policy = _policy(resolved, own)
    config = resolved.config
    return {
        "host": resolved.host,
        "port": resolved.port,
        "user": resolved.username,
        "jump hosts": [str(jump) for jump in parse_jumps(cast("str", resolved.tunnel or "none"))],
        "keys": cast("list[str]", config.get("IdentityFile", [])) or ["agent and default keys"],
        "host keys": policy.files,
        "checking": policy.strict,
        "keepalive": f"{resolved.keepalive_interval:g} s, {resolved.keepalive_count_max} times",
    }


async def _open(
    options: ConnectOptions,
    resources: contextlib.AsyncExitStack,
    prompter: Prompter,
    through: asyncssh.SSHClientConnection | None = None,
    depth: int = 0,
) -> asyncssh.SSHClientConnection:
    """Connect to a host, first to its jump hosts.

    Args:
        options: Where to connect to, and how.
        resources: Collects what is to be closed in the end.
        prompter: Who is asked.
        through: The jump host before this one, which then needs no other way.
        depth: How many hosts have led to this one, each by its own configuration.
    """
    if depth > MAX_JUMPS:
        raise OptionError(f"more than {MAX_JUMPS} jump hosts on the way", "look for a circle")
    with config_files(options) as files:
        arguments = _arguments(options, files)
        resolved = await _resolve_options(options, arguments)
        own = await _own_keywords(options, files)
        if own.is_batch:
            prompter = RefusingPrompter(BATCH_MODE)
        if through is None:
            for jump in parse_jumps(cast("str", resolved.tunnel or "none")):
                # As with ssh -J: the options given for the target are not those of the hosts on the way.
                hop = ConnectOptions(
                    host=jump.host, user=jump.user, port=jump.port, config_file=options.config_file
                )
                through = await _open(hop, resources, prompter, through, depth + 1)
        attempt = _Attempt(options, resolved, arguments, own, prompter, through)
        return await attempt.connect(resources)


async def _own_keywords(options: ConnectOptions, files: list[str]) -> OwnKeywords:
    try:
        return await read_own_keywords(options, files)
    except _CONFIG_ERRORS as error:
        raise OptionError(f"the SSH options of {options.host}: {error}") from error


def _arguments(options: ConnectOptions, files: list[str]) -> dict[str, Any]:
    arguments: dict[str, Any] = {"config": files}
    if options.user is not None:
        arguments["username"] = options.user
    if options.port is not None:
        arguments["port"] = options.port
    return arguments


async def _resolve_options(
    options: ConnectOptions, arguments: dict[str, Any]
) -> asyncssh.SSHClientConnectionOptions:
    """Let the library read the options and the config files for this host."""
    try:
        # Declared as Any by the library.
        resolved: asyncssh.SSHClientConnectionOptions = (
            await asyncssh.SSHClientConnectionOptions.construct(
                host=options.host, client_keys=None, **arguments
            )
        )
    except _CONFIG_ERRORS as error:
        raise OptionError(f"the SSH options of {options.host}: {error}") from error
    except OSError as error:
        raise OptionError(f"cannot read {error.filename}: {error.strerror}") from error
    return resolved


@dataclass(frozen=True)
class _Way:
    """What carries a connection: the library's arguments for it, and the command behind it, if it is one."""

    arguments: dict[str, Any]
    proxy: ProxyCommand | None = None


async def _find_way(
    options: ConnectOptions,
    resolved: asyncssh.SSHClientConnectionOptions,
    through: asyncssh.SSHClientConnection | None,
    resources: contextlib.AsyncExitStack,
) -> _Way:
    """Open what is to carry the connection; compress it where that pays and nobody has decided."""
    undecided = resolved.config.get("Compression") is None
    far = {"compression_algs": _COMPRESSED} if undecided else {}
    if through is not None:
        return _Way({"tunnel": through, **far})
    direct = {"tunnel": None, "proxy_command": None}
    command = _proxy_command(options, resolved)
    if command is not None:
        proxy = await start_proxy_command(command)
        resources.push_async_callback(proxy.aclose)
        return _Way({**direct, "sock": proxy.sock, **far}, proxy)
    seconds = cast("int | None", resolved.config.get("ConnectTimeout"))
    tcp = await open_tcp(
        resolved.host,
        resolved.port,
        family=resolved.family,
        local_address=cast("tuple[str, int] | None", resolved.local_addr),
        timeout=CONNECT_TIMEOUT if seconds is None else seconds or None,
        attempts=int(options.get("ConnectionAttempts") or 1),
    )
    resources.callback(tcp.sock.close)
    return _Way({**direct, "sock": tcp.sock, **(far if tcp.round_trip > NEAR else {})})


def _proxy_command(
    options: ConnectOptions, resolved: asyncssh.SSHClientConnectionOptions
) -> str | None:
    """Give the ProxyCommand, its tokens filled in.

    For one that is given as an option the library would do that before it has read the config files.
    """
    given = options.get("ProxyCommand")
    if given is None:
        return cast("str | None", resolved.config.get("ProxyCommand"))
    tokens = {
        "%": "%",
        "h": resolved.host,
        "n": options.host,
        "p": str(resolved.port),
        "r": resolved.username,
    }
    return None if given == "none" else fill_in(given, tokens)


@dataclass(frozen=True)
class _Attempt:
    """All that one connection is made of, apart from what carries it."""

    options: ConnectOptions
    resolved: asyncssh.SSHClientConnectionOptions
    arguments: dict[str, Any]
    own: OwnKeywords
    prompter: Prompter
    through: asyncssh.SSHClientConnection | None

    async def connect(self, resources: contextlib.AsyncExitStack) -> asyncssh.SSHClientConnection:
        """Connect; once more after a person has accepted the host's key, which the library wants decided at once."""
        policy = _policy(self.resolved, self.own)
        try:
            return await self._connect(policy, resources)
        except HostKeyError:
            if not policy.is_in_question:
                raise
        # No connection stands while the person compares: no patience of the host's ends.
        await policy.confirm(self.prompter)
        return await self._connect(policy, resources)

    async def _connect(
        self, policy: HostKeyPolicy, resources: contextlib.AsyncExitStack
    ) -> asyncssh.SSHClientConnection:
        async with contextlib.AsyncExitStack() as carrying:
            way = await _find_way(self.options, self.resolved, self.through, carrying)
            ssh = await self._log_in(policy, way)
            carrying.push_async_callback(_close, ssh)
            resources.push_async_callback(carrying.pop_all().aclose)
        return ssh

    async def _log_in(self, policy: HostKeyPolicy, way: _Way) -> asyncssh.SSHClientConnection:
        resolved = self.resolved
        where = f"{resolved.host} port {resolved.port}"
        keys = key_files(self.options, resolved)
        certificates = cast("list[str]", resolved.config.get("CertificateFile", []))
        client = LoginClient(
            policy,
            f"{resolved.username}@{resolved.host}",
            self.prompter,
            locked=find_locked_keys(keys or default_keys(), certificates),
            attempts=self.own.prompts,
        )
        connecting = asyncssh.connect(
            self.options.host,
            known_hosts=policy.files or b"",
            client_factory=lambda: client,
            connect_timeout=None,
            login_timeout=0,
            ignore_encrypted=True,  # the agent may hold what they lock
            **(self.arguments | ({"client_keys": keys} if keys else {})),
            **way.arguments,
        )
        try:
            return await _in_time(connecting, client.person, where)
        except asyncssh.HostKeyNotVerifiable as error:
            raise policy.error(error.reason) from error
        except (asyncssh.Error, OSError, *_CONFIG_ERRORS) as error:
            if way.proxy is not None and way.proxy.complaint:
                where += f" (by a ProxyCommand that says: {way.proxy.complaint})"
            raise explain_failure(error, where, client, keys) from error


async def _in_time(
    connecting: Awaitable[asyncssh.SSHClientConnection],
    person: asyncio.Event,
    where: str,
) -> asyncssh.SSHClientConnection:
    """Wait for a connection, not too long unless a person takes part."""
    login = asyncio.ensure_future(connecting)
    waiting = asyncio.create_task(person.wait(), name="person")
    try:
        await asyncio.wait(
            {login, waiting}, timeout=LOGIN_TIMEOUT, return_when=asyncio.FIRST_COMPLETED
        )
        if not login.done() and not waiting.done():
            raise UnreachableError(f"{where} has not let us log in within {LOGIN_TIMEOUT:g} s")
        return await login
    finally:
        login.cancel()
        waiting.cancel()
        await asyncio.wait({login, waiting})


def _policy(resolved: asyncssh.SSHClientConnectionOptions, own: OwnKeywords) -> HostKeyPolicy:
    config = resolved.config
    user_files = config.get("UserKnownHostsFile", DEFAULT_USER_FILES)
    global_files = config.get("GlobalKnownHostsFile", DEFAULT_GLOBAL_FILES)
    return HostKeyPolicy(
        host=resolved.host_key_alias or resolved.host,
        port=resolved.port,
        strict=own.strict,
        user_files=cast("list[str]", user_files),
        global_files=cast("list[str]", global_files),
        hash_names=own.hash_names,
    )
