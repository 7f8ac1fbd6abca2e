"""The facts of a run, and how its files and events change them. Pure."""

from __future__ import annotations

import sys
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Mapping, NamedTuple

from xpm_remote.workspace import states
from xpm_remote.workspace.failures import UnreadFile
from xpm_remote.workspace.layout import is_name
from xpm_remote.workspace.reading.json_files import (
    JsonObject,
    bounded,
    number_of,
    parse_time,
    text_of,
    whole_of,
)

RUN_RUNNING = "running"
RUN_DONE = "done"
RUN_FAILED = "failed"
RUN_DETACHED = "detached"
RUN_CRASHED = "crashed"
RUN_UNKNOWN = "unknown"
"""The status of a run whose files do not have it: of version 1 of the layout, or broken."""

RUN_UNREADABLE = "unreadable"
"""The status of a run whose files cannot be read, and have not been read before."""

_STATUSES = {
    "running": RUN_RUNNING,
    "done": RUN_DONE,
    "completed": RUN_DONE,
    "failed": RUN_FAILED,
    "detached": RUN_DETACHED,
}


class JobInfo(NamedTuple):
    """A job as a run submitted it: its tags with their types, and when; ``transient`` as the file has it."""

    task_id: str
    job_id: str
    tags: JsonObject
    submitted: float | None = None
    transient: int | None = None


class RunFacts(NamedTuple):
    """The current run of an experiment from its files; times are seconds since the epoch.

    Attributes:
        status: ``running`` (its scheduler lives, or may: it is on a host that we cannot ask), ``done``, ``failed``
            (the script raised), ``detached`` (the script ended, jobs may go on), ``crashed`` (the scheduler has
            ended without a record) or ``unknown``.
        scheduler_alive: Whether its scheduler lives; None when that cannot be known from this host.
        job_states: The scheduler's state of each job, by job id (``error:TIMEOUT`` has a reason).
        job_infos: The jobs in the order of their submission, by job id.
        services: The services, by id, as the file has them; ``actions``: the same.
        runs_count: The number of runs of the experiment.
        others: Further keys of status.json: ``carbon_impact``, ``last_updated``.
        unread: What could not be read; then these are the facts as far as they are known.
    """

    experiment_id: str
    run_id: str
    status: str = RUN_UNKNOWN
    scheduler_alive: bool | None = None
    hostname: str | None = None
    started: float | None = None
    ended: float | None = None
    job_states: Mapping[str, str] = MappingProxyType({})
    job_infos: Mapping[str, JobInfo] = MappingProxyType({})
    services: Mapping[str, JsonObject] = MappingProxyType({})
    actions: Mapping[str, JsonObject] = MappingProxyType({})
    run_tags: tuple[str, ...] = ()
    runs_count: int = 1
    others: Mapping[str, Any] = MappingProxyType({})
    unread: UnreadFile | None = None


def age(run: RunFacts) -> tuple[float, str]:
    """Return a key that sorts runs by age, the oldest first."""
    return (run.started or 0.0, run.experiment_id)


