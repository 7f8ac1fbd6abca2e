"""In which order a workspace is told: what matters first, in pages; what lists others before them. Pure."""

from __future__ import annotations

from itertools import islice
from typing import Iterable, Iterator

from xpm_remote.workspace import states
from xpm_remote.workspace.reading.runs import RUNNING, UNKNOWN, RunFacts
from xpm_remote.workspace.watching.places import (
    EventsSubject,
    JobSubject,
    ListSubject,
    LiveSubject,
    RunSubject,
    TaskSubject,
)
from xpm_remote.workspace.watching.watch import Subject

PAGE = 500
"""Jobs that are told at once: some 50 KB, a screenful of news every few hundredths of a second."""


def is_live(run: RunFacts) -> bool:
    """Tell whether a run goes on, as far as is known."""
    return run.status in (RUNNING, UNKNOWN)


def age(run: RunFacts) -> tuple[float, str]:
    """Order runs by age, the oldest first."""
    return (run.started or 0.0, run.experiment_id)


def importance(run: RunFacts) -> tuple[bool, float]:
    """Order runs: those that go on first, then the newest."""
    return (not is_live(run), -(run.started or 0.0))


def by_importance(
    runs: list[RunFacts], news: dict[str, list[str]]
) -> Iterator[tuple[RunFacts, list[str]]]:
    """Give jobs in pages: first those that have not ended, then the others."""
    later = []
    for run in runs:
        ended: list[str] = []
        going: list[str] = []
        for each in news[run.experiment_id]:
            (ended if has_ended(run, each) else going).append(each)
        for page in pages(going):
            yield run, page
        later.append((run, ended))
    for run, ended in later:
        for page in pages(ended):
            yield run, page


def has_ended(run: RunFacts, job_id: str) -> bool:
    """Tell whether a run's scheduler says that a job has ended."""
    return states.parse_state(run.job_states.get(job_id))[0] in states.FINAL


def pages(job_ids: Iterable[str]) -> Iterator[list[str]]:
    """Split jobs into pages."""
    waiting = iter(job_ids)
    page = list(islice(waiting, PAGE))
    while page:
        yield page
        page = list(islice(waiting, PAGE))


_ORDER = (ListSubject, RunSubject, LiveSubject, TaskSubject, EventsSubject, JobSubject)


def in_order(subjects: Iterable[Subject]) -> list[Subject]:
    """Order subjects so that what lists others comes before them."""
    return sorted(subjects, key=lambda each: (_ORDER.index(type(each)), each))
