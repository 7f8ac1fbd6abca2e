"""Experiments, jobs and services as everything above the wire sees them: frozen, with aware times."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec

from xpm_remote.model.states import GENERIC_REASON, State, further, telling_reason

NO_TAGS: Mapping[str, Any] = MappingProxyType({})


class Progress(msgspec.Struct, frozen=True, gc=False):
    """One level of a job's progress bars: ``fraction`` in 0..1, ``level`` from 0 (outermost)."""

    level: int
    fraction: float
    description: str | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job, as the evidence so far shows it.

    ``execution`` is what the job's own files and process say, ``scheduler`` what its experiment's scheduler says;
    ``state`` is the one to show. Times are aware, in the remote host's zone.
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

    @property
    def key(self) -> str:
        """The job's name in a workspace: ``task_id/job_id``."""
        return f"{self.task_id}/{self.job_id}"

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

    ``jobs`` are keys of jobs in the order of their submission. ``status`` is the run's own word (``running``, ``done``,
    ``failed``): it tells neither success nor whether the scheduler lives.
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


class Counts(msgspec.Struct, frozen=True):
    """How many jobs are in which group of states; ``idle``: nobody is going to run them as things stand."""

    total: int = 0
    done: int = 0
    failed: int = 0
    running: int = 0
    waiting: int = 0
    idle: int = 0


_Entity = TypeVar("_Entity", Job, Experiment)


class JobChange(msgspec.Struct, frozen=True):
    """One job changed; ``before`` is None for a new one, ``after`` for one that is gone.

    ``at`` is when it happened on the remote, as far as that is known.
    """

    before: Job | None
    after: Job | None
    at: datetime | None = None

    @property
    def key(self) -> str:
        """The key of the job."""
        return _either(self.before, self.after).key


class ExperimentChange(msgspec.Struct, frozen=True):
    """One experiment changed; ``before`` is None for a new one, ``after`` for one that is gone."""

    before: Experiment | None
    after: Experiment | None

    @property
    def key(self) -> str:
        """The name of the experiment."""
        return _either(self.before, self.after).experiment_id


Change = JobChange | ExperimentChange


def net(changes: Iterable[Change]) -> list[Change]:
    """Give what a series of changes comes to: at most one for each entity, none where it ends as it began.

    The order is that of the last change of each.
    """
    total: dict[tuple[type, str], Change] = {}
    for change in changes:
        name = (type(change), change.key)
        earlier = total.pop(name, None)
        total[name] = change if earlier is None else _joined(earlier, change)
    return [change for change in total.values() if change.before != change.after]


def in_time_order(changes: Iterable[Change]) -> list[Change]:
    """Order changes by when they happened on the remote; those of which that is unknown come last."""
    return sorted(changes, key=_moment)


def _moment(change: Change) -> float:
    at = change.at if isinstance(change, JobChange) else _experiment_time(change.after)
    return at.timestamp() if at is not None else math.inf


def _experiment_time(experiment: Experiment | None) -> datetime | None:
    return (experiment.ended or experiment.started) if experiment is not None else None


def _joined(earlier: Change, later: Change) -> Change:
    # Both are of one type: they share the name under which they were found.
    return msgspec.structs.replace(later, before=earlier.before)


def _either(before: _Entity | None, after: _Entity | None) -> _Entity:
    entity = after if after is not None else before
    if entity is None:
        raise ValueError("a change has an entity before or after it")
    return entity
