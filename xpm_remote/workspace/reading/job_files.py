"""Reading the files of a job, while experimaestro may be writing them.

A scheduler and a process write them one after another, and a job that is tried again loses some, so what is read may
be of two moments: then they are read once more. No file alone is trusted: a marker of failure may be a monitor's
mistake or of an earlier try, status.json may be an earlier run's, and no host sees the processes of the others.
"""

from __future__ import annotations

import os
import stat

from xpm_remote.workspace import states
from xpm_remote.workspace.processes import Host
from xpm_remote.workspace.reading.directories import ABSENT, DIRECTORY, UNKNOWN, Directories
from xpm_remote.workspace.reading.evidence import (
    Evidence,
    Question,
    Stamps,
    at,
    latest,
    read_stamps,
)
from xpm_remote.workspace.reading.jobs import (
    CLAIM,
    NO_STATUS,
    ZONES_APART,
    JobFacts,
    died,
    failed,
    from_status,
    is_of_earlier_run,
    process_of,
    renewed,
    succeeded,
    time_in,
    with_event,
)
from xpm_remote.workspace.reading.json_files import (
    SMALL_LIMIT,
    Problems,
    read_lines,
    read_object,
    read_value,
    whole_of,
)
from xpm_remote.workspace.reading.live_events import LiveEvents
from xpm_remote.workspace.reading.looks import LOOKS_AT_WHAT_APPEARS, Look
from xpm_remote.workspace.states import RUNNING, SCHEDULED

MORE_LOOKS = 3
"""Further readings of a job whose files change while they are read, as those of one that starts or ends."""

LAST_WRITES = 5.0
"""Seconds after its marker of failure in which a process still writes its log, holding its lock, before it ends."""

CLOCK_STEP = 1.0
"""Seconds by which a time that is written into a file may be later than the file's own, without being news."""

_STARTED = frozenset({SCHEDULED, RUNNING})


class JobReader:
    """Reads jobs of one workspace.

    Args:
        jobs_directory: Its ``jobs/``, absolute.
        events: Its live events.
        host: The host on which this code runs.
        problems: Where broken files are noted.
        directories: What is at the paths of jobs, if it has been listed.
    """

    def __init__(
        self,
        jobs_directory: str,
        events: LiveEvents,
        host: Host,
        problems: Problems,
        directories: Directories | None = None,
    ) -> None:
        self._jobs = jobs_directory
        self._root = os.path.dirname(jobs_directory)  # noqa: PTH120
        self._directories = directories
        self._events = events
        self._host = host
        self._problems = problems

    def read(
        self,
        task_id: str,
        job_id: str,
        word: str | None = None,
        run_host: str | None = None,
        submitted: float | None = None,
        *,
        is_over: bool = False,
    ) -> JobFacts:
        """Read one job.

        Args:
            task_id: The two parts of its id, checked.
            job_id: The same.
            word: Its state in the ``job_states`` of its run, used when the job has no files of its own.
            run_host: The host of its run: pid files before 2.7 do not name their own.
            submitted: When it was submitted in its run: what its files say of a time before is of an earlier run.
            is_over: Whether the scheduler of its run has ended.
        """
        directory = f"{self._jobs}/{task_id}/{job_id}"
        stem = f"{directory}/{task_id.rpartition('.')[2]}"
        asked = Question(task_id, job_id, directory, stem, word, run_host, submitted, is_over)
        place = UNKNOWN
        if self._directories is not None:
            place = self._directories.at(task_id, job_id)
        facts, is_settled = self._read(asked, place)
        for number in range(LOOKS_AT_WHAT_APPEARS):
            if is_settled or (facts.unread is None and number >= MORE_LOOKS):
                break
            # What was listed before the job appeared says that it is absent, in each further look too.
            facts, is_settled = self._read(asked, UNKNOWN)
        return facts

    def dated(self, facts: JobFacts) -> JobFacts:
        """Return a job with a start that its end permits, and a failed one with the time of its end.

        That is the time of its last sign of life, or of its scheduler's last look.
        """
        if facts.started and facts.ended and facts.started > facts.ended + ZONES_APART:
            return facts._replace(started=self._archived_start(facts))
        if facts.state != states.ERROR or facts.ended is not None:
            return facts
        look = Look(self._root, self._problems)
        directory = f"{self._jobs}/{facts.task_id}/{facts.job_id}"
        stem = f"{directory}/{facts.task_id.rpartition('.')[2]}"
        status = f"{directory}/.experimaestro/status.json"
        started, told = facts.started, None
        # One that never ran is locked by its scheduler when it gives it up, which writes its status the first time.
        paths = (f"{stem}.lock", status)
        if started is not None:
            told = self._events.last_written(facts.task_id, facts.job_id, look)
            paths = (f"{stem}.out", f"{stem}.err")
        found = (look.stat(each) for each in paths)
        last = latest(told, *(each.st_mtime for each in found if each is not None))
        written = look.stat(status)
        known = latest(last, written.st_mtime if written is not None else None)
        if started is not None and known is not None and started > known + ZONES_APART:
            started = self._archived_start(facts)
        unread = look.settle() or facts.unread
        return facts._replace(started=started, ended=latest(started, last), unread=unread)

    def _archived_start(self, facts: JobFacts) -> float | None:
        """Return the start of a job by its first event, which has the time of another zone and the true one."""
        path = f"{facts.path}/.experimaestro/events/event-0.jsonl"
        events = read_lines(path, Look(self._root, self._problems))
        return next((time_in(each, "started_time") for each in events), None)

    def _read(self, asked: Question, place: str) -> tuple[JobFacts, bool]:
        """Return a job, and whether its files were the same after they were read."""
        look = Look(self._root, self._problems)
        if place == ABSENT:
            look.missing(asked.directory)
            facts = from_status(asked.task_id, asked.job_id, self._jobs, NO_STATUS)
            nothing = Evidence(asked, Stamps(), None, 0, self._events, self._host, look)
            facts, is_same = _unfinished(facts._replace(has_directory=False), nothing), True
        else:
            stamps = read_stamps(asked, look)
            facts = self._judge(asked, stamps, place, look)
            has_marker = facts.has_done_marker or facts.has_failure_marker
            is_ended = has_marker and facts.state in states.FINAL
            is_same = is_ended or read_stamps(asked, look) == stamps
        unread = look.settle()
        if unread is None:
            return facts, is_same
        return facts._replace(unread=unread), not look.is_overtaken

    def _judge(self, asked: Question, stamps: Stamps, place: str, look: Look) -> JobFacts:
        """Return a job as its files show it, if they are those of the stamps."""
        path = f"{asked.directory}/.experimaestro/status.json"
        status = read_object(path, SMALL_LIMIT, look)
        facts = from_status(asked.task_id, asked.job_id, self._jobs, status or NO_STATUS)
        known = stamps.done is not None or status is not None
        if place != DIRECTORY or not known:
            facts = _with_directory(facts, asked.directory, look, known=known)
        if stamps.done is not None:
            return succeeded(facts, stamps.done.at)
        process = None
        if stamps.pid is not None:
            content = read_object(f"{asked.stem}.pid", SMALL_LIMIT, look)
            process = process_of(content, asked.run_host)
        first = max(whole_of((status or NO_STATUS).get("events_count")) or 0, 0)
        evidence = Evidence(asked, stamps, process, first, self._events, self._host, look)
        # An empty marker whose process holds the lock, or lives, is being written.
        is_empty = stamps.failed is not None and stamps.failed.size == 0
        is_early = is_empty and (evidence.is_locked or evidence.is_alive(facts.process) is True)
        if stamps.failed is None or is_early:
            return _unfinished(facts, evidence)
        content = read_value(f"{asked.stem}.failed", SMALL_LIMIT, look)
        return _with_failure(facts, failed(facts, stamps.failed.at, content), evidence)


