#!/usr/bin/env python3
"""Write a synthetic workspace as experimaestro 2.7 lays it out: `make_big.py DIR N_JOBS [N_EXPERIMENTS]`.

Only the files that monitoring reads are written. States are fixed by position (70 % done, 10 % each of error,
running and waiting), so the same arguments always describe the same workspace. The real package reads it.
"""

import datetime as dt
import hashlib
import json
import sys
from pathlib import Path

STATES = ["done"] * 7 + ["error", "running", "waiting"]
TASKS = [
    "xpmir.neural.CrossScorer",
    "xpmir.learn.Learner",
    "xpmir.evaluate.Evaluate",
    "xpmir.index.SparseIndex",
]
START = dt.datetime(2026, 11, 1, 12, 0, 0)  # noqa: DTZ001 - naive, as experimaestro writes it
RUN_ID = "20261101_120000"


def iso(seconds: float) -> str:
    """Return a time after the start, as experimaestro writes it."""
    return (START + dt.timedelta(seconds=seconds)).isoformat()


def write_job(root: Path, k: int) -> tuple[str, str, str, Path]:
    """Write the folder of the k-th job; return its task, id, state and path."""
    task, state = TASKS[k % 4], STATES[k % 10]
    task_id, job_id = task.lower(), hashlib.sha256(str(k).encode()).hexdigest()
    module, type_name = task.rsplit(".", 1)
    name, path = type_name.lower(), root / "jobs" / task_id / job_id
    (path / ".experimaestro" / "events").mkdir(parents=True, exist_ok=True)
    progress = (
        [{"level": 0, "progress": (k % 100) / 100, "desc": "epoch"}] if state == "running" else []
    )
    status = {
        "job_id": job_id,
        "task_id": task_id,
        "path": str(path),
        "state": state,
        "failure_reason": "FAILED" if state == "error" else None,
        "scheduler_state": state,
        "scheduler_failure_reason": None,
        "started_time": None if state == "waiting" else iso(k),
        "ended_time": iso(k + 3600) if state in ("done", "error") else None,
        "exit_code": None,
        "retry_count": 0,
        "resumable": False,
        "progress": progress,
        "process": None,
        "run_group_id": "20261101-120000.1",
        "events_count": 0,
    }
    (path / ".experimaestro" / "status.json").write_text(json.dumps(status))
    params = {
        "workspace": str(root),
        "version": 3,
        "experimaestro": "2.7.0",
        "objects": [
            {
                "id": k,
                "module": module,
                "type": type_name,
                "typename": task,
                "identifier": job_id,
                "fields": {"lr": 1e-4, "seed": k},
            }
        ],
    }
    (path / "params.json").write_text(json.dumps(params))
    if state == "done":
        (path / f"{name}.done").touch()
    if state == "error":
        (path / f"{name}.failed").write_text(
            json.dumps({"code": 1, "reason": "FAILED", "message": None})
        )
    (path / f"{name}.err").write_text("a line of log\n" * 20)
    (path / f"{name}.out").touch()
    return task_id, job_id, state, path


def write_experiment(root: Path, number: int, first: int, count: int) -> None:
    """Write an experiment with one run, and its jobs."""
    experiment_id = f"exp-{number:03d}"
    run = root / "experiments" / experiment_id / RUN_ID
    (run / "events").mkdir(parents=True, exist_ok=True)
    (run.parent / "lock").touch()
    states, lines = {}, []
    for k in range(first, first + count):
        task_id, job_id, state, path = write_job(root, k)
        link = run / "jobs" / task_id / job_id
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(path)
        tags = {"seed": k % 5, "model": "bm25" if k % 2 else "colbert", "lr": 10.0 ** -(k % 4)}
        lines.append(
            json.dumps(
                {
                    "job_id": job_id,
                    "task_id": task_id,
                    "tags": tags,
                    "timestamp": START.timestamp() + k,
                }
            )
        )
        states[job_id] = state
    (run / "jobs.jsonl").write_text("\n".join(lines) + "\n")
    (run / "objects.jsonl").touch()
    (run / "environment.json").write_text(
        json.dumps(
            {
                "python_version": "3.11.7",
                "packages": {},
                "editable_packages": {},
                "run": {
                    "hostname": "node01",
                    "started_at": iso(0),
                    "ended_at": None,
                    "status": None,
                },
            }
        )
    )
    (run / "status.json").write_text(
        json.dumps(
            {
                "version": 1,
                "experiment_id": experiment_id,
                "run_id": RUN_ID,
                "status": "running",
                "hostname": "node01",
                "started_at": iso(0),
                "ended_at": None,
                "job_states": states,
                "services": {},
                "actions": {},
                "run_tags": [],
                "last_updated": iso(count),
            }
        )
    )


def main() -> None:
    """Write the workspace that the command line names."""
    root, n_jobs = Path(sys.argv[1]).resolve(), int(sys.argv[2])
    n_experiments = int(sys.argv[3]) if len(sys.argv) > 3 else max(1, n_jobs // 500)
    root.mkdir(parents=True, exist_ok=True)
    (root / ".__experimaestro__").touch()
    each = n_jobs // n_experiments
    for number in range(n_experiments):
        write_experiment(root, number, number * each, each)
    print(f"{each * n_experiments} jobs in {n_experiments} experiments under {root}")


if __name__ == "__main__":
    main()
