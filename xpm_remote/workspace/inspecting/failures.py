"""Why jobs failed: the traceback in the log, the words of the scheduler, or the job that they needed.

Of a log only the end is read. A traceback that the process announced is looked for further up, within a bound, since
its message may be long.
"""

from __future__ import annotations

import os
from hashlib import blake2b

from xpm_remote.workspace import states
from xpm_remote.workspace.failures import UnreadFile, WorkspaceFailure
from xpm_remote.workspace.inspecting.answers import Failure
from xpm_remote.workspace.inspecting.dependencies import DEPTH, Dependencies
from xpm_remote.workspace.inspecting.logs import OpenLog, open_log
from xpm_remote.workspace.inspecting.tracebacks import (
    ANNOUNCEMENT,
    MESSAGE_LIMIT,
    START,
    TITLE_LIMIT,
    Traceback,
    cause_of,
    find_traceback,
    last_line,
    mask,
    title_of,
)
from xpm_remote.workspace.layout import JobFiles, JobId
from xpm_remote.workspace.reading import disk
from xpm_remote.workspace.reading.jobs import (
    CLAIM,
    DEPENDENCY,
    DIED,
    GONE,
    MISSING_OUTPUTS,
    JobFacts,
)
from xpm_remote.workspace.reading.json_files import number_of, printable
from xpm_remote.workspace.reading.reader import WorkspaceReader
from xpm_remote.workspace.states import GENERIC_REASON

TAIL = 16 * 1024
LONG_TAIL = 256 * 1024
"""Bytes of the end of a log that are read first, and those that are read where no traceback is in them."""

SEARCH_BACK = 16 * 1024 * 1024
"""Bytes before the end within which the announcement of an exception is looked for."""

BLOCK = 1024 * 1024

USUAL_CODES = (None, 0, 1)
"""Exit codes that say no more than that it failed."""


class FailureReader:
    """Reads why jobs failed.

    Args:
        reader: Reads the workspace; of one thread.
    """

    def __init__(self, reader: WorkspaceReader) -> None:
        self._reader = reader
        self._dependencies = Dependencies(reader)

    def read(self, job: JobId, known: str = "") -> Failure | None:
        """Return why a job failed; None if that is known by its stamp.

        Args:
            job: The job.
            known: The stamp of what is known.
        """
        files = self._reader.layout.job_files(job)
        stamp = _stamp(files)
        if stamp == known:
            return None
        facts = self._dependencies.facts(job)
        if facts is None:
            cause = cause_of(f"{MISSING_OUTPUTS}: {GONE}")
            return Failure(job, stamp, cause, message=GONE, reason=MISSING_OUTPUTS)
        if _reason(facts) == DEPENDENCY:
            # No stamp: the cause is another job's, which may be tried again.
            return self._of_dependency(job, facts)
        found = Failure(
            job,
            stamp,
            "",
            reason=facts.failure_reason,
            exit_code=facts.exit_code,
            ended=facts.ended,
            unread=facts.unread,
        )
        try:
            with open_log(str(files.stderr)) as log:
                return _with_log(found, facts, files, log)
        except WorkspaceFailure as failure:
            unread = found.unread or UnreadFile(printable(str(files.stderr)), failure.what)
            # Why nothing better is known is what such failures have in common.
            return _without_traceback(found._replace(unread=unread), facts, failure.what)

    def _of_dependency(self, job: JobId, facts: JobFacts) -> Failure:
        needs = self._failed_need(job)
        root, seen = needs, {job}
        for _ in range(DEPTH):
            facts_of_root = self._dependencies.facts(root) if root and root not in seen else None
            if root is None or facts_of_root is None or _reason(facts_of_root) != DEPENDENCY:
                break
            seen.add(root)
            root = self._failed_need(root) or root
        title = f"{DEPENDENCY} of {root}" if root else DEPENDENCY
        message = f"it needs {needs}, which failed" if needs else "a job that it needs failed"
        return Failure(
            job,
            "",
            cause_of(title),
            message=message,
            reason=DEPENDENCY,
            ended=facts.ended,
            needs=needs,
            root=root,
            unread=facts.unread,
        )

    def _failed_need(self, job: JobId) -> JobId | None:
        """Return a job that failed and that a job needs; one that was started before one that was not."""
        failed = []
        for each in self._dependencies.needs(job):
            facts = self._dependencies.facts(each)
            if facts is not None and (facts.state == states.ERROR or _reason(facts)):
                failed.append((_reason(facts) == DEPENDENCY, facts.ended or 0.0, each))
        return min(failed)[2] if failed else None


