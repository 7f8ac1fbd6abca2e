"""The current run of an experiment: its jobs, and its scheduler's state of each.

The reference server lists states without a time, and at a run's end it lists less than it has announced: ``running``
for a job that was killed, ``unscheduled`` for one that a dependency stopped. So a word that a job has ended is kept
until its scheduler says later that it waits or runs again, or the job itself has begun another try. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, tzinfo
from typing import NamedTuple, Protocol

import msgspec

from xpm_remote.model.entities import Experiment, Job, Service
from xpm_remote.model.records import ExperimentRecord, JobInfoRecord, SchedulerEvent, parse_time
from xpm_remote.workspace.states import IDLE, State, read_state


class NamesJob(Protocol):
    """A record or an event that names a job."""

    @property
    def task_id(self) -> str:
        """The task."""

    @property
    def job_id(self) -> str:
        """The job's hash."""


RUNNING = "running"
"""The status of a run whose scheduler works, or has died without a record."""

_ENDED = frozenset({"done", "failed"})


class Word(NamedTuple):
    """A scheduler's word on a job.

    Attributes:
        state: The job's state.
        reason: Why it failed, if it did.
        at: When the scheduler last announced anything of the job; None where unknown.
        is_dated: Whether this word was announced at that time, not listed some time after it.
        started: When the try that it is about began, as far as was known; ``retry_count``: its number, None while
            nothing was known of the job itself.
    """

    state: State = State.UNSCHEDULED
    reason: str | None = None
    at: datetime | None = None
    is_dated: bool = False
    started: datetime | None = None
    retry_count: int | None = None

    def is_outlived(self, job: Job) -> bool:
        """Return whether the job has begun another try since it ended by this word."""
        since = self.at if self.is_dated else self.started
        if job.started is not None and since is not None:
            return job.started > since
        return self.retry_count is not None and job.retry_count > self.retry_count


SILENCE = Word()
"""The word of a scheduler that has not said anything of a job."""

PLAIN_WORDS = {state: Word(state) for state in State}
"""The words without anything but a state, of which one each is enough for all jobs."""


class Entry(NamedTuple):
    """A job in the list of a run: how it was submitted, and its scheduler's word; without ``info`` it has left it.

    ``is_fresh``: the run is another one than that whose word is known.
    """

    experiment_id: str
    key: str
    info: JobInfoRecord | None = None
    word: str | None = None
    is_fresh: bool = False


class Listing(NamedTuple):
    """What an agent has listed anew: experiments without their jobs, and entries of jobs.

    ``names``: all experiments in their order, with the last slice; None while others follow.
    """

    heads: list[ExperimentRecord]
    entries: list[Entry]
    names: list[str] | None = None


