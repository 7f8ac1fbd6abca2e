"""Runs and jobs of our reader in the form of the reference server, for comparison. Needs the reader only."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from xpm_remote.workspace.reading.jobs import JobFacts
from xpm_remote.workspace.reading.runs import JobInfo, RunFacts


def run_form(run: RunFacts) -> dict[str, Any]:
    """Return a run in the form of the reference server's experiment, with our own keys."""
    return {
        **run.others,
        "experiment_id": run.experiment_id,
        "run_id": run.run_id,
        "status": run.status,
        "hostname": run.hostname,
        "started_at": naive_time(run.started),
        "ended_at": naive_time(run.ended),
        "job_states": dict(run.job_states),
        "job_infos": {key: _info_form(info) for key, info in run.job_infos.items()},
        "services": dict(run.services),
        "actions": dict(run.actions),
        "run_tags": list(run.run_tags),
        "runs_count": run.runs_count,
        "scheduler_alive": run.scheduler_alive,
    }


def job_form(facts: JobFacts) -> dict[str, Any]:
    """Return a job in the form of the reference server, with our own keys where they have a value."""
    form: dict[str, Any] = {
        "job_id": facts.job_id,
        "task_id": facts.task_id,
        "path": facts.path,
        "state": facts.state,
        "failure_reason": facts.failure_reason,
        "scheduler_state": facts.scheduler_state,
        "scheduler_failure_reason": facts.scheduler_failure_reason,
        "submitted_time": naive_time(facts.submitted),
        "started_time": naive_time(facts.started),
        "ended_time": naive_time(facts.ended),
        "exit_code": facts.exit_code,
        "retry_count": facts.retry_count,
        "resumable": facts.resumable,
        "progress": [
            {"level": each.level, "desc": each.description, "progress": each.fraction}
            for each in facts.progress
        ],
        "process": None,
        "run_group_id": facts.run_group_id,
        **(facts.carbon or {}),
    }
    if facts.process is not None:
        form["process"] = {"type": facts.process.kind, "pid": facts.process.pid}
        if facts.process.host is not None:
            form["process"]["host"] = facts.process.host
    for key in ("message", "has_done_marker", "is_link", "has_died"):
        value = getattr(facts, key)
        if value:
            form[key] = value
    if not facts.has_directory:
        form["has_directory"] = False
    return form


def _info_form(info: JobInfo) -> dict[str, Any]:
    form: dict[str, Any] = {
        "job_id": info.job_id,
        "task_id": info.task_id,
        "tags": info.tags,
        "timestamp": info.submitted,
    }
    if info.transient is not None:
        form["transient"] = info.transient
    return form


def naive_time(seconds: float | None) -> str | None:
    """Return a time in experimaestro's form: naive ISO text in the zone of this host."""
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds).isoformat()  # noqa: DTZ006  (the naive text is the format)
    except (ValueError, OverflowError, OSError):
        return None
