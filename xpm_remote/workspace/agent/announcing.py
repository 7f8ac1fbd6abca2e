"""Notifications of what is found: pages of short rows.

Each job has a number, which its first row has together with its id; later rows have the number only. Times are epoch
seconds, until the rows of a page are folded. Trailing values that are null are left out. Pure.
"""

from __future__ import annotations

import hashlib
import json
import time
from itertools import islice
from operator import attrgetter
from typing import Any, Callable, Iterable, Iterator

from xpm_remote.workspace import states
from xpm_remote.workspace.agent.folding import JOB_TIMES, LISTED_TIMES, fold, take_hashes
from xpm_remote.workspace.agent.unread import Unread
from xpm_remote.workspace.agent.wire import Notify
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.reading.jobs import JobFacts
from xpm_remote.workspace.reading.json_files import JsonObject
from xpm_remote.workspace.reading.runs import RUN_RUNNING, RUN_UNKNOWN, RunFacts
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
"""Jobs of one notification: some 50 KB, sent every few hundredths of a second."""

DIGEST_SIZE = 10
"""Bytes of the digest by which a page is known again."""

_ORDER = (ListSubject, RunSubject, LiveSubject, TaskSubject, EventsSubject, JobSubject)


class Pages:
    """Sends notifications in pages of rows; each is complete in itself.

    Args:
        send: Sends a notification.
        now: Returns epoch seconds.
    """

    def __init__(self, send: Notify, now: Callable[[], float] = time.time) -> None:
        self._send = send
        self._now = now
        self._sequence = 0
        self._numbers: dict[JobId, int] = {}
        self._mark = now()
        self._known: frozenset[str] | None = frozenset()

    def expect(self, known: list[str]) -> None:
        """Set the digests of the pages that the client has from another agent."""
        self._known = frozenset(known)

    def begin(self) -> None:
        """Record the time: what is sent from here on was read after it."""
        self._mark = self._now()

    def runs(self, runs: list[RunFacts], removed: list[str], names: list[str] | None) -> None:
        """Send runs that are new or have changed; ``names``: all experiments, when the list was read."""
        heads = [head(run) for run in runs]
        self._tell("runs", {"experiments": heads, "removed": removed, "names": names})

    def listed(self, run: RunFacts, job_ids: list[str]) -> None:
        """Send jobs that are new in a run, or have changed in its scheduler.

        A row: number, index of the task, hash, submission, tags, the scheduler's state. Hashes that are digests stand
        beside the rows.
        """
        tasks: dict[str, int] = {}
        rows = []
        for job_id in job_ids:
            info = run.job_infos[job_id]
            number = self._number(JobId(info.task_id, job_id))
            task = tasks.setdefault(info.task_id, len(tasks))
            word = run.job_states.get(job_id)
            rows.append([number, task, job_id, info.submitted, info.tags, word])
        params = {"experiment_id": run.experiment_id, "run_id": run.run_id, "tasks": list(tasks)}
        hashes = take_hashes(rows)
        self._tell_rows("listed", {**params, "hashes": hashes, "rows": fold(rows, LISTED_TIMES)})

    def jobs(self, jobs: list[JobFacts]) -> None:
        """Send jobs that are new or have changed."""
        rows = [row(self._number(facts.id), facts) for facts in jobs]
        self._tell_rows("jobs", {"rows": fold(rows, JOB_TIMES)})

    def gone(self, job_ids: list[JobId]) -> None:
        """Send that no run lists these jobs any more."""
        numbers = [self._numbers[each] for each in job_ids if each in self._numbers]
        self._tell("gone", {"numbers": numbers})

    def unreadable(self, files: list[Unread], left_out: int) -> None:
        """Send all that cannot be read now, with the number of files that are not named."""
        rows = [[*each.file, _seconds(each.since)] for each in files]
        self._tell("unreadable", {"files": rows, "left_out": left_out})

    def loaded(self) -> None:
        """Send that everything has been sent."""
        self._known = None
        self._tell("loaded", {})

    def _number(self, job_id: JobId) -> int:
        return self._numbers.setdefault(job_id, len(self._numbers))

    def _tell_rows(self, name: str, params: dict[str, Any]) -> None:
        """Send a page of rows; while everything is sent once, with its digest, or that alone if the client has it."""
        if self._known is None:
            self._tell(name, params)
            return
        content = json.dumps([name, params]).encode()
        digest = hashlib.blake2b(content, digest_size=DIGEST_SIZE).hexdigest()
        if digest in self._known:
            self._tell("again", {"digest": digest})
        else:
            self._tell(name, {**params, "digest": digest})

    def _tell(self, name: str, params: dict[str, Any]) -> None:
        self._sequence += 1
        # A whole number: its error lies within the slack that is allowed for clocks.
        position = {"sequence": self._sequence, "mark": int(self._mark)}
        self._send(f"notification.{name}", {**position, **params})


