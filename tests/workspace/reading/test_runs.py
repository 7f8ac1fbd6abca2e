"""A run, by its files and events."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.effort import examples
from tests.support.reference_form import run_form
from xpm_remote.model.agent_pages import RunsPage, decode_page
from xpm_remote.workspace.agent.announcing import Pages
from xpm_remote.workspace.reading.json_files import parse_time
from xpm_remote.workspace.reading.runs import RunDraft, RunFacts, info_of

STARTED = "2026-11-01T12:00:00"


def draft(**status: object) -> RunDraft:
    """Make a run of a status.json."""
    made = RunDraft("demo", "20261101_120000")
    made.take_status({"status": "running", "started_at": STARTED, "job_states": {}, **status})
    return made


def facts(made: RunDraft, alive: bool | None = True) -> RunFacts:
    """Return the facts at the end of a draft."""
    return made.facts(alive, 1)


@pytest.mark.parametrize(
    ("status", "ended", "alive", "shown"),
    [
        ("running", None, True, "running"),
        ("running", None, None, "running"),
        ("running", None, False, "crashed"),
        ("running", STARTED, False, "detached"),
        ("running", STARTED, None, "detached"),
        ("running", STARTED, True, "running"),
        ("done", STARTED, False, "done"),
        ("failed", STARTED, False, "failed"),
        ("completed", STARTED, False, "done"),
        ("dancing", None, None, "unknown"),
        (None, None, False, "unknown"),
        (None, None, True, "running"),
    ],
)
def test_status(status: object, ended: str | None, alive: bool | None, shown: str) -> None:
    """A run has the status of its files, as far as its scheduler lives."""
    assert facts(draft(status=status, ended_at=ended), alive).status == shown


@pytest.mark.parametrize(
    ("said", "shown"), [("completed", "done"), ("failed", "failed"), ("detached", "detached")]
)
def test_environment_says_how_it_ended(said: str, shown: str) -> None:
    """Where status.json remains at running, environment.json has the outcome of the script."""
    made = draft()
    made.take_environment({"run": {"status": said, "ended_at": "2026-11-01T13:00:00"}})
    run = facts(made, alive=False)
    assert (run.status, run.ended) == (shown, parse_time("2026-11-01T13:00:00"))


def test_first_releases_list_ends_only() -> None:
    """The finished and failed jobs that 2.0 listed are their states; there are no counts."""
    made = draft(job_states=None, finished_jobs=["a"], failed_jobs=["b", 5])
    assert facts(made).job_states == {"a": "done", "b": "error"}
    assert facts(draft(job_states=None, finished_jobs=3)).job_states == {}


def job_event(job_id: str = "aa", **fields: object) -> dict[str, Any]:
    """Make an event of a job's state by its scheduler."""
    return {
        "event_type": "ExperimentJobStateEvent",
        "job_id": job_id,
        "task_id": "demo.ok",
        "run_id": "20261101_120000",
        **fields,
    }


def test_job_events() -> None:
    """Events have jobs with their tags, and the scheduler's states; those of other runs are ignored."""
    made = draft()
    tags = [{"key": "x", "value": 1}, {"key": 5}, 3]
    made.take_event(job_event(scheduler_state="submitted", tags=tags, timestamp=2e9))
    assert facts(made).job_infos["aa"].tags == {"x": 1}
    assert facts(made).job_infos["aa"].submitted == 2e9
    made.take_event(job_event(scheduler_state="error", failure_reason="DEPENDENCY", tags=[]))
    made.take_event(job_event(scheduler_state="done", run_id="20200101_120000"))
    made.take_event(job_event(scheduler_state="dancing"))
    made.take_event(job_event("../aa", scheduler_state="done"))
    run = facts(made)
    assert run.job_states == {"aa": "error:DEPENDENCY"}
    assert run.job_infos["aa"].tags == {"x": 1}


def test_events_of_the_first_releases() -> None:
    """Job events of 2.0, which have neither the run nor the task, are read."""
    made = draft()
    tags = {"x": 1}
    submitted = {"event_type": "JobSubmittedEvent", "job_id": "aa", "task_id": "t", "tags": tags}
    made.take_event({**submitted, "run_id": "", "experiment_id": ""})
    assert facts(made).job_states == {"aa": "submitted"}
    for job_id in ("aa", "bb"):
        made.take_event({"event_type": "JobStateChangedEvent", "job_id": job_id, "state": "done"})
    assert facts(made).job_states == {"aa": "done"}


def test_end_of_the_run() -> None:
    """The event of the end, which has no run, ends the run unless it is older."""
    made = draft()
    end = {"event_type": "RunCompletedEvent", "run_id": "", "status": "completed"}
    made.take_event({**end, "timestamp": 1.0})
    assert facts(made).status == "running"
    made.take_event({**end, "timestamp": 2e9, "ended_at": "2026-11-01T13:00:00"})
    assert facts(made).status == "done"
    assert run_form(facts(made))["ended_at"] == "2026-11-01T13:00:00"


