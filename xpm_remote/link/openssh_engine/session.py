"""A command on a host, run by the program ``ssh`` of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from xpm_remote.errors import LinkError, OptionError
from xpm_remote.escaping import safe
from xpm_remote.link.course import Course
from xpm_remote.link.key_files import is_locked
from xpm_remote.link.known_hosts import KnownHosts, key_at, read_known_hosts
from xpm_remote.link.negotiation import KINDS
from xpm_remote.link.observer import UNOBSERVED, Observer
from xpm_remote.link.openssh_engine.arguments import check_arguments, connect_arguments
from xpm_remote.link.openssh_engine.errors import (
    Evidence,
    changed_key_warning,
    is_refusal,
    is_revoked,
    login_error,
    offending_key,
)
from xpm_remote.link.openssh_engine.stderr_parser import StderrParser, StepParser
from xpm_remote.link.options.connect_options import ConnectOptions
from xpm_remote.link.process import DRAIN_TIME, RemoteProcess
from xpm_remote.link.prompts import (
    BATCH_MODE,
    Prompter,
    RefusingPrompter,
    TerminalPrompter,
    tell_once,
)
from xpm_remote.link.remote.startup import RemoteExit
from xpm_remote.link.ssh_config.files import located
from xpm_remote.link.ssh_config.reader import read_for_openssh, require_ssh, run_ssh
from xpm_remote.link.ssh_config.text import SshConfig
from xpm_remote.link.waits import DEFAULT_LIMITS, NEAR, Limits, Wait
from xpm_remote.waiting import wait_within

CHECK_TIMEOUT = 2.0
"""Seconds for a ControlMaster, a process of this machine, to answer."""


async def is_master_alive(program: str, options: ConnectOptions) -> bool:
    """Return whether a ControlMaster that leads to the host answers."""
    done = await run_ssh(program, check_arguments(options), CHECK_TIMEOUT)
    return done is not None and done[0] == 0


log = logging.getLogger(__name__)

_round_trips: dict[str, float] = {}
"""Seconds that the last TCP connection took, by host and port: ssh is told whether to compress before it connects."""

GRACE = 1.0
"""Seconds after a limit of ``ssh`` itself until we end it: its own words tell more."""

KILL_TIME = 2.0
"""Seconds for a killed process to end."""

SURVIVAL = 20
"""Seconds for ``ssh`` to end by itself after we were killed, when its stdin and the server's have ended."""

_STDIN, _STDOUT, _STDERR = 0, 1, 2

# The terminal sends its Ctrl-C to all processes: that would end the connection before we can end the remote side, so
# ssh ignores it. Whatever ssh is doing when we are killed (asking, waiting for a dead host), a shell ends it, which
# waits at the end of a pipe that we hold. A line in the pipe reports that ssh has ended by itself.
_GUARD = f"""\
trap '' INT QUIT
ssh=$$ life=$1
shift
{{
  read -r word || {{
    n=0
    while [ $n -lt {SURVIVAL} ] && kill -0 $ssh; do sleep 1; n=$((n + 1)); done
    kill $ssh && sleep 5 && kill -9 $ssh
  }}
}} <"$life" >/dev/null 2>&1 &
exec "$@"
"""


