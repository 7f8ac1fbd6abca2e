"""The methods of the monitor protocol, answered from the files as they are now; nothing is cached.

Names, parameters and answers are those of the protocol's version 2.0. ``delete_experiment`` is not offered: it deletes
what other experiments use.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Callable, Dict, TypeVar

from xpm_remote.workspace.agent import processes
from xpm_remote.workspace.agent.lazy import imported
from xpm_remote.workspace.failures import BadIdFailure, NoJobFailure, WorkspaceFailure
from xpm_remote.workspace.layout import JobId, is_name
from xpm_remote.workspace.reading import states
from xpm_remote.workspace.reading.jobs import JobFacts
from xpm_remote.workspace.reading.json_files import JsonObject
from xpm_remote.workspace.reading.liveness import Host
from xpm_remote.workspace.reading.reader import WorkspaceReader
from xpm_remote.workspace.reading.runs import RunFacts

if TYPE_CHECKING:
    from xpm_remote.workspace.agent.actions import Actions

PROTOCOL_VERSION = "2.0"

Params = Dict[str, Any]
Method = Callable[[Params], object]
Item = TypeVar("Item")


class ParameterError(Exception):
    """A parameter is missing, or of another kind."""


def text(params: Params, name: str) -> str:
    """Give a parameter that must be a text.

    Raises:
        ParameterError: It is missing, or none.
    """
    value = params.get(name)
    if not isinstance(value, str):
        message = f"{name} is required, as a text"
        raise ParameterError(message)
    return value


def optional_text(params: Params, name: str) -> str | None:
    """Give a parameter that may be missing or null, and else must be a text.

    Raises:
        ParameterError: It is something else.
    """
    return None if params.get(name) is None else text(params, name)


def job_id_of(params: Params) -> JobId:
    """Give the job that ``task_id`` and ``job_id`` name.

    Raises:
        ParameterError: One is missing.
        BadIdFailure: They cannot be names of a job.
    """
    task, job = text(params, "task_id"), text(params, "job_id")
    if not is_name(task) or not is_name(job):
        raise BadIdFailure(f"{task!r}/{job!r} is not the id of a job")
    return JobId(task, job)


def read_list(value: object, name: str, one: str, read: Callable[[Any], Item]) -> list[Item]:
    """Read a parameter that must be a list.

    Args:
        value: The parameter.
        name: What it is called.
        one: What one of it is called, with its article.
        read: Reads one; raises KeyError, TypeError or ValueError where it cannot.

    Raises:
        ParameterError: It is something else.
    """
    if not isinstance(value, list):
        message = f"{name} is a list"
        raise ParameterError(message)
    try:
        return [read(each) for each in value]
    except (KeyError, TypeError, ValueError) as error:
        message = f"{one} cannot be read: {error}"
        raise ParameterError(message) from error


class Methods:
    """Answers requests about a workspace.

    Args:
        reader: Reads it.
        host: The host on which this code runs.
        actions: Gives what may be done to its jobs.
        about: What the handshake says of this server.
    """

    def __init__(
        self, reader: WorkspaceReader, host: Host, actions: Callable[[], Actions], about: JsonObject
    ) -> None:
        self._reader = reader
        self._host = host
        self._actions = actions
        self._about = about

    def table(self) -> dict[str, Method]:
        """Give the methods by name."""
        return {
            "get_sync_info": self.get_sync_info,
            "get_experiments": self.get_experiments,
            "get_experiment": self.get_experiment,
            "get_experiment_runs": self.get_experiment_runs,
            "get_jobs": self.get_jobs,
            "get_job": self.get_job,
            "get_all_jobs": self.get_all_jobs,
            "get_services": self.get_services,
            "get_tags_map": self.get_tags_map,
            "get_dependencies_map": self.get_dependencies_map,
            "get_process_info": self.get_process_info,
            "get_orphan_jobs": self.get_orphan_jobs,
            "get_stray_jobs": self.get_stray_jobs,
            "get_unresolved_warnings": lambda _: {"warnings": []},
            "execute_warning_action": self.execute_warning_action,
            "kill_job": self.kill_job,
            "clean_job": self.clean_job,
            "delete_job_safely": self.delete_job_safely,
        }

    def get_sync_info(self, _: Params) -> JsonObject:
        """Say who is there."""
        return {
            "protocol_version": PROTOCOL_VERSION,
            "workspace_path": str(self._reader.root),
            "last_sync_time": None,
            "agent": self._about,
        }

    def get_experiments(self, _: Params) -> list[JsonObject]:
        """Give the current run of every experiment."""
        return [run.to_wire() for run in self._reader.experiments()]

    def get_experiment(self, params: Params) -> JsonObject | None:
        """Give the current run of an experiment."""
        run = self._reader.experiment(text(params, "experiment_id"))
        return None if run is None else run.to_wire()

    def get_experiment_runs(self, params: Params) -> list[JsonObject]:
        """Give all runs of an experiment, newest first."""
        return [run.to_wire() for run in self._reader.runs(text(params, "experiment_id"))]

    def get_jobs(self, params: Params) -> list[JsonObject]:
        """Give the jobs of a run, or of the current runs of all experiments."""
        if params.get("experiment_id") is None:
            return self.get_all_jobs(params)
        run = self._run(params)
        task = optional_text(params, "task_id")
        found = [] if run is None else self._chosen(run, params)
        return [facts.to_wire() for facts in found if task is None or facts.task_id == task]

    def get_all_jobs(self, params: Params) -> list[JsonObject]:
        """Give the jobs of the current runs of all experiments; one that is in two comes twice."""
        runs = self._reader.experiments()
        return [facts.to_wire() for run in runs for facts in self._chosen(run, params)]

    def get_job(self, params: Params) -> JsonObject | None:
        """Give one job; None when its directory is gone."""
        job = job_id_of(params)
        for run in self._reader.experiments():
            if job.hash in run.job_infos:
                facts = self._reader.job_in(run, job.hash)
                return facts.to_wire() if facts is not None and facts.has_directory else None
        facts = self._reader.job(job)
        return None if facts is None else facts.to_wire()

    def get_services(self, params: Params) -> list[JsonObject]:
        """Give the services of one run, or of the current runs of all experiments."""
        if params.get("experiment_id") is None:
            return self._reader.services()
        run = self._run(params)
        return [] if run is None else list(run.services.values())

    def get_tags_map(self, params: Params) -> JsonObject:
        """Give the tags of the jobs of a run, by job id."""
        run = self._run(params)
        infos = {} if run is None else run.job_infos
        return {job_id: info.tags for job_id, info in infos.items()}

    def get_dependencies_map(self, params: Params) -> dict[str, list[str]]:
        """Give the ids of the jobs that each job of a run takes something from, read from params.json."""
        run = self._run(params)
        infos = {} if run is None else run.job_infos
        found = {
            job_id: self._reader.dependencies(JobId(info.task_id, job_id))
            for job_id, info in infos.items()
        }
        return {job_id: [each.hash for each in needed] for job_id, needed in found.items()}

    def get_process_info(self, params: Params) -> JsonObject | None:
        """Give the process of a job: memory in MiB, CPU in percent of one core since it started."""
        facts = self._reader.job(job_id_of(params))
        if facts is None or facts.process is None:
            return None
        process = facts.process
        info: JsonObject = {"pid": process.pid, "type": process.kind, "running": not facts.has_died}
        info.update(dict.fromkeys(("cpu_percent", "memory_mb", "num_threads")))
        if process.kind == "local" and self._host.is_me(process.host or self._host.name):
            entry = processes.find_process(process.pid) if isinstance(process.pid, int) else None
            info["running"] = entry is not None
            info.update(_load(entry) if entry is not None else {})
        return info

    def get_orphan_jobs(self, _: Params) -> list[JsonObject]:
        """Give the jobs that no run refers to."""
        report = imported("orphans.listing", "find_orphans")(self._reader.layout)
        found = (self._reader.job(each.job) for each in report.orphans)
        return [facts.to_wire() for facts in found if facts is not None]

    def get_stray_jobs(self, _: Params) -> list[JsonObject]:
        """Give the running jobs that only runs list which are not current."""
        current: set[str] = set()
        older: dict[str, tuple[RunFacts, str]] = {}
        for name in self._reader.experiment_ids():
            for run in self._reader.runs(name):
                if run.is_current:
                    current.update(run.job_infos)
                else:
                    older.update({job_id: (run, job_id) for job_id in run.job_infos})
        found = (self._reader.job_in(*place) for job, place in older.items() if job not in current)
        return [
            facts.to_wire()
            for facts in found
            if facts is not None and facts.state == states.RUNNING
        ]

    def execute_warning_action(self, params: Params) -> None:
        """Refuse: there are no warnings here.

        Raises:
            WorkspaceFailure: Always.
        """
        raise WorkspaceFailure(f"there is no warning {text(params, 'warning_key')!r}")

    def kill_job(self, params: Params) -> JsonObject:
        """End the process of a job, with all that it started."""
        try:
            plan = self._actions().plan_kill(job_id_of(params))
        except NoJobFailure as failure:
            return {"success": False, "error": str(failure)}
        outcome = self._actions().perform(plan)
        return (
            {"success": True} if outcome.success else {"success": False, "error": outcome.message}
        )

    def clean_job(self, params: Params) -> JsonObject:
        """Remove the directory of a job that has ended."""
        done = self.delete_job_safely(params)
        return {"success": done["success"], "error": "" if done["success"] else done["message"]}

    def delete_job_safely(self, params: Params) -> JsonObject:
        """Remove the directory of a job that has ended, or only say whether it could be."""
        try:
            plan = self._actions().plan_clean(job_id_of(params))
        except NoJobFailure as failure:
            return {"success": False, "message": str(failure)}
        if params.get("perform", True) is False:
            return {"success": not plan.refusal, "message": plan.refusal or plan.what}
        outcome = self._actions().perform(plan)
        return {"success": outcome.success, "message": outcome.message}

    def _run(self, params: Params) -> RunFacts | None:
        name, run_id = text(params, "experiment_id"), optional_text(params, "run_id")
        return self._reader.experiment(name) if run_id is None else self._reader.run(name, run_id)

    def _chosen(self, run: RunFacts, params: Params) -> list[JobFacts]:
        """Give the jobs of a run that have a state and tags; a state that nobody knows chooses all."""
        state, tags = optional_text(params, "state"), params.get("tags") or {}
        if not isinstance(tags, dict):
            message = "tags is no object"
            raise ParameterError(message)
        infos = {
            job_id: info
            for job_id, info in run.job_infos.items()
            if all(_same(info.tags.get(key), value) for key, value in tags.items())
        }
        found = self._reader.jobs(run._replace(job_infos=infos))
        return [facts for facts in found if state not in states.RANKS or facts.state == state]


def _same(found: object, wanted: object) -> bool:
    return type(found) is type(wanted) and found == wanted


def _load(entry: processes.ProcessEntry) -> JsonObject:
    age = max(time.time() - processes.start_time(entry.name), 1.0)
    return {
        "cpu_percent": round(100 * entry.cpu_seconds / age, 1),
        "memory_mb": round(entry.memory / 2**20, 1),
        "num_threads": entry.threads,
    }
