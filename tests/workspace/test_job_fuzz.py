"""Files of a job with any content."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.effort import examples
from tests.workspace.disk import Disk, TextHost, snapshot
from xpm_remote.model.agent_pages import JobsPage, decode_page
from xpm_remote.workspace.agent.announcing import Pages
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.reading.job_files import JobReader
from xpm_remote.workspace.reading.json_files import Problems
from xpm_remote.workspace.reading.live_events import LiveEvents

pytestmark = pytest.mark.slow

JOB = JobId("demo.ok", "aa")

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["running", "error:TIMEOUT", "2026-11-01T12:00:00", "local"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
STATUS_KEYS = [
    *("state", "failure_reason", "scheduler_state", "scheduler_failure_reason", "submitted_time"),
    *("started_time", "ended_time", "exit_code", "retry_count", "resumable", "progress", "process"),
    *("run_group_id", "events_count", "carbon_metrics", "type", "pid", "host", "level", "desc"),
    *("code", "reason", "message", "timestamp"),
]
KINDS = st.sampled_from(["JobStateChangedEvent", "JobProgressEvent"])
OBJECTS = st.dictionaries(st.sampled_from(STATUS_KEYS), VALUES, max_size=8)
CONTENTS = OBJECTS | VALUES | st.binary(max_size=40)
EVENTS = st.lists(st.tuples(OBJECTS, KINDS).map(lambda each: {**each[0], "event_type": each[1]}))


@settings(deadline=None, max_examples=examples(25, 150))
@given(
    status=CONTENTS,
    pid=st.none() | CONTENTS,
    failed=st.none() | CONTENTS,
    events=EVENTS,
    word=st.none() | st.text(max_size=8),
)
def test_any_content(
    tmp_path_factory: pytest.TempPathFactory,
    status: object,
    pid: object,
    failed: object,
    events: list[dict[str, Any]],
    word: str | None,
) -> None:
    """With any content, the job is valid for the laptop, and nothing is written."""
    disk = Disk(tmp_path_factory.mktemp("any"))
    contents = {"pid": pid, "failed": failed}
    disk.job(JOB, status, **{key: each for key, each in contents.items() if each is not None})
    disk.events(JOB, *events)
    before = snapshot(disk.root)
    live = LiveEvents(str(disk.root), Problems())
    reader = JobReader(str(disk.root / "jobs"), live, TextHost(), Problems())
    facts = reader.read(JOB.task, JOB.hash, word)
    assert snapshot(disk.root) == before
    told: list[tuple[str, dict[str, Any]]] = []
    Pages(lambda *notice: told.append(notice)).jobs([facts])
    ((method, params),) = told
    page = decode_page(method, json.dumps(params).encode())
    assert isinstance(page, JobsPage)
    assert [row.state for row in page.rows] == [facts.state]
