"""Which runs list which jobs, and what they have of each. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import tzinfo

import msgspec

from xpm_remote.model.entities import NO_TAGS, Experiment, Job
from xpm_remote.model.records import ExperimentRecord, parse_time
from xpm_remote.model.runs import SILENCE, Entry, NamesJob, Run
from xpm_remote.workspace.states import State

JobOf = Callable[[NamesJob], Job]
"""Returns the job that a record is about, as it is known so far."""


class RunLists:
    """The current runs, and the names of those that list a job.

    Attributes:
        runs: The runs by the names of their experiments, in the order in which the remote lists them.
        members: The names of the experiments of each job that is in any.
    """

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.members: dict[str, tuple[str, ...]] = {}
        self._alone: dict[str, tuple[str]] = {}

    def of(self, key: str) -> list[Run]:
        """Return the runs that have a job."""
        runs = (self.runs[name].of(key) for name in self.members.get(key, ()))
        return [run for run in runs if run is not None]

    def with_runs(self, job: Job, zone: tzinfo) -> Job:
        """Return a job with its runs' data.

        The most advanced of their words counts, but no failure in a run before the one that submitted it last.
        """
        key = job.key
        runs = self.of(key)
        if not runs:
            return job
        last = latest(runs, key)
        word = last.word(job)
        for run in runs:
            other = run.word(job)
            is_past = other.state is State.ERROR and word != SILENCE
            if other.state.rank > word.state.rank and not is_past:
                word = other
        return msgspec.structs.replace(
            job,
            scheduler=word.state,
            scheduler_reason=word.reason,
            experiments=self.members[key],
            tags=runs[0].infos[key].tags or NO_TAGS,
            submitted=parse_time(last.infos[key].timestamp, zone) or job.submitted,
        )

    def join(self, name: str, key: str) -> None:
        """Note that an experiment has a job."""
        names = self.members.get(key)
        if names is None:
            self.members[key] = self._alone.setdefault(name, (name,))
        elif name not in names:
            self.members[key] = (*names, name)

    def leave(self, name: str, key: str) -> None:
        """Note that an experiment has a job no more."""
        others = tuple(each for each in self.members.get(key, ()) if each != name)
        if others:
            self.members[key] = others
        else:
            self.members.pop(key, None)

    def regroup(self, before: Mapping[str, Run]) -> dict[str, None]:
        """Compute which experiments each job is in, and return the keys of the jobs affected."""
        members: dict[str, tuple[str, ...]] = {}
        touched: dict[str, None] = {}
        for name, run in self.runs.items():
            old = before.get(name)
            for key in run.keys:
                members[key] = (*members[key], name) if key in members else (name,)
                if old is None or _entry(old, key) != _entry(run, key):
                    touched[key] = None
        for key, names in self.members.items():
            if members.get(key) != names:
                touched[key] = None
        self.members = members
        return touched

    def head(self, record: ExperimentRecord, zone: tzinfo) -> Experiment | None:
        """Apply the head of a run, without its jobs; return what was known of the run."""
        run = self.runs.get(record.experiment_id)
        if run is None:
            self.runs[record.experiment_id] = Run.from_record(record, zone)
            return None
        before = run.experiment
        run.head(record, zone)
        return before

    def enter(self, entries: Iterable[Entry], job_of: JobOf) -> dict[str, Experiment]:
        """Apply entries of lists; return what was known of the runs."""
        before: dict[str, Experiment] = {}
        for entry in entries:
            name, run = entry.experiment_id, self.runs.get(entry.experiment_id)
            if run is None:
                continue
            before.setdefault(name, run.experiment)
            if entry.info is None:
                run.leave(entry.key)
                self.leave(name, entry.key)
            else:
                run.enter(entry, entry.info, job_of(entry.info))
                self.join(name, entry.key)
        for name in before:
            self.runs[name].list_jobs()
        return before

    def keep(self, names: Iterable[str]) -> dict[str, Experiment]:
        """Keep these experiments, in this order; return the others, which are removed."""
        kept = {name: self.runs.pop(name) for name in names if name in self.runs}
        gone, self.runs = self.runs, kept
        for name, run in gone.items():
            for key in run.keys:
                self.leave(name, key)
        return {name: run.experiment for name, run in gone.items()}


def latest(runs: Iterable[Run], key: str) -> Run:
    """Return the run that submitted a job last."""
    return max(runs, key=lambda run: run.infos[key].timestamp or 0.0)


def _entry(run: Run, key: str) -> tuple[object, ...]:
    """Return what the run of an experiment has of a job."""
    owner = run.of(key)
    if owner is None:
        return ()
    return owner.experiment.run_id, owner.infos[key], owner.words.get(key)
