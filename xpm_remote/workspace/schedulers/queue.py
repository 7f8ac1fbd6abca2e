"""What a scheduler has of the jobs of a workspace: one question for all of them, asked seldom.

Sites forbid to ask SLURM in a loop of some seconds, so it is asked only while jobs of it have not ended and a client
watches, every ``interval`` seconds, and less often while it does not answer.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Collection, Iterable, NamedTuple, Sequence

from xpm_remote.workspace import filesystem
from xpm_remote.workspace.failures import WorkspaceFailure
from xpm_remote.workspace.layout import JobId, Layout
from xpm_remote.workspace.processes import Host
from xpm_remote.workspace.reading.jobs import CLAIM, JobFacts
from xpm_remote.workspace.rows import ASK_INTERVAL, Phase, Row
from xpm_remote.workspace.schedulers.judging import MAY_BE_REQUEUED, Traces, judge, unconfirmed
from xpm_remote.workspace.states import FINAL, LIVE

if TYPE_CHECKING:
    from xpm_remote.workspace.schedulers.questions import Evidence

REQUEUE_AGE = 600.0
"""Seconds in which SLURM is asked for a job that was ended by a signal: it may have ended it to queue it again."""

LONGEST_INTERVAL = 600.0
"""Seconds between two questions at most, while SLURM does not answer."""

FIRST_WAIT = 3.0
"""Seconds for the first answer: mostly it takes a small part of one, and nothing is shown as settled before."""

HEAR_WAIT = 3600.0
"""Seconds of one wait of the thread that asks, which is woken when there is something to ask."""

_TAIL = 4096


class Answer(NamedTuple):
    """The jobs of users in a scheduler by directory; None when it does not answer, and then why."""

    rows: dict[str, Row] | None
    why: str = ""


class _Noted(NamedTuple):
    """A job for which it is asked: its number, and since when, in seconds that never go back."""

    number: object
    at: float


Ask = Callable[["Path | None", Sequence[int]], Answer]


def ask_slurm(binpath: Path | None, users: Sequence[int]) -> Answer:
    """Ask SLURM for the jobs of users."""
    from xpm_remote.workspace.schedulers.slurm import Slurm  # where jobs run under SLURM

    slurm = Slurm(binpath)
    return Answer(slurm.ask(users), slurm.why)


class Queue:
    """What SLURM has of the jobs of a workspace, and what that shows of their states.

    Args:
        layout: The paths of the workspace.
        host: The host on which this code runs.
        interval: Seconds between two questions; None to ask none.
        ask: Asks SLURM.
        clock: Seconds that never go back.
        now: Returns epoch seconds.
        first_wait: Seconds for the first answer, which a first look at the workspace waits for.
    """

    def __init__(
        self,
        layout: Layout,
        host: Host,
        interval: float | None = ASK_INTERVAL,
        ask: Ask = ask_slurm,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        first_wait: float = FIRST_WAIT,
    ) -> None:
        self.interval = interval
        self._trouble = ""
        self._layout = layout
        self._host = host
        self._ask = ask
        self._clock = clock
        self._now = now
        self._rows: dict[str, Row] = {}
        self._by_hash: dict[str, list[Row]] = {}
        self._asked: float | None = None
        self._due = 0.0
        self._pause = interval or ASK_INTERVAL
        self._waiting: dict[JobId, _Noted] = {}
        self._asked_at = 0.0
        self._binpath: Path | None = None
        self._users = {os.geteuid()}
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self._first_wait = first_wait
        self._was_asked = threading.Event()

    def judged(self, facts: JobFacts) -> JobFacts:
        """Return a job as its files and its scheduler show it, and note whether it is to be asked for."""
        if facts.has_done_marker or not facts.has_directory or not self._is_of_slurm(facts):
            self._waiting.pop(facts.id, None)
            return facts
        self._note(facts)
        traces = self._traces(facts)
        row, asked = self._row_of(facts), self._asked
        noted = self._waiting.get(facts.id)
        if row is None and noted is not None and noted.at >= self._asked_at:
            asked = None  # it may have been submitted since; the clocks of hosts do not tell
        found = judge(facts, row, asked, traces)
        if self._trouble:
            found = unconfirmed(found, self._asked, is_locked=traces.is_locked)
        if self._is_over(found):
            self._waiting.pop(facts.id, None)
        return found

    def all_judged(self, jobs: Iterable[JobFacts]) -> list[JobFacts]:
        """Return jobs as ``judged`` does, after a question where one is due."""
        read = list(jobs)
        found = list(map(self.judged, read))
        return list(map(self.judged, read)) if self.ask_if_due() else found

    @property
    def waiting(self) -> Collection[JobId]:
        """The jobs for which it is asked: those of SLURM that have not ended, as far as is known."""
        return tuple(self._waiting)

    @property
    def trouble(self) -> str:
        """Why the last question was not answered; empty if it was, or if there is nothing to ask any more."""
        return self._trouble if self._waiting else ""

    def concerned(self) -> Collection[JobId]:
        """Return the jobs that the last answer may change: those, and what SLURM has, whatever its files say.

        The first answer is waited for, for a short time, unless there is nothing to ask.
        """
        if self._waiting and self.interval is not None:
            self._was_asked.wait(self._first_wait)
        living = [path for path, row in self._rows.items() if row.phase is not Phase.ENDED]
        named = (path.rsplit("/", 2)[1:] for path in living)
        listed = [JobId(*parts) for parts in named if len(parts) == len(JobId._fields)]
        return tuple(dict.fromkeys((*listed, *self._waiting)))

    def wait_time(self) -> float:
        """Return the seconds until a question is due."""
        if not self._waiting or self.interval is None:
            return HEAR_WAIT
        return max(0.0, self._due - self._clock())

    def ask_if_due(self) -> bool:
        """Ask SLURM if that is due; return whether it has answered, or does not any more."""
        with self._lock:
            if self.wait_time() > 0:
                return False
            began = self._clock()
            rows, why = self._ask(self._binpath, tuple(sorted(self._users)))
            is_news = rows is not None or not self._trouble
            self._trouble = "" if rows is not None else why or "it does not answer"
            answered = rows is not None
            interval = self.interval or ASK_INTERVAL
            self._pause = interval if answered else min(2 * self._pause, LONGEST_INTERVAL)
            self._due = self._clock() + max(self._pause, interval)
            if rows is not None:
                by_hash: dict[str, list[Row]] = {}
                for path, row in rows.items():
                    by_hash.setdefault(path.rpartition("/")[2], []).append(row)
                self._rows, self._by_hash, self._asked = rows, by_hash, self._now()
                self._asked_at = began
            self._was_asked.set()
            return is_news

    def run(self, heard: Callable[[], None]) -> None:
        """Ask whenever it is due, until the process ends; for a thread of its own.

        Args:
            heard: Called after each answer, and after the first question without one.
        """
        while True:
            self._wanted.wait(self.wait_time())
            self._wanted.clear()
            if self.ask_if_due():
                heard()

    def _is_of_slurm(self, facts: JobFacts) -> bool:
        if facts.process is not None:
            return facts.process.kind == "slurm"
        is_doubtful = not facts.certain or facts.message == CLAIM or facts.id in self._waiting
        is_doubtful |= facts.state in LIVE  # a monitor may have removed its pid file
        if not is_doubtful and facts.failure_reason != "CANCELLED":
            return False
        evidence = self._evidence(facts)
        return evidence is not None and evidence.is_of_slurm

    def _is_over(self, facts: JobFacts) -> bool:
        """Return whether a job has ended for good; one that was ended by a signal just now may be requeued."""
        if facts.state not in FINAL or not facts.certain or facts.message == CLAIM:
            return False
        if facts.failure_reason not in MAY_BE_REQUEUED or facts.row is not None:
            return True
        return self._now() - (facts.ended or 0.0) > REQUEUE_AGE

    def _note(self, facts: JobFacts) -> None:
        number = facts.process.pid if facts.process else None
        noted = self._waiting.get(facts.id)
        is_noted = noted is not None and (number is None or noted.number in (number, None))
        if self._is_over(facts) or is_noted:
            return
        evidence = self._evidence(facts)
        if evidence is None:
            return
        self._binpath = self._binpath or evidence.binpath
        self._users.update(evidence.owners)
        self._waiting[facts.id] = _Noted(number, self._clock())
        self._wanted.set()

    def _evidence(self, facts: JobFacts) -> Evidence | None:
        from xpm_remote.workspace.schedulers.questions import read_evidence

        try:
            return read_evidence(self._layout.job_files(facts.id))
        except (WorkspaceFailure, OSError):
            return None

    def _row_of(self, facts: JobFacts) -> Row | None:
        from xpm_remote.workspace.schedulers.questions import find_row

        rows = {row.directory: row for row in self._by_hash.get(facts.job_id, ())}
        return find_row(self._layout.job(facts.id), facts.process, rows) if rows else None

    def _traces(self, facts: JobFacts) -> Traces:
        from xpm_remote.workspace.schedulers.slurm import why_ended

        files = self._layout.job_files(facts.id)
        launched, marked = (_written(each) for each in (files.pid, files.failed))
        try:
            is_locked = self._host.is_locked(str(files.lock))
            is_own = os.lstat(files.directory).st_uid == os.geteuid()
        except OSError:  # what cannot be looked at has not ended
            is_locked, is_own = True, False
        return Traces(launched, marked, is_locked, is_own, lambda: why_ended(_tail(files.stderr)))


def _written(path: Path) -> float | None:
    try:
        found = filesystem.lstat_or_none(path)
    except OSError:
        return None
    return None if found is None else found.st_mtime


def _tail(path: Path) -> str:
    """Return the last lines of a log; empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL))
            return file.read(_TAIL).decode("utf-8", "replace")
    except OSError:
        return ""