def newest_first(failure: Failure) -> tuple[float, JobId]:
    """Return a key that sorts failures by their time, the latest first."""
    return (-(failure.ended or 0.0), failure.job)


def _reason(facts: JobFacts) -> str | None:
    """Return why a job failed, also by its scheduler alone."""
    return facts.failure_reason or facts.scheduler_failure_reason


def _stamp(files: JobFiles) -> str:
    """Return what changes with the files that tell why a job failed."""
    parts = []
    stem = os.path.join(files.directory, files.name)  # noqa: PTH118  (paths are made of very many jobs)
    status = os.path.join(files.directory, ".experimaestro/status.json")  # noqa: PTH118
    for path in (f"{stem}.failed", f"{stem}.done", f"{stem}.pid", f"{stem}.err", status):
        try:
            found = disk.stat(path)
            parts.append(f"{found.st_ino}.{found.st_size}.{found.st_mtime_ns}")
        except OSError as error:
            parts.append(str(error.errno))
    return blake2b("|".join(parts).encode(), digest_size=8).hexdigest()


def _with_log(found: Failure, facts: JobFacts, files: JobFiles, log: OpenLog | None) -> Failure:
    if log is None:
        return _without_traceback(found, facts, "")
    found = found._replace(log_size=log.size)
    start = max(0, log.size - TAIL)
    data = log.read(start, log.size)
    traceback = find_traceback(data, start, name=files.name)
    if traceback is None and start > 0:
        start = max(0, log.size - LONG_TAIL)
        data = log.read(start, log.size)
        traceback = find_traceback(data, start, name=files.name)
        if traceback is None and start > 0 and facts.has_failure_marker:
            traceback = _find_announced(log, start, files.name)
    if traceback is None:
        return _without_traceback(found, facts, last_line(data))
    title = title_of(traceback.exception, traceback.message)
    return found._replace(
        cause=cause_of(title, traceback.frames),
        exception=traceback.exception.rpartition(".")[2],
        message=traceback.message,
        frames=traceback.frames,
        offset=traceback.offset,
    )


def _find_announced(log: OpenLog, end: int, name: str) -> Traceback | None:
    """Search backwards for a traceback that the process announced."""
    bound = max(0, end - SEARCH_BACK)
    while end > bound:
        start = max(bound, end - BLOCK)
        data = log.read(start, end + len(ANNOUNCEMENT))
        at = data.rfind(ANNOUNCEMENT)
        if data.rfind(START) > at:  # what is above it is of an earlier run
            return None
        if at >= 0:
            data = log.read(start + at, start + at + LONG_TAIL)
            return find_traceback(data, start + at, name=name)
        end = start
    return None


def _without_traceback(found: Failure, facts: JobFacts, last: str) -> Failure:
    """Return a failure by its reason, and what is said last: in the marker, or else in the log."""
    reason = facts.failure_reason or GENERIC_REASON
    words = facts.message if facts.message not in (None, DIED, CLAIM) else last
    has_died = facts.has_died or facts.message in (DIED, CLAIM)
    title = DIED if has_died and reason == GENERIC_REASON else reason
    code = facts.exit_code
    if number_of(code) is not None and code not in USUAL_CODES:
        title = f"{title}, exit code {code}"
    masked = mask(words or "")
    cause = cause_of(f"{title}: {masked}"[:TITLE_LIMIT] if masked else title)
    return found._replace(cause=cause, message=(words or "")[:MESSAGE_LIMIT])