def _with_failure(facts: JobFacts, ended: JobFacts, evidence: Evidence) -> JobFacts:
    """Return a job with a marker of failure.

    Args:
        facts: The job by its status.
        ended: The job by its marker.
        evidence: What shows whether it goes on.
    """
    goes_on = _goes_on(facts, ended, evidence)
    if goes_on is False:
        return _ended(ended, evidence)
    if goes_on is None and facts.state not in _STARTED:
        return ended._replace(certain=False)
    state = facts.state if facts.state in _STARTED else RUNNING
    return _unfinished(
        facts._replace(
            state=state, ended=None, has_failure_marker=True, certain=goes_on is not None
        ),
        evidence,
    )


def _goes_on(facts: JobFacts, ended: JobFacts, evidence: Evidence) -> bool | None:
    """Return whether a job with a marker of failure runs (again) nevertheless; None where that cannot be known.

    A monitor that cannot see a process claims that it has died, and removes its pid file. Any marker may be of an
    earlier try.
    """
    marked = at(evidence.stamps.failed) or 0.0
    if ended.state != states.ERROR:
        return False
    is_claim = ended.message == CLAIM
    written = evidence.last_output or 0.0
    has_started = facts.state in _STARTED or evidence.stamps.pid is not None
    if not (is_claim or has_started or written > marked + LAST_WRITES):
        return False
    started = facts.started if facts.state == RUNNING else None
    begun = latest(started, at(evidence.stamps.pid), evidence.last_event) or 0.0
    alive = evidence.is_alive(facts.process)
    if evidence.stamps.pid is not None and evidence.is_locked:
        return True  # a process that fails removes its pid file at once, before it frees its lock
    if not is_claim:
        may_live = alive is not False or evidence.is_locked
        writes = evidence.is_locked and written > marked + LAST_WRITES
        return writes or (may_live and begun > marked + CLOCK_STEP)
    if evidence.is_locked or alive or max(begun, written) > marked + CLOCK_STEP:
        return True
    return alive


