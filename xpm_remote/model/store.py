"""The picture of one workspace: applying what arrives returns which jobs and experiments changed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone, tzinfo
from types import MappingProxyType

import msgspec

from xpm_remote.model.entities import (
    NO_TAGS,
    Change,
    Counts,
    Experiment,
    ExperimentChange,
    Job,
    JobChange,
)
from xpm_remote.model.merge import (
    is_submitted_again,
    with_judgement,
    with_progress_event,
    with_record,
    with_state_event,
)
from xpm_remote.model.records import (
    Event,
    ExperimentRecord,
    JobProgressEvent,
    JobRecord,
    JobStateEvent,
    SchedulerEvent,
    parse_time,
)
from xpm_remote.model.runs import SILENCE, NamesJob, Run, Word, count_states, job_key, submission
from xpm_remote.workspace.states import State, read_state


class Store:
    """Experiments and jobs of one workspace.

    Each ``apply_…`` returns the changes that it made, in order, at most one for each entity.

    Args:
        zone: The time zone of the remote host, in which its naive times are.
    """

    def __init__(self, zone: tzinfo = timezone.utc) -> None:
        self.zone = zone
        self._runs: dict[str, Run] = {}
        self._members: dict[str, tuple[str, ...]] = {}
        self._jobs: dict[str, Job] = {}
        self._by_state: dict[State, dict[str, None]] = {state: {} for state in State}

    @property
    def jobs(self) -> Mapping[str, Job]:
        """All jobs, by key."""
        return MappingProxyType(self._jobs)

    @property
    def experiments(self) -> list[Experiment]:
        """All experiments, in the order in which the remote lists them."""
        return [run.experiment for run in self._runs.values()]

    def in_state(self, *states: State) -> Iterator[Job]:
        """Return the jobs in these states."""
        return (self._jobs[key] for state in states for key in self._by_state[state])

    def number_in_state(self, *states: State) -> int:
        """Count the jobs in these states."""
        return sum(len(self._by_state[state]) for state in states)

    def counts(self, experiment_id: str) -> Counts:
        """Count the jobs of an experiment by group of states; zeros for an unknown one."""
        run = self._runs.get(experiment_id)
        if run is None:
            return Counts()
        if run.counts is None:
            run.counts = count_states(self._jobs[key].state for key in run.infos)
        return run.counts

    def apply_experiments(self, records: Iterable[ExperimentRecord]) -> list[Change]:
        """Apply the complete list of experiments; those that it lacks are gone."""
        before = self._runs
        self._runs = {}
        for record in records:
            run = self._runs[record.experiment_id] = Run.from_record(record, self.zone)
            if record.experiment_id in before:
                run.succeed(before[record.experiment_id], self._job)
        changes: list[Change] = []
        for name in dict.fromkeys((*self._runs, *before)):
            old, new = before.get(name), self._runs.get(name)
            if old is None or new is None or old.experiment != new.experiment:
                shown = (old.experiment if old else None, new.experiment if new else None)
                changes.append(ExperimentChange(*shown))
        for key in self._regroup(before):
            changes.extend(self._derive(key))
        return changes

    def apply_jobs(self, experiment_id: str | None, records: Iterable[JobRecord]) -> list[Change]:
        """Apply job records of the reference server, of one experiment or, with None, of any."""
        changes: list[Change] = []
        for record in records:
            job = with_record(self._job(record), record, self.zone)
            if experiment_id in self._runs and record.scheduler_state is not None:
                self._runs[experiment_id].answer(_word(record), job)
            changes.extend(self._put(job))
        return changes

    def apply_judged(self, records: Iterable[JobRecord]) -> list[Change]:
        """Apply job records of our agent, which judges all files, for every experiment that has the job."""
        changes: list[Change] = []
        for record in records:
            for name in self._members.get(job_key(record), ()):
                self._runs[name].words[job_key(record)] = _word(record)
            changes.extend(self._put(with_judgement(self._job(record), record, self.zone)))
        return changes

    def _job(self, source: NamesJob) -> Job:
        """Return the job that a record or an event is about, as it is known so far."""
        known = self._jobs.get(job_key(source))
        return known or Job(task_id=source.task_id, job_id=source.job_id)

    def apply_event(self, event: Event) -> list[Change]:
        """Apply an event; one without a state of a job changes nothing."""
        if isinstance(event, SchedulerEvent):
            return self._apply_scheduler_event(event)
        if not isinstance(event, (JobStateEvent, JobProgressEvent)) or not event.task_id:
            return []
        job = self._job(event)
        if isinstance(event, JobStateEvent):
            job = with_state_event(job, event, self.zone)
        else:
            job = with_progress_event(job, event)
        return self._put(job, parse_time(event.timestamp, self.zone))

    def apply_absence(self, key: str) -> list[Change]:
        """Apply that a job has no directory: it was not started yet, or it was deleted.

        Where experiments still list it, only their scheduler's word is left, and its end if that is known.
        """
        job = self._jobs.get(key)
        if job is None:
            return []
        if key not in self._members:
            return self._drop(key)
        if job.execution.is_final and not is_submitted_again(job):
            return []
        return self._put(Job(task_id=job.task_id, job_id=job.job_id))

    def drop_unlisted(self, kept: int) -> list[Change]:
        """Drop the jobs that no experiment lists, but the latest ``kept``."""
        unlisted = [key for key in self._jobs if key not in self._members]
        return [
            change for key in unlisted[: max(0, len(unlisted) - kept)] for change in self._drop(key)
        ]

    def _apply_scheduler_event(self, event: SchedulerEvent) -> list[Change]:
        key = job_key(event)
        run = self._runs.get(event.experiment_id)
        before = run.experiment if run is not None else None
        if run is None:
            run = self._runs[event.experiment_id] = Run.from_event(event, self.zone)
        elif event.run_id and event.run_id < run.experiment.run_id:
            return []
        state, reason = read_state(event.scheduler_state)
        at = parse_time(event.timestamp, self.zone)
        run.announce(Word(state, reason or event.failure_reason, at), self._job(event))
        if key not in run.infos:
            run.infos[key] = submission(event)
            run.experiment = msgspec.structs.replace(run.experiment, jobs=tuple(run.infos))
            run.counts = None
            self._members[key] = (*self._members.get(key, ()), event.experiment_id)
        changes: list[Change] = []
        if run.experiment is not before:
            changes.append(ExperimentChange(before, run.experiment))
        changes.extend(self._derive(key, at))
        return changes

    def _regroup(self, before: Mapping[str, Run]) -> Iterable[str]:
        """Compute which experiments each job is in, and return the keys of the jobs affected."""
        members: dict[str, tuple[str, ...]] = {}
        touched: dict[str, None] = {}
        for name, run in self._runs.items():
            old = before.get(name)
            for key, info in run.infos.items():
                members[key] = (*members[key], name) if key in members else (name,)
                same_word = old is not None and old.words.get(key) == run.words.get(key)
                if old is None or not same_word or old.infos.get(key) != info:
                    touched[key] = None
        for key, names in self._members.items():
            if members.get(key) != names:
                touched[key] = None
        self._members = members
        return touched

    def _derive(self, key: str, at: datetime | None = None) -> list[Change]:
        """Compute a job again after its experiments changed."""
        names = self._members.get(key)
        if names is None:
            return self._drop(key)
        info = self._runs[names[0]].infos[key]
        return self._put(self._job(info), at)

    def _with_runs(self, job: Job) -> Job:
        """Return the job with its experiments' data.

        The most advanced of their words counts, but no failure in a run before the one that submitted it last.
        """
        key = job.key
        names = self._members.get(key, ())
        if not names:
            return job
        runs = [self._runs[name] for name in names]
        latest = max(runs, key=lambda run: run.infos[key].timestamp or 0.0)
        word = latest.word(job)
        for run in runs:
            other = run.word(job)
            is_past = other.state is State.ERROR and word != SILENCE
            if other.state.rank > word.state.rank and not is_past:
                word = other
        return msgspec.structs.replace(
            job,
            scheduler=word.state,
            scheduler_reason=word.reason,
            experiments=names,
            tags=runs[0].infos[key].tags or NO_TAGS,
            submitted=parse_time(latest.infos[key].timestamp, self.zone) or job.submitted,
        )

    def _drop(self, key: str) -> list[Change]:
        job = self._jobs.pop(key)
        del self._by_state[job.state][key]
        return [JobChange(job, None)]

    def _put(self, job: Job, at: datetime | None = None) -> list[Change]:
        """Store a job, with the data of its experiments."""
        job = self._with_runs(job)
        key = job.key
        before = self._jobs.get(key)
        if before == job:
            return []
        self._jobs[key] = job
        state = job.state
        if before is None or before.state is not state:
            if before is not None:
                del self._by_state[before.state][key]
            self._by_state[state][key] = None
            for name in job.experiments:
                self._runs[name].counts = None
        return [JobChange(before, job, at or when(job))]


def _word(record: JobRecord) -> Word:
    """Return the scheduler's word in a job object."""
    state, reason = read_state(record.scheduler_state)
    return Word(state, reason or record.scheduler_failure_reason)


def when(job: Job) -> datetime | None:
    """Return when a job came into its state, by its own times; None where unknown."""
    if job.state.is_final:
        return job.ended
    return job.started if job.state is State.RUNNING else None
