"""The start of a remote command: the marks that it prints among the noise of login files, and its end. Pure."""

from __future__ import annotations

import re
import shlex
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone, tzinfo
from enum import Enum
from io import BytesIO
from typing import NamedTuple
from zoneinfo import ZoneInfo

from xpm_remote.errors import RemoteError, RemotePathError, ShellInitError, StartError

MARK = "@xpm-remote"
"""The beginning of each line that is ours. It may stand in a process list; it is not a secret."""

BEGIN = b"#xpm-remote-agent:"
"""Begins what is sent before the host has said anything. It is one line without an end, of letters that no shell treats
in a special way: login files that wait for a line still wait, and a shell that reads it sees a comment."""

NOISE_KEPT = 4096
"""Bytes of noise that are kept for an error message: a screenful."""

LINE_KEPT = 65536
"""Bytes of an unfinished line that may yet become a mark: one is far shorter, so what is longer is noise."""

SAID = 2
"""Lines of each output that are shown of a command that does not end."""

SAID_SHOWN = 500
"""Characters of these lines that are shown: what fits into a message."""

STDERR_KEPT = 8192
"""Bytes of the end of stderr that are kept for an error message: a traceback."""

_CLOCK = re.compile(r"(\d{1,12}) ([+-](?:[01]\d|2[0-3])[0-5]\d)(?: (.*))?", re.ASCII)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_ZONE_FILE = re.compile(r".*/zoneinfo/(?:posix/|right/)?")
NO_OUTPUT = 71
"""The exit status of a command whose stdout does not lead to us."""

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


@dataclass(frozen=True)
class RemoteExit:
    """How a remote process ended.

    Attributes:
        status: Its exit status; None when a signal or the loss of the connection ended it.
        stderr: The end of its stderr.
        lost: Why the connection broke; None if it did not.
        is_refused: Whether that is a refusal to run a command, which does not pass by itself.
    """

    status: int | None
    stderr: str
    lost: str | None
    is_refused: bool = False


@dataclass
class Noise:
    """Output that is neither a mark nor a message.

    Attributes:
        size: The number of bytes.
        lines: The number of finished lines.
        head: The first bytes, a screenful.
    """

    size: int = 0
    lines: int = 0
    head: bytearray = field(default_factory=bytearray)

    def add(self, data: bytes) -> None:
        """Add bytes."""
        self.size += len(data)
        self.lines += data.count(b"\n")
        self.head += data[: max(0, NOISE_KEPT - len(self.head))]

    def drop_newline(self) -> None:
        """Remove the last newline: it is the one with which a mark begins."""
        self.size -= 1
        self.lines -= 1
        del self.head[self.size :]

    @property
    def text(self) -> str:
        """The head as text; bytes that are not UTF-8 are escaped."""
        return self.head.decode("utf-8", "backslashreplace")


def without_echo(line: bytes) -> bytes:
    """Return a line up to where what we have sent is printed back, as by a ``cat`` in a login file.

    Its beginning stays, so that the rest is found when it comes.
    """
    before, begin, _ = line.partition(BEGIN)
    return before + begin


class Mark(NamedTuple):
    """A line of ours: its first word and the rest."""

    word: str
    rest: str


def _mark(line: bytes) -> Mark | None:
    text = line.decode("utf-8", "backslashreplace")
    if not text.startswith(f"{MARK} "):
        return None
    word, _, rest = text[len(MARK) + 1 :].partition(" ")
    return Mark(word, rest)


class StartPhase(Enum):
    """The phases of a remote command's start, in order."""

    LOGIN = "login"
    SHELL_INIT = "shell_init"
    WORKSPACE = "workspace"
    READY = "ready"


@dataclass(frozen=True)
class RemoteClock:
    """The clock of the remote.

    Attributes:
        epoch: Its time when it was read, in seconds since 1970.
        zone: Its time zone, with its rules if its name is known here or they were read, else its present offset.
    """

    epoch: float
    zone: tzinfo


