"""The methods of a monitor server as typed calls; the answers as records of the model.

Sources of names and parameters: the monitor protocol of experimaestro, versions 1.0 and 2.0. ``refresh`` is sent with
every query: without it, servers since 2.7.0 give answers that they cached.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from xpm_remote.errors import ProtocolError, RequestError
from xpm_remote.model.records import (
    ExperimentRecord,
    JobRecord,
    ServiceRecord,
    SyncInfo,
    decode,
    decode_each,
)
from xpm_remote.rpc.client import RpcClient

log = logging.getLogger(__name__)

PROTOCOLS = ("1.0", "2.0")
METHOD_NOT_FOUND = -32601
CURRENT_PROTOCOL = "2.0"
"""Spoken by the oldest release that we support, and by some before it."""

_Record = TypeVar("_Record")


class Outcome(msgspec.Struct, frozen=True):
    """What a server says of an action that it was asked for."""

    success: bool
    message: str = ""
    error: str = ""


class ProcessInfo(msgspec.Struct, frozen=True):
    """The process of a job: memory in MiB, CPU in percent of one core."""

    pid: int | str
    type: str = ""
    running: bool = False
    cpu_percent: float | None = None
    memory_mb: float | None = None
    num_threads: int | None = None


class WarningRecord(msgspec.Struct, frozen=True):
    """A warning that an experiment raised, and what may be done about it."""

    warning_key: str
    description: str = ""
    experiment_id: str = ""
    run_id: str = ""
    severity: str = ""
    actions: dict[str, str] | None = None


class _Warnings(msgspec.Struct):
    warnings: list[WarningRecord] = []


class MonitorServer:
    """A remote monitor server.

    Every call may raise what ``RpcClient.call`` raises, and ProtocolError when an answer is of another shape.

    Args:
        client: The conversation with it.
        needs_current: Whether a server that is older than 2.7 is refused by a ProtocolError as soon as that shows.
    """

    def __init__(self, client: RpcClient, *, needs_current: bool = False) -> None:
        self._client = client
        self._needs_current = needs_current
        self.protocol = ""

    async def handshake(self) -> SyncInfo:
        """Learn who is there; must come first.

        Raises:
            ProtocolError: The server speaks a protocol that we do not.
        """
        info = await self._one("get_sync_info", SyncInfo)
        if info is None or info.protocol_version not in PROTOCOLS:
            found = info.protocol_version if info else "none"
            raise ProtocolError(
                f"the remote server speaks protocol {found}, we speak {' and '.join(PROTOCOLS)}",
                "install a matching experimaestro there, or a newer xpm-remote here",
            )
        if self._needs_current and info.protocol_version != CURRENT_PROTOCOL:
            raise _outdated(f"it speaks protocol {info.protocol_version}")
        self.protocol = info.protocol_version
        return info

    async def experiments(self) -> list[ExperimentRecord]:
        """Give the current run of every experiment. The server drops all that it has cached."""
        records = await self._list("get_experiments", ExperimentRecord, refresh=True)
        if self._needs_current and records and all(each.runs_count is None for each in records):
            raise _outdated("it counts no runs")
        return records

    async def experiment(self, experiment_id: str) -> ExperimentRecord | None:
        """Give the current run of an experiment, or None."""
        return await self._one(
            "get_experiment", ExperimentRecord, experiment_id=experiment_id, refresh=True
        )

    async def runs(self, experiment_id: str) -> list[ExperimentRecord]:
        """Give all runs of an experiment, newest first."""
        return await self._list(
            "get_experiment_runs", ExperimentRecord, experiment_id=experiment_id, refresh=True
        )

    async def jobs(self, experiment_id: str, run_id: str | None = None) -> list[JobRecord]:
        """Give the jobs of a run, the current one by default; none for an unknown experiment."""
        run = {"run_id": run_id} if run_id is not None else {}
        return await self._list(
            "get_jobs", JobRecord, experiment_id=experiment_id, refresh=True, **run
        )

    async def job(self, task_id: str, job_id: str) -> JobRecord | None:
        """Give one job; None when its folder is gone."""
        return await self._one("get_job", JobRecord, task_id=task_id, job_id=job_id, refresh=True)

    async def all_jobs(self) -> list[JobRecord]:
        """Give the jobs of the current runs of all experiments; one that is in two comes twice."""
        return await self._list("get_all_jobs", JobRecord, refresh=True)

    async def services(self, experiment_id: str | None = None) -> list[ServiceRecord]:
        """Give the services of one experiment or of all."""
        which = {"experiment_id": experiment_id} if experiment_id is not None else {}
        return await self._list("get_services", ServiceRecord, refresh=True, **which)

    async def tags(self, experiment_id: str) -> Mapping[str, dict[str, Any]]:
        """Give the tags of the jobs of an experiment, by job id."""
        return await self._map("get_tags_map", dict[str, dict[str, Any]], experiment_id)

    async def dependencies(self, experiment_id: str) -> Mapping[str, list[str]]:
        """Give the jobs on which each job depends. The reference server never knows any."""
        return await self._map("get_dependencies_map", dict[str, list[str]], experiment_id)

    async def process_info(self, task_id: str, job_id: str) -> ProcessInfo | None:
        """Give the process of a running job; None when there is none."""
        return await self._one("get_process_info", ProcessInfo, task_id=task_id, job_id=job_id)

    async def orphan_jobs(self) -> list[JobRecord]:
        """Give the jobs that no run refers to; none where the server cannot tell (protocol 1.0)."""
        return await self._list_if_known("get_orphan_jobs", JobRecord)

    async def stray_jobs(self) -> list[JobRecord]:
        """Give the running jobs of runs that are not current; none where the server cannot tell."""
        return await self._list_if_known("get_stray_jobs", JobRecord)

    async def unresolved_warnings(self) -> list[WarningRecord]:
        """Give the warnings that wait for a decision."""
        answer = await self._one("get_unresolved_warnings", _Warnings)
        return answer.warnings if answer else []

    async def execute_warning_action(
        self, warning_key: str, action_key: str, experiment_id: str = "", run_id: str = ""
    ) -> None:
        """Carry out what a warning offers."""
        await self._client.call(
            "execute_warning_action",
            {
                "warning_key": warning_key,
                "action_key": action_key,
                "experiment_id": experiment_id,
                "run_id": run_id,
            },
        )

    async def kill_job(self, task_id: str, job_id: str) -> Outcome:
        """Kill the process of a job (that one process only)."""
        return await self._act("kill_job", task_id=task_id, job_id=job_id)

    async def clean_job(self, task_id: str, job_id: str) -> Outcome:
        """Delete the folder of a job that does not run."""
        return await self._act("clean_job", task_id=task_id, job_id=job_id)

    async def delete_job(self, task_id: str, job_id: str, *, perform: bool) -> Outcome:
        """Delete a job, or with ``perform`` False only say whether it could be."""
        return await self._act("delete_job_safely", task_id=task_id, job_id=job_id, perform=perform)

    async def delete_experiment(
        self, experiment_id: str, *, delete_jobs: bool, perform: bool
    ) -> Outcome:
        """Delete an experiment. With ``delete_jobs`` the reference server deletes jobs of others, too."""
        return await self._act(
            "delete_experiment",
            experiment_id=experiment_id,
            delete_jobs=delete_jobs,
            perform=perform,
        )

    async def _act(self, method: str, **params: object) -> Outcome:
        outcome = await self._one(method, Outcome, **params)
        return outcome or Outcome(success=False, error="the server gave no answer")

    async def _one(self, method: str, kind: type[_Record], **params: object) -> _Record | None:
        raw = await self._client.call(method, params)
        try:
            return decode(raw, kind | None)  # type: ignore[arg-type]
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _unreadable(method, error) from error

    async def _list(self, method: str, kind: type[_Record], **params: object) -> list[_Record]:
        raw = await self._client.call(method, params)
        try:
            records, rejected = decode_each(raw, kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _unreadable(method, error) from error
        if rejected:
            log.warning("%s: left out %d records that cannot be read", method, rejected)
        return records

    async def _list_if_known(self, method: str, kind: type[_Record]) -> list[_Record]:
        try:
            return await self._list(method, kind, refresh=True)
        except RequestError as error:
            if error.code == METHOD_NOT_FOUND:
                return []
            raise

    async def _map(self, method: str, kind: type[_Record], experiment_id: str) -> _Record:
        raw = await self._client.call(method, {"experiment_id": experiment_id, "refresh": True})
        try:
            return decode(raw, kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _unreadable(method, error) from error


def _outdated(sign: str) -> ProtocolError:
    return ProtocolError(
        f"the remote experimaestro is older than 2.7 ({sign}), and would change the workspace by looking",
        "install a newer one there, or take --backend agent",
    )


def _unreadable(method: str, error: Exception) -> ProtocolError:
    return ProtocolError(
        f"the answer of the remote server to {method} cannot be read: {error}",
        "the experimaestro there may be of another kind than ours",
    )
