"""Announcements decoded: those that we know by kind, all others kept as what they are."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from xpm_remote.model.events import (
    Event,
    JobProgressEvent,
    JobStateEvent,
    OtherEvent,
    SchedulerEvent,
    TagRecord,
    decode_event,
)


def announce(kind: str, **data: Any) -> bytes:
    """Write the params of a notification."""
    return json.dumps({"event_type": kind, "data": data}).encode()


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (
            announce(
                "JobStateChangedEvent",
                timestamp=1.5,
                job_id="a",
                task_id="t",
                state="done",
                ended_time="2026-11-22T15:24:51.858328",
                retry_count=0,
                progress=[],
            ),
            JobStateEvent(
                "a", "t", 1.5, "done", ended_time="2026-11-22T15:24:51.858328", progress=[]
            ),
        ),
        (
            announce("JobProgressEvent", job_id="a", task_id="t", level=1, progress=0.5, desc="x"),
            JobProgressEvent("a", "t", None, 1, 0.5, "x"),
        ),
        (
            announce(
                "ExperimentJobStateEvent",
                experiment_id="e",
                job_id="a",
                task_id="t",
                run_id="r",
                scheduler_state="error",
                failure_reason="TIMEOUT",
                tags=[],
                depends_on=[],
            ),
            SchedulerEvent("e", "a", "t", None, "r", "error", "TIMEOUT", []),
        ),
        (
            announce(
                "JobSubmittedEvent",
                experiment_id="e",
                job_id="a",
                task_id="t",
                tags=[{"key": "x", "value": 0}],
            ),
            SchedulerEvent("e", "a", "t", tags=[TagRecord("x", 0)]),
        ),
    ],
)
def test_known_kinds(params: bytes, expected: Event) -> None:
    """What is announced of jobs is read; what is missing has its default."""
    assert decode_event(params) == expected


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (announce("ExperimentUpdatedEvent", experiment_id="e"), ("e", "")),
        (
            announce("WarningEvent", experiment_id="e", description="low on disk"),
            ("e", "low on disk"),
        ),
        (announce("ErrorEvent", error_message="no such key", description="d"), ("", "no such key")),
        (b'{"event_type": "ErrorEvent"}', ("", "")),
    ],
)
def test_other_kinds(params: bytes, expected: tuple[str, str]) -> None:
    """Other announcements keep their kind, their experiment and what they have to say."""
    event = decode_event(params)
    assert isinstance(event, OtherEvent)
    assert event.kind == json.loads(params)["event_type"]
    assert (event.experiment_id, event.message) == expected


@pytest.mark.parametrize(
    "data", [b"null", b"[]", b'{"job_id": "a"}', b'{"job_id": "a", "task_id": "\xe9"}']
)
@pytest.mark.parametrize("kind", ["JobStateChangedEvent", "Novelty"])
def test_misfits_keep_their_kind(kind: str, data: bytes) -> None:
    """Data of an unusable shape leaves an announcement of that kind, and no error."""
    event = decode_event(b'{"event_type": "%b", "data": %b}' % (kind.encode(), data))
    assert event == OtherEvent(kind)


@pytest.mark.parametrize("params", [b"null", b"[]", b"{}", b'{"data": {}}', b""])
def test_not_an_announcement(params: bytes) -> None:
    """Params without a kind are an error."""
    with pytest.raises(msgspec.DecodeError):
        decode_event(params)
