"""What is waited for on the way to a host's first answer: names, limits, and the errors at their ends. Pure."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from xpm_remote.errors import (
    RemoteTimeoutError,
    ResolveError,
    StalledError,
    UnreachableError,
    XpmRemoteError,
)

WAIT_SHOWN = 5.0
"""Seconds after which what is waited for is told."""

NEAR = 0.002
"""Seconds of a round trip up to which compression costs more time than it saves; our JSON shrinks to a tenth."""

START_TIMEOUT = 30.0
"""Seconds for the login files, for ``shell_init``, and for finding the workspace, each, unless ``--start-timeout`` says
otherwise: modules load and file systems mount slowly on a login node."""


class Wait(str, Enum):
    """What is waited for, in order, as the beginning of a phrase that a host ends."""

    RESOLVE = "the address of"
    TCP = "a TCP connection to"
    GREETING = "the SSH greeting of"
    KEY_EXCHANGE = "the key exchange with"
    LOGIN = "the login to"
    COMMAND = "the start of a command on"
    LOGIN_FILES = "the login files of"
    SHELL_INIT = "the end of shell_init on"
    PROGRAMS = "the examination of the programs on"
    WORKSPACE = "the search for the workspace on"
    ANSWER = "the first answer of what serves the workspace on"

    @property
    def why(self) -> str:
        """What the wait prevents."""
        if self is Wait.ANSWER:
            return "the remote side does not answer"
        if self in (Wait.COMMAND, Wait.LOGIN_FILES, Wait.SHELL_INIT, Wait.PROGRAMS, Wait.WORKSPACE):
            return "the remote shell is not ready"
        return "the host is not connected"


class Limits(NamedTuple):
    """Seconds after which each wait ends as an error.

    Attributes:
        resolve: For the addresses of a name: the resolver asks several servers, each several times.
        connect: For TCP, and again for the server's greeting, unless ConnectTimeout says otherwise: a slow network, not
            a dead one.
        key_exchange: For keys and the host's proof: a few round trips, and seconds of a small machine.
        login: For the login, as in sshd's LoginGraceTime, while no person takes part: a second factor may be a
            telephone in another room, and the host has a limit of its own.
        command: For a channel and the start of the shell.
        start: For the login files, for ``shell_init``, and for finding the workspace.
        answer: For the greeting of our agent, from the bundle on: usually a tenth of one, but several on a login node
            with busy disks.
    """

    resolve: float = 20.0
    connect: float = 20.0
    key_exchange: float = 30.0
    login: float = 120.0
    command: float = 30.0
    start: float = START_TIMEOUT
    answer: float = 60.0

    def of(self, wait: Wait) -> float:
        """Return the limit of a wait."""
        return {
            Wait.RESOLVE: self.resolve,
            Wait.TCP: self.connect,
            Wait.GREETING: self.connect,
            Wait.KEY_EXCHANGE: self.key_exchange,
            Wait.LOGIN: self.login,
            Wait.COMMAND: self.command,
            Wait.ANSWER: self.answer,
        }.get(wait, self.start)


DEFAULT_LIMITS = Limits()

Said = Callable[[], str]
"""Returns what the host has printed last; empty if nothing."""


def nothing_said() -> str:
    """Return nothing: no command runs there yet."""
    return ""


class CurrentWait(NamedTuple):
    """What is waited for now.

    Attributes:
        wait: The wait.
        where: The host.
        since: When it began, in local epoch seconds.
        said: What the host has printed last.
    """

    wait: Wait
    where: str
    since: float
    said: Said = nothing_said

    @property
    def words(self) -> str:
        """What is waited for, with what the host has printed."""
        said = self.said()
        printed = f", which says: {said}" if said else ""
        return f"{self.wait.value} {self.where}{printed}"

    def late(self, seconds: float) -> XpmRemoteError:
        """Return the error for a wait that has reached its limit."""
        error, what, hint = _LATE[self.wait]
        said = self.said()
        printed = f"; it says: {said}" if said else ""
        return error(f"{what.format(where=self.where)} within {seconds:g} s{printed}", hint)


_NETWORK = "check host, port, network, or the VPN"
_RAISE = "or raise --start-timeout"


def _late_start(what: str, hint: str) -> RemoteTimeoutError:
    return RemoteTimeoutError(what, hint, at_start=True)


def _stalled(what: str, hint: str) -> StalledError:
    return StalledError(what, hint, at_start=True)


_LATE: dict[Wait, tuple[Callable[[str, str], XpmRemoteError], str, str]] = {
    Wait.RESOLVE: (
        ResolveError,
        "the host name {where} cannot be resolved: no answer",
        "check its spelling, the network, or the VPN",
    ),
    Wait.TCP: (UnreachableError, "cannot connect to {where}: no answer", _NETWORK),
    Wait.GREETING: (
        UnreachableError,
        "cannot connect to {where}: no SSH greeting",
        "check the port: what listens there may be no SSH server, or a busy one",
    ),
    Wait.KEY_EXCHANGE: (
        UnreachableError,
        "{where} has not finished the key exchange",
        "the host may be busy, or the network may lose large packets: try again, or from another network",
    ),
    Wait.LOGIN: (
        UnreachableError,
        "{where} has not let us log in",
        "the host may be busy, or what knows its accounts may not answer: try again later",
    ),
    Wait.COMMAND: (
        _late_start,
        "{where} has not started a command",
        "the host may be busy: try again later",
    ),
    Wait.LOGIN_FILES: (
        _late_start,
        "the login files of {where} have not ended",
        "look in them (.bashrc, .zshenv, .cshrc, ...) for what reads its input or starts another shell, such as"
        f" read or exec, and let it run on a terminal only; {_RAISE}",
    ),
    Wait.SHELL_INIT: (
        _late_start,
        "shell_init has not ended on {where}",
        f"look in it for what waits, {_RAISE}",
    ),
    Wait.PROGRAMS: (
        _late_start,
        "the programs of {where} have not told their versions",
        f"look at the file systems of the PATH there, {_RAISE}",
    ),
    Wait.WORKSPACE: (
        _stalled,
        "{where} has not found the workspace",
        f"look at that file system on the host, {_RAISE}",
    ),
    Wait.ANSWER: (
        _late_start,
        "what serves the workspace on {where} has not answered",
        "look at the load of the host, and at its python",
    ),
}
