"""The fake monitor server's bursts: many jobs change at once, with faulty announcements."""

from __future__ import annotations

import pytest

from tests.support.conversation import Json
from tests.support.polling import wait_until
from tests.support_tests.talk import LIMIT, Fake, Start, states

pytestmark = pytest.mark.slow


def burst_of(fake: Fake, events: int) -> list[Json]:
    """Start the burst by asking for jobs; return the data of so many state events."""
    assert set(states(fake.result("get_jobs"))) == {"waiting"}
    data = []
    for _ in range(events):
        params = fake.read()["params"]
        assert params["event_type"] == "JobStateChangedEvent"
        data.append(params["data"])
    return data


def per_job(data: list[Json]) -> dict[str, list[str]]:
    """Return the states that each job went through, by the events."""
    seen: dict[str, list[str]] = {}
    for event in data:
        seen.setdefault(event["job_id"], []).append(event["state"])
    return seen


def wait_until_all_done(fake: Fake) -> None:
    """Ask for the jobs until all are done; fail at any notification meanwhile."""

    def all_done() -> bool:
        fake.ask("get_jobs")
        return set(states(fake.read()["result"])) == {"done"}

    wait_until(all_done, LIMIT, "the end of the burst")


def test_a_burst_takes_every_job_through_its_states(start: Start) -> None:
    """All jobs change within a second, in order, and later answers agree with the events."""
    fake = start(
        generate={"experiments": 2, "jobs": 200, "states": ["waiting"]},
        burst={"after": "get_jobs", "final": ["done", "done", "error"]},
    )
    data = burst_of(fake, 600)
    assert data[-1]["timestamp"] - data[0]["timestamp"] < 1.0
    seen = list(per_job(data).values())
    assert len(seen) == 200
    assert seen[:3] == [
        ["scheduled", "running", "done"],
        ["scheduled", "running", "done"],
        ["scheduled", "running", "error"],
    ]
    jobs = fake.result("get_jobs")
    last = [job_states[-1] for job_states in seen]
    assert states(jobs) == states(jobs, "scheduler_state") == last
    known = [e["job_states"] for e in fake.result("get_experiments")]
    assert {**known[0], **known[1]} == {job["job_id"]: job["state"] for job in jobs}


def test_a_burst_can_leave_jobs_stuck_in_running(start: Start) -> None:
    """Every kth job falls back to running, without a start time, while the scheduler's state is final."""
    fake = start(
        generate={"jobs": 6, "states": ["waiting"]},
        burst={"after": "get_jobs", "seconds": 0.1, "stuck": 3},
    )
    data = burst_of(fake, 20)
    spurious = [
        event for event in data if "started_time" not in event and event["state"] == "running"
    ]
    assert len(spurious) == 2
    seen = list(per_job(data).values())
    assert seen[1:3] == [
        ["scheduled", "running", "done"],
        ["scheduled", "running", "done", "running"],
    ]
    jobs = fake.result("get_jobs")
    assert states(jobs) == ["done", "done", "running"] * 2
    assert states(jobs, "scheduler_state") == ["done"] * 6
    assert set(fake.result("get_experiments")[0]["job_states"].values()) == {"done"}


def test_a_burst_can_lose_notifications(start: Start) -> None:
    """Every kth notification is missing; queries have all changes."""
    fake = start(
        generate={"jobs": 4, "states": ["waiting"]},
        burst={"after": "get_jobs", "seconds": 0.1, "drop": 4},
    )
    assert sum(map(len, per_job(burst_of(fake, 9)).values())) == 9
    wait_until_all_done(fake)
    lines, _, _ = fake.end_lines()
    assert len(lines) == 1


def test_a_burst_can_be_silent(start: Start) -> None:
    """Without notifications the changes are found only by asking."""
    fake = start(
        generate={"jobs": 4, "states": ["waiting"]},
        burst={"after": "get_jobs", "seconds": 0, "notify": False},
    )
    burst_of(fake, 0)
    wait_until_all_done(fake)
    lines, _, _ = fake.end_lines()
    assert len(lines) == 1


def test_made_up_jobs_can_be_stuck_from_the_start(start: Start) -> None:
    """Generated finished jobs can already be reported as running, against the scheduler."""
    fake = start(generate={"jobs": 4, "stuck": 2})
    jobs = fake.result("get_jobs")
    assert states(jobs) == ["done", "running"] * 2
    assert states(jobs, "scheduler_state") == ["done"] * 4