class StartReader(ABC):
    """Reads the stdout of a process up to the mark after which it speaks a protocol."""

    def __init__(self) -> None:
        self._noise = Noise()
        self._partial = b""
        self._recent = b""

    @property
    def noise(self) -> str:
        """The beginning of what was printed besides our marks; bytes that are not UTF-8 are escaped."""
        return self._noise.text

    def said(self, stderr: str) -> str:
        """Return the last lines that were printed, an unfinished one included, those of stderr after the others."""
        shown = (
            (self._recent + self._partial).replace(BEGIN, b"").decode("utf-8", "backslashreplace")
        )
        lines = [[line.strip() for line in text.splitlines()] for text in (shown, stderr)]
        return " | ".join(line for each in lines for line in [*filter(None, each)][-SAID:])[
            -SAID_SHOWN:
        ]

    def feed(self, data: bytes) -> bytes | None:
        """Read bytes; return those after the last mark once it has come, else None."""
        *lines, partial = (self._partial + data).split(b"\n")
        for number, line in enumerate(lines):
            if self._take(without_echo(line)):
                return b"\n".join([*lines[number + 1 :], partial])
        partial = without_echo(partial)
        if len(partial) > LINE_KEPT:
            self._keep(partial)
            partial = b""
        self._partial = partial
        return None

    @abstractmethod
    def _take(self, line: bytes) -> bool:
        """Read a line; return whether it is the last mark."""

    def _keep(self, line: bytes) -> None:
        line = line.replace(BEGIN, b"")
        if line:
            self._noise.add(line + b"\n")
            self._recent = (self._recent + line + b"\n")[-SAID_SHOWN:]


class Startup(StartReader):
    """Reads the remote's stdout until the server is about to start.

    Args:
        reached: Called with each phase that is reached.
        command: The command, of which messages repeat nothing.

    Attributes:
        phase: The phase that the command has reached.
        clock: The remote's clock, once ready; None if the output of its ``date`` cannot be read.
    """

    def __init__(
        self, reached: Callable[[StartPhase], None] = lambda _: None, *, command: str = ""
    ) -> None:
        super().__init__()
        self._command = command
        self._reached = reached
        self._enter(StartPhase.LOGIN)
        self.clock: RemoteClock | None = None
        self._path_problem = ""
        self._outdated = ""
        self._unsafe = ""

    def failure(self, status: int | None, stderr: str, workspace: str) -> RemoteError:
        """Return the error for a remote command that ended before the server started.

        Args:
            status: Its exit status; None if a signal ended it, or the host did not send one.
            stderr: The end of its stderr.
            workspace: The directory of the workspace.
        """
        if status == NO_OUTPUT:
            return StartError(
                "what commands print on the host does not arrive: their stdout is closed, or a file such as /dev/null",
                _REDIRECTED,
            )
        if self._path_problem:
            return path_error(self._path_problem, workspace)
        if self._outdated:
            version, _, path = self._outdated.partition(" ")
            return StartError(
                f"the remote experimaestro {version} ({path}) is older than 2.7, and would change the workspace by"
                " looking: it was not started",
                "install a newer one there, or take --backend agent",
            )
        if self._unsafe:
            return StartError(
                f"{slurm_words(self._unsafe)}: it was not started",
                "take --backend agent, which changes nothing",
                slurm=self._unsafe,
            )
        stderr = without_command(stderr, self._command)
        ended, said = how_ended(status), last_words(stderr, self.noise)
        if self.phase is StartPhase.SHELL_INIT:
            return ShellInitError(f"shell_init failed {ended}{said}", "correct ssh.shell_init")
        hint = next((hint for pattern, hint in _SHELL_HINTS if pattern.search(stderr)), None)
        return StartError(
            f"the remote shell ended {ended} before anything of ours ran{said}",
            hint or "check that the account may run commands: ssh HOST true",
        )

    def said(self, stderr: str) -> str:
        """Return the last lines that were printed, without the command."""
        return super().said(without_command(stderr, self._command))

    def _take(self, line: bytes) -> bool:
        mark = _mark(line)
        if mark is None:
            self._keep(line)
            return False
        if mark.word == "shell":
            self._enter(StartPhase.SHELL_INIT)
        elif mark.word == "init":
            self._enter(StartPhase.WORKSPACE)
        elif mark.word == "path":
            self._path_problem = mark.rest
        elif mark.word == "old":
            self._outdated = mark.rest
        elif mark.word == "slurm":
            self._unsafe = mark.rest
        elif mark.word == "ready":
            self._enter(StartPhase.READY)
            self.clock = _clock(mark.rest)
        return self.phase is StartPhase.READY

    def _enter(self, phase: StartPhase) -> None:
        self.phase = phase
        self._reached(phase)