class OpensshSession(RemoteProcess, asyncio.SubprocessProtocol):
    """A running ``ssh``.

    Args:
        prompter: Shows the host's texts until the login is done.
        steps: Reads the progress of ``ssh``.
        where: Host and port.

    Attributes:
        stderr_parser: Reads the stderr of ``ssh``.
    """

    def __init__(self, prompter: Prompter | None, steps: StepParser, where: str) -> None:
        super().__init__()
        self.stderr_parser = StderrParser()
        self._prompter = prompter
        self._steps = steps
        self._where = where
        self._process: asyncio.SubprocessTransport | None = None
        self._life: int | None = None
        self._logged_in = asyncio.Event()
        self._is_paused = False
        self._open = {_STDOUT, _STDERR}
        self._exited = asyncio.Event()

    @property
    def exit(self) -> RemoteExit:
        """The end of the process."""
        status = None if self._process is None else self._process.get_returncode()
        return self.stderr_parser.exit(0 if status is None else status)

    async def start(self, program: str, arguments: list[str]) -> None:
        """Start the program, and a shell that ends it if we are killed."""
        end, self._life = os.pipe()
        guarded = ("/bin/sh", "-c", _GUARD, "sh", f"/dev/fd/{end}", program, *arguments)
        try:
            await asyncio.get_running_loop().subprocess_exec(
                lambda: self, *guarded, pass_fds=(end,)
            )
        finally:
            os.close(end)

    async def wait_logged_in(self) -> None:
        """Wait until the remote command runs or ``ssh`` has ended."""
        await self._logged_in.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the process."""
        self._process = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Read output."""
        if fd == _STDOUT:
            self._logged_in.set()
            self._take(data)
            return
        is_asking = self.stderr_parser.is_asking
        progress, _ = self.stderr_parser.feed(data)
        for line in progress:
            log.debug("%s", safe(line))
            self._steps.take(line)
        shown, self.stderr_parser.shown = self.stderr_parser.shown, []
        if shown and self._prompter is not None:
            if is_asking:
                self._prompter.tell("\n".join(shown))
            else:
                banner = (line for line in shown if not is_refusal(line))
                tell_once(self._prompter, self._where, "\n".join(banner))
        if not self._logged_in.is_set() and is_revoked(self.stderr_parser.stderr):
            self.terminate()
        elif self.stderr_parser.is_sent:
            self._logged_in.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Record the end of an output."""
        self._open.discard(fd)
        self._end_if_drained()

    def process_exited(self) -> None:
        """Record the end of ``ssh``; its last output may still arrive."""
        self._dismiss_guard()
        self._exited.set()
        self._end_if_drained()
        asyncio.get_running_loop().call_later(DRAIN_TIME, self._stop_draining)

    def send(self, data: bytes) -> None:
        """Send bytes to the process."""
        stdin = self._stdin
        if stdin is not None and not stdin.is_closing():
            stdin.write(data)

    def close_stdin(self) -> None:
        """Send the end of the input."""
        stdin = self._stdin
        if stdin is not None:
            stdin.close()

    def terminate(self) -> None:
        """Send SIGTERM to ``ssh``, which ends the channel."""
        self._signal(signal.SIGTERM)

    async def aclose(self, *, by_force: bool = False) -> None:
        """End ``ssh`` if it still runs.

        A ControlMaster that it has started stays alive, by ControlPersist.
        """
        if by_force:
            self.terminate()
            await self._wait_exited(KILL_TIME)
        self._signal(signal.SIGKILL)
        await self._wait_exited(KILL_TIME)
        self._dismiss_guard()
        if self._process is not None:
            self._process.close()

    @property
    def _stdin(self) -> asyncio.WriteTransport | None:
        pipe = None if self._process is None else self._process.get_pipe_transport(_STDIN)
        return cast("asyncio.WriteTransport | None", pipe)

    @property
    def _stdout(self) -> asyncio.ReadTransport | None:
        pipe = None if self._process is None else self._process.get_pipe_transport(_STDOUT)
        return cast("asyncio.ReadTransport | None", pipe)

    def _pause(self) -> None:
        if self._stdout is not None and not self._is_paused:
            self._is_paused = True
            self._stdout.pause_reading()

    def _resume(self) -> None:
        if self._stdout is not None and self._is_paused:
            self._is_paused = False
            self._stdout.resume_reading()

    def _end_if_drained(self) -> None:
        if self._exited.is_set() and not self._open:
            self._logged_in.set()
            self._end()

    def _stop_draining(self) -> None:
        """Stop waiting for output, unless we have paused it."""
        if self._is_paused:
            asyncio.get_running_loop().call_later(DRAIN_TIME, self._stop_draining)
            return
        self._open.clear()
        self._end_if_drained()

    def _signal(self, number: int) -> None:
        if self._process is not None and not self._exited.is_set():
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _wait_exited(self, timeout: float) -> None:
        with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
            await wait_within(self._exited.wait(), timeout)

    def _dismiss_guard(self) -> None:
        """Tell the guard that ``ssh`` has ended."""
        if self._life is not None:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._life, b"ended\n")
            os.close(self._life)
            self._life = None


@dataclass(frozen=True)
class _Login:
    """The parts of one login."""

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

    def follow(self, course: Course, wait: Wait | None) -> None:
        """Begin a wait; without an end where a person may take part, whom only ``ssh`` sees."""
        if wait is None:
            if not self.is_batch:
                course.leave()
            return
        where, limit = self.config.where, self.limits.of(wait)
        if wait is Wait.RESOLVE:
            where = self.config.get("Hostname") or where
        elif wait in (Wait.TCP, Wait.GREETING):
            limit = self.timeout + GRACE
        elif wait is Wait.LOGIN and not self.is_batch:
            limit = math.inf  # ssh shows the person where to sign in, but not us
        carriers = (*self.config.jumps, *filter(None, [self.config.get("ProxyCommand")]))
        if wait is Wait.GREETING and carriers:
            where += f" by {', '.join(carriers)}"
            limit = limit if self.is_batch else math.inf  # what carries the connection may ask
        course.enter(wait, limit, where)

    def error(self, parser: StderrParser) -> LinkError | OptionError:
        """Return the error for its failure."""
        evidence = self.evidence(parser)
        if evidence.wanted:
            evidence = replace(evidence, obstacle=self.prompter.obstacle)
        return login_error(evidence)

    def evidence(self, parser: StderrParser) -> Evidence:
        """Return the facts about it."""
        identities = [str(Path(name).expanduser()) for name in self.config.get_all("IdentityFile")]
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


def _names(value: str | None) -> tuple[str, ...]:
    return tuple(value.split(",")) if value else ()


async def start_by_openssh(
    options: ConnectOptions,
    command: str,
    prompter: Prompter | None,
    observer: Observer = UNOBSERVED,
    limits: Limits = DEFAULT_LIMITS,
    first: bytes = b"",
) -> OpensshSession:
    """Connect, log in and run a command.

    Args:
        options: The host and the options of the connection.
        command: The remote command line.
        prompter: Answers the host's questions; None: the terminal.
        observer: Receives the steps.
        limits: The seconds of each wait.
        first: Sent with the command.

    Raises:
        OptionError: An option cannot be used, or there is no program ``ssh``.
        LinkError: The connection failed.
    """
    program = require_ssh()
    options = located(options)
    if (options.get("LogLevel") or "").startswith("DEBUG"):
        log.setLevel(logging.DEBUG)
    config = await read_for_openssh(program, options)
    if config.get("BatchMode") == "yes":
        prompter = RefusingPrompter(BATCH_MODE)
    known_hosts = read_known_hosts(config.host_key_name, config.known_hosts_files)
    known_hosts.check_revocations()
    login = _Login(options, config, prompter or TerminalPrompter(), known_hosts, limits)
    course = Course(observer, config.where, limits)
    steps = StepParser(
        observer, config.where, time.monotonic, lambda wait: login.follow(course, wait)
    )
    session = OpensshSession(None if login.is_batch else login.prompter, steps, config.where)
    try:
        arguments = connect_arguments(
            options,
            config,
            command,
            is_batch=login.is_batch,
            connect_timeout=limits.connect,
            is_far=_is_far(config),
            strict=_strict(config, known_hosts),
        )
        login.follow(course, Wait.RESOLVE)
        await session.start(program, arguments)
        await course.carry(session.wait_logged_in())
        _check_login(session, login)
        if steps.round_trip is not None:
            _round_trips[config.where] = steps.round_trip
        session.send(first)  # ssh has just sent the command, and does not wait for its start either
    except BaseException:
        await session.aclose(by_force=True)
        raise
    return session


def _is_far(config: SshConfig) -> bool:
    """Return whether compression pays: not to this machine, nor where the last connection was made in no time."""
    if config.jumps or config.get("ProxyCommand"):
        return True
    host = config.get("Hostname") or ""
    is_here = host in ("localhost", "::1") or host.startswith("127.")
    return not is_here and _round_trips.get(config.where, math.inf) > NEAR


def _strict(config: SshConfig, known_hosts: KnownHosts) -> str | None:
    """Return the ``StrictHostKeyChecking`` that is needed to have ssh refuse what it would let pass, or None."""
    if known_hosts.flaws:
        return "yes"  # ssh would take a line that it cannot read for none
    is_off = config.get("StrictHostKeyChecking") in ("no", "false", "off")
    return "accept-new" if is_off and known_hosts.revoked else None


def _check_login(session: OpensshSession, login: _Login) -> None:
    """Raise the error of a login that has failed; tell of a changed host key that was accepted."""
    warning = changed_key_warning(login.evidence(session.stderr_parser))
    if warning is not None:
        log.warning("%s", warning)
    if not session.stderr_parser.is_logged_in and session.has_ended:
        raise login.error(session.stderr_parser)
