"""What shows whether a job goes on: its files and their times, its lock, its process, its events and logs."""

from __future__ import annotations

from functools import cached_property
from typing import Iterator, NamedTuple

from xpm_remote.workspace.processes import Host
from xpm_remote.workspace.reading import disk
from xpm_remote.workspace.reading.jobs import means_running
from xpm_remote.workspace.reading.json_files import JsonObject, number_of
from xpm_remote.workspace.reading.live_events import LiveEvents
from xpm_remote.workspace.reading.looks import Look
from xpm_remote.workspace.states import Process


class Question(NamedTuple):
    """What is asked about a job, with what its run has of it.

    Attributes:
        task_id: The two parts of its id, checked; ``job_id``: the same.
        directory: Its directory; ``stem`` with the beginning of the names of its files.
        word: Its state in the scheduler of its run; ``submitted``: when it was submitted there.
        run_host: The host of its run: pid files before 2.7 do not name their own.
        is_over: Whether the scheduler of its run has ended.
    """

    task_id: str
    job_id: str
    directory: str
    stem: str
    word: str | None
    run_host: str | None
    submitted: float | None
    is_over: bool


class Stamp(NamedTuple):
    """When a file was last written, and what else changes with its content."""

    at: float
    inode: int
    size: int


class Stamps(NamedTuple):
    """The files that tell a job's state; None for one that is missing."""

    done: Stamp | None = None
    failed: Stamp | None = None
    pid: Stamp | None = None
    status: Stamp | None = None


def read_stamps(asked: Question, look: Look) -> Stamps:
    """Return the stamps of a job's files; of one that has succeeded, only that of its marker."""
    done = _stamp(f"{asked.stem}.done", look)
    if done is not None:
        return Stamps(done)
    return Stamps(
        None,
        _stamp(f"{asked.stem}.failed", look),
        _stamp(f"{asked.stem}.pid", look),
        _stamp(f"{asked.directory}/.experimaestro/status.json", look),
    )


def _stamp(path: str, look: Look) -> Stamp | None:
    found = look.find(path)
    return None if found is None else Stamp(found.st_mtime, found.st_ino, found.st_size)


def at(stamp: Stamp | None) -> float | None:
    """Return when a file was last written; None when it is missing."""
    return None if stamp is None else stamp.at


def latest(*times: float | None) -> float | None:
    """Return the latest of the times that are known; None when none is."""
    return max((each for each in times if each is not None), default=None)


class Evidence:
    """What shows whether one job goes on; each thing is read when it is first needed.

    Args:
        asked: What is asked.
        stamps: The job's files.
        process: The process in its pid file, if it has one.
        first: The number of its first file of live events.
        events: The live events of the workspace.
        host: The host on which this code runs.
        look: Where what cannot be read is noted.
    """

    def __init__(
        self,
        asked: Question,
        stamps: Stamps,
        process: Process | None,
        first: int,
        events: LiveEvents,
        host: Host,
        look: Look,
    ) -> None:
        self.asked = asked
        self.stamps = stamps
        self.process = process
        self._first = first
        self._events = events
        self._host = host
        self._look = look

    def events(self) -> Iterator[JsonObject]:
        """Yield its live events."""
        asked = self.asked
        yield from self._events.of_job(asked.task_id, asked.job_id, self._first, self._look)

    @cached_property
    def is_locked(self) -> bool:
        """Whether its lock is held, by its process or by its scheduler; a lock that cannot be read may be."""
        lock = f"{self.asked.stem}.lock"
        try:
            return disk.call(lock, self._host.is_locked, lock)
        except OSError as error:
            self._look.fail(lock, error)
            return True

    @cached_property
    def last_output(self) -> float | None:
        """When its logs were last written."""
        return latest(
            *(at(_stamp(f"{self.asked.stem}.{each}", self._look)) for each in ("out", "err"))
        )

    @cached_property
    def last_event(self) -> float | None:
        """When it last said, in a live event, that it runs."""
        return latest(
            *(number_of(each.get("timestamp")) for each in self.events() if means_running(each))
        )

    def last_sign(self, started: float | None) -> float | None:
        """Return when a job that started at a time last showed that it lived."""
        return latest(started, self.last_event, self.last_output)

    def is_alive(self, noted: Process | None) -> bool | None:
        """Return whether its process lives; None where this host cannot know.

        Args:
            noted: The process that its status has, for when it has no pid file.
        """
        process = self.process or noted
        if process is None:
            # A job of SLURM has a script for it; a monitor removes the pid file, and its process from status.json.
            is_here = self._host.is_me(self.asked.run_host)
            return None if not is_here or _stamp(f"{self.asked.stem}.sh", self._look) else False
        return self._host.is_alive(process, at(self.stamps.pid or self.stamps.status))
