"""Reading the files of a job."""

from __future__ import annotations

import os
import stat

from xpm_remote.workspace import states
from xpm_remote.workspace.processes import Host
from xpm_remote.workspace.reading import disk
from xpm_remote.workspace.reading.directories import ABSENT, DIRECTORY, UNKNOWN, Directories
from xpm_remote.workspace.reading.jobs import (
    NO_STATUS,
    JobFacts,
    died,
    failed,
    from_status,
    process_of,
    succeeded,
    with_event,
)
from xpm_remote.workspace.reading.json_files import (
    SMALL_LIMIT,
    JsonObject,
    Problems,
    read_object,
    read_value,
    whole_of,
)
from xpm_remote.workspace.reading.live_events import LiveEvents
from xpm_remote.workspace.reading.looks import Look
from xpm_remote.workspace.states import Process


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
        self, task_id: str, job_id: str, word: str | None = None, run_host: str | None = None
    ) -> JobFacts:
        """Read one job.

        Args:
            task_id: The two parts of its id, checked.
            job_id: The same.
            word: Its state in the ``job_states`` of its run, used when the job has no files of its own.
            run_host: The host of its run: pid files before 2.7 do not name their own.
        """
        look = Look(self._root, self._problems)
        facts = self._read(task_id, job_id, word, run_host, look)
        if look.settle() and look.is_overtaken:
            look = Look(self._root, self._problems)
            facts = self._read(task_id, job_id, word, run_host, look)
        unread = look.settle()
        return facts if unread is None else facts._replace(unread=unread)

    def _read(
        self, task_id: str, job_id: str, word: str | None, run_host: str | None, look: Look
    ) -> JobFacts:
        directory = f"{self._jobs}/{task_id}/{job_id}"
        stem = f"{directory}/{task_id.rpartition('.')[2]}"
        place = self._directories.at(task_id, job_id) if self._directories else UNKNOWN
        if place == ABSENT:
            look.missing(directory)
            facts = from_status(task_id, job_id, self._jobs, NO_STATUS)
            absent = facts._replace(has_directory=False)
            return self._unfinished(absent, NO_STATUS, stem, word, run_host, look)
        done = _modified(f"{stem}.done", look)
        failure = None if done is not None else self._read_failure(f"{stem}.failed", look)
        status = read_object(f"{directory}/.experimaestro/status.json", SMALL_LIMIT, look)
        facts = from_status(task_id, job_id, self._jobs, status or NO_STATUS)
        known = done is not None or status is not None
        if place != DIRECTORY or not known:
            facts = _with_directory(facts, directory, look, known=known)
        if done is not None:
            return succeeded(facts, done)
        if failure is not None:
            return failed(facts, *failure)
        return self._unfinished(facts, status or NO_STATUS, stem, word, run_host, look)

    def _unfinished(
        self,
        facts: JobFacts,
        status: JsonObject,
        stem: str,
        word: str | None,
        run_host: str | None,
        look: Look,
    ) -> JobFacts:
        """Return a job that has no marker."""
        written = _modified(f"{stem}.pid", look)
        process = None
        if written is not None:
            content = read_object(f"{stem}.pid", SMALL_LIMIT, look)
            process = process_of(content, run_host)
        state, reason = states.parse_state(word)
        if written is not None:
            facts = facts._replace(process=process or facts.process)
            if facts.state == states.UNSCHEDULED:
                facts = facts._replace(state=states.RUNNING)
        elif state is not None and state != facts.state:
            facts = facts._replace(state=state, failure_reason=reason)
        first = whole_of(status.get("events_count")) or 0
        for event in self._events.of_job(facts.task_id, facts.job_id, max(first, 0), look):
            facts = with_event(facts, event)
        if facts.state in states.FINAL or process is None:
            return facts
        return self._with_death(facts, process, written, stem, look)

    def _with_death(
        self, facts: JobFacts, process: Process, written: float | None, stem: str, look: Look
    ) -> JobFacts:
        lock = f"{stem}.lock"
        try:
            if not disk.call(lock, self._host.has_died, process, written, lock):
                return facts
        except OSError as error:
            look.fail(lock, error)
            return facts
        # It may have left a marker since they were looked for; from here on, it cannot any more.
        done = _modified(f"{stem}.done", look)
        if done is not None:
            return succeeded(facts, done)
        failure = self._read_failure(f"{stem}.failed", look)
        if failure is not None:
            return failed(facts, *failure)
        return died(facts)

    def _read_failure(self, path: str, look: Look) -> tuple[float, object] | None:
        """Return when a marker of failure was written, and what it holds; None when it is not there."""
        written = _modified(path, look)
        if written is None:
            return None
        content = read_value(path, SMALL_LIMIT, look)
        if content is None and _modified(path, look) is None:
            return None  # removed just now, for the next attempt
        return written, content


def _with_directory(facts: JobFacts, directory: str, look: Look, *, known: bool) -> JobFacts:
    found = look.lstat(directory)
    is_link = found is not None and stat.S_ISLNK(found.st_mode)
    if not is_link and known:
        return facts
    has_directory = known or (found is not None and look.is_directory(directory))
    return facts._replace(is_link=is_link, has_directory=has_directory)


def _modified(path: str, look: Look) -> float | None:
    """Return the time at which a file was last written; None when it is missing or cannot be read."""
    found = look.stat(path)
    return None if found is None else found.st_mtime
