"""All errors that a command may end with, each with its exit code.

The tree::

    XpmRemoteError
    ├── UsageError               2  the command line does not fit together
    ├── SettingsError            3  settings.yaml cannot be used
    ├── WorkspaceError           4  no such workspace, or not one of the kind that is needed
    ├── OptionError              5  an SSH option is malformed or cannot be honoured
    ├── MissingPeerError         6  experimaestro itself is needed here and is not installed
    ├── OutputError              7  standard output cannot be written
    ├── LinkError
    │   ├── ResolveError        10  the host's name has no address
    │   ├── UnreachableError    11  the address does not answer
    │   ├── HostKeyError        12  the host is not known, or not the one that is known
    │   ├── AuthenticationError 13  the host refuses us
    │   ├── LinkLostError       14  the connection broke
    │   └── NegotiationError    15  no common algorithm, or the host speaks no SSH
    ├── RemoteError
    │   ├── ShellInitError      20  ``shell_init`` failed
    │   ├── StartError          21  the remote experimaestro could not be started
    │   ├── RemotePathError     22  the remote directory is not a workspace
    │   ├── ProtocolError       23  the remote side speaks another protocol
    │   ├── RemoteEndedError    24  the remote side ended while we needed it
    │   ├── RequestError        25  the remote side answered a request with an error
    │   ├── RemoteTimeoutError  26  the remote side is alive but does not answer
    │   └── StalledError        27  the file server of the workspace does not answer the remote side
    └── JobsError
        ├── SomeMissingError    30  some of the jobs that were asked for are there, others are not
        ├── NoJobFoundError     31  none of the jobs that were asked for was found
        ├── BadJobIdError       32  a text is not the id of a job
        ├── FolderError         33  a folder of the workspace cannot be read or written
        ├── BusyError           34  another process works on the same job, or an experiment runs
        └── UnreadableError     35  something of the workspace cannot be read; what is printed lacks it

An error carries its parts as attributes and makes its one line of them in ``__str__``: what happened, where, and what
to do next. Text that came from a remote is kept as it came; what prints it must escape it. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import ClassVar

from xpm_remote.workspace.failures import (
    BadIdFailure,
    BusyFailure,
    DamagedFailure,
    FolderFailure,
    NoJobFailure,
    NotAWorkspaceFailure,
    UnreadableFailure,
    UsageFailure,
    WorkspaceFailure,
)


class ExitCode(IntEnum):
    """The exit status of a command; documented in docs/exit-codes.md."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    SETTINGS = 3
    WORKSPACE = 4
    OPTION = 5
    MISSING_PEER = 6
    OUTPUT = 7
    RESOLVE = 10
    UNREACHABLE = 11
    HOST_KEY = 12
    AUTHENTICATION = 13
    LINK_LOST = 14
    NEGOTIATION = 15
    SHELL_INIT = 20
    START = 21
    REMOTE_PATH = 22
    PROTOCOL = 23
    REMOTE_ENDED = 24
    REQUEST = 25
    REMOTE_TIMEOUT = 26
    STALLED = 27
    SOME_MISSING = 30
    NO_JOB_FOUND = 31
    BAD_JOB_ID = 32
    FOLDER = 33
    BUSY = 34
    UNREADABLE = 35
    INTERRUPTED = 130


class XpmRemoteError(Exception):
    """A failure that the user can act upon.

    Args:
        what: What happened and where, without a final full stop.
        hint: What to do next; empty if ``what`` is enough.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.UNEXPECTED

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what, hint)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what}; {self.hint}" if self.hint else self.what


class UsageError(XpmRemoteError):
    """The command line does not fit together."""

    exit_code = ExitCode.USAGE


class SettingsError(XpmRemoteError):
    """``settings.yaml`` cannot be used."""

    exit_code = ExitCode.SETTINGS


class WorkspaceError(XpmRemoteError):
    """There is no such workspace, or it is not of the kind that is needed."""

    exit_code = ExitCode.WORKSPACE


class OptionError(XpmRemoteError):
    """An SSH option is malformed, or cannot be honoured."""

    exit_code = ExitCode.OPTION


class MissingPeerError(XpmRemoteError):
    """Experimaestro itself is needed on this machine, and is not installed beside us."""

    exit_code = ExitCode.MISSING_PEER


class OutputError(XpmRemoteError):
    """Standard output cannot be written; the work that was in hand is done."""

    exit_code = ExitCode.OUTPUT


class LinkError(XpmRemoteError):
    """The connection to the host failed.

    Args:
        what: What happened and where, without a final full stop.
        hint: What to do next; empty if ``what`` is enough.
        unanswered: The questions, such as "a password", that the prompter of this attempt refused, where answers
            may have made it succeed. Empty where the SSH options forbid prompts: a person could not answer either.
    """

    def __init__(self, what: str, hint: str = "", *, unanswered: tuple[str, ...] = ()) -> None:
        super().__init__(what, hint)
        self.unanswered = unanswered


class ResolveError(LinkError):
    """The host's name has no address."""

    exit_code = ExitCode.RESOLVE


class UnreachableError(LinkError):
    """The host's address does not answer."""

    exit_code = ExitCode.UNREACHABLE


class HostKeyError(LinkError):
    """The host's key is unknown, or is not the known one."""

    exit_code = ExitCode.HOST_KEY


class AuthenticationError(LinkError):
    """The host refuses every available method of authentication."""

    exit_code = ExitCode.AUTHENTICATION


class LinkLostError(LinkError):
    """The connection broke."""

    exit_code = ExitCode.LINK_LOST