class RunDraft:
    """A run while its files are read: status.json first, then jobs.jsonl, then its live events."""

    def __init__(self, experiment_id: str, run_id: str) -> None:
        self.experiment_id = experiment_id
        self.run_id = run_id
        self.status = RUN_UNKNOWN
        self.hostname: str | None = None
        self.started: float | None = None
        self.ended: float | None = None
        self.job_states: dict[str, str] = {}
        self.job_infos: dict[str, JobInfo] = {}
        self.services: dict[str, JsonObject] = {}
        self.actions: dict[str, JsonObject] = {}
        self.run_tags: tuple[str, ...] = ()
        self.others: JsonObject = {}

    def take_status(self, status: JsonObject) -> None:
        """Take the run's status.json."""
        self.status = _STATUSES.get(text_of(status.get("status")) or "", RUN_UNKNOWN)
        self.hostname = text_of(status.get("hostname"))
        self.started = parse_time(status.get("started_at"))
        self.ended = parse_time(status.get("ended_at"), self.started)
        self.run_tags = tuple(tag for tag in _list(status.get("run_tags")) if isinstance(tag, str))
        self.services = _services(status.get("services"))
        self.actions = _objects(status.get("actions"))
        self.job_states = _job_states(status)
        for key in ("carbon_impact", "last_updated"):
            if status.get(key) is not None:
                self.others[key] = bounded(status[key])

    def take_environment(self, environment: JsonObject) -> None:
        """Take the run's environment.json, which has the end of the script where status.json does not."""
        run = environment.get("run")
        if not isinstance(run, dict):
            return
        said = _STATUSES.get(text_of(run.get("status")) or "")
        if said is not None and self.status in (RUN_RUNNING, RUN_UNKNOWN):
            self.status = said
        self.hostname = self.hostname or text_of(run.get("hostname"))
        self.started = self.started or parse_time(run.get("started_at"))
        self.ended = self.ended or parse_time(run.get("ended_at"), self.started)

    def take_info(self, line: JsonObject) -> bool:
        """Take a line of jobs.jsonl; return whether it names a job."""
        info = info_of(line)
        if info is None:
            return False
        self.job_infos[info.job_id] = info
        return True

    def take_event(self, event: JsonObject) -> None:
        """Take an event of the experiment; those of another run change nothing."""
        run_id = event.get("run_id")
        if run_id and run_id != self.run_id:
            return
        said = number_of(event.get("timestamp"))
        if not run_id and said is not None and self.started is not None and said < self.started:
            return  # nameless, and older than this run
        take = _TAKERS.get(text_of(event.get("event_type")) or "")
        if take is not None:
            take(self, event)

    def take_job_event(self, event: JsonObject) -> None:
        """Take the scheduler's state of a job, and its submission."""
        info = info_of(event)
        if info is None:
            return
        word = event.get("scheduler_state") or "submitted"
        self._take_word(info.job_id, word, event.get("failure_reason"))
        if info.job_id not in self.job_infos:
            self.job_infos[info.job_id] = info

    def take_state(self, event: JsonObject) -> None:
        """Take the state of a known job, which 2.0 has among the events of an experiment."""
        info = self.job_infos.get(text_of(event.get("job_id")) or "")
        if info is not None:
            self._take_word(info.job_id, event.get("state"), event.get("failure_reason"))

    def _take_word(self, job_id: str, word: object, reason: object) -> None:
        state, told = states.parse_state(word)
        why = states.parse_reason(reason) or told
        if word == states.SUBMITTED:  # kept: the scheduler has not looked at the job's files yet
            state = states.SUBMITTED
        if state is not None:
            self.job_states[job_id] = sys.intern(f"{state}:{why}" if why else state)

    def take_end(self, event: JsonObject) -> None:
        """Take the end of the run."""
        self.status = _STATUSES.get(text_of(event.get("status")) or "", self.status)
        self.ended = parse_time(event.get("ended_at"), self.started) or self.ended

    def take_service(self, event: JsonObject) -> None:
        """Take a service that was added."""
        service_id = text_of(event.get("service_id"))
        if service_id:
            self.services[service_id] = {
                "service_id": service_id,
                "description": text_of(event.get("description")) or "",
                "class": text_of(event.get("service_class")) or "",
                "state_dict": bounded(event.get("state_dict")) or {},
                "experiment_id": self.experiment_id,
                "run_id": self.run_id,
                "state": None,
                "url": None,
            }

    def take_service_state(self, event: JsonObject) -> None:
        """Take the state of a service."""
        known = self.services.get(text_of(event.get("service_id")) or "")
        if known is not None:
            known["state"] = text_of(event.get("state")) or known.get("state")

    def take_action(self, event: JsonObject) -> None:
        """Take an action that was added."""
        action_id = text_of(event.get("action_id"))
        if action_id:
            self.actions[action_id] = {
                "action_id": action_id,
                "description": text_of(event.get("description")) or "",
                "class": text_of(event.get("action_class")) or "",
            }

    def facts(self, alive: bool | None, runs_count: int) -> RunFacts:
        """Return the run; its status depends on whether its scheduler lives."""
        return RunFacts(
            self.experiment_id,
            self.run_id,
            _judge(self.status, alive, self.ended),
            alive,
            self.hostname,
            self.started,
            self.ended,
            self.job_states,
            self.job_infos,
            self.services,
            self.actions,
            self.run_tags,
            runs_count,
            self.others,
        )


_TAKERS = {
    "ExperimentJobStateEvent": RunDraft.take_job_event,
    "JobSubmittedEvent": RunDraft.take_job_event,
    "JobStateChangedEvent": RunDraft.take_state,
    "RunCompletedEvent": RunDraft.take_end,
    "ServiceAddedEvent": RunDraft.take_service,
    "ServiceStateChangedEvent": RunDraft.take_service_state,
    "ActionAddedEvent": RunDraft.take_action,
}


def info_of(line: JsonObject) -> JobInfo | None:
    """Return the job of a line of jobs.jsonl; None when it names none."""
    task_id, job_id = line.get("task_id"), line.get("job_id")
    if not isinstance(task_id, str) or not isinstance(job_id, str):
        return None
    if not _is_task_name(task_id) or not is_name(job_id):
        return None
    return JobInfo(
        sys.intern(task_id),
        job_id,
        _tags(line.get("tags")),
        number_of(line.get("timestamp")),
        whole_of(line.get("transient")),
    )


_is_task_name = lru_cache(maxsize=1024)(is_name)  # many jobs are of few tasks


def _judge(status: str, alive: bool | None, ended: float | None) -> str:
    """Return the status of a run from that in its files and whether its scheduler lives."""
    if alive and status in (RUN_RUNNING, RUN_UNKNOWN):
        return RUN_RUNNING  # its status is written a moment after its directory
    if status != RUN_RUNNING:
        return status
    if ended is not None:
        return RUN_DETACHED
    return RUN_CRASHED if alive is False else RUN_RUNNING


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _objects(value: object) -> dict[str, JsonObject]:
    if not isinstance(value, dict):
        return {}
    return {key: each for key, each in value.items() if isinstance(bounded(each), dict)}


def _services(value: object) -> dict[str, JsonObject]:
    """Return services; the fields that every client reads are texts, or null."""
    services = _objects(value)
    for key, service in services.items():
        service.update(
            {name: text_of(service.get(name)) for name in ("description", "state", "url")}
        )
        service["service_id"] = text_of(service.get("service_id")) or key
    return services


def _job_states(status: JsonObject) -> dict[str, str]:
    """Return the scheduler's states of its jobs; 2.0 listed those that had ended, and no others."""
    listed = status.get("job_states")
    if isinstance(listed, dict):
        return {key: sys.intern(word) for key, word in listed.items() if isinstance(word, str)}
    found: dict[str, str] = {}
    for key, word in (("finished_jobs", states.DONE), ("failed_jobs", states.ERROR)):
        found.update({job: word for job in _list(status.get(key)) if isinstance(job, str)})
    return found


def _tags(value: object) -> JsonObject:
    """Return tags from an object, or from a list of keys and values as events have them."""
    if isinstance(value, dict):
        return {key: bounded(each) for key, each in value.items()}
    return {
        each["key"]: bounded(each.get("value"))
        for each in _list(value)
        if isinstance(each, dict) and isinstance(each.get("key"), str)
    }
