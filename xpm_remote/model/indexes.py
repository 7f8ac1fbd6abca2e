"""Which jobs are in which experiment, state and task, and which have a tag, kept with each change. Pure."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from heapq import nsmallest
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from xpm_remote.model.entities import Counts, Job
from xpm_remote.workspace.states import PENDING, State

KEPT = 256
"""How many of the foremost jobs are kept in order at least: more than a screen has lines."""

_Keys = dict[str, None]
_Rank = tuple[float, str]


class JobGroup(NamedTuple):
    """What jobs have in common that are counted together."""

    task_id: str
    state: State
    experiments: tuple[str, ...]
    certain: bool


class Foremost:
    """The first of many by their rank, kept in order while they come and go."""

    def __init__(self) -> None:
        self._first: list[_Rank] = []
        self._has_all = True

    def add(self, rank: _Rank) -> None:
        """Take one more."""
        if not self._has_all and (not self._first or rank > self._first[-1]):
            return
        insort(self._first, rank)
        if len(self._first) > 2 * KEPT:
            del self._first[KEPT:]
            self._has_all = False

    def remove(self, rank: _Rank) -> None:
        """Remove one."""
        index = bisect_left(self._first, rank)
        if index < len(self._first) and self._first[index] == rank:
            del self._first[index]

    def keys(self, count: int, everything: Callable[[], Collection[_Rank]]) -> list[str]:
        """Return the keys of the first ones.

        Args:
            count: How many.
            everything: Returns the ranks of all, for when too many of the first have gone.
        """
        if len(self._first) < count and not self._has_all:
            ranks = everything()
            self._first = nsmallest(max(KEPT, count), ranks)
            self._has_all = len(self._first) == len(ranks)
        return [key for _, key in self._first[:count]]


class Indexes:
    """Indexes of jobs; an index of a tag is begun when it is first asked for."""

    def __init__(self) -> None:
        self._states: dict[State, _Keys] = {state: {} for state in State}
        self._experiments: dict[str, dict[State, _Keys]] = {}
        self._tasks: dict[str, _Keys] = {}
        self._tags: dict[str, dict[str, _Keys]] = {}
        self._uncertain: _Keys = {}
        self._uncertain_in: Counter[str] = Counter()
        self._groups: Counter[JobGroup] = Counter()
        self._foremost = {State.RUNNING: Foremost(), State.ERROR: Foremost()}

    @property
    def uncertain(self) -> Collection[str]:
        """The jobs whose state may be another."""
        return self._uncertain.keys()

    @property
    def by_task(self) -> Mapping[str, Collection[str]]:
        """The jobs of each task."""
        return MappingProxyType(self._tasks)

    @property
    def groups(self) -> Mapping[JobGroup, int]:
        """How many jobs there are of each group."""
        return MappingProxyType(self._groups)

    def in_state(self, state: State, experiment_id: str | None = None) -> Collection[str]:
        """Return the jobs in a state, of one experiment or of any."""
        if experiment_id is None:
            return self._states[state].keys()
        return self._experiments.get(experiment_id, {}).get(state, {}).keys()

    def by_tag(self, name: str, jobs: Mapping[str, Job]) -> Mapping[str, Collection[str]]:
        """Return the jobs with each value of a tag, by the value's text.

        Args:
            name: The tag.
            jobs: All jobs.
        """
        if name not in self._tags:
            values = self._tags[name] = {}
            for job in jobs.values():
                if name in job.tags:
                    values.setdefault(str(job.tags[name]), {})[job.key] = None
        return MappingProxyType(self._tags[name])

    def counts(self, experiment_id: str) -> Counts:
        """Count the jobs of an experiment by group of states."""
        states = self._experiments.get(experiment_id, {})
        numbers = {state: len(keys) for state, keys in states.items()}
        total = sum(numbers.values())
        done, failed = numbers.get(State.DONE, 0), numbers.get(State.ERROR, 0)
        running = numbers.get(State.RUNNING, 0)
        waiting = sum(numbers.get(state, 0) for state in PENDING)
        idle = total - done - failed - running - waiting
        uncertain = self._uncertain_in[experiment_id]
        return Counts(total, done, failed, running, waiting, idle, uncertain)

    def foremost(self, state: State, count: int, jobs: Mapping[str, Job]) -> list[str]:
        """Return some of the jobs that run, longest first, or that failed, latest first.

        Args:
            state: ``RUNNING`` or ``ERROR``.
            count: At most how many.
            jobs: All jobs.
        """
        return self._foremost[state].keys(
            count, lambda: [_rank(jobs[key]) for key in self._states[state]]
        )

    def update(self, before: Job | None, after: Job | None) -> None:
        """Apply a change of one job, which is not there before, or not after, where it is None."""
        if before is not None and after is not None:
            if before.tags != after.tags:
                self._untag(before)
                self._tag(after)
            if _is_alike(before, after):
                return
        if before is not None:
            self._remove(before)
            if after is None:
                _discard(self._tasks, before.task_id, before.key)
                self._untag(before)
        if after is not None:
            self._add(after)
            if before is None:
                self._tasks.setdefault(after.task_id, {})[after.key] = None
                self._tag(after)

    def _add(self, job: Job) -> None:
        key, state = job.key, job.state
        self._states[state][key] = None
        for name in job.experiments:
            self._experiments.setdefault(name, {}).setdefault(state, {})[key] = None
        self._groups[JobGroup(job.task_id, state, job.experiments, job.certain)] += 1
        if not job.certain:
            self._uncertain[key] = None
            self._uncertain_in.update(job.experiments)
        if state in self._foremost:
            self._foremost[state].add(_rank(job))

    def _remove(self, job: Job) -> None:
        key, state = job.key, job.state
        del self._states[state][key]
        for name in job.experiments:
            _discard(self._experiments[name], state, key)
        group = JobGroup(job.task_id, state, job.experiments, job.certain)
        self._groups[group] -= 1
        if not self._groups[group]:
            del self._groups[group]
        if not job.certain:
            del self._uncertain[key]
            self._uncertain_in.subtract(job.experiments)
        if state in self._foremost:
            self._foremost[state].remove(_rank(job))

    def _tag(self, job: Job) -> None:
        for name, values in self._tags.items():
            if name in job.tags:
                values.setdefault(str(job.tags[name]), {})[job.key] = None

    def _untag(self, job: Job) -> None:
        for name, values in self._tags.items():
            if name in job.tags:
                _discard(values, str(job.tags[name]), job.key)


_Name = TypeVar("_Name")


def _discard(index: dict[_Name, _Keys], name: _Name, key: str) -> None:
    """Remove a job from what an index has under a name, which goes with its last job."""
    keys = index[name]
    del keys[key]
    if not keys:
        del index[name]


def _is_alike(before: Job, after: Job) -> bool:
    """Return whether two values of a job are at the same place in every index: only its progress differs, or such."""
    return (
        before.state is after.state
        and before.certain is after.certain
        and before.experiments == after.experiments
        and before.started == after.started
        and before.ended == after.ended
    )


def _rank(job: Job) -> _Rank:
    """Return where a job stands among those of its state."""
    if job.state is State.ERROR:
        return (-job.ended.timestamp() if job.ended else 0.0, job.key)
    return (job.started.timestamp() if job.started else float("inf"), job.key)