class NegotiationError(LinkError):
    """There is no common algorithm, or the host speaks no SSH.

    Args:
        what: What happened and where, without a final full stop.
        hint: What to do next; empty if ``what`` is enough.
        keyword: OpenSSH's keyword of the algorithms of which none is common; empty if that is not the cause.
        theirs: Those that the host offers.
    """

    exit_code = ExitCode.NEGOTIATION

    def __init__(
        self, what: str, hint: str = "", *, keyword: str = "", theirs: tuple[str, ...] = ()
    ) -> None:
        super().__init__(what, hint)
        self.keyword = keyword
        self.theirs = theirs


class RemoteError(XpmRemoteError):
    """The connection was made; what runs on the host failed."""


class ShellInitError(RemoteError):
    """The shell commands that prepare the remote failed."""

    exit_code = ExitCode.SHELL_INIT


class StartError(RemoteError):
    """The remote experimaestro, or our agent, could not be started.

    Attributes:
        slurm: The file that tells of a job of SLURM, because of which it was not started; empty for another cause.
    """

    exit_code = ExitCode.START

    def __init__(self, what: str, hint: str = "", *, slurm: str = "") -> None:
        super().__init__(what, hint)
        self.slurm = slurm


class RemotePathError(RemoteError):
    """The remote directory is not a workspace."""

    exit_code = ExitCode.REMOTE_PATH


class ProtocolError(RemoteError):
    """The remote side speaks another protocol."""

    exit_code = ExitCode.PROTOCOL


class RemoteEndedError(RemoteError):
    """The remote side ended while it was needed."""

    exit_code = ExitCode.REMOTE_ENDED


class RequestError(RemoteError):
    """The remote side answered a request with an error.

    Args:
        method: The JSON-RPC method.
        code: The JSON-RPC error code.
        message: The message of the remote side.
    """

    exit_code = ExitCode.REQUEST

    def __init__(self, method: str, code: int, message: str) -> None:
        super().__init__(f"the remote server answered {method} with error {code}: {message}")
        self.method = method
        self.code = code
        self.message = message


class RemoteTimeoutError(RemoteError):
    """The remote side is alive but does not answer.

    Args:
        what: What happened and where, without a final full stop.
        hint: What to do next; empty if ``what`` is enough.
        at_start: Whether the host does not come to the start of the remote side: another one would wait as long.
    """

    exit_code = ExitCode.REMOTE_TIMEOUT

    def __init__(self, what: str, hint: str = "", *, at_start: bool = False) -> None:
        super().__init__(what, hint)
        self.at_start = at_start


class StalledError(RemoteError):
    """What the remote side waits for, such as the file server of the workspace, does not answer.

    Args:
        what: What happened and where, without a final full stop.
        hint: What to do next; empty if ``what`` is enough.
        at_start: Whether the host does not find the workspace.
    """

    exit_code = ExitCode.STALLED

    def __init__(self, what: str, hint: str = "", *, at_start: bool = False) -> None:
        super().__init__(what, hint)
        self.at_start = at_start


class JobsError(XpmRemoteError):
    """Something about the jobs of a workspace, or the folders that hold copies of them."""


class SomeMissingError(JobsError):
    """Some of the jobs that were asked for are there, others are not."""

    exit_code = ExitCode.SOME_MISSING


class NoJobFoundError(JobsError):
    """None of the jobs that were asked for was found."""

    exit_code = ExitCode.NO_JOB_FOUND


class BadJobIdError(JobsError):
    """A text is not the id of a job, and cannot become one."""

    exit_code = ExitCode.BAD_JOB_ID


class FolderError(JobsError):
    """A folder of the workspace cannot be read or written."""

    exit_code = ExitCode.FOLDER


class BusyError(JobsError):
    """Another process works on the same job, or an experiment runs."""

    exit_code = ExitCode.BUSY


class UnreadableError(JobsError):
    """Something of the workspace cannot be read; the rest has been printed."""

    exit_code = ExitCode.UNREADABLE


def unreadable_error(paths: Sequence[str], left_out: int = 0) -> UnreadableError:
    """Return the error for files and directories that cannot be read."""
    more = len(paths) - 1 + left_out
    also = f" and {more} more" if more else ""
    return UnreadableError(
        f"{paths[0]}{also} cannot be read, so what is printed may lack something",
        "look at that file system on the host, and run the command again",
    )


_BY_KIND: dict[str, type[XpmRemoteError]] = {
    WorkspaceFailure.kind: WorkspaceError,
    NotAWorkspaceFailure.kind: WorkspaceError,
    UsageFailure.kind: UsageError,
    BadIdFailure.kind: BadJobIdError,
    NoJobFailure.kind: NoJobFoundError,
    FolderFailure.kind: FolderError,
    BusyFailure.kind: BusyError,
    DamagedFailure.kind: FolderError,
    UnreadableFailure.kind: UnreadableError,
}


def error_of(kind: str, what: str, hint: str = "") -> XpmRemoteError | None:
    """Return the error for a failure of the workspace engine, here or in an agent; None for an unknown kind."""
    error = _BY_KIND.get(kind)
    return None if error is None else error(what, hint)


def exit_code_of(error: XpmRemoteError | WorkspaceFailure) -> ExitCode:
    """Return the exit code of an error, or of a failure of the workspace engine on this machine."""
    if isinstance(error, XpmRemoteError):
        return error.exit_code
    return _BY_KIND.get(error.kind, WorkspaceError).exit_code


_BY_SIGNAL = 128
"""What a shell adds to the number of the signal that ended a command."""


class StoppedBySignal(Exception):
    """A signal ended a wait.

    Args:
        number: The signal.

    Attributes:
        exit_code: The exit status that a shell would show.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = _BY_SIGNAL + number
