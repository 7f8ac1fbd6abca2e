"""Experiments, jobs and services as frozen values with aware times, and their changes. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec
from msgspec.structs import force_setattr, replace

from xpm_remote.workspace.rows import Row
from xpm_remote.workspace.states import GENERIC_REASON, Progress, State, further, telling_reason

_Item = TypeVar("_Item")

NO_TAGS: Mapping[str, Any] = MappingProxyType({})


class Job(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A job, as far as it is known.

    ``key`` is its name in a workspace, ``task_id/job_id``, built once. ``execution`` is the state by the job's own
    files and process, ``scheduler`` the state by its experiment's scheduler; ``state`` is the one to show. Times are
    aware, in the remote host's zone. ``certain`` is False where no one who was asked can know whether state and reason
    are true. ``row`` is what SLURM has of it, where that is known.
    """

    task_id: str
    job_id: str
    execution: State = State.UNSCHEDULED
    scheduler: State = State.UNSCHEDULED
    execution_reason: str | None = None
    scheduler_reason: str | None = None
    submitted: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    retry_count: int = 0
    exit_code: int | None = None
    progress: tuple[Progress, ...] = ()
    tags: Mapping[str, Any] = NO_TAGS
    experiments: tuple[str, ...] = ()
    path: str = ""
    certain: bool = True
    row: Row | None = None
    key: str = ""

    def __post_init__(self) -> None:
        """Build the key of a job that is not a changed copy of another."""
        if not self.key:
            force_setattr(self, "key", f"{self.task_id}/{self.job_id}")

    @property
    def state(self) -> State:
        """The state to show."""
        return further(self.execution, self.scheduler)

    @property
    def reason(self) -> str | None:
        """Why the job failed; None unless it did."""
        if self.state is not State.ERROR:
            return None
        return telling_reason(self.execution_reason, self.scheduler_reason) or GENERIC_REASON


class Service(msgspec.Struct, frozen=True):
    """A service that an experiment offers, such as a web page."""

    service_id: str
    description: str
    state: str
    url: str | None = None


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """The current run of an experiment.

    ``jobs`` are keys of jobs in the order of their submission. ``status`` is ``running``, ``done`` or ``failed``, the
    run's own words, which do not tell whether its jobs succeeded, or ``detached``, ``crashed`` or ``unknown``, where
    all files were judged. ``certain`` is False where it is not known whether its scheduler lives.
    """

    experiment_id: str
    run_id: str = ""
    status: str = ""
    hostname: str | None = None
    started: datetime | None = None
    ended: datetime | None = None
    run_count: int | None = None
    jobs: tuple[str, ...] = ()
    services: tuple[Service, ...] = ()
    certain: bool = True


class Counts(msgspec.Struct, frozen=True):
    """How many jobs are in which group of states.

    ``idle``: those that nothing is going to run; ``uncertain``: those of any group whose state may be another.
    """

    total: int = 0
    done: int = 0
    failed: int = 0
    running: int = 0
    waiting: int = 0
    idle: int = 0
    uncertain: int = 0


_Entity = TypeVar("_Entity", Job, Experiment)


class JobChange(msgspec.Struct, frozen=True):
    """A change of one job; ``before`` is None for a new one, ``after`` for one that is gone.

    ``at`` is the time of the change on the remote host, where known.
    """

    before: Job | None
    after: Job | None
    at: datetime | None = None

    @property
    def key(self) -> str:
        """The key of the job."""
        return _either(self.before, self.after).key


class ExperimentChange(msgspec.Struct, frozen=True):
    """A change of one experiment; ``before`` is None for a new one, ``after`` for one that is gone."""

    before: Experiment | None
    after: Experiment | None

    @property
    def key(self) -> str:
        """The name of the experiment."""
        return _either(self.before, self.after).experiment_id


Change = JobChange | ExperimentChange


class Net:
    """The net effect of changes: at most one for each entity, in the order of the last change of each."""

    def __init__(self) -> None:
        self._total: dict[tuple[type, str], Change] = {}

    def __len__(self) -> int:
        return len(self._total)

    def add(self, changes: Iterable[Change]) -> None:
        """Add changes."""
        for change in changes:
            name = (type(change), change.key)
            earlier = self._total.pop(name, None)
            # Both have one type, which is part of the name that they share.
            self._total[name] = change if earlier is None else _joined(earlier, change)

    def take(self) -> list[Change]:
        """Return them and forget them; some may end as they began."""
        total, self._total = self._total, {}
        return list(total.values())


def sliced(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """Yield lists of so many items."""
    waiting = iter(items)
    while part := list(islice(waiting, size)):
        yield part


def effective(changes: Iterable[Change]) -> list[Change]:
    """Return the changes that do not end as they began."""
    return [change for change in changes if change.before != change.after]


def net(changes: Iterable[Change]) -> list[Change]:
    """Return the net effect of changes: at most one for each entity, none where it ends as it began.

    The order is that of the last change of each.
    """
    total = Net()
    total.add(changes)
    return effective(total.take())


def _joined(earlier: Change, later: Change) -> Change:
    """Return one change for two of an entity; its time is that of the state which it ends in."""
    joined = replace(later, before=earlier.before)
    if isinstance(earlier, JobChange) and isinstance(joined, JobChange):
        jobs = (earlier.before, earlier.after, joined.after)
        first, reached, last = (None if job is None else job.state for job in jobs)
        if first is not reached and reached is last:
            return replace(joined, at=earlier.at or joined.at)
    return joined


def steps(changes: Iterable[Change]) -> list[Change]:
    """Return the net effect of changes, but for a job each step on its way there.

    A state is such a step if it is more advanced than the one before it, and less than the last one.
    """
    changes = list(changes)
    ends = net(changes)
    after_all = {end.key: end.after for end in ends if isinstance(end, JobChange)}
    known = {end.key: end.before for end in ends if isinstance(end, JobChange)}
    told: list[Change] = []
    for change in changes:
        end = after_all.get(change.key)
        if not isinstance(change, JobChange) or change.after is None or end is None:
            continue
        before, after = known[change.key], replace(change.after, certain=end.certain)
        start = -1 if before is None else before.state.rank
        if start < after.state.rank < end.state.rank:
            told.append(JobChange(before, after, change.at))
            known[change.key] = after
    told += [
        replace(end, before=known[end.key]) if isinstance(end, JobChange) else end for end in ends
    ]
    return told


def in_time_order(changes: Iterable[Change]) -> list[Change]:
    """Sort changes by their time on the remote host; those without a time come last."""
    return sorted(changes, key=moment)


def moment(change: Change) -> float:
    """Return the time of a change on the remote host, in epoch seconds; infinite where it is unknown."""
    at = None
    if isinstance(change, JobChange):
        at = change.at
    elif change.after is not None:
        at = change.after.ended or change.after.started
    return at.timestamp() if at is not None else math.inf


def _either(before: _Entity | None, after: _Entity | None) -> _Entity:
    entity = after if after is not None else before
    if entity is None:
        raise ValueError("a change has an entity before or after it")
    return entity
