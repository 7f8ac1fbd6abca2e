"""Records of the wire: decoded leniently, one by one; times in the zone of the host."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.model.builders import ZONE
from xpm_remote.model.records import (
    SLICE,
    Event,
    ExperimentRecord,
    JobProgressEvent,
    JobRecord,
    JobStateEvent,
    OtherEvent,
    SchedulerEvent,
    SyncInfo,
    TagRecord,
    decode_event,
    decode_slices,
    parse_time,
)

REAL_JOB = {
    "job_id": "1d6c",
    "task_id": "demo_tasks.bad",
    "path": "/data/ws/jobs/demo_tasks.bad/1d6c",
    "state": "error",
    "failure_reason": "FAILED",
    "scheduler_state": "error",
    "scheduler_failure_reason": None,
    "started_time": "2026-11-22T08:10:47.732157",
    "ended_time": "2026-11-22T08:10:47.748564",
    "exit_code": None,
    "retry_count": 0,
    "resumable": False,
    "progress": [{"level": 0, "desc": "step 3", "progress": 0.375}],
    "process": {"type": "local", "pid": 27244, "host": "vm"},
    "run_group_id": "20261122-081046.76",
    "events_count": 0,
}


def encode(value: object) -> bytes:
    """Write what a server would send."""
    return json.dumps(value).encode()


def test_job_object_of_a_real_server() -> None:
    """A job object of protocol 2.0 is read; unknown fields are ignored."""
    record = msgspec.json.decode(encode(REAL_JOB), type=JobRecord)
    assert (record.state, record.failure_reason) == ("error", "FAILED")
    assert record.progress is not None
    assert (record.progress[0].desc, record.progress[0].progress) == ("step 3", 0.375)


def test_experiment_object_of_protocol_1() -> None:
    """An experiment object of protocol 1.0 has lists of ended jobs in place of states."""
    record = msgspec.json.decode(
        encode({"experiment_id": "old", "finished_jobs": ["a"], "failed_jobs": []}),
        type=ExperimentRecord,
    )
    assert record.job_states is None
    assert (record.finished_jobs, record.failed_jobs) == (["a"], [])


def test_decode_refuses_another_shape() -> None:
    """An answer that lacks what is needed is an error."""
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(b"{}", type=SyncInfo)


def decode_each(raw: bytes, kind: type[JobRecord]) -> tuple[list[JobRecord], int]:
    """Return all slices of an array together."""
    slices = list(decode_slices(raw, kind))
    return [each for found, _ in slices for each in found], sum(misfits for _, misfits in slices)


def test_slices() -> None:
    """Many records come in several slices, in order."""
    number = 3 * SLICE // len(encode(REAL_JOB))
    jobs = [REAL_JOB | {"job_id": str(each)} for each in range(number)]
    slices = [
        [each.job_id for each in found] for found, _ in decode_slices(encode(jobs), JobRecord)
    ]
    assert 2 < len(slices) < 6
    assert [each for part in slices for each in part] == [str(each) for each in range(number)]


@pytest.mark.parametrize("empty", [b"[]", b"null"])
def test_no_records(empty: bytes) -> None:
    """An empty answer is no error, nor is null."""
    assert decode_each(empty, JobRecord) == ([], 0)


@pytest.mark.parametrize(
    "misfit",
    [
        b'{"job_id": "x"}',
        b'{"job_id": 7, "task_id": "t"}',
        b'{"job_id": "x", "task_id": "t", "progress": "much"}',
        b'{"job_id": "x", "task_id": "t", "path": "/caf\xe9"}',
        b"17",
        b"null",
    ],
)
def test_misfits_are_dropped_alone(misfit: bytes) -> None:
    """A record that does not fit is left out and counted; its neighbours are kept, in order."""
    fits = [encode(REAL_JOB | {"job_id": name}) for name in "ab"]
    records, dropped = decode_each(b"[" + b",".join([fits[0], misfit, fits[1]]) + b"]", JobRecord)
    assert [record.job_id for record in records] == ["a", "b"]
    assert dropped == 1


@pytest.mark.parametrize("answer", [b'{"jobs": []}', b"17", b"[{]", b""])
def test_not_an_array(answer: bytes) -> None:
    """An answer that is not a list of records is an error."""
    with pytest.raises(msgspec.DecodeError):
        decode_each(answer, JobRecord)


def test_progress_that_is_no_number() -> None:
    """A job whose progress was NaN, null by now, is not lost."""
    records, dropped = decode_each(
        encode([REAL_JOB | {"progress": [{"level": 0, "progress": None}]}]), JobRecord
    )
    assert dropped == 0
    assert records[0].progress is not None
    assert records[0].progress[0].progress is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-22T08:10:47.500000", datetime(2026, 11, 22, 8, 10, 47, 500000, tzinfo=ZONE)),
        ("2026-11-22T08:10:47+05:00", None),
        (1795335047.0, datetime(2026, 11, 22, 9, 10, 47, tzinfo=ZONE)),
        (1795335047, datetime(2026, 11, 22, 9, 10, 47, tzinfo=ZONE)),
    ],
)
def test_parse_time(value: str | float, expected: datetime | None) -> None:
    """ISO text is in the zone of the host unless it has an offset; a number counts seconds."""
    if expected is None:
        expected = datetime(2026, 11, 22, 8, 10, 47, tzinfo=timezone(timedelta(hours=5)))
    assert parse_time(value, ZONE) == expected


@pytest.mark.parametrize("value", [None, "", "yesterday", "2026-13-01T00:00:00", 1e300, -1e300])
def test_no_time(value: str | float | None) -> None:
    """What is no time is None, never an error."""
    assert parse_time(value, ZONE) is None


@given(st.one_of(st.text(), st.floats(allow_nan=True, allow_infinity=True), st.integers()))
def test_times_are_aware(value: str | float) -> None:
    """A time is aware or absent, for any input."""
    time = parse_time(value, ZONE)
    assert time is None or time.tzinfo is not None


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
    """Announcements about jobs are read; what is missing has its default."""
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
    """Other announcements keep their kind, their experiment and their data."""
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
