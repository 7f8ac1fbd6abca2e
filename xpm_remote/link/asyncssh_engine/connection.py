"""SSH connections through jump hosts, and their errors by cause."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import asyncssh
from asyncssh.gss import gss_available
from cryptography.utils import CryptographyDeprecationWarning

from xpm_remote.errors import HostKeyError, LinkError, OptionError
from xpm_remote.link.asyncssh_engine.algorithms import host_key_algorithms
from xpm_remote.link.asyncssh_engine.encodings import ERRORS
from xpm_remote.link.asyncssh_engine.host_keys import HostKeyPolicy
from xpm_remote.link.asyncssh_engine.keys import Keys, OpenedKeys, Unlocking, agent_keys, find_keys
from xpm_remote.link.asyncssh_engine.login import LoginClient, LoginWatch, explain_failure
from xpm_remote.link.asyncssh_engine.reaching import UNLIMITED, Reached
from xpm_remote.link.asyncssh_engine.resolution import (
    CONFIG_ERRORS,
    Resolution,
    report_once,
    resolve,
)
from xpm_remote.link.asyncssh_engine.session import AsyncsshConnection
from xpm_remote.link.asyncssh_engine.sockets import ProxyCommand, open_tcp, start_proxy_command
from xpm_remote.link.connection import CLOSE_TIMEOUT
from xpm_remote.link.course import Course, WaitsOnly
from xpm_remote.link.known_hosts import DEFAULT_GLOBAL_FILES, DEFAULT_USER_FILES, SSH_PORT
from xpm_remote.link.observer import UNOBSERVED, Observer, Step
from xpm_remote.link.options.connect_options import ConnectOptions
from xpm_remote.link.options.destination import parse_jumps
from xpm_remote.link.options.keywords import NEEDS_GSSAPI
from xpm_remote.link.prompts import BATCH_MODE, Prompter, RefusingPrompter, TerminalPrompter
from xpm_remote.link.refusals import last_words
from xpm_remote.link.ssh_config.effective import MAX_JUMPS
from xpm_remote.link.waits import DEFAULT_LIMITS, NEAR, Limits, Wait
from xpm_remote.waiting import wait_within

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


async def _close(ssh: asyncssh.SSHClientConnection) -> None:
    ssh.close()
    try:
        await wait_within(ssh.wait_closed(), CLOSE_TIMEOUT)
    except (TimeoutError, asyncio.TimeoutError):
        ssh.abort()
    except (OSError, asyncssh.Error):
        return  # it is closed already


async def open_connection(
    options: ConnectOptions,
    prompter: Prompter | None = None,
    observer: Observer = UNOBSERVED,
    opened: OpenedKeys | None = None,
    limits: Limits = DEFAULT_LIMITS,
    reached: Reached | None = None,
) -> AsyncsshConnection:
    """Connect and log in.

    Args:
        options: The host and the options of the connection.
        prompter: Answers the host's questions; None: the terminal. With ``BatchMode=yes`` none is asked.
        observer: Receives the steps of the connection.
        opened: Keys that a person has unlocked before; those that are unlocked now are added.
        limits: The seconds of each wait.
        reached: The host as far as it was reached before; None: not at all.

    Raises:
        OptionError: An option, or a config file, has a value that cannot be used.
        LinkError: The connection failed; the class says why.
    """
    _set_log_level(options.get("LogLevel"))
    # About algorithms that a host asks for and the person has allowed: nothing that they could mend here.
    warnings.filterwarnings("ignore", category=CryptographyDeprecationWarning)
    _check_gssapi(options)
    resources = contextlib.AsyncExitStack()
    try:
        keys = OpenedKeys() if opened is None else opened
        way = _Way(prompter or TerminalPrompter(), observer, keys, limits)
        ssh = await _open(options, resources, way, reached or Reached())
    except BaseException:
        await resources.aclose()
        raise
    return AsyncsshConnection(ssh, resources)


def _set_log_level(level: str | None) -> None:
    """Set the library's log level by ``LogLevel``, ``-v`` or ``-q``."""
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
    """Return the destination of a connection by the options and the config files, without connecting.

    Raises:
        OptionError: An option, or a config file, has a value that cannot be used.
    """
    async with resolve(options) as found:
        report_once(found.unsupported)
    policy = _policy(found)
    library = found.library
    return {
        "host": library.host,
        "port": library.port,
        "user": library.username,
        "jump hosts": [str(jump) for jump in parse_jumps(cast("str", library.tunnel or "none"))],
        "keys": found.identity_files or ["agent and default keys"],
        "host keys": policy.files,
        "checking": policy.strict,
        "keepalive": f"{library.keepalive_interval:g} s, {library.keepalive_count_max} times",
    }