def head(run: RunFacts) -> JsonObject:
    """Return a run without its jobs, but with their number."""
    return {
        **run.others,
        "experiment_id": run.experiment_id,
        "run_id": run.run_id,
        "status": run.status,
        "hostname": run.hostname,
        "started_at": run.started,
        "ended_at": run.ended,
        "services": dict(run.services),
        "actions": dict(run.actions),
        "run_tags": list(run.run_tags),
        "runs_count": run.runs_count,
        "scheduler_alive": run.scheduler_alive,
        "jobs_count": len(run.job_infos),
        "is_unread": run.unread is not None,
    }


def row(number: int, facts: JobFacts) -> list[Any]:
    """Return a job as a row: its number, and what is known of it without the trailing values that are null."""
    progress = [[each.level, each.fraction, each.description] for each in facts.progress]
    values = [
        number,
        facts.state,
        facts.failure_reason,
        _seconds(facts.started),
        _seconds(facts.ended),
        facts.retry_count or None,
        facts.exit_code,
        progress or None,
        _rarities(facts) or None,
    ]
    while values[-1] is None:
        del values[-1]
    return values


_rare = attrgetter(
    *("process", "scheduler_failure_reason", "message", "is_link", "has_died", "resumable"),
    *("unread", "row", "progress", "carbon"),
)


def _rarities(facts: JobFacts) -> JsonObject:
    """Return the values that few jobs have, under the names of the protocol."""
    is_plain = facts.certain and facts.has_directory and facts.scheduler_state == facts.state
    if is_plain and not any(_rare(facts)):
        return {}
    values = {
        "scheduler_state": None if facts.scheduler_state == facts.state else facts.scheduler_state,
        "process": facts.process and [facts.process.kind, facts.process.pid, facts.process.host],
        "scheduler_failure_reason": facts.scheduler_failure_reason,
        "message": facts.message,
        "is_link": facts.is_link,
        "has_died": facts.has_died,
        "resumable": facts.resumable,
        "is_unread": facts.unread is not None,
        "row": facts.row,
        "progressed": _seconds(facts.progressed) if facts.progress else None,
    }
    wire: JsonObject = {key: value for key, value in values.items() if value}
    wire.update({key: False for key in ("has_directory", "certain") if not getattr(facts, key)})
    wire.update(facts.carbon or {})
    return wire


def _seconds(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def is_live(run: RunFacts) -> bool:
    """Return whether a run goes on, as far as is known."""
    return run.status in (RUN_RUNNING, RUN_UNKNOWN)


def importance(run: RunFacts) -> tuple[bool, float]:
    """Return a key that sorts runs: those that go on first, then the newest."""
    return (not is_live(run), -(run.started or 0.0))


def by_importance(
    runs: list[RunFacts], news: dict[str, list[str]]
) -> Iterator[tuple[RunFacts, list[str]]]:
    """Yield pages of jobs: first those that have not ended, then the others."""
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
    """Return whether a job has ended in a run's scheduler."""
    return states.parse_state(run.job_states.get(job_id))[0] in states.FINAL


def pages(job_ids: Iterable[str]) -> Iterator[list[str]]:
    """Yield jobs in pages."""
    waiting = iter(job_ids)
    page = list(islice(waiting, PAGE))
    while page:
        yield page
        page = list(islice(waiting, PAGE))


def in_order(subjects: Iterable[Subject]) -> list[Subject]:
    """Sort subjects so that what lists others comes before them."""
    return sorted(subjects, key=lambda each: (_ORDER.index(type(each)), each))