def _ended(ended: JobFacts, evidence: Evidence) -> JobFacts:
    """Return a job that has failed, unless it waits to be tried again."""
    asked = evidence.asked
    state = states.parse_state(asked.word)[0]
    if state is not None and is_of_earlier_run(ended, asked.word, asked.submitted):
        return renewed(ended, state)
    if ended.message != CLAIM:
        return ended
    # The monitor may have come much later than the end.
    return ended._replace(ended=evidence.last_sign(ended.started) or ended.ended)


def _unfinished(facts: JobFacts, evidence: Evidence) -> JobFacts:
    """Return a job that no marker ends."""
    asked, stamps = evidence.asked, evidence.stamps
    facts = _with_launch(facts, evidence)
    before = facts.state
    for event in evidence.events():
        facts = with_event(facts, event)
    if facts.state == states.DONE and (before != states.DONE or _is_closing(facts, evidence)):
        # The process says so, in its status too, just before it leaves its marker, which alone is proof.
        facts = facts._replace(state=RUNNING, ended=None)
    state = states.parse_state(asked.word)[0]
    is_old = is_of_earlier_run(facts, asked.word, asked.submitted) or _has_old_status(evidence)
    if state is not None and is_old:
        if (at(stamps.pid) or 0.0) >= (asked.submitted or 0.0):
            return renewed(facts, SCHEDULED)
        if stamps.pid is None or not evidence.is_alive(None):
            return renewed(facts._replace(process=None), state)
    if facts.state in states.FINAL or not facts.has_directory:
        return facts
    return _with_death(facts, evidence)


def _is_closing(facts: JobFacts, evidence: Evidence) -> bool:
    """Return whether the process of a job that has succeeded by its status may yet leave its marker."""
    has_process = evidence.stamps.pid is not None or facts.process is not None
    return (has_process and evidence.is_alive(facts.process) is not False) or evidence.is_locked


def _has_old_status(evidence: Evidence) -> bool:
    """Return whether a job waits in its run, and its status was written before it was submitted there."""
    written, submitted = at(evidence.stamps.status), evidence.asked.submitted
    waits = evidence.asked.word in (states.State.WAITING.value, states.State.READY.value)
    return waits and written is not None and submitted is not None and written < submitted


def _with_launch(facts: JobFacts, evidence: Evidence) -> JobFacts:
    """Return a job with its state by its pid file, or by its run, where status.json is older."""
    stamps = evidence.stamps
    if stamps.pid is not None:
        facts = facts._replace(process=evidence.process or facts.process)
        submitted = evidence.asked.submitted
        if facts.started and submitted and facts.started < submitted <= stamps.pid.at:
            return renewed(facts, SCHEDULED)  # its status is still that of an earlier run
        if facts.state in _STARTED:
            return facts
        if facts.state in states.FINAL and stamps.pid.at <= (facts.ended or 0.0):
            return facts
        # Its scheduler writes the pid file before it notes that it has started the process.
        state = RUNNING if stamps.status is None else SCHEDULED
        return facts._replace(state=state, failure_reason=None, ended=None)
    word, reason = states.parse_state(evidence.asked.word)
    if word is None or word == facts.state or _is_ending(facts, word, evidence):
        return facts
    if facts.state in states.FINAL and word in states.PENDING:
        return renewed(facts, word)  # no marker is left of that end
    return facts._replace(state=word, failure_reason=reason)


def _is_ending(facts: JobFacts, word: str, evidence: Evidence) -> bool:
    """Return whether a job without a pid file runs: its process removes that file before it leaves a marker."""
    if facts.state != RUNNING or states.is_further(word, RUNNING):
        return False
    if facts.has_failure_marker or word in _STARTED:
        return True
    return bool(facts.process and evidence.is_alive(facts.process)) or evidence.is_locked


def _with_death(facts: JobFacts, evidence: Evidence) -> JobFacts:
    """Return a job as dead if its process is, and as uncertain if that cannot be known and no scheduler knows it.

    A marker that it left just now changes the stamps, so that it is read again.
    """
    is_over = evidence.asked.is_over
    if evidence.process is None and (evidence.stamps.pid is not None or not is_over):
        return facts
    if evidence.stamps.pid is None and facts.state != RUNNING:
        return facts
    alive = evidence.is_alive(facts.process)
    if alive or (alive is None and not is_over) or evidence.is_locked:
        return facts
    if alive is None:
        return facts._replace(certain=False)
    return died(facts, evidence.last_sign(facts.started))


def _with_directory(facts: JobFacts, directory: str, look: Look, *, known: bool) -> JobFacts:
    found = look.lstat(directory)
    is_link = found is not None and stat.S_ISLNK(found.st_mode)
    if not is_link and known:
        return facts
    has_directory = known or (found is not None and look.is_directory(directory))
    return facts._replace(is_link=is_link, has_directory=has_directory)