@dataclass(frozen=True)
class _Way:
    """What all hosts on the way have in common.

    Attributes:
        prompter: Answers the hosts' questions.
        observer: Receives the steps and what is waited for.
        opened: Keys that a person has unlocked.
        limits: The seconds of each wait.
    """

    prompter: Prompter
    observer: Observer
    opened: OpenedKeys
    limits: Limits


async def _open(
    options: ConnectOptions,
    resources: contextlib.AsyncExitStack,
    way: _Way,
    reached: Reached,
    depth: int = 0,
) -> asyncssh.SSHClientConnection:
    """Connect to a host, first to its jump hosts.

    Args:
        options: The host and the options of the connection.
        resources: Collects what must be closed with the connection.
        way: What all hosts on the way have in common.
        reached: The host as far as it was reached before.
        depth: The number of connections for which this host is a jump host.
    """
    if depth > MAX_JUMPS:
        raise OptionError(f"more than {MAX_JUMPS} jump hosts on the way", "look for a circle")
    async with resolve(options, reached.reading) as found:
        report_once(found.unsupported)
        if depth == 0:
            _set_log_level(found.options.get("LogLevel"))
        if found.own.is_batch:
            way = replace(way, prompter=RefusingPrompter(BATCH_MODE))
        try:
            through = None
            if found.jump is not None:
                through = await _open(found.jump, resources, way, Reached(), depth + 1)
            named = replace(found, is_jump=depth > 0)
            return await _Attempt(named, way, through, reached).connect(resources)
        except LinkError as error:
            if found.own.is_batch:
                error.unanswered = ()  # the options refused them, not the caller's prompter
            raise


@dataclass(frozen=True)
class _Carrier:
    """What carries a connection: the library's arguments, the ProxyCommand if it is one, and who notes the greeting."""

    arguments: dict[str, Any]
    proxy: ProxyCommand | None = None
    greeted: Callable[[str], None] = lambda _: None


async def _open_carrier(
    found: Resolution,
    through: asyncssh.SSHClientConnection | None,
    resources: contextlib.AsyncExitStack,
    observer: Observer,
    course: Course,
    reached: Reached,
) -> _Carrier:
    """Open what carries the connection; compress where that pays, unless options or config files decide."""
    library = found.library
    undecided = library.config.get("Compression") is None
    far = {"compression_algs": _COMPRESSED} if undecided else {}
    if through is not None:
        _leave_out_tcp(observer, found, "the connection is carried by the jump host")
        course.enter(Wait.TCP, _connect_timeout(found))
        return _Carrier({"tunnel": through, **far})
    direct = {"tunnel": None, "proxy_command": None}
    command = found.proxy_command
    if command is not None:
        _leave_out_tcp(observer, found, f"the connection is carried by a command: {command}")
        proxy = await start_proxy_command(command)
        course.enter(Wait.GREETING, _connect_timeout(found), f"{found.named} by its ProxyCommand")
        resources.push_async_callback(proxy.aclose)
        return _Carrier({**direct, "sock": proxy.sock, **far}, proxy)
    tcp = reached.take_tcp() or await open_tcp(
        library.host,
        library.port,
        named=found.named,
        family=library.family,
        local_address=cast("tuple[str, int] | None", library.local_addr),
        course=course,
        timeout=_connect_timeout(found),
        attempts=int(found.options.get("ConnectionAttempts") or 1),
        observer=observer,
    )
    resources.callback(tcp.sock.close)
    course.enter(Wait.GREETING, _connect_timeout(found))

    def greeted(greeting: str) -> None:
        observer.note("greeting", greeting)
        observer.enter(Step.HOST_KEY, found.where)

    arguments = {**direct, "sock": tcp.sock, **(far if tcp.round_trip > NEAR else {})}
    return _Carrier(arguments, greeted=greeted)


def _connect_timeout(found: Resolution) -> float | None:
    """Return the seconds of ConnectTimeout; None if it is not set."""
    seconds = cast("int | None", found.library.config.get("ConnectTimeout"))
    return UNLIMITED if seconds == 0 else seconds