def slurm_words(path: str) -> str:
    """Return why an experimaestro should not be started, from the file that tells of a job of SLURM."""
    return f"jobs may run under SLURM ({path}), which an experimaestro that starts could mark as failed"


def start_failure(status: int | None, stderr: str, noise: str, command: str) -> StartError:
    """Return the error for a server that ended before its first answer.

    Args:
        status: Its exit status; None if a signal ended it, or the host did not send one.
        stderr: The end of its stderr.
        noise: What it printed on stdout.
        command: The command that ran.
    """
    said = last_words(stderr, noise)
    if status in (_NOT_FOUND, _NOT_EXECUTABLE):
        words = shlex.split(command)
        program = next((word for word in words if not _ASSIGNMENT.match(word)), command)
        return StartError(
            f"the remote shell cannot run {program}{said}",
            "set ssh.xpm_path to the remote experimaestro, or put it (or uv) in the PATH by ssh.shell_init",
        )
    what = f"the remote server ended {how_ended(status)} before it answered{said}"
    return StartError(what, f"try it by hand on the host: {command}")


def path_error(problem: str, workspace: str) -> RemotePathError:
    """Return the error for a directory that is no workspace, from the words of the mark."""
    kind, _, detail = problem.partition(" ")
    if kind == "inside":
        return RemotePathError(
            f"the remote directory {workspace} is a folder inside the workspace {detail}",
            f"give {detail} as the path of the workspace",
        )
    what, hint = _PATH_PROBLEMS.get(kind, (f"cannot be used ({problem})", "check the path"))
    return RemotePathError(f"the remote directory {workspace} {what}", hint)


def how_ended(status: int | None) -> str:
    """Return how a process ended, as part of a sentence."""
    return "by a signal" if status is None else f"with exit status {status}"


TELLING_WORDS = "not found|no such|no version|error|denied|cannot|unable"
"""What a line has, in any case, that tells why a program failed; a regular expression of Python and of ``grep -E``.

The shims of pyenv, asdf and the like print advice of many lines after it.
"""

_REDIRECTED = (
    "look in the login files (.bashrc, .zshenv, .cshrc, ...) and in ssh.shell_init for what redirects or closes stdout,"
    " such as exec >/dev/null, and let it do so on a terminal only"
)
_SHELL_HINTS = (
    (re.compile(r"printf: write error"), _REDIRECTED),
    (
        re.compile(r"\brestricted\b"),
        "its login shell is restricted (rbash): ask the site for one that runs /bin/sh",
    ),
    (
        re.compile(r"[Pp]assword has expired|change your password"),
        "the password must be changed first, in a terminal: ssh HOST",
    ),
)
_QUOTES = re.compile(r"[\n'\"]")
_BLANK = re.compile(r"[\s=]")
_TELLING_PART = 8
"""Characters of a part of a command that cannot stand in a message by chance, if there is a blank or a = in it."""

_TELLING = re.compile(TELLING_WORDS, re.IGNORECASE)


def last_words(stderr: str, noise: str) -> str:
    """Quote the last lines of stderr, or else of stdout, as the end of a sentence; or the one that tells the cause."""
    lines = [line.strip() for line in (stderr.strip() or noise.strip()).splitlines()]
    lines = [line for line in lines if line]
    quoted = lines[-3:]
    if not any(map(_TELLING.search, quoted)):
        telling = [line for line in lines if _TELLING.search(line)]
        quoted = telling[-1:] or quoted
    return f": {' | '.join(quoted)}" if quoted else ""


