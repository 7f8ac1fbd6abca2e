"""A connection of the program ``ssh``: a ControlMaster, the user's own or one that ends with us, and its commands."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from dataclasses import dataclass, replace

from xpm_remote.errors import LinkError, LinkLostError, OptionError, StartError
from xpm_remote.link.connection import Connection, SessionRefused, Sharing
from xpm_remote.link.course import Course
from xpm_remote.link.key_files import is_locked
from xpm_remote.link.known_hosts import KnownHosts, key_at, read_known_hosts
from xpm_remote.link.negotiation import KINDS
from xpm_remote.link.observer import UNOBSERVED, Observer
from xpm_remote.link.openssh_engine.arguments import command_arguments, master_arguments
from xpm_remote.link.openssh_engine.errors import (
    Evidence,
    changed_key_warning,
    login_error,
    offending_key,
)
from xpm_remote.link.openssh_engine.masters import (
    find_lent,
    folder_prefix,
    is_master_alive,
    socket_folder,
)
from xpm_remote.link.openssh_engine.session import OpensshSession
from xpm_remote.link.openssh_engine.stderr_parser import StderrParser, StepParser
from xpm_remote.link.options.connect_options import ConnectOptions
from xpm_remote.link.prompts import BATCH_MODE, Prompter, RefusingPrompter, TerminalPrompter
from xpm_remote.link.remote.startup import RemoteExit
from xpm_remote.link.ssh_config.files import located, with_home
from xpm_remote.link.ssh_config.reader import read_for_openssh, read_jump_hosts, require_ssh
from xpm_remote.link.ssh_config.text import SshConfig
from xpm_remote.link.waits import DEFAULT_LIMITS, NEAR, Limits, Wait

log = logging.getLogger(__name__)

_round_trips: dict[str, float] = {}
"""Seconds that the last TCP connection took, by host and port: ssh is told whether to compress before it connects."""

GRACE = 1.0
"""Seconds after a limit of ``ssh`` itself until we end it: its own words tell more. That of OpenSSH 10 does not hold
while a host sends lines in the place of its greeting."""

PERSON_TIME = 600.0
"""Seconds for what may take a person whom only ``ssh`` sees, at a jump host or a page to sign in: most hosts themselves
wait two minutes for a login, such pages ten."""


class _Master(OpensshSession):
    """An ``ssh`` that carries the commands of others."""

    @property
    def has_begun(self) -> bool:
        """Whether it carries commands."""
        return self.stderr_parser.is_master


class _Command(OpensshSession):
    """An ``ssh`` that runs a command by a ControlMaster.

    Args:
        connection: The connection, released with the session.
        where: Host and port.
    """

    def __init__(self, connection: OpensshConnection, where: str) -> None:
        super().__init__(None, StepParser(UNOBSERVED, where, time.monotonic), where)
        self._connection = connection
        self._is_closed = False

    @property
    def exit(self) -> RemoteExit:
        """The end of the process; what a ControlMaster does not pass on is in its own words."""
        ended = super().exit
        if ended.lost is None or not self.stderr_parser.is_master_lost:
            return ended
        if self._connection.has_signalled(self.stderr_parser.channel):
            return replace(ended, lost=None)
        return replace(ended, lost=self._connection.loss or ended.lost)

    async def aclose(self, *, by_force: bool = False) -> None:
        """End ``ssh`` if it still runs, and release the connection."""
        if self._is_closed:
            return
        self._is_closed = True
        if not by_force and not self.has_ended:
            self._connection.is_silent = True  # it was asked to end before
        try:
            await super().aclose(by_force=by_force)
        finally:
            await self._connection.release_process(by_force=by_force)


class OpensshConnection(Connection):
    """A ControlMaster that leads to the host.

    Args:
        login: The parts of its login.
        path: Its socket.
        master: Its process; None if it is the user's own, which goes on without us.
        resources: What ends with it.
    """

    def __init__(
        self,
        login: _Login,
        path: str,
        master: _Master | None = None,
        resources: contextlib.AsyncExitStack | None = None,
    ) -> None:
        super().__init__()
        self.is_own = master is not None
        self._login = login
        self._path = path
        self._master = master
        self._resources = resources or contextlib.AsyncExitStack()
        self._is_lost = False

    @property
    def loss(self) -> str | None:
        """Why the connection was lost, in the words of its ``ssh``; None if that is not known."""
        master = self._master
        return master.exit.lost if master is not None and master.has_ended else None

    def has_signalled(self, channel: int | None) -> bool:
        """Return whether the command of a channel was ended by a signal, as far as is known."""
        return self._master is not None and channel in self._master.stderr_parser.signalled

    @property
    def _is_alive(self) -> bool:
        has_ended = self._master is not None and self._master.has_ended
        return not self._is_lost and not has_ended

    async def _run(self, command: str) -> _Command:
        login = self._login
        session = _Command(self, login.config.where)
        try:
            arguments = command_arguments(login.options, login.config, self._path, command)
            await session.start(login.program, arguments)
            await session.wait_logged_in()
        except BaseException:
            # The caller releases the connection.
            await OpensshSession.aclose(session, by_force=True)
            raise
        parser = session.stderr_parser
        if session.has_begun:
            return session  # the command has just been sent; its start is not waited for
        await OpensshSession.aclose(session, by_force=True)
        if parser.is_full:
            raise SessionRefused(parser.refusal)
        self._is_lost = True
        why = self.loss or Evidence("", "", parser.stderr).words
        raise LinkLostError(f"the connection broke before the command ran: {why}")

    async def _close(self, *, by_force: bool) -> None:
        await self._resources.aclose()


@dataclass(frozen=True)
class _Login:
    """The parts of one login."""

    program: str
    options: ConnectOptions
    config: SshConfig
    prompter: Prompter
    known_hosts: KnownHosts
    limits: Limits

    @property
    def is_batch(self) -> bool:
        """Whether no one can be asked."""
        refuses = isinstance(self.prompter, RefusingPrompter)
        return refuses or self.prompter.obstacle is not None

    @property
    def timeout(self) -> float:
        """Seconds to reach the host."""
        timeout = self.options.get("ConnectTimeout") or self.config.get("ConnectTimeout")
        return float(timeout) if timeout and timeout != "none" else self.limits.connect

    def follow(self, course: Course, wait: Wait | None, *, has_shown: bool = False) -> None:
        """Begin a wait; without an end where ``ssh`` asks a person.

        Args:
            course: Follows it.
            wait: What is waited for; None: ssh may ask.
            has_shown: Whether the host has shown something, perhaps where to sign in.
        """
        if wait is None:
            if not self.is_batch:
                course.leave()
            return
        where, limit, grace = self.config.where, self.limits.of(wait), 0.0
        if wait is Wait.RESOLVE:
            where = self.config.get("Hostname") or where
        elif wait in (Wait.TCP, Wait.GREETING):
            limit, grace = self.timeout, GRACE
        elif wait is Wait.LOGIN and has_shown and not self.is_batch:
            limit = PERSON_TIME
        carriers = (*self.config.jumps, *filter(None, [self.config.get("ProxyCommand")]))
        if wait is Wait.GREETING and carriers:
            where += f" by {', '.join(carriers)}"
            if not self.is_batch:
                limit, grace = PERSON_TIME, 0.0  # what carries the connection may ask
        course.enter(wait, limit, where, grace)

    def error(self, parser: StderrParser) -> LinkError | OptionError:
        """Return the error for its failure."""
        evidence = self.evidence(parser)
        if evidence.wanted:
            evidence = replace(evidence, obstacle=self.prompter.obstacle)
        return login_error(evidence)

    def evidence(self, parser: StderrParser) -> Evidence:
        """Return the facts about it."""
        identities = [with_home(name) for name in self.config.get_all("IdentityFile")]
        return Evidence(
            where=self.config.where,
            host_key_name=self.config.host_key_name,
            said=parser.stderr,
            is_connecting=parser.is_connecting,
            is_served=parser.is_served,
            jumps=() if parser.is_greeted else self.config.jumps,
            timeout=self.timeout,
            strict=self.config.get("StrictHostKeyChecking") or "",
            fingerprint=parser.fingerprint,
            known=key_at(offending_key(parser.stderr)),
            known_hosts=self.known_hosts,
            locked=tuple(name for name in identities if self.is_batch and is_locked(name)),
            is_batch=self.config.get("BatchMode") == "yes",
            algorithms={name: _names(self.config.get(name)) for name in KINDS},
        )

    def check(self, master: OpensshSession) -> None:
        """Raise the error of a login that has failed; tell of a changed host key that was accepted."""
        parser = master.stderr_parser
        warning = changed_key_warning(self.evidence(parser))
        if warning is not None:
            log.warning("%s", warning)
        if not master.has_ended:
            return
        if not parser.is_logged_in:
            raise self.error(parser)
        ended = master.exit
        if ended.is_refused:
            is_path = (ended.lost or "").startswith(("unix_listener", "ControlPath"))
            hint = "make the directory of ControlPath, or set ControlPath=none" if is_path else ""
            raise StartError(f"the host, or ssh, refuses to run a command: {ended.lost}", hint)
        if ended.lost is not None:
            raise LinkLostError(f"the connection broke after the login: {ended.lost}")


def _names(value: str | None) -> tuple[str, ...]:
    return tuple(value.split(",")) if value else ()


async def open_by_openssh(
    options: ConnectOptions,
    prompter: Prompter | None,
    observer: Observer = UNOBSERVED,
    limits: Limits = DEFAULT_LIMITS,
    sharing: Sharing = Sharing.USERS,
) -> OpensshConnection:
    """Connect and log in, unless a ControlMaster of the user's, or of another program of ours, has done it.

    Args:
        options: The host and the options of the connection.
        prompter: Answers the host's questions; None: the terminal.
        observer: Receives the steps.
        limits: The seconds of each wait.
        sharing: With whom the connection is shared.

    Raises:
        OptionError: An option cannot be used, or there is no program ``ssh``.
        LinkError: The connection failed.
        StartError: ``ssh`` has logged in, and cannot share its connection.
    """
    login = await _read_login(options, prompter, limits)
    program, options, config = login.program, login.options, login.config
    course = Course(observer, config.where, limits)
    master: _Master

    def wait_for(wait: Wait | None) -> None:
        login.follow(course, wait, has_shown=master.has_shown)

    steps = StepParser(observer, config.where, time.monotonic, wait_for, is_locked)
    is_alone = sharing is Sharing.ALONE
    users = config.get("ControlPath") if config.has_control_path and not is_alone else None
    if users is not None and await is_master_alive(program, options):
        steps.leave_out_login()
        return OpensshConnection(login, users)
    prefix = folder_prefix(config, sharing)
    lent = await find_lent(program, options, prefix) if sharing is Sharing.BORROWS else None
    if lent is not None:
        steps.leave_out_login()
        return OpensshConnection(login, lent)
    makes_own = users is None or not _makes_master(options, config)
    async with contextlib.AsyncExitStack() as resources:
        folder = resources.enter_context(socket_folder(prefix)) if makes_own else ""
        path = f"{folder}/s" if makes_own else str(users)
        master = _Master(None if login.is_batch else login.prompter, steps, config.where)
        resources.push_async_callback(master.aclose, by_force=True)
        arguments = master_arguments(
            options,
            config,
            path if makes_own else None,
            is_batch=login.is_batch,
            connect_timeout=limits.connect,
            is_far=is_far(config),
            strict=_strict(config, login.known_hosts),
        )
        login.follow(course, Wait.RESOLVE)
        await master.start(program, arguments, folder)
        await course.carry(master.wait_logged_in())
        login.check(master)
        if steps.round_trip is not None:
            _round_trips[config.where] = steps.round_trip
        # With ControlPersist it goes on as a process of its own.
        if master.has_ended:
            return OpensshConnection(login, path)
        return OpensshConnection(login, path, master, resources.pop_all())


async def _read_login(options: ConnectOptions, prompter: Prompter | None, limits: Limits) -> _Login:
    """Return the parts of a login: what ``ssh`` reads of its config files, and what is known of the hosts."""
    program = require_ssh()
    options = located(options)
    if (options.get("LogLevel") or "").startswith("DEBUG"):
        log.setLevel(logging.DEBUG)
    config = await read_for_openssh(program, options)
    if config.get("BatchMode") == "yes":
        prompter = RefusingPrompter(BATCH_MODE)
    known_hosts = read_known_hosts(config.host_key_name, config.known_hosts_files)
    known_hosts.check_revocations()
    for jump in await read_jump_hosts(program, options, config):
        _check_jump_host(jump)
    return _Login(program, options, config, prompter or TerminalPrompter(), known_hosts, limits)


def is_far(config: SshConfig) -> bool:
    """Return whether compression pays: not to this machine, nor where the last connection was made in no time."""
    if config.jumps or config.get("ProxyCommand"):
        return True
    host = config.get("Hostname") or ""
    is_here = host in ("localhost", "::1") or host.startswith("127.")
    return not is_here and _round_trips.get(config.where, math.inf) > NEAR


def _makes_master(options: ConnectOptions, config: SshConfig) -> bool:
    """Return whether ``ssh`` makes the ControlMaster that others of the user's can share.

    That of a config file must have a life of its own (ControlPersist): else it would end theirs when it ends with us.
    """
    if options.get("ControlMaster") is None and config.get("ControlPersist") in (None, "no"):
        return False
    return config.get("ControlMaster") not in (None, "false", "no")


def _check_jump_host(config: SshConfig) -> None:
    """Check that ssh will check a jump host's key.

    Raises:
        HostKeyError: A line about it cannot be read, so that ssh might take its key for a new one.
    """
    known_hosts = read_known_hosts(config.host_key_name, config.known_hosts_files)
    known_hosts.check_revocations()
    if known_hosts.flaws and config.get("StrictHostKeyChecking") not in ("yes", "true"):
        raise known_hosts.flaw_error()


def _strict(config: SshConfig, known_hosts: KnownHosts) -> str | None:
    """Return the ``StrictHostKeyChecking`` that is needed to have ssh refuse what it would let pass, or None."""
    if known_hosts.flaws:
        return "yes"  # ssh would take a line that it cannot read for none
    is_off = config.get("StrictHostKeyChecking") in ("no", "false", "off")
    return "accept-new" if is_off and known_hosts.revoked else None
