"""What the remote announces, as frozen values. A kind that we do not know is kept, never fatal."""

from __future__ import annotations

from typing import Any

import msgspec

from xpm_remote.model.records import ProgressRecord


class JobStateEvent(msgspec.Struct, frozen=True):
    """A job's process says that its state changed. ``task_id`` is empty when a monitor deleted the job."""

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
    """A job's process reports progress at one level."""

    job_id: str
    task_id: str
    timestamp: float | None = None
    level: int = 0
    progress: float | None = 0.0
    desc: str | None = None


class TagRecord(msgspec.Struct, frozen=True):
    """A tag as events spell it."""

    key: str
    value: Any = None


class SchedulerEvent(msgspec.Struct, frozen=True):
    """An experiment's scheduler says what it does with a job. Tags come with the submission only."""

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
    """Any other announcement; all that it means to us is that something is to be asked again."""

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
        # Known by name, but not of a shape that we can use: what it is about will be asked for.
        return OtherEvent(envelope.event_type)
    return OtherEvent(
        envelope.event_type, other.experiment_id, other.error_message or other.description
    )
