"""Jobs of a workspace of this machine, as lines and as JSON documents; described in docs/json.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from typing import Any

from xpm_remote.escaping import safe
from xpm_remote.workspace.reading.current import CurrentJob

JOB_SCHEMA = "xpm-remote/job/1"

# As experimaestro's own list has them; other states stand there as they are.
_WORDS = {"done": "DONE", "error": "FAIL", "unscheduled": "UNSCHED"}
_WIDTH = 8


def job_lines(jobs: Iterable[CurrentJob], *, with_tags: bool, with_paths: bool) -> Iterator[str]:
    """Give a line for each job: its state, its id or directory, and its tags if wanted."""
    for job in jobs:
        name = job.facts.path if with_paths else str(job.facts.id)
        words = [f"{_WORDS.get(job.state, job.state):<{_WIDTH}}{name}"]
        if with_tags:
            words += [f"{key}={value}" for key, value in job.tags.items()]
        yield safe(" ".join(words))


def job_document(job: CurrentJob) -> dict[str, Any]:
    """Give a job as a document."""
    facts = job.facts
    return {
        "schema": JOB_SCHEMA,
        "id": str(facts.id),
        "task_id": facts.task_id,
        "job_id": facts.job_id,
        "state": facts.state,
        "scheduler": facts.scheduler_state,
        "reason": facts.failure_reason,
        "message": facts.message,
        "experiments": list(job.experiments),
        "tags": dict(job.tags),
        "progress": [
            {"level": step.level, "fraction": step.fraction, "description": step.description}
            for step in facts.progress
        ],
        "submitted": _moment(facts.submitted),
        "started": _moment(facts.started),
        "ended": _moment(facts.ended),
        "retry_count": facts.retry_count,
        "exit_code": facts.exit_code,
        "path": facts.path,
        "exists": facts.has_directory,
        "link": facts.is_link,
    }


def _moment(seconds: float | None) -> str | None:
    """Write a time with the offset of the zone that held here then; None when it is unknown."""
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).astimezone().isoformat()
    except (ValueError, OverflowError, OSError):
        return None
