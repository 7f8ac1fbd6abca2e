"""A job by its files and by what its scheduler has of it: neither alone is the truth. Pure.

A scheduler's answer is as old as it is, so what the files have got since then counts; but a marker that a monitor
wrote, for a process that it could not find, is only its claim.
"""

from __future__ import annotations

from typing import Callable, NamedTuple

from xpm_remote.workspace.reading.jobs import CLAIM, JobFacts, renewed
from xpm_remote.workspace.rows import Phase, Row
from xpm_remote.workspace.states import DONE, ERROR, FINAL, GENERIC_REASON, RUNNING, SCHEDULED

DEATH_AGE = 300.0
"""Seconds after which a pid file without a job, a marker or a held lock is that of a dead job: before that, the answer
or the file server may be late."""

LAST_WORDS = 30.0
"""Seconds in which a process that has left its marker may still be listed as running."""

_REASONS = {
    "TIMEOUT": "TIMEOUT",
    "DEADLINE": "TIMEOUT",
    "OUT_OF_MEMORY": "MEMORY",
    "CANCELLED": "CANCELLED",
    "NODE_FAIL": "NODE_FAIL",
    "BOOT_FAIL": "NODE_FAIL",
    "PREEMPTED": "PREEMPTED",
}
MAY_BE_REQUEUED = ("CANCELLED", "NODE_FAIL", "PREEMPTED")
"""Reasons for which a scheduler ends a job that it may queue again."""

_VAGUE = (None, GENERIC_REASON, "CANCELLED")
"""Reasons that a process gives which does not know why it was ended."""

_SUCCEEDED = "COMPLETED"
"""The state of a job whose program has succeeded, and so has left a marker that may not be visible yet."""

_BY_ITSELF = (_SUCCEEDED, "FAILED")
"""States of a job that its scheduler has not ended."""


class Traces(NamedTuple):
    """What the files of a job have besides its facts.

    Attributes:
        launched: When its pid file was written, epoch seconds; None without one.
        marked: When its marker of failure was; None without one.
        is_locked: Whether its lock is held.
        is_own: Whether it is of the user who asks: a scheduler may hide the jobs of others.
        hint: Returns the state in which the scheduler has ended it, by the end of its log; None if that does not tell.
    """

    launched: float | None
    marked: float | None
    is_locked: bool
    is_own: bool
    hint: Callable[[], str | None]


def judge(facts: JobFacts, row: Row | None, asked: float | None, traces: Traces) -> JobFacts:
    """Return a job of a scheduler.

    Args:
        facts: The job by its files.
        row: What the scheduler has of it.
        asked: When it was asked, epoch seconds; None if it has not answered.
        traces: What else its files have.
    """
    if facts.has_done_marker or facts.unread is not None:
        return facts
    # The row of its own number is not of an earlier submission, whatever the clocks of the hosts say.
    is_same = row is not None and facts.process is not None and row.id == str(facts.process.pid)
    is_newer = asked is not None and not is_same and (traces.launched or 0.0) > asked
    if asked is None or is_newer:
        return _with_hint(facts, traces)
    if row is None:
        return _unlisted(facts, asked, traces)
    if row.phase is Phase.ENDED:
        return _ended(facts, row, asked, traces)
    return _living(facts, row, asked)


def _living(facts: JobFacts, row: Row, asked: float) -> JobFacts:
    is_claim = _is_claim(facts)
    if facts.state == ERROR and not is_claim and not _is_earlier_try(facts, row, asked):
        return facts._replace(row=row) if facts.has_failure_marker else _revived(facts, row)
    if is_claim and (facts.message == CLAIM or not facts.certain):
        what = "a monitor of experimaestro has marked this job as failed"
        row = row._replace(warning=f"{what}, and SLURM has it: {row.id}, {row.state}")
    if row.phase is Phase.QUEUED and facts.state == RUNNING and (facts.started or 0.0) > asked:
        return facts._replace(row=row)
    return _revived(facts, row)