def test_services_and_actions() -> None:
    """Events have services with their state, and actions."""
    made = draft()
    made.take_event(
        {
            "event_type": "ServiceAddedEvent",
            "service_id": "web",
            "description": "Web",
            "service_class": "m.Web",
            "state_dict": {"port": 5},
        }
    )
    for name in ("web", "none"):
        made.take_event(
            {"event_type": "ServiceStateChangedEvent", "service_id": name, "state": "RUNNING"}
        )
    made.take_event({"event_type": "ActionAddedEvent", "action_id": "a", "description": "Do"})
    run = facts(made)
    assert run.services["web"]["state"] == "RUNNING"
    assert run.services["web"]["state_dict"] == {"port": 5}
    assert run.actions == {"a": {"action_id": "a", "description": "Do", "class": ""}}


@pytest.mark.parametrize(
    "line",
    [
        {},
        {"job_id": "aa"},
        {"job_id": "aa", "task_id": 5},
        {"job_id": "../..", "task_id": "demo.ok"},
        {"job_id": "aa", "task_id": "a/b"},
        {"job_id": "a\nb", "task_id": "demo.ok"},
    ],
)
def test_no_info(line: dict[str, Any]) -> None:
    """A line with a malformed id, or one that could lead out of the workspace, is no job."""
    assert info_of(line) is None


def test_form() -> None:
    """A run has all fields of the reference server's experiment, with our keys."""
    made = draft(hostname="node01", run_tags=["best", 5], carbon_impact={"sum": {}})
    made.take_info(
        {"job_id": "aa", "task_id": "demo.ok", "tags": {"x": 1}, "timestamp": 1.5, "transient": 1}
    )
    wire = run_form(facts(made))
    assert wire == {
        "experiment_id": "demo",
        "run_id": "20261101_120000",
        "status": "running",
        "hostname": "node01",
        "started_at": STARTED,
        "ended_at": None,
        "job_states": {},
        "job_infos": {
            "aa": {
                "job_id": "aa",
                "task_id": "demo.ok",
                "tags": {"x": 1},
                "timestamp": 1.5,
                "transient": 1,
            }
        },
        "services": {},
        "actions": {},
        "run_tags": ["best"],
        "runs_count": 1,
        "scheduler_alive": True,
        "carbon_impact": {"sum": {}},
    }


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2)
    ),
    max_leaves=4,
)
KEYS = st.sampled_from(
    [
        *(
            "status",
            "hostname",
            "started_at",
            "ended_at",
            "job_states",
            "finished_jobs",
            "services",
        ),
        *("actions", "run_tags", "carbon_impact", "run", "job_id", "task_id", "tags", "timestamp"),
        *("transient", "scheduler_state", "state", "failure_reason", "service_id", "state_dict"),
        *("action_id", "description", "event_type", "url"),
    ]
)
KINDS = st.sampled_from(
    [
        *("ExperimentJobStateEvent", "JobSubmittedEvent", "JobStateChangedEvent"),
        *("RunCompletedEvent", "ServiceAddedEvent", "ServiceStateChangedEvent"),
        *("ActionAddedEvent", "WarningEvent"),
    ]
)
NAMED = st.fixed_dictionaries({"job_id": st.just("aa"), "task_id": st.just("t")})
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=5) | st.tuples(
    NAMED, st.dictionaries(KEYS, VALUES, max_size=4)
).map(lambda pair: {**pair[1], **pair[0]})


@settings(deadline=None, max_examples=examples(12, 200))
@given(
    status=OBJECTS,
    lines=st.lists(OBJECTS, max_size=2),
    environment=OBJECTS,
    events=st.lists(st.tuples(OBJECTS, KINDS), max_size=3),
)
def test_any_content(
    status: dict[str, Any],
    lines: list[dict[str, Any]],
    environment: dict[str, Any],
    events: list[tuple[dict[str, Any], str]],
) -> None:
    """With any contents of its files, a run is valid for the laptop."""
    made = RunDraft("demo", "v1")
    made.take_status(status)
    for line in lines:
        made.take_info(line)
    made.take_environment(environment)
    for event, kind in events:
        made.take_event({**event, "event_type": kind})
    told: list[tuple[str, dict[str, Any]]] = []
    Pages(lambda *notice: told.append(notice)).runs([facts(made, alive=None)], [], None)
    ((method, params),) = told
    page = decode_page(method, json.dumps(params).encode())
    assert isinstance(page, RunsPage)
    assert [head.experiment_id for head in page.experiments] == ["demo"]