def without_command(stderr: str, command: str) -> str:
    """Return stderr without the lines in which a shell shows what it cannot run: a command may hold secrets."""
    parts = {part.strip() for part in _QUOTES.split(command)}
    long = [part for part in parts if len(part) >= _TELLING_PART and _BLANK.search(part)]
    kept = (
        line
        for line in stderr.splitlines()
        if line.strip() not in parts and MARK not in line and not any(part in line for part in long)
    )
    return "\n".join(kept)


def _clock(text: str) -> RemoteClock | None:
    told = _CLOCK.fullmatch(text)
    if told is None:
        return None
    epoch = int(told[1])
    sign, hours, minutes = told[2][0], int(told[2][1:3]), int(told[2][3:])
    offset = timedelta(hours=hours, minutes=minutes) * (1 if sign == "+" else -1)
    # Each may be empty: a host without files of zones has the rules in TZ at most.
    name, _, rules = (told[3] or "").partition(" ")
    return RemoteClock(float(epoch), _zone(epoch, offset, name, rules.strip()))


def _zone(epoch: int, offset: timedelta, name: str, rules: str) -> tzinfo:
    """Return the zone of that name or of those rules, else the offset alone (which has no summer time).

    A zone that does not have the offset is wrong: /etc/timezone may be left over from an installation.

    Args:
        epoch: The time at which the zone has the offset.
        offset: The offset.
        name: Its name; in TZ, rules may stand instead.
        rules: Its rules of today in the form of TZ, from the end of its file, for names that are not known here.
    """
    name = _ZONE_FILE.sub("", name.removeprefix(":"))
    for make, text in ((ZoneInfo, name), (_zone_of_rules, rules), (_zone_of_rules, name)):
        try:
            zone = make(text) if text else None
            if zone and datetime.fromtimestamp(epoch, zone).utcoffset() == offset:
                return zone
        except (KeyError, ValueError, OSError, OverflowError):
            continue
    return timezone(offset)


def _zone_of_rules(rules: str) -> ZoneInfo:
    """Return the zone of rules such as ``CET-1CEST,M3.5.0,M10.5.0/3``.

    The standard library reads them at the end of a zone's file (RFC 8536), so one without anything else is made.

    Raises:
        ValueError: They are no such rules.
    """
    counts = struct.pack(">6L", 0, 0, 0, 0, 1, 4)  # one kind of time, and four bytes of its name
    block = b"TZif2" + bytes(15) + counts + struct.pack(">lBB", 0, 0, 0) + b"UTC\0"
    return ZoneInfo.from_file(BytesIO(block + block + f"\n{rules}\n".encode()), key=rules)


class NoiseSource(str, Enum):
    """The part of the remote command that printed noise."""

    LOGIN = "login files"
    SHELL_INIT = "shell_init"
    REST = "our commands"


_BEGINS = {"shell": NoiseSource.SHELL_INIT, "init": NoiseSource.REST}


class MarkedStream:
    """Separates marks from noise in a stream.

    Attributes:
        noise: What was printed besides the marks, by its source.
    """

    def __init__(self) -> None:
        self.noise = {source: Noise() for source in NoiseSource}
        self._source = NoiseSource.LOGIN
        self._partial = b""

    def feed(self, data: bytes) -> list[Mark]:
        """Read bytes; return the marks that they complete."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        marks = [mark for line in lines if (mark := self._take(line)) is not None]
        if len(self._partial) > LINE_KEPT:
            self.end()
        return marks

    def end(self) -> None:
        """Count an unfinished line as noise, as nothing follows."""
        self.noise[self._source].add(self._partial)
        self._partial = b""

    def _take(self, line: bytes) -> Mark | None:
        noise = self.noise[self._source]
        mark = _mark(line)
        if mark is None:
            noise.add(line + b"\n")
            return None
        if noise.size:
            noise.drop_newline()
        self._source = _BEGINS.get(mark.word, self._source)
        return mark
