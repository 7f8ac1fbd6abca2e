#!/usr/bin/env python3
"""Change a workspace step by step, as a scheduler and its jobs do: ``busy_workspace.py WORKSPACE JOBS SEED``.

Each line of stdin is a number of steps to make; each is answered with a line. A step moves one job, chosen by chance,
to its next state: waiting, scheduled, running, done or error. At the end of stdin, the run ends as one whose
script ends. Files are written in the order in which experimaestro 2.7 writes them. Standard library only.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import random
import socket
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

EXPERIMENT = "busy"
STATES = ("waiting", "scheduled", "running", "final")
SPACING = 0.01
"""Seconds between two steps: a scheduler with many jobs does not move them all at once."""


def iso(epoch: float) -> str:
    """Return a time in experimaestro's form: local, without an offset."""
    return datetime.fromtimestamp(epoch).isoformat()  # noqa: DTZ006


def append(path: Path, record: dict[str, Any]) -> None:
    """Append a line at once."""
    with path.open("a") as stream:
        stream.write(json.dumps(record) + "\n")


def replace(path: Path, document: dict[str, Any]) -> None:
    """Write a file atomically."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps(document))
    new.replace(path)


class Job:
    """One job of the run.

    Args:
        run: The run.
        number: Makes its id; every fifth one fails.
    """

    def __init__(self, run: Run, number: int) -> None:
        self.run = run
        self.task_id = f"demo_tasks.{('ok', 'long', 'dep')[number % 3]}"
        self.job_id = hashlib.sha256(b"busy %d" % number).hexdigest()
        self.final = "error" if number % 5 == 4 else "done"
        self.steps = list(STATES)
        self.number = number
        self.name = self.task_id.rpartition(".")[2]
        self.folder = run.workspace / "jobs" / self.task_id / self.job_id
        task = hashlib.sha256(self.task_id.encode()).hexdigest()[:8]
        self.events = run.workspace / ".events/jobs" / f"{task}-{self.job_id}-0.jsonl"
        self.started: str | None = None

    def advance(self) -> None:
        """Move to the next state."""
        step = self.steps.pop(0)
        getattr(self, f"_{step}")()

    def _waiting(self) -> None:
        now = time.time()
        tags = {"x": self.number}
        info = {"job_id": self.job_id, "task_id": self.task_id, "tags": tags, "timestamp": now}
        append(self.run.folder / "jobs.jsonl", info)
        submitted = {"tags": [{"key": "x", "value": self.number}], "submitted_time": iso(now)}
        self._tell_scheduler("submitted", **submitted)
        self._tell_scheduler("waiting")

    def _scheduled(self) -> None:
        self._tell_scheduler("scheduled")

    def _running(self) -> None:
        archive = self.folder / ".experimaestro/events/event-0.jsonl"
        archive.parent.mkdir(parents=True)
        link = self.run.folder / "jobs" / self.task_id / self.job_id
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(self.folder)
        self.started = iso(time.time())
        process = {"type": "local", "pid": os.getpid(), "host": socket.gethostname()}
        (self.folder / f"{self.name}.pid").write_text(json.dumps(process))
        self._write_status("running", process=process)
        archive.touch()
        os.link(archive, self.events)
        self._tell_job("running")
        progress = {"level": 0, "progress": 0.5, "desc": "half", "event_type": "JobProgressEvent"}
        append(self.events, {"timestamp": time.time(), **self._names(), **progress})

    def _final(self) -> None:
        ended = iso(time.time())
        self._tell_job(self.final, ended)
        self._write_status(self.final, ended_time=ended)
        self.events.unlink()
        if self.final == "done":
            (self.folder / f"{self.name}.done").touch()
        else:
            failure = {"code": 1, "reason": "failed"}
            (self.folder / f"{self.name}.failed").write_text(json.dumps(failure))
        (self.folder / f"{self.name}.pid").unlink()
        self._tell_scheduler(self.final)

    def _names(self) -> dict[str, Any]:
        return {"job_id": self.job_id, "task_id": self.task_id}

    def _write_status(self, state: str, **more: Any) -> None:
        status = {
            **self._names(),
            "path": str(self.folder),
            "state": state,
            "failure_reason": "FAILED" if state == "error" else None,
            "scheduler_state": state,
            "scheduler_failure_reason": None,
            "started_time": self.started,
            "ended_time": None,
            "exit_code": None,
            "retry_count": 0,
            "resumable": False,
            "progress": [],
            "process": None,
            "run_group_id": "20261122-100000.0",
            "events_count": 0,
            **more,
        }
        replace(self.folder / ".experimaestro/status.json", status)

    def _tell_job(self, state: str, ended: str | None = None) -> None:
        event = {
            "state": state,
            "failure_reason": None,
            "started_time": self.started,
            "ended_time": ended,
            "exit_code": None,
            "retry_count": 0,
            "progress": [],
            "event_type": "JobStateChangedEvent",
        }
        append(self.events, {"timestamp": time.time(), **self._names(), **event})

    def _tell_scheduler(self, state: str, **more: Any) -> None:
        self.run.job_states[self.job_id] = state
        event = {
            "experiment_id": EXPERIMENT,
            "scheduler_state": state,
            "failure_reason": None,
            "run_id": self.run.folder.name,
            "tags": [],
            "depends_on": [],
            "submitted_time": None,
            "event_type": "ExperimentJobStateEvent",
            **more,
        }
        append(self.run.events, {"timestamp": time.time(), **self._names(), **event})


class Run:
    """A run of the experiment.

    Args:
        workspace: Where; it may hold others.
    """

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self.started = iso(time.time())
        self.job_states: dict[str, str] = {}
        run_id = datetime.now().strftime("%Y%m%d_%H%M%S")  # noqa: DTZ005
        self.folder = workspace / "experiments" / EXPERIMENT / run_id
        self.events = workspace / ".events/experiments" / f"{EXPERIMENT}-0.jsonl"
        (self.folder / "events").mkdir(parents=True)
        for folder in ("jobs", "experiments"):
            (workspace / ".events" / folder).mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder.parent / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        for name in ("jobs.jsonl", "objects.jsonl", "events/event-0.jsonl"):
            (self.folder / name).touch()
        os.link(self.folder / "events/event-0.jsonl", self.events)
        self._write_status("running")
        (self.folder.parent / "current").symlink_to(run_id)

    def end(self) -> None:
        """End as the script of an experiment does."""
        self._write_status("done")
        names = {"experiment_id": "", "run_id": "", "event_type": "RunCompletedEvent"}
        ended = {"status": "completed", "ended_at": iso(time.time())}
        append(self.events, {"timestamp": time.time(), **names, **ended})
        self.events.unlink()
        self._lock.close()

    def _write_status(self, status: str) -> None:
        has_ended = status != "running"
        document = {
            "version": 1,
            "experiment_id": EXPERIMENT,
            "run_id": self.folder.name,
            "status": status,
            "hostname": socket.gethostname(),
            "started_at": self.started,
            "ended_at": iso(time.time()) if has_ended else None,
            "job_states": self.job_states if has_ended else {},
            "services": {},
            "actions": {},
            "run_tags": [],
            **({} if has_ended else {"events_count": 0}),
            "last_updated": iso(time.time()),
        }
        replace(self.folder / "status.json", document)


def main() -> None:
    """Make steps as stdin requests, and end with it."""
    workspace, number, seed = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    dice = random.Random(seed)
    run = Run(workspace)
    jobs = [Job(run, index) for index in range(number)]
    print("ready", flush=True)
    for line in sys.stdin:
        for _ in range(int(line)):
            moving = [job for job in jobs if job.steps]
            if moving:
                # Only the first few at a time, as where the number of running jobs is limited.
                dice.choice(moving[:8]).advance()
                time.sleep(SPACING)
        print(sum(len(job.steps) for job in jobs), flush=True)
    run.end()


if __name__ == "__main__":
    main()