class Run:
    """What is known of the current run of an experiment.

    Attributes:
        experiment: The value that is shown.
        infos: How each job was submitted, by job key, in the order of submission.
        words: What the scheduler last said of each job, by job key.
        former: The run before, while this one has just begun and may not have listed all of its jobs.
    """

    def __init__(
        self, experiment: Experiment, infos: dict[str, JobInfoRecord], words: dict[str, Word]
    ) -> None:
        self.experiment = experiment
        self.infos = infos
        self.words = words
        self.former: Run | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of its jobs; first those of the run before that it has not listed."""
        if self.former is None:
            return tuple(self.infos)
        return (*(key for key in self.former.keys if key not in self.infos), *self.infos)

    def of(self, key: str) -> Run | None:
        """Return the run that has a job: this one, or one before it; None if none has it."""
        if key in self.infos or self.former is None:
            return self if key in self.infos else None
        return self.former.of(key)

    def submit(self, key: str, info: JobInfoRecord) -> None:
        """Add a job."""
        self.infos[key] = info
        self.list_jobs()

    def enter(self, entry: Entry, info: JobInfoRecord, job: Job) -> None:
        """Apply an entry of its list; ``list_jobs`` is called after the last."""
        key = entry.key
        if entry.is_fresh:
            self.infos.pop(key, None)
            self.words.pop(key, None)
        self.infos[key] = info
        if entry.word is not None:
            word = PLAIN_WORDS[read_state(entry.word)[0]]
            self.words[key] = _after_answer(self.words.get(key), word, job)

    def leave(self, key: str) -> None:
        """Remove a job that its list has no more; ``list_jobs`` is called after the last."""
        self.infos.pop(key, None)
        self.words.pop(key, None)

    def head(self, record: ExperimentRecord, zone: tzinfo) -> None:
        """Apply a head of an experiment, whose jobs are sent by themselves."""
        known, listed = self.experiment, _experiment(record, self.experiment.jobs, zone)
        self.experiment = _never_running_again(known, listed)

    def forget_former(self) -> None:
        """Drop the jobs of the run before that this one has not listed."""
        self.former = None
        self.list_jobs()

    def list_jobs(self) -> None:
        """Make the value that is shown list its jobs."""
        self.experiment = msgspec.structs.replace(self.experiment, jobs=self.keys)

    def announce(self, word: Word, job: Job) -> None:
        """Apply an announcement of the scheduler about a job."""
        self.words[job.key] = _after_event(self.words.get(job.key), word, job)

    def answer(self, word: Word, job: Job) -> None:
        """Apply the scheduler's word on a job in an answer, which has no time."""
        self.words[job.key] = _after_answer(self.words.get(job.key), word, job)

    def follow(self, before: Run, shown: Experiment) -> None:
        """Keep the jobs of the run before, which this one may be about to list, if it goes on.

        Args:
            before: The run as it was known; it may be this one.
            shown: That run as it was shown.
        """
        if self.experiment.status != RUNNING:
            return
        if before.experiment.run_id == self.experiment.run_id:
            self.former = before.former
        else:
            self.former = before
            before.experiment = shown
        if self.former is not None and all(key in self.infos for key in self.former.keys):
            self.former = None
        self.list_jobs()

    def succeed(self, before: Run, job_of: Callable[[NamesJob], Job]) -> None:
        """Keep what was known of the same run and this later list of it lacks.

        Args:
            before: The run as it was known.
            job_of: Returns a job as it is known.
        """
        known, listed = before.experiment, self.experiment
        if known.run_id != listed.run_id:
            return
        self.experiment = _never_running_again(known, listed)
        for key, word in self.words.items():
            self.words[key] = _after_answer(before.words.get(key), word, job_of(self.infos[key]))

    def word(self, job: Job) -> Word:
        """Return the scheduler's word that holds for a job.

        An end that was announced counts no more while a later try goes on; a listed one may be the end of that.
        """
        word = self.words.get(job.key, SILENCE)
        is_going_on = self.experiment.status == RUNNING and not job.execution.is_final
        is_announced_end = word.is_dated and word.state.is_final
        if is_going_on and is_announced_end and word.is_outlived(job):
            return SILENCE
        return word

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


def _after_event(before: Word | None, word: Word, job: Job) -> Word:
    """Return the word that counts after an announcement."""
    word = word._replace(is_dated=word.at is not None)
    if before is None:
        return _of_try(word, job)
    if before.at is not None and (word.at is None or word.at < before.at):
        is_end = word.at is None and word.state.is_final and not before.state.is_final
        return _of_try(word._replace(at=before.at), job) if is_end else before
    if before.state.is_final and not word.state.is_final and not _is_again(before, word, job):
        return before
    if before.state is word.state is State.ERROR:
        word = word._replace(reason=word.reason or before.reason)
    return _of_try(word, job)


def _after_answer(before: Word | None, word: Word, job: Job) -> Word:
    """Return the word that counts after an answer, which may be older than what was announced."""
    if before is None:
        return _of_try(word, job)
    if before.state.is_final and before.state is word.state:
        before = before._replace(reason=word.reason or before.reason)
        return _of_try(before, job) if before.retry_count is None else before
    if before.state.is_final and not word.state.is_final and not before.is_outlived(job):
        return before
    return _of_try(word._replace(at=before.at), job)


def _of_try(word: Word, job: Job) -> Word:
    if job.execution is State.UNSCHEDULED:
        return word
    return word._replace(started=job.started, retry_count=job.retry_count)


def _is_again(before: Word, word: Word, job: Job) -> bool:
    """Return whether an announcement that a job waits or runs came after its end."""
    if word.at is None or word.state in IDLE:
        return before.is_outlived(job)
    if before.at is None:
        return job.ended is not None and word.at > job.ended
    return word.at > before.at or (word.at == before.at and not before.is_dated)


def _words(record: ExperimentRecord) -> Iterable[tuple[str, Word]]:
    if record.job_states is not None:
        for job_id, word in record.job_states.items():
            yield job_id, Word(*read_state(word))
        return
    # Before protocol 2.0 only the ends were listed (and in some releases only counted).
    for ended, state in ((record.finished_jobs, State.DONE), (record.failed_jobs, State.ERROR)):
        if isinstance(ended, list):
            for job_id in ended:
                yield job_id, Word(state)


def _never_running_again(known: Experiment, listed: Experiment) -> Experiment:
    """Return a run as it is listed, but ended if it was known to have ended."""
    is_again = known.status in _ENDED and listed.status == RUNNING
    if known.run_id != listed.run_id or not is_again:
        return listed
    return msgspec.structs.replace(listed, status=known.status, ended=known.ended)


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
        # A scheduler on another host may have died.
        certain=record.status != RUNNING or record.scheduler_alive is not None,
    )
