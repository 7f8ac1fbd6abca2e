"""Runs inside the real experimaestro's venv: job filters in, which jobs they match out, as JSON lines.

Usage: ``ask_peer_filters.py < CASES``; a case is ``{"filter", "jobs": [{"state", "task", "tags"}, ...]}``. The
answer is ``{"matches": [true, ...]}``, or ``{"error"}`` where experimaestro fails.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

filters = importlib.import_module("experimaestro.cli.filter")
states = importlib.import_module("experimaestro.scheduler.interfaces")


def answer(case: dict[str, Any]) -> dict[str, Any]:
    """Return experimaestro's answer to one case."""
    jobs = [
        SimpleNamespace(
            identifier=str(number),
            job_id=str(number),
            task_id=job["task"],
            path=Path("jobs") / job["task"] / str(number),
            state=getattr(states.JobState, job["state"].upper()),
        )
        for number, job in enumerate(case["jobs"])
    ]
    tags = {str(number): job["tags"] for number, job in enumerate(case["jobs"])}
    try:
        matches = filters.createFilter(case["filter"], filters.FilterContext(tags_map=tags))
        return {"matches": [bool(matches(job)) for job in jobs]}
    except Exception as error:  # noqa: BLE001 - which ones it raises is what we ask
        return {"error": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Answer every line of standard input with one of standard output."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")


if __name__ == "__main__":
    main()
