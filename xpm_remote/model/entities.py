"""Experiments, jobs and services as everything above the wire sees them: frozen, with aware times."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

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