def _revived(facts: JobFacts, row: Row) -> JobFacts:
    state = SCHEDULED if row.phase is Phase.QUEUED else RUNNING
    process = facts.process
    if facts.state == RUNNING == state:
        return facts._replace(certain=True, row=row)
    found = renewed(facts, state)._replace(process=process, row=row)
    return found._replace(started=row.starts) if state == RUNNING else found


def _is_earlier_try(facts: JobFacts, row: Row, asked: float) -> bool:
    """Return whether a job with a marker of failure is tried again by its scheduler."""
    ended = facts.ended or 0.0
    if row.phase is Phase.QUEUED:
        return ended <= asked
    return row.starts is not None and row.starts > ended and asked > ended + LAST_WORDS


def _ended(facts: JobFacts, row: Row, asked: float, traces: Traces) -> JobFacts:
    if facts.state == ERROR and not _is_claim(facts):
        if facts.failure_reason in _VAGUE and row.state not in _BY_ITSELF:
            reason = _REASONS.get(row.state, facts.failure_reason or GENERIC_REASON)
            message = f"SLURM has ended it: {row.state}"
            facts = facts._replace(failure_reason=reason, message=message)
        is_certain = facts.certain or row.state != _SUCCEEDED
        return _with_hint(facts, traces)._replace(row=row, certain=is_certain)
    since = asked - (row.ends or asked)
    if traces.is_locked or (row.state == _SUCCEEDED and since < DEATH_AGE):
        return facts._replace(row=row)
    message = f"SLURM has ended it: {row.state}"
    failed = _failed(facts, _REASONS.get(row.state, GENERIC_REASON), message, row.ends)
    return _with_hint(failed, traces)._replace(row=row)


def _unlisted(facts: JobFacts, asked: float, traces: Traces) -> JobFacts:
    is_claim = _is_claim(facts)
    if facts.state in FINAL and not is_claim:
        return _with_hint(facts, traces)
    launched = traces.marked if is_claim else traces.launched
    is_old = launched is not None and asked - launched > DEATH_AGE
    if not is_old or traces.is_locked or not traces.is_own:
        return facts
    hint = traces.hint()
    said = f": {hint} by its log" if hint else ""
    reason = _REASONS.get(hint or "", GENERIC_REASON)
    return _failed(facts, reason, f"SLURM does not have it any more{said}", facts.ended)


def unconfirmed(facts: JobFacts, asked: float | None, *, is_locked: bool) -> JobFacts:
    """Return a job as judged by an answer after which its scheduler has not answered any more.

    Args:
        facts: The job.
        asked: When that answer was given, epoch seconds; None if there has been none.
        is_locked: Whether its lock is held, which shows that it runs.
    """
    row = None if facts.row is None else facts.row._replace(asked=asked)
    is_certain = facts.certain and (is_locked or facts.state in FINAL)
    return facts._replace(row=row, certain=is_certain)


def _with_hint(facts: JobFacts, traces: Traces) -> JobFacts:
    """Return a job with the reason that its log has, if it has failed for none that tells."""
    if facts.state != ERROR or facts.failure_reason not in _VAGUE:
        return facts
    hint = traces.hint()
    known = _REASONS.get(hint or "")
    if known is None:
        return facts
    message = f"{hint} by its log" + (f"; {facts.message}" if facts.message else "")
    return facts._replace(failure_reason=known, message=message)


def _failed(facts: JobFacts, reason: str, message: str, ended: float | None) -> JobFacts:
    return facts._replace(
        state=ERROR,
        failure_reason=reason,
        message=message,
        ended=ended,
        has_died=True,
        certain=True,
    )


def _is_claim(facts: JobFacts) -> bool:
    """Return whether a job has failed only by the word of a monitor."""
    return facts.message == CLAIM or (facts.has_failure_marker and facts.state not in (ERROR, DONE))
