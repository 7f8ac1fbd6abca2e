"""The current run of an experiment: its jobs, and its scheduler's state of each. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import tzinfo
from typing import Protocol

from xpm_remote.model.entities import Counts, Experiment, Service
from xpm_remote.model.records import ExperimentRecord, JobInfoRecord, SchedulerEvent, parse_time
from xpm_remote.workspace.states import PENDING, State, read_state


class NamesJob(Protocol):
    """A record or an event that names a job."""

    @property
    def task_id(self) -> str:
        """The task."""

    @property
    def job_id(self) -> str:
        """The job's hash."""


Word = tuple[State, str | None]
"""A scheduler's word on a job: its state and, where it failed, the reason."""


class Run:
    """What is known of the current run of an experiment.

    Attributes:
        experiment: The value that is shown.
        infos: How each job was submitted, by job key, in the order of submission.
        words: What the scheduler last said of each job, by job key.
    """

    def __init__(
        self, experiment: Experiment, infos: dict[str, JobInfoRecord], words: dict[str, Word]
    ) -> None:
        self.experiment = experiment
        self.infos = infos
        self.words = words
        self.counts: Counts | None = None

    def hear(self, key: str, word: Word) -> None:
        """Apply the scheduler's word on a job."""
        self.words[key] = _telling(self.words.get(key), word)

    def succeed(self, before: Run) -> None:
        """Keep what an earlier list said of the same run and the new one lacks."""
        if before.experiment.run_id == self.experiment.run_id:
            for key, word in self.words.items():
                self.words[key] = _telling(before.words.get(key), word)

    @classmethod
    def from_record(cls, record: ExperimentRecord, zone: tzinfo) -> Run:
        """Make a run of an experiment object of the remote."""
        infos = {job_key(info): info for info in (record.job_infos or {}).values()}
        keys = {info.job_id: key for key, info in infos.items()}
        words = {keys[job_id]: word for job_id, word in _words(record) if job_id in keys}
        return cls(_experiment(record, tuple(infos), zone), infos, words)

    @classmethod
    def from_event(cls, event: SchedulerEvent, zone: tzinfo) -> Run:
        """Make the run of an experiment that was not listed yet; the next list brings the rest of it."""
        experiment = Experiment(
            experiment_id=event.experiment_id,
            run_id=event.run_id or "",
            status="running",
            started=parse_time(event.timestamp, zone),
        )
        return cls(experiment, {}, {})


def job_key(named: NamesJob) -> str:
    """Return the key of the job that a record or an event is about."""
    return f"{named.task_id}/{named.job_id}"


def submission(event: SchedulerEvent) -> JobInfoRecord:
    """Return the submission of a job, from the event that announces it."""
    tags = event.tags
    if isinstance(tags, list):
        tags = {tag.key: tag.value for tag in tags}
    return JobInfoRecord(event.job_id, event.task_id, tags, event.timestamp)


def count_states(states: Iterable[State]) -> Counts:
    """Count jobs by group of states."""
    total = done = failed = running = waiting = 0
    for state in states:
        total += 1
        if state is State.DONE:
            done += 1
        elif state is State.ERROR:
            failed += 1
        elif state is State.RUNNING:
            running += 1
        elif state in PENDING:
            waiting += 1
    return Counts(total, done, failed, running, waiting, total - done - failed - running - waiting)


def _telling(before: Word | None, word: Word) -> Word:
    """Return the later word, or a failure with its reason: at a run's end the server repeats it without."""
    if word == (State.ERROR, None) and before is not None and before[0] is State.ERROR:
        return before
    return word


def _words(record: ExperimentRecord) -> Iterable[tuple[str, Word]]:
    if record.job_states is not None:
        for job_id, word in record.job_states.items():
            yield job_id, read_state(word)
        return
    # Before protocol 2.0 only the ends were listed (and in some releases only counted).
    for ended, state in ((record.finished_jobs, State.DONE), (record.failed_jobs, State.ERROR)):
        if isinstance(ended, list):
            for job_id in ended:
                yield job_id, (state, None)


def _experiment(record: ExperimentRecord, jobs: tuple[str, ...], zone: tzinfo) -> Experiment:
    return Experiment(
        experiment_id=record.experiment_id,
        run_id=record.run_id or "",
        status=record.status or "",
        hostname=record.hostname,
        started=parse_time(record.started_at, zone),
        ended=parse_time(record.ended_at, zone),
        run_count=record.runs_count,
        jobs=jobs,
        services=tuple(
            Service(each.service_id, each.description or "", each.state or "", each.url)
            for each in (record.services or {}).values()
        ),
    )
