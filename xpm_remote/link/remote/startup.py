"""What the remote command prints before the server speaks, marks among the noise of login files; how it ended. Pure."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone, tzinfo
from enum import Enum
from typing import NamedTuple
from zoneinfo import ZoneInfo

from xpm_remote.errors import RemoteError, RemotePathError, ShellInitError, StartError

MARK = "@xpm-remote"
"""Begins each line that is ours. It may stand in a process list; it is not a secret."""

NOISE_KEPT = 4096
"""Bytes of noise kept for an error message: a screenful."""

LINE_KEPT = 65536
"""Bytes of an unfinished line that are looked at: a mark is far shorter, so what is longer is noise."""

_CLOCK = re.compile(r"(\d{1,12}) ([+-](?:[01]\d|2[0-3])[0-5]\d) ?(.*)", re.ASCII)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_ZONE_FILE = re.compile(r".*/zoneinfo/(?:posix/|right/)?")
_NOT_FOUND = 127
_NOT_EXECUTABLE = 126

_PATH_PROBLEMS = {
    "missing": ("does not exist, or may not be seen", "check the path of the workspace"),
    "file": ("is not a directory", "check the path of the workspace"),
    "forbidden": ("may not be entered", "check its permissions on the host"),
    "unmarked": (
        "is not an experimaestro workspace (it has no file .__experimaestro__)",
        "check the path, or run an experiment there first",
    ),
}


class StartPhase(Enum):
    """How far the remote command has come."""

    LOGIN = "login"
    SHELL_INIT = "shell_init"
    WORKSPACE = "workspace"
    READY = "ready"


@dataclass(frozen=True)
class RemoteClock:
    """What the remote said of its clock.

    Attributes:
        epoch: Its time when it said so, in seconds since 1970.
        zone: Its time zone, with its rules where the name is known here, else its present offset.
    """

    epoch: float
    zone: tzinfo


class Startup:
    """Reads the remote's stdout until the server is about to start.

    Attributes:
        phase: How far it came.
        clock: The remote's clock, once ready; None when its ``date`` speaks another way.
    """

    def __init__(self, *, has_init: bool) -> None:
        self.phase = StartPhase.LOGIN if has_init else StartPhase.WORKSPACE
        self.clock: RemoteClock | None = None
        self._noise = bytearray()
        self._partial = b""
        self._path_problem = ""
        self._outdated = ""

    @property
    def noise(self) -> str:
        """The beginning of what was printed besides our marks; odd bytes are escaped."""
        return self._noise.decode("utf-8", "backslashreplace")

    def feed(self, data: bytes) -> bytes | None:
        """Take bytes; give those that belong to the server once it is about to start, else None."""
        *lines, partial = (self._partial + data).split(b"\n")
        for number, line in enumerate(lines):
            self._take(line)
            if self.phase is StartPhase.READY:
                return b"\n".join([*lines[number + 1 :], partial])
        if len(partial) > LINE_KEPT:
            self._keep(partial)
            partial = b""
        self._partial = partial
        return None

    def failure(self, status: int | None, stderr: str, workspace: str) -> RemoteError:
        """Say why the remote command ended before the server started.

        Args:
            status: Its exit status; None when it was killed or did not say.
            stderr: The last lines of its stderr.
            workspace: The directory that was looked at.
        """
        ended = _how(status)
        said = _said(stderr, self.noise)
        if self._path_problem:
            return path_error(self._path_problem, workspace)
        if self._outdated:
            version, _, path = self._outdated.partition(" ")
            return StartError(
                f"the remote experimaestro {version} ({path}) is older than 2.7, and would change the workspace by"
                " looking: it was not started",
                "install a newer one there, or take --backend agent",
            )
        if self.phase is StartPhase.SHELL_INIT:
            return ShellInitError(f"shell_init failed {ended}{said}", "correct ssh.shell_init")
        return StartError(
            f"the remote shell ended {ended} before anything of ours ran{said}",
            "check that the account may run commands: ssh HOST true",
        )

    def _take(self, line: bytes) -> None:
        text = line.decode("utf-8", "backslashreplace")
        if not text.startswith(f"{MARK} "):
            self._keep(line)
            return
        word, _, rest = text[len(MARK) + 1 :].partition(" ")
        if word == "shell":
            self.phase = StartPhase.SHELL_INIT
        elif word == "init":
            self.phase = StartPhase.WORKSPACE
        elif word == "path":
            self._path_problem = rest
        elif word == "old":
            self._outdated = rest
        elif word == "ready":
            self.phase = StartPhase.READY
            self.clock = _clock(rest)

    def _keep(self, line: bytes) -> None:
        if line:
            self._noise += (line + b"\n")[: NOISE_KEPT - len(self._noise)]


def start_failure(status: int | None, stderr: str, noise: str, command: str) -> StartError:
    """Say why the server ended before it answered anything.

    Args:
        status: Its exit status; None when it was killed or did not say.
        stderr: The last lines of its stderr.
        noise: What it printed on stdout.
        command: What was run, for the message.
    """
    what = f"the remote server ended {_how(status)} before it answered{_said(stderr, noise)}"
    if status in (_NOT_FOUND, _NOT_EXECUTABLE):
        program = _program(command)
        what = f"the remote shell cannot run {program}{_said(stderr, noise)}"
        return StartError(
            what,
            "set ssh.xpm_path to the remote experimaestro, or put it (or uv) in the PATH by ssh.shell_init",
        )
    return StartError(what, f"try it by hand on the host: {command}")


def path_error(problem: str, workspace: str) -> RemotePathError:
    """Say what is wrong with the directory, given the mark's words."""
    kind, _, detail = problem.partition(" ")
    if kind == "inside":
        return RemotePathError(
            f"the remote directory {workspace} is a folder inside the workspace {detail}",
            f"give {detail} as the path of the workspace",
        )
    what, hint = _PATH_PROBLEMS.get(kind, (f"cannot be used ({problem})", "check the path"))
    return RemotePathError(f"the remote directory {workspace} {what}", hint)


