"""The picture of one workspace: applying what arrives returns which jobs and experiments changed. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timezone, tzinfo
from types import MappingProxyType

import msgspec

from xpm_remote.model.doubt import basis, is_run_in_doubt
from xpm_remote.model.entities import Change, Counts, Experiment, ExperimentChange, Job, JobChange
from xpm_remote.model.indexes import Indexes, JobGroup
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
from xpm_remote.model.run_lists import RunLists, latest
from xpm_remote.model.runs import PLAIN_WORDS, Listing, NamesJob, Run, Word, job_key, submission
from xpm_remote.model.verdicts import Verdicts
from xpm_remote.workspace.states import State, read_state


class Store:
    """Experiments and jobs of one workspace.

    Each ``apply_…`` returns the changes that it made, in order, at most one for each entity.

    Args:
        zone: The time zone of the remote host, in which its naive times are.

    Attributes:
        has_doubts: Whether records come from the reference server, so that some of what they say is in doubt.
        version: A number that grows with each change.
    """

    def __init__(self, zone: tzinfo = timezone.utc) -> None:
        self.zone = zone
        self.has_doubts = False
        self.version = 0
        self._verdicts = Verdicts()
        self._lists = RunLists()
        self._jobs: dict[str, Job] = {}
        self._indexes = Indexes()

    @property
    def jobs(self) -> Mapping[str, Job]:
        """All jobs, by key."""
        return MappingProxyType(self._jobs)

    @property
    def _runs(self) -> dict[str, Run]:
        return self._lists.runs

    @property
    def experiments(self) -> list[Experiment]:
        """All experiments, in the order in which the remote lists them."""
        return [self._shown(run) for run in self._runs.values()]

    @property
    def number_uncertain(self) -> int:
        """The number of jobs whose state may be another."""
        return len(self._indexes.uncertain)

    @property
    def by_task(self) -> Mapping[str, Collection[str]]:
        """The keys of the jobs of each task."""
        return self._indexes.by_task

    @property
    def groups(self) -> Mapping[JobGroup, int]:
        """How many jobs have the same task, state and experiments."""
        return self._indexes.groups

    def by_tag(self, name: str) -> Mapping[str, Collection[str]]:
        """Return the keys of the jobs with each value of a tag, by the text of the value."""
        return self._indexes.by_tag(name, self._jobs)

    def keys_in(
        self, *, experiment: str | None = None, state: State | None = None
    ) -> Collection[str]:
        """Return the keys of the jobs of an experiment, or in a state, or both; of all jobs if neither is named."""
        if state is not None:
            return self._indexes.in_state(state, experiment)
        if experiment is None:
            return self._jobs.keys()
        run = self._runs.get(experiment)
        return () if run is None else run.keys

    def in_state(self, *states: State) -> Iterator[Job]:
        """Return the jobs in these states."""
        return (self._jobs[key] for state in states for key in self._indexes.in_state(state))

    def number_in_state(self, *states: State) -> int:
        """Count the jobs in these states."""
        return sum(len(self._indexes.in_state(state)) for state in states)

    def longest_running(self, count: int) -> list[Job]:
        """Return at most so many of the jobs that run, in the order of their start."""
        return [self._jobs[key] for key in self._indexes.foremost(State.RUNNING, count, self._jobs)]

    def latest_failures(self, count: int) -> list[Job]:
        """Return at most so many of the jobs that failed, the latest first."""
        return [self._jobs[key] for key in self._indexes.foremost(State.ERROR, count, self._jobs)]

    def counts(self, experiment_id: str) -> Counts:
        """Count the jobs of an experiment by group of states; zeros for an unknown one."""
        return self._indexes.counts(experiment_id)

    def apply_experiments(self, records: Iterable[ExperimentRecord]) -> list[Change]:
        """Apply the complete list of experiments; those that it lacks are gone."""
        changes, touched = self.list_experiments(map(self.run_of, records))
        return [*changes, *self.derive(touched)]

    def run_of(self, record: ExperimentRecord) -> Run:
        """Convert an experiment object of the remote."""
        return Run.from_record(record, self.zone)

    def list_experiments(self, listed: Iterable[Run]) -> tuple[list[Change], list[str]]:
        """Apply the complete list of experiments, but not to their jobs.

        Args:
            listed: The runs by ``run_of``, each new.

        Returns:
            The changes of experiments, and the keys of the jobs that ``derive`` is to be called with.
        """
        before = self._lists.runs
        shown_before = {name: self._shown(run) for name, run in before.items()}
        runs = self._lists.runs = {}
        for run in listed:
            name = run.experiment.experiment_id
            runs[name] = run
            if name in before:
                run.succeed(before[name], self._job)
                if self.has_doubts:
                    run.follow(before[name], shown_before[name])
        changes: list[Change] = []
        judged_anew: dict[str, None] = {}
        for name in dict.fromkeys((*self._runs, *before)):
            new = self._runs.get(name)
            old_shown, shown = shown_before.get(name), self._shown(new) if new else None
            if old_shown != shown:
                changes.append(self._changed(old_shown, shown))
                judged_anew |= self._depending(old_shown, shown)
        return changes, list(dict.fromkeys((*self._lists.regroup(before), *judged_anew)))

    def derive(self, keys: Iterable[str]) -> list[Change]:
        """Compute jobs again after their experiments changed."""
        return [change for key in keys for change in self._derive(key)]

    def apply_listing(self, listing: Listing) -> list[Change]:
        """Apply what an agent has listed anew; what it does not name is as it was."""
        before: dict[str, Experiment | None] = {}
        for head in listing.heads:
            before[head.experiment_id] = self._lists.head(head, self.zone)
        touched = {entry.key: None for entry in listing.entries}
        before = {**self._lists.enter(listing.entries, self._job), **before}
        if listing.names is not None:
            gone = self._lists.keep(listing.names)
            before = {**gone, **before}
            touched |= {key: None for run in gone.values() for key in run.jobs}
        changes: list[Change] = []
        for name, old in before.items():
            run = self._runs.get(name)
            new = run.experiment if run is not None else None
            if new != old:
                changes.append(self._changed(old, new))
        for key in touched:
            changes.extend(self._derive(key))
        return changes

    def apply_verdicts(
        self, experiments: Iterable[ExperimentRecord], jobs: Iterable[JobRecord]
    ) -> list[Change]:
        """Apply what our agent says of runs and jobs that are in doubt; it replaces the server's evidence."""
        changes: list[Change] = []
        touched: dict[str, None] = {}
        for head in experiments:
            run = self._runs.get(head.experiment_id)
            if run is None:
                continue
            before = self._shown(run)
            self._verdicts.judge_run(Run.from_record(head, self.zone).experiment)
            shown = self._shown(run)
            if shown != before:
                changes.append(self._changed(before, shown))
                touched |= self._depending(before, shown)
        for record in jobs:
            key = job_key(record)
            if key in self._jobs and key in self._verdicts.asked:
                word = _word(record)
                judged_job = msgspec.structs.replace(
                    with_judgement(self._job(record), record, self.zone),
                    scheduler=word.state,
                    scheduler_reason=word.reason,
                )
                self._verdicts.judge_job(judged_job)
                touched[key] = None
        for key in touched:
            changes.extend(self._put(self._job(self._jobs[key])))
        return changes

    def filling(self) -> dict[str, int]:
        """Return how many jobs they have listed themselves, of the runs that have just begun and lack former jobs."""
        return {name: len(run.infos) for name, run in self._runs.items() if run.former is not None}

    def forget_former(self, names: Iterable[str]) -> list[Change]:
        """Apply that experiments have submitted the jobs of their new runs: they have no others."""
        changes: list[Change] = []
        for name in names:
            run = self._runs[name]
            before, left = self._shown(run), [key for key in run.keys if key not in run.infos]
            run.forget_former()
            changes.append(self._changed(before, self._shown(run)))
            for key in left:
                self._lists.leave(name, key)
                changes.extend(self._derive(key))
        return changes

    def runs_in_doubt(self, *, again: bool = False) -> list[str]:
        """Return the experiments of which it is not known whether they go on.

        Args:
            again: Whether to return also those that were judged to go on, and may have ended without a record.
        """
        return [
            name
            for name, run in self._runs.items()
            if self.has_doubts
            and is_run_in_doubt(run.experiment)
            and (again or not self._verdicts.is_judged(run.experiment))
        ]

    def jobs_in_doubt(self, *, again: bool = False) -> dict[str, list[str]]:
        """Return the hashes of jobs whose state may be another, by an experiment that has them.

        What was returned before is not returned until its evidence changes.

        Args:
            again: Whether to return also those that run, and may have died, or are still uncertain.
        """
        jobs: dict[str, list[str]] = {}
        mortal, asked = self._verdicts.mortal if again else (), self._verdicts.asked
        for key in [*self._indexes.uncertain, *mortal] if self.has_doubts else ():
            names = self._lists.members.get(key, ())
            now = basis(self._job(self._jobs[key]), self._shown_runs(key))
            if names and (again or asked.get(key) != now):
                asked[key] = now
                last = latest(self._lists.of(key), key)
                jobs.setdefault(last.experiment.experiment_id, []).append(self._jobs[key].job_id)
        return jobs

    def is_open(self, change: Change) -> bool:
        """Return whether what has changed is in doubt, and no agent has been asked since its evidence changed."""
        key = change.key
        if isinstance(change, ExperimentChange):
            run = self._runs.get(key)
            is_judged = run is not None and self._verdicts.is_judged(run.experiment)
            return run is not None and not self._shown(run).certain and not is_judged
        if key not in self._indexes.uncertain or key not in self._lists.members:
            return False
        now = basis(self._job(self._jobs[key]), self._shown_runs(key))
        return self._verdicts.asked.get(key) != now

    def _shown(self, run: Run) -> Experiment:
        """Return a run as it is to be shown: by its verdict, where it is in doubt."""
        if not self.has_doubts:
            return run.experiment
        return self._verdicts.shown_run(run.experiment)

    def _shown_runs(self, key: str) -> list[Experiment]:
        """Return the runs that have a job, as they are shown; one that another run has followed is as it was."""
        current = self._runs
        return [
            self._shown(run) if run is current[run.experiment.experiment_id] else run.experiment
            for run in self._lists.of(key)
        ]

    def _depending(self, before: Experiment | None, after: Experiment | None) -> dict[str, None]:
        """Return the jobs that are judged by whether a run goes on, if that has changed."""
        if not self.has_doubts or before is None or after is None:
            return {}
        if (before.status, before.certain) == (after.status, after.certain):
            return {}
        return {key: None for key in self._runs[after.experiment_id].keys if key in self._jobs}

    def _changed(self, before: Experiment | None, after: Experiment | None) -> ExperimentChange:
        self.version += 1
        return ExperimentChange(before, after)

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
            for name in self._lists.members.get(job_key(record), ()):
                self._runs[name].words[job_key(record)] = _word(record)
            judged = with_judgement(self._job(record), record, self.zone)
            changes.extend(self._put(judged, told=parse_time(record.progressed_time, self.zone)))
        return changes

    def _job(self, source: NamesJob) -> Job:
        """Return the job that a record or an event is about, as it is known so far."""
        key = job_key(source)
        known = self._verdicts.evidence.get(key) or self._jobs.get(key)
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
        job = self._verdicts.evidence.get(key) or self._jobs.get(key)
        if job is None:
            return []
        if key not in self._lists.members:
            return self._drop(key)
        if job.execution.is_final and not (job.scheduler.is_final or is_submitted_again(job)):
            return []
        return self._put(Job(task_id=job.task_id, job_id=job.job_id))

    def apply_missing(self, keys: Iterable[str]) -> list[Change]:
        """Apply that jobs which were done have no directory any more: only their runs' words are left, in doubt."""
        jobs = [self._jobs[key] for key in keys if key in self._jobs]
        done = [
            Job(task_id=job.task_id, job_id=job.job_id) for job in jobs if job.state is State.DONE
        ]
        return [change for job in done for change in self._put(job)]

    def drop_unlisted(self, kept: int) -> list[Change]:
        """Drop the jobs that no experiment lists, but the latest ``kept``."""
        unlisted = [key for key in self._jobs if key not in self._lists.members]
        return [
            change for key in unlisted[: max(0, len(unlisted) - kept)] for change in self._drop(key)
        ]

    def _apply_scheduler_event(self, event: SchedulerEvent) -> list[Change]:
        key = job_key(event)
        run = self._runs.get(event.experiment_id)
        before = self._shown(run) if run is not None else None
        if run is None:
            run = self._lists.runs[event.experiment_id] = Run.from_event(event, self.zone)
        elif event.run_id and event.run_id < run.experiment.run_id:
            return []
        state, reason = read_state(event.scheduler_state)
        at = parse_time(event.timestamp, self.zone)
        run.announce(Word(state, reason or event.failure_reason, at), self._job(event))
        if key not in run.infos:
            run.submit(key, submission(event))
            self._lists.join(event.experiment_id, key)
        changes: list[Change] = []
        shown = self._shown(run)
        if shown != before:
            changes.append(self._changed(before, shown))
        changes.extend(self._derive(key, at))
        return changes

    def _derive(self, key: str, at: datetime | None = None) -> list[Change]:
        """Compute a job again after its experiments changed."""
        if key not in self._lists.members:
            return self._drop(key) if key in self._jobs else []
        return self._put(self._job(self._lists.of(key)[0].infos[key]), at)

    def _drop(self, key: str) -> list[Change]:
        job = self._jobs.pop(key)
        self._verdicts.forget(key)
        self._indexes.update(job, None)
        self.version += 1
        return [JobChange(job, None)]

    def _put(
        self, job: Job, at: datetime | None = None, told: datetime | None = None
    ) -> list[Change]:
        """Store a job, with the data of its experiments.

        Args:
            job: The job.
            at: When it changed; None: as the job itself has it.
            told: When a job that goes on running told its progress.
        """
        job, key = self._lists.with_runs(job, self.zone), job.key
        if self.has_doubts:
            job = self._verdicts.shown_job(job, self._shown_runs(key))
        else:
            self._verdicts.trust(key)
        before = self._jobs.get(key)
        if before == job:
            return []
        self._jobs[key] = job
        self._indexes.update(before, job)
        self.version += 1
        goes_on = before is not None and before.state is job.state is State.RUNNING
        return [JobChange(before, job, at or (told if goes_on else when(job)))]


def _word(record: JobRecord) -> Word:
    """Return the scheduler's word in a job object."""
    state, reason = read_state(record.scheduler_state)
    reason = reason or record.scheduler_failure_reason
    return Word(state, reason) if reason else PLAIN_WORDS[state]


def when(job: Job) -> datetime | None:
    """Return when a job came into its state, by its own times; None where unknown."""
    if job.state.is_final:
        return job.ended
    return job.started if job.state is State.RUNNING else None
