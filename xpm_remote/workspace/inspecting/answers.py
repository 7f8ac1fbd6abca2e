"""What is answered about jobs: why they failed, parts of their logs, what is known of one.

Text of these comes from logs and files: it is bounded where it is read, and escaped where it is printed. Pure.
"""

from __future__ import annotations

import base64
from typing import Any, NamedTuple

from xpm_remote.workspace.failures import UnreadFile
from xpm_remote.workspace.layout import JobId, parse_job_id
from xpm_remote.workspace.reading.jobs import CurrentJob


class Frame(NamedTuple):
    """A frame of a traceback: the file, the line, and the function; empty where the file was only compiled."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        name = self.file.rpartition("/")[2]
        return f"{name}:{self.line} {self.function}".rstrip()


class Failure(NamedTuple):
    """Why a job failed.

    Attributes:
        job: The job.
        stamp: Changes whenever the files do from which this was read; a later question names it.
        cause: Is equal for failures of one cause: class and message without what differs from job to job, and the last
            frames of the user's code; without a traceback, the reason and the last line, in the same way.
        exception: The class of the exception, without its module; empty without a traceback.
        message: The text of the exception; without one that of the failure, or the last line of the log.
        frames: The last frames of the user's code, the innermost first.
        offset: Where the traceback begins in the log, in bytes; None without one.
        log_size: Bytes of the log.
        reason: Why it failed, as experimaestro names it.
        exit_code: Its exit code.
        ended: When it ended, in epoch seconds.
        needs: The job without which it was not started; None unless its reason is ``DEPENDENCY``.
        root: The job whose failure began it, where that is not the same.
        unread: What could not be read of it; then the rest is as far as it is known.
    """

    job: JobId
    stamp: str
    cause: str
    exception: str = ""
    message: str = ""
    frames: tuple[Frame, ...] = ()
    offset: int | None = None
    log_size: int = 0
    reason: str | None = None
    exit_code: int | None = None
    ended: float | None = None
    needs: JobId | None = None
    root: JobId | None = None
    unread: UnreadFile | None = None

    @property
    def title(self) -> str:
        """The cause without the frames: a line."""
        return self.cause.partition(CAUSE_END)[0]

    @property
    def where(self) -> str:
        """The innermost function of the user's code, as ``file:function``."""
        return self.cause.partition(CAUSE_END)[2].partition(CAUSE_END)[0]

    def to_wire(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        return {
            **self._asdict(),
            "job": str(self.job),
            "frames": [list(frame) for frame in self.frames],
            "needs": str(self.needs) if self.needs else None,
            "root": str(self.root) if self.root else None,
            "unread": list(self.unread) if self.unread else None,
        }

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Failure:
        """Return the failure from its ``to_wire`` form; keys of later versions are ignored.

        Raises:
            BadIdFailure, KeyError, TypeError, ValueError: It is not such a form.
        """
        known = {name: wire[name] for name in cls._fields}
        known["job"] = parse_job_id(wire["job"])
        known["frames"] = tuple(Frame(*each) for each in wire["frames"])
        for name in ("needs", "root"):
            known[name] = parse_job_id(wire[name]) if wire[name] else None
        known["unread"] = UnreadFile(*wire["unread"]) if wire["unread"] else None
        return cls(**known)


CAUSE_END = "\n"
"""Separates the title of a cause and its frames."""


class LogPart(NamedTuple):
    """A part of a log, of whole lines unless one is longer than what was asked for.

    Attributes:
        text: Its text; bytes that are not UTF-8 are in it as ``os.fsencode`` has them (``surrogateescape``).
        start: Where it begins in the file, in bytes.
        end: Where it ends.
        size: The size of the file.
        inode: The number of the file; another one is another attempt's log.
    """

    text: str
    start: int
    end: int
    size: int
    inode: int

    def to_wire(self) -> dict[str, Any]:
        """Return it as plain JSON types; ``raw`` (Base64) has the text."""
        raw = base64.b64encode(self.text.encode("utf-8", "surrogateescape")).decode("ascii")
        wire = self._asdict()
        del wire["text"]
        return {**wire, "raw": raw}

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> LogPart:
        """Return the part from its ``to_wire`` form.

        Raises:
            KeyError, TypeError, ValueError: It is not such a form.
        """
        text = base64.b64decode(wire["raw"]).decode("utf-8", "surrogateescape")
        return cls(text, wire["start"], wire["end"], wire["size"], wire["inode"])


class LogMatch(NamedTuple):
    """A line of a log that matches.

    Attributes:
        offset: Where the match begins in the file, in bytes; the first one of its line.
        line: Where its line begins.
        text: The line, or the part of it around the match, between carriage returns.
    """

    offset: int
    line: int
    text: str


class LogSearch(NamedTuple):
    """What a search has found in one more part of a log.

    Attributes:
        matches: The lines that match in this part; none beyond the number that was asked for.
        total: How many lines match, from the start of the search to ``reached``.
        reached: Up to where the log has been searched, in bytes.
        size: The size of the log.
        is_over: Whether nothing is left.
    """

    matches: tuple[LogMatch, ...]
    total: int
    reached: int
    size: int
    is_over: bool

    def to_wire(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        return {**self._asdict(), "matches": [list(each) for each in self.matches]}

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> LogSearch:
        """Return what was found from its ``to_wire`` form.

        Raises:
            KeyError, TypeError: It is not such a form.
        """
        known = {name: wire[name] for name in cls._fields}
        return cls(**{**known, "matches": tuple(LogMatch(*each) for each in wire["matches"])})


class LinkedJob(NamedTuple):
    """A job that another needs, or that needs it; its state is None where it was not looked at."""

    job: JobId
    state: str | None


class Attempt(NamedTuple):
    """A try of a job, by the logs that it left.

    Attributes:
        name: The time of its end in the names of its logs, as ``YYYYmmddHHMMSS``; empty for the last one.
        out: Bytes of its standard output; None when there is no such file.
        err: Bytes of its standard error.
    """

    name: str
    out: int | None
    err: int | None


class JobFile(NamedTuple):
    """An entry of the directory of a job: its name, its bytes (of a directory: None), and when it was changed."""

    name: str
    size: int | None
    modified: float


class JobDetail(NamedTuple):
    """What is known of one job.

    Attributes:
        job: Its facts, tags and experiments.
        params: Its parameters by their names: plain JSON; another object is its type and identifier.
        host: The host of its run, where that is known; that of its process is in ``job.facts.process``.
        needs: The jobs that it needs.
        needed_by: The jobs of the same runs that need it.
        attempts: Its tries, the earliest first.
        files: The entries of its directory.
        left_out: How many there are besides those that are listed, by ``needs``, ``needed_by`` and ``files``.
        problems: What could not be read.
    """

    job: CurrentJob
    params: dict[str, Any]
    host: str | None
    needs: tuple[LinkedJob, ...]
    needed_by: tuple[LinkedJob, ...]
    attempts: tuple[Attempt, ...]
    files: tuple[JobFile, ...]
    left_out: dict[str, int]
    problems: tuple[UnreadFile, ...]

    def to_wire(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        return {
            **self._asdict(),
            "job": self.job.to_wire(),
            "needs": _wire_links(self.needs),
            "needed_by": _wire_links(self.needed_by),
            "attempts": [list(each) for each in self.attempts],
            "files": [list(each) for each in self.files],
            "problems": [list(each) for each in self.problems],
        }

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> JobDetail:
        """Return what is known from its ``to_wire`` form.

        Raises:
            BadIdFailure, KeyError, TypeError: It is not such a form.
        """
        return cls(
            CurrentJob.from_wire(wire["job"]),
            dict(wire["params"]),
            wire["host"],
            _links(wire["needs"]),
            _links(wire["needed_by"]),
            tuple(Attempt(*each) for each in wire["attempts"]),
            tuple(JobFile(*each) for each in wire["files"]),
            dict(wire["left_out"]),
            tuple(UnreadFile(*each) for each in wire["problems"]),
        )


def _wire_links(links: tuple[LinkedJob, ...]) -> list[list[str | None]]:
    return [[str(each.job), each.state] for each in links]


def _links(wires: list[list[Any]]) -> tuple[LinkedJob, ...]:
    return tuple(LinkedJob(parse_job_id(job), state) for job, state in wires)
