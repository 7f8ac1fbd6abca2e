"""The try of a job that was sent, and whether what is read later is a step back in it."""

from __future__ import annotations

from typing import NamedTuple

from xpm_remote.workspace import states
from xpm_remote.workspace.reading.jobs import JobFacts


class Try(NamedTuple):
    """What was sent of a job that shows whether something later is a step back: its run, and its try in it."""

    run: tuple[str, str]
    state: str
    scheduler_state: str
    started: float | None
    ended: float | None
    retry_count: int
    is_marked: bool


def try_of(facts: JobFacts, run: tuple[str, str]) -> Try:
    """Return what shows later whether a job has stepped back."""
    is_marked = facts.has_done_marker or facts.has_failure_marker
    return Try(
        run,
        facts.state,
        facts.scheduler_state,
        facts.started,
        facts.ended,
        facts.retry_count,
        is_marked,
    )


def steps_back(last: Try, facts: JobFacts, run: tuple[str, str]) -> bool:
    """Return whether a job has less in one try than what was sent.

    Another try has a later start, another run, or a scheduler that lets the job wait again; or the marker of its end
    is removed. The number of retries is raised when a try ends, so it shows another one only if no end was seen.
    """
    if run != last.run or not facts.has_directory or facts.row is not None:
        return False  # by its scheduler's word, which requeues a job as it likes
    if last.state not in states.FINAL and facts.retry_count > last.retry_count:
        return False
    # status.json and the first event have slightly different times of the same start.
    if last.started and facts.started and facts.started > max(last.started, last.ended or 0.0):
        return False
    if last.scheduler_state in states.FINAL and facts.scheduler_state in states.PENDING:
        return False
    is_marked = facts.has_done_marker or facts.has_failure_marker
    if last.is_marked and not is_marked:
        return facts.state in states.FINAL  # by its run alone, which is about to begin another try
    if states.is_further(last.state, facts.state):
        return last.state not in states.PENDING and last.state not in states.IDLE
    # The same state without its start: status.json is being written.
    is_less = bool(last.started and not facts.started) or facts.retry_count < last.retry_count
    return is_less and facts.state == last.state and not is_marked
