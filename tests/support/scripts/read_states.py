#!/usr/bin/env python3
"""Print the states of a workspace's jobs by its files: an independent reading, for comparison.

Usage: ``read_states.py WORKSPACE``; prints ``{EXPERIMENT: {"task/job": STATE}}`` for the current runs. The rules are
as experimaestro writes them: markers over status.json, live events over both, and the further of what the job
and what the scheduler says; a job that a dependency stopped has failed. Standard library only; shares no code
with what it is compared with.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

ORDER = ["unscheduled", "waiting", "ready", "scheduled", "running", "done", "error"]
RANK = {state: min(rank, 5) for rank, state in enumerate(ORDER)}


def lines(pattern: str, folder: Path) -> list[dict]:
    """Read the JSON lines of all files that match, in the order of their numbers."""
    files = sorted(folder.glob(pattern), key=lambda path: int(path.stem.rsplit("-", 1)[1]))
    return [json.loads(line) for path in files for line in path.read_text().splitlines()]


def recorded(status: dict) -> str:
    """Return the state by a job's status.json."""
    was_stopped = status.get("scheduler_failure_reason") == "DEPENDENCY"
    return "error" if was_stopped else status["state"]


def execution(workspace: Path, task: str, job: str, fallback: str | None) -> str:
    """Return the state by the job's own files."""
    folder, name = workspace / "jobs" / task / job, task.rsplit(".", 1)[-1]
    for ending, state in ((".done", "done"), (".failed", "error")):
        if (folder / f"{name}{ending}").exists():
            return state
    status = folder / ".experimaestro" / "status.json"
    state = recorded(json.loads(status.read_text())) if status.exists() else "unscheduled"
    if not (folder / f"{name}.pid").exists():
        # The list at a run's end has "unscheduled" for a job that a dependency stopped.
        state = state if state == "error" else fallback or state
    elif state == "unscheduled":
        state = "running"
    group = hashlib.sha256(task.encode()).hexdigest()[:8]
    for event in lines(f"{group}-{job}-*.jsonl", workspace / ".events" / "jobs"):
        if event["event_type"] == "JobStateChangedEvent":
            state = event["state"]
        elif event["event_type"] == "JobProgressEvent" and state == "scheduled":
            state = "running"
    return state


def experiment_states(workspace: Path, run: Path) -> dict[str, str]:
    """Return the state of every job of a run."""
    status = json.loads((run / "status.json").read_text())
    words = {job: word.partition(":")[0] for job, word in (status.get("job_states") or {}).items()}
    name = run.parent.name
    for event in lines(f"{name}-*.jsonl", workspace / ".events" / "experiments"):
        if event["event_type"] == "ExperimentJobStateEvent" and event["run_id"] == run.name:
            words[event["job_id"]] = event["scheduler_state"].replace("submitted", "waiting")
    found = {}
    for line in (run / "jobs.jsonl").read_text().splitlines():
        info = json.loads(line)
        task, job = info["task_id"], info["job_id"]
        scheduler = words.get(job, "unscheduled")
        state = execution(workspace, task, job, words.get(job))
        found[f"{task}/{job}"] = scheduler if RANK[scheduler] > RANK[state] else state
    return found


def main() -> None:
    """Read the workspace that the command line names."""
    workspace = Path(sys.argv[1])
    runs = [path.resolve() for path in (workspace / "experiments").glob("*/current")]
    found = {run.parent.name: experiment_states(workspace, run) for run in runs}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
