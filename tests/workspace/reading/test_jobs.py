"""A job and its scheduler's state of it."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest

from xpm_remote.workspace.reading.jobs import CurrentJob, JobFacts, with_outputs, with_word
from xpm_remote.workspace.states import Process, Progress


def job(**fields: Any) -> JobFacts:
    """Make a job."""
    return JobFacts("demo.ok", "aa", "/ws/jobs")._replace(**fields)


@pytest.mark.parametrize(
    ("state", "word", "shown"),
    [
        ("running", "done", "done"),
        ("done", "running", "done"),
        ("error", "done", "error"),
        ("done", "error", "done"),
        ("scheduled", "waiting", "scheduled"),
        ("unscheduled", "submitted", "waiting"),
    ],
)
@pytest.mark.parametrize("is_live", [True, False])
def test_further_state_counts(state: str, word: str, shown: str, is_live: bool) -> None:
    """The further of both states is shown; in a tie, that of the job's own files."""
    assert with_word(job(state=state), word, None, is_live=is_live).state == shown


def test_reason_of_the_scheduler() -> None:
    """A failure has the most informative reason; a job that did not fail has none."""
    facts = with_word(job(), "error:DEPENDENCY", 5.0, is_live=True)
    assert (facts.failure_reason, facts.scheduler_failure_reason) == ("DEPENDENCY", "DEPENDENCY")
    assert facts.submitted == 5.0
    failed = job(state="error", failure_reason="TIMEOUT")
    assert with_word(failed, "error:FAILED", None, is_live=True).failure_reason == "TIMEOUT"
    assert with_word(job(state="error"), None, None, is_live=True).failure_reason == "FAILED"
    assert (
        with_word(job(failure_reason="TIMEOUT"), "done", None, is_live=True).failure_reason is None
    )


def test_word_at_the_end_of_a_run() -> None:
    """At the end of a run its list has less than the job's own file; while it runs, its state is the latest."""
    facts = job(scheduler_state="error", scheduler_failure_reason="DEPENDENCY")
    ended = with_word(facts, "unscheduled", None, is_live=False)
    assert (ended.state, ended.failure_reason) == ("error", "DEPENDENCY")
    again = with_word(facts, "waiting", None, is_live=True)
    assert (again.state, again.scheduler_failure_reason) == ("waiting", None)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"has_done_marker": True}, ("done", None, True)),
        ({"has_directory": False}, ("error", "MISSING_OUTPUTS", True)),
        ({}, ("error", "MISSING_OUTPUTS", True)),
        ({"has_directory": False, "is_link": True}, ("done", None, False)),
        ({"state": "error", "failure_reason": "TIMEOUT"}, ("error", "TIMEOUT", True)),
    ],
    ids=["marker", "no directory", "no marker", "link to nowhere", "failed"],
)
def test_outputs(fields: dict[str, Any], expected: tuple[str, str | None, bool]) -> None:
    """A job that is only said to have succeeded lacks its outputs; those behind a broken link may be somewhere."""
    facts = with_outputs(with_word(job(**fields), "done", None, is_live=False))
    assert (facts.state, facts.failure_reason, facts.certain) == expected


def test_job_that_never_ran() -> None:
    """A job that a dependency stopped has no start, which experimaestro makes up."""
    facts = job(started=5.0, scheduler_state="error", scheduler_failure_reason="DEPENDENCY")
    assert with_word(facts, "unscheduled", None, is_live=False).started is None


def test_wire_form() -> None:
    """A current job is the same after it was sent as JSON."""
    plain = CurrentJob(job(), {}, ("exp",))
    full = CurrentJob(
        job(progress=(Progress(0, 0.5, "x"),), process=Process(7, "local", "node")),
        {"lr": 0.1},
        ("exp", "other"),
    )
    for each in (plain, full):
        assert CurrentJob.from_wire(json.loads(json.dumps(each.to_wire()))) == each


def test_times_of_a_current_job() -> None:
    """A job of a run has the state, the task and the times of its facts."""
    facts = job(submitted=1.0, started=2.0, ended=3.0)
    current = CurrentJob(facts, {}, ("exp",))
    assert (current.state, current.task_id) == (facts.state, facts.task_id)
    assert (current.submitted, current.started, current.ended) == (1.0, 2.0, 3.0)


def test_size() -> None:
    """A hundred thousand jobs fit into a tenth of the agent's memory limit, without their ids."""
    tracemalloc.start()
    jobs = [job(started=float(k), ended=k + 0.5) for k in range(1000)]
    size = tracemalloc.get_traced_memory()[0] / len(jobs)
    tracemalloc.stop()
    assert size < 400