def _how(status: int | None) -> str:
    return "by a signal" if status is None else f"with exit status {status}"


def _said(stderr: str, noise: str) -> str:
    """Quote the end of stderr, or else of stdout, as one line."""
    lines = [
        line.strip() for line in (stderr.strip() or noise.strip()).splitlines() if line.strip()
    ]
    return f": {' | '.join(lines[-3:])}" if lines else ""


def _program(command: str) -> str:
    """Find the program in a command line that may begin with assignments."""
    words = shlex.split(command)
    return next((word for word in words if not _ASSIGNMENT.match(word)), command)


def _clock(text: str) -> RemoteClock | None:
    told = _CLOCK.fullmatch(text)
    if told is None:
        return None
    epoch = int(told[1])
    return RemoteClock(float(epoch), _zone(epoch, _delta(told[2]), told[3]))


def _zone(epoch: int, offset: timedelta, name: str) -> tzinfo:
    """Give the zone of that name if it is known here, else the offset alone (which knows no summer time).

    A name that does not give the offset is wrong: /etc/timezone may be left over from an installation.
    """
    fixed = timezone(offset)
    name = _ZONE_FILE.sub("", name.strip().removeprefix(":"))
    try:
        zone = ZoneInfo(name) if name else fixed
        return zone if datetime.fromtimestamp(epoch, zone).utcoffset() == offset else fixed
    except (KeyError, ValueError, OSError, OverflowError):
        return fixed


def _delta(offset: str) -> timedelta:
    minutes = int(offset[1:3]) * 60 + int(offset[3:5])
    return timedelta(minutes=minutes if offset[0] == "+" else -minutes)


STDERR_KEPT = 8192
"""Bytes of the end of stderr that are kept for an error message: a traceback."""


@dataclass(frozen=True)
class RemoteExit:
    """How a remote process ended.

    Attributes:
        status: Its exit status; None when a signal or the loss of the connection ended it.
        stderr: The last lines that it wrote there.
        lost: Why the connection broke; None when it did not.
    """

    status: int | None
    stderr: str
    lost: str | None


class Section(str, Enum):
    """Whose words they are that are not ours."""

    LOGIN = "login files"
    SHELL_INIT = "shell_init"
    REST = "our commands"


_BEGINS = {"shell": Section.SHELL_INIT, "init": Section.REST}


class Mark(NamedTuple):
    """A line of ours: its first word and the rest."""

    word: str
    rest: str


@dataclass
class Noise:
    """What somebody else printed.

    Attributes:
        size: How many bytes.
        head: The first of them, a screenful.
    """

    size: int = 0
    head: bytearray = field(default_factory=bytearray)

    def add(self, data: bytes) -> None:
        """Take more of it."""
        self.size += len(data)
        self.head += data[: max(0, NOISE_KEPT - len(self.head))]

    def drop_newline(self) -> None:
        """Forget the last newline: it is the one with which a mark begins."""
        self.size -= 1
        del self.head[self.size :]

    @property
    def text(self) -> str:
        """The head; odd bytes are escaped."""
        return self.head.decode("utf-8", "backslashreplace")


class MarkedStream:
    """Tells marks from noise in a stream.

    Attributes:
        noise: What was printed besides the marks, by section.
    """

    def __init__(self) -> None:
        self.noise = {section: Noise() for section in Section}
        self._section = Section.LOGIN
        self._partial = b""

    def feed(self, data: bytes) -> list[Mark]:
        """Take bytes; give the marks that are complete by now."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        marks = [mark for line in lines if (mark := self._take(line)) is not None]
        if len(self._partial) > LINE_KEPT:
            self.noise[self._section].add(self._partial)
            self._partial = b""
        return marks

    def end(self) -> None:
        """Take note that nothing follows: what is there of a line is noise."""
        self.noise[self._section].add(self._partial)
        self._partial = b""

    def _take(self, line: bytes) -> Mark | None:
        noise = self.noise[self._section]
        text = line.decode("utf-8", "backslashreplace")
        if not text.startswith(f"{MARK} "):
            noise.add(line + b"\n")
            return None
        if noise.size:
            noise.drop_newline()
        word, _, rest = text[len(MARK) + 1 :].partition(" ")
        self._section = _BEGINS.get(word, self._section)
        return Mark(word, rest)
