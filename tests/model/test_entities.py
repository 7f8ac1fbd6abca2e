"""What an entity derives from its own fields."""

from __future__ import annotations

import pytest

from tests.model.builders import TASK
from xpm_remote.model.entities import Job
from xpm_remote.model.states import State


def test_key() -> None:
    """A job is named by its task and its id."""
    assert Job(task_id="demo.task", job_id="abc").key == "demo.task/abc"


def test_state_is_the_further_of_two_witnesses() -> None:
    """A job that only its scheduler knows to be done is done."""
    job = Job(task_id=TASK, job_id="a", execution=State.RUNNING, scheduler=State.DONE)
    assert job.state is State.DONE


@pytest.mark.parametrize(
    ("execution_reason", "scheduler_reason", "expected"),
    [
        ("FAILED", "TIMEOUT", "TIMEOUT"),
        ("MEMORY", "FAILED", "MEMORY"),
        (None, "DEPENDENCY", "DEPENDENCY"),
        (None, None, "FAILED"),
    ],
)
def test_reason_of_a_failed_job(
    execution_reason: str | None, scheduler_reason: str | None, expected: str
) -> None:
    """A failed job always has a reason: the one of either witness that tells more."""
    job = Job(
        task_id=TASK,
        job_id="a",
        execution=State.ERROR,
        execution_reason=execution_reason,
        scheduler_reason=scheduler_reason,
    )
    assert job.reason == expected


def test_no_reason_without_failure() -> None:
    """The reason of an earlier attempt is not shown while the job runs again."""
    job = Job(task_id=TASK, job_id="a", execution=State.RUNNING, scheduler_reason="TIMEOUT")
    assert job.reason is None
