#!/usr/bin/env python3
"""The floor: read the files that monitoring needs and write them out, and nothing else.

    ssh HOST python3 - WORKSPACE < floor.py > /dev/null

No client that starts a python on the remote and wants every job's state can be much faster than this.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def read_runs(root: Path) -> list[tuple[object, str]]:
    """Return the status and the list of jobs of every run."""
    found = []
    for experiment in os.scandir(root / "experiments"):
        for run in os.scandir(experiment.path):
            if run.is_dir():
                path = Path(run.path)
                status = json.loads((path / "status.json").read_text())
                found.append((status, (path / "jobs.jsonl").read_text()))
    return found


def read_jobs(root: Path) -> list[object]:
    """Return the status of every job that has one."""
    found = []
    for task in os.scandir(root / "jobs"):
        for job in os.scandir(task.path):
            try:
                with open(f"{job.path}/.experimaestro/status.json") as status:  # noqa: PTH123 - the fastest way
                    found.append(json.load(status))
            except FileNotFoundError:
                continue
    return found


if __name__ == "__main__":
    workspace = Path(sys.argv[1])
    sys.stdout.write(json.dumps([read_runs(workspace), read_jobs(workspace)]))