def _leave_out_tcp(observer: Observer, found: Resolution, why: str) -> None:
    for step in (Step.RESOLVE, Step.TCP):
        observer.leave_out(step, found.where, why)
    observer.enter(Step.HOST_KEY, found.where)


@dataclass(frozen=True)
class _Attempt:
    """All that one connection needs, except its carrier."""

    found: Resolution
    way: _Way
    through: asyncssh.SSHClientConnection | None
    reached: Reached

    async def connect(self, resources: contextlib.AsyncExitStack) -> asyncssh.SSHClientConnection:
        """Connect, and once more if an unknown host key is accepted: the library needs the decision at once."""
        policy = _policy(self.found)
        try:
            return await self._connect(policy, resources, self.way.observer)
        except HostKeyError:
            if not policy.is_in_question and not policy.is_change_allowed:
                raise
        if policy.is_change_allowed:
            policy.allow_change()
        else:
            # Without a connection meanwhile, so no limit of the host's ends it while the person compares.
            await policy.confirm(self.way.prompter)
        # Unobserved: the steps up to the host key have been recorded by the first connection.
        return await self._connect(policy, resources, WaitsOnly(self.way.observer))

    async def _connect(
        self, policy: HostKeyPolicy, resources: contextlib.AsyncExitStack, observer: Observer
    ) -> asyncssh.SSHClientConnection:
        async with contextlib.AsyncExitStack() as carrying:
            course = Course(observer, self.found.named, self.way.limits)
            carrier = await _open_carrier(
                self.found, self.through, carrying, observer, course, self.reached
            )
            ssh = await self._log_in(policy, carrier, course)
            carrying.push_async_callback(_close, ssh)
            resources.push_async_callback(carrying.pop_all().aclose)
        return ssh

    async def _log_in(
        self, policy: HostKeyPolicy, carrier: _Carrier, course: Course
    ) -> asyncssh.SSHClientConnection:
        found = self.found
        keys = find_keys(found.given, found.identity_files, found.certificates)
        async with agent_keys(found.agent) as held:
            return await self._log_in_with(keys, held, policy, carrier, course)

    async def _log_in_with(
        self,
        keys: Keys,
        held: Sequence[asyncssh.SSHKeyPair],
        policy: HostKeyPolicy,
        carrier: _Carrier,
        course: Course,
    ) -> asyncssh.SSHClientConnection:
        found, where = self.found, self.found.named
        client = LoginClient(
            policy,
            f"{found.library.username}@{found.library.host}",
            self.way.prompter,
            attempts=found.own.prompts,
            watch=LoginWatch(self.way.observer, found.where, policy.place),
            course=course,
            greeted=carrier.greeted,
            via="" if found.jump is None else found.jump.host,
        )
        course.said = lambda: last_words(client.said)
        arguments = found.arguments | keys.arguments(
            held,
            Unlocking(client.ask_passphrase, self.way.opened),
            only=bool(found.config("IdentitiesOnly")),
        )
        algorithms = host_key_algorithms(found.library)
        if algorithms is not None:
            # The library alone would offer only the kinds of known keys.
            arguments["server_host_key_algs"] = policy.order(algorithms)
        connecting = asyncssh.connect(
            found.options.host,
            known_hosts=policy.trusted,
            client_factory=lambda: client,
            connect_timeout=None,
            login_timeout=0,
            utf8_decode_errors=ERRORS,
            ignore_encrypted=True,  # the agent may hold what they lock
            **(arguments | policy.restrictions),
            **carrier.arguments,
        )
        try:
            return await course.carry(connecting)
        except asyncssh.HostKeyNotVerifiable as error:
            raise policy.error(error.reason) from error
        except (asyncssh.Error, OSError, *CONFIG_ERRORS) as error:
            if carrier.proxy is not None and carrier.proxy.complaint:
                where += f" (by a ProxyCommand that says: {carrier.proxy.complaint})"
            raise explain_failure(error, where, client, keys.private) from error


def _policy(found: Resolution) -> HostKeyPolicy:
    alias = found.library.host_key_alias
    return HostKeyPolicy(
        host=alias or found.library.host,
        # Keys are looked up by the alias alone, without the port.
        port=SSH_PORT if alias else found.library.port,
        strict=found.own.strict,
        user_files=cast("list[str]", found.config("UserKnownHostsFile", DEFAULT_USER_FILES)),
        global_files=cast("list[str]", found.config("GlobalKnownHostsFile", DEFAULT_GLOBAL_FILES)),
        hash_names=found.own.hash_names,
    )
