"""What the remote sends, decoded as it comes: records, and events with them.

Names and meaning: experimaestro's ``status.json`` and monitor protocol, versions 1.0 and 2.0. Fields are
optional, unknown ones are ignored. A record that does not fit is dropped by itself and counted. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, tzinfo
from typing import Any, TypeVar

import msgspec

from xpm_remote.workspace.rows import Row

Record = TypeVar("Record")


class ProgressRecord(msgspec.Struct, gc=False):
    """One level of progress; null where the remote wrote NaN."""

    level: int = 0
    progress: float | None = 0.0
    desc: str | None = None


class JobRecord(msgspec.Struct, gc=False):
    """A job object: the keys of a job's ``status.json``; times are ISO, naive, in the zone of the host.

    Only our agent tells whether it is ``certain`` of the state, when the progress was told, and
    what SLURM has of it.
    """

    job_id: str
    task_id: str
    path: str | None = None
    state: str | None = None
    failure_reason: str | None = None
    scheduler_state: str | None = None
    scheduler_failure_reason: str | None = None
    submitted_time: str | float | None = None
    started_time: str | float | None = None
    ended_time: str | float | None = None
    exit_code: int | None = None
    retry_count: int = 0
    progress: list[ProgressRecord] | None = None
    certain: bool = True
    progressed_time: float | None = None
    row: Row | None = None


class JobInfoRecord(msgspec.Struct, gc=False):
    """A line of ``jobs.jsonl``: a job as its experiment submitted it; ``timestamp`` in epoch seconds."""

    job_id: str
    task_id: str
    tags: dict[str, Any] | None = None
    timestamp: float | None = None


class ServiceRecord(msgspec.Struct):
    """A service object."""

    service_id: str
    description: str | None = None
    state: str | None = None
    url: str | None = None


class ExperimentRecord(msgspec.Struct):
    """An experiment object: the keys of a run's ``status.json``, plus ``job_infos``.

    ``job_states`` is missing before protocol 2.0, which had the two lists instead; ``runs_count`` is there since 2.7.0.
    Only our agent sends how many jobs a run lists, which follow, whether the scheduler lives (null: it cannot know),
    and that a run ``is_unread``: it could not read all of it.
    """

    experiment_id: str
    run_id: str | None = None
    status: str | None = None
    hostname: str | None = None
    started_at: str | float | None = None
    ended_at: str | float | None = None
    job_states: dict[str, str] | None = None
    finished_jobs: list[str] | int | None = None
    failed_jobs: list[str] | int | None = None
    job_infos: dict[str, JobInfoRecord] | None = None
    services: dict[str, ServiceRecord] | None = None
    runs_count: int | None = None
    jobs_count: int = 0
    is_unread: bool = False
    scheduler_alive: bool | msgspec.UnsetType | None = msgspec.UNSET


class SyncInfo(msgspec.Struct):
    """The answer to the handshake."""

    protocol_version: str
    workspace_path: str | None = None


SLICE = 64 * 1024
"""Bytes of records that are decoded at once: a millisecond of work."""


def decode_slices(
    raw: bytes | msgspec.Raw, kind: type[Record]
) -> Iterator[tuple[list[Record], int]]:
    """Decode a JSON array; yield, slice by slice, the records that fit and the number of those that do not.

    Raises:
        msgspec.DecodeError: The bytes are not a JSON array (null counts as an empty one).
    """
    records: list[Record] = []
    rejected = size = 0
    for item in msgspec.json.decode(raw, type=list[msgspec.Raw] | None) or []:
        try:
            records.append(msgspec.json.decode(item, type=kind))
        except (msgspec.DecodeError, UnicodeDecodeError):
            rejected += 1
        size += len(item)
        if size >= SLICE:
            yield records, rejected
            records, rejected, size = [], 0, 0
    yield records, rejected


def parse_time(value: str | float | None, zone: tzinfo) -> datetime | None:
    """Convert a time: ISO text (naive: in ``zone``) or epoch seconds; return None where it is neither."""
    try:
        if value is None:
            return None
        if isinstance(value, str):
            time = datetime.fromisoformat(value)
            return time if time.tzinfo else time.replace(tzinfo=zone)
        return datetime.fromtimestamp(value, zone)
    except (ValueError, OverflowError, OSError):
        return None


class JobStateEvent(msgspec.Struct, frozen=True):
    """The state of a job changed, by its process. ``task_id`` is empty when a monitor deleted the job."""

    job_id: str
    task_id: str
    timestamp: float | None = None
    state: str | None = None
    failure_reason: str | None = None
    started_time: str | float | None = None
    ended_time: str | float | None = None
    exit_code: int | None = None
    retry_count: int = 0
    progress: list[ProgressRecord] | None = None


class JobProgressEvent(msgspec.Struct, frozen=True):
    """Progress at one level, by the job's process."""

    job_id: str
    task_id: str
    timestamp: float | None = None
    level: int = 0
    progress: float | None = 0.0
    desc: str | None = None


class TagRecord(msgspec.Struct, frozen=True):
    """A tag, as events write it."""

    key: str
    value: Any = None


class SchedulerEvent(msgspec.Struct, frozen=True):
    """The state of a job, by its experiment's scheduler. Only the submission has tags."""

    experiment_id: str
    job_id: str
    task_id: str
    timestamp: float | None = None
    run_id: str | None = None
    scheduler_state: str = "submitted"
    failure_reason: str | None = None
    tags: list[TagRecord] | dict[str, Any] | None = None
    submitted_time: str | float | None = None


class OtherEvent(msgspec.Struct, frozen=True):
    """Any other announcement: a reason to ask again."""

    kind: str
    experiment_id: str = ""
    message: str = ""


Event = JobStateEvent | JobProgressEvent | SchedulerEvent | OtherEvent

_KINDS: dict[str, type[JobStateEvent | JobProgressEvent | SchedulerEvent]] = {
    "JobStateChangedEvent": JobStateEvent,
    "JobProgressEvent": JobProgressEvent,
    "ExperimentJobStateEvent": SchedulerEvent,
    "JobSubmittedEvent": SchedulerEvent,
}


class _Envelope(msgspec.Struct):
    event_type: str
    data: msgspec.Raw = msgspec.Raw(b"{}")


class _Other(msgspec.Struct):
    experiment_id: str = ""
    error_message: str = ""
    description: str = ""


def decode_event(params: bytes | msgspec.Raw) -> Event:
    """Decode the params of ``notification.state_event``.

    Raises:
        msgspec.DecodeError: They are not ``{event_type, data}``.
    """
    envelope = msgspec.json.decode(params, type=_Envelope)
    kind = _KINDS.get(envelope.event_type)
    try:
        if kind is not None:
            return msgspec.json.decode(envelope.data, type=kind)
        other = msgspec.json.decode(envelope.data, type=_Other)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # A known name with another shape: a reason to ask again, like an unknown one.
        return OtherEvent(envelope.event_type)
    return OtherEvent(
        envelope.event_type, other.experiment_id, other.error_message or other.description
    )
