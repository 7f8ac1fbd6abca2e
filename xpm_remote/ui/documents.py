"""The picture and its changes as JSON documents, for scripts. The schema is described in docs/json.md. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from types import MappingProxyType
from typing import Any

import msgspec

from xpm_remote.escaping import json_safe
from xpm_remote.model.agent_pages import Unreadable
from xpm_remote.model.entities import Experiment, ExperimentChange, Job, JobChange
from xpm_remote.model.store import Store
from xpm_remote.session.state import BackendChoice, LinkState, Phase, Picture, Stall, Update
from xpm_remote.ui.text import local_time
from xpm_remote.workspace.rows import Row

PICTURE_SCHEMA = "xpm-remote/picture/1"
EVENT_SCHEMA = "xpm-remote/event/1"
NO_MESSAGES: Mapping[str, str] = MappingProxyType({})


def picture_document(picture: Picture, now: float) -> dict[str, Any]:
    """Return the whole picture at a moment (local epoch seconds)."""
    store = picture.store
    return {
        "schema": PICTURE_SCHEMA,
        "host": picture.host,
        "workspace": picture.workspace,
        "generated": local_time(now),
        "backend": backend_document(picture.served_by),
        "link": link_document(picture),
        "experiments": [experiment_document(each, store) for each in store.experiments],
        "jobs": [job_document(job, picture.messages) for job in store.jobs.values()],
        "unreadable": [unreadable_document(each, store) for each in picture.unreadable.files],
        "unreadable_left_out": picture.unreadable.left_out,
    }


def backend_document(choice: BackendChoice) -> dict[str, Any]:
    """Return which remote side serves the workspace, why, and what it may do there."""
    return {"name": choice.backend.value, "why": choice.why, "warning": choice.warning or None}


def unreadable_document(file: Unreadable, store: Store) -> dict[str, Any]:
    """Return a file or directory that cannot be read."""
    since = datetime.fromtimestamp(file.since, store.zone).isoformat(timespec="seconds")
    return {"path": file.path, "error": file.error or None, "message": file.why, "since": since}


def link_document(picture: Picture) -> dict[str, Any]:
    """Return the state of the link, and so how true the rest is."""
    return {
        "phase": picture.link.phase.value,
        "since": local_time(picture.link.since),
        "heard": None if picture.heard is None else local_time(picture.heard),
        **_honesty(picture.link),
        **_stall_document(picture.stall),
    }


def _stall_document(stall: Stall | None) -> dict[str, Any]:
    """Return since when the workspace is not read although the connection stands, and why."""
    return {
        "not_read_since": None if stall is None else local_time(stall.since),
        "not_read_because": None if stall is None else stall.why,
        "waits_for": None if stall is None else stall.waits_for,
    }


def _honesty(link: LinkState) -> dict[str, Any]:
    """Return since when what is shown may be untrue, why, and what happened meanwhile."""
    return {
        "detail": link.detail or None,
        "stale_since": None if link.stale_since is None else local_time(link.stale_since),
        "retry_at": None if link.retry_at is None else local_time(link.retry_at),
        "asked": link.asked or None,
        "digest": None if link.digest is None else asdict(link.digest),
    }


def experiment_document(experiment: Experiment, store: Store) -> dict[str, Any]:
    """Return an experiment with the counts of its jobs."""
    return {
        "id": experiment.experiment_id,
        "run_id": experiment.run_id,
        "status": experiment.status,
        "certain": experiment.certain,
        "hostname": experiment.hostname,
        "started": _iso(experiment.started),
        "ended": _iso(experiment.ended),
        "runs": experiment.run_count,
        "counts": msgspec.to_builtins(store.counts(experiment.experiment_id)),
        "jobs": list(experiment.jobs),
        "services": msgspec.to_builtins(experiment.services),
    }


def job_document(job: Job, messages: Mapping[str, str] = NO_MESSAGES) -> dict[str, Any]:
    """Return a job, with what else is known of its failure."""
    reason = job.reason
    return {
        "id": job.key,
        "task_id": job.task_id,
        "job_id": job.job_id,
        "state": job.state.value,
        "certain": job.certain,
        "execution": job.execution.value,
        "scheduler": job.scheduler.value,
        "reason": reason,
        "message": messages.get(job.key) if reason else None,
        "experiments": list(job.experiments),
        "tags": dict(job.tags),
        "progress": [step._asdict() for step in job.progress],
        "submitted": _iso(job.submitted),
        "started": _iso(job.started),
        "ended": _iso(job.ended),
        "retry_count": job.retry_count,
        "exit_code": job.exit_code,
        "path": job.path,
        "slurm": row_document(job.row),
    }


def row_document(row: Row | None) -> dict[str, Any] | None:
    """Return what SLURM has of a job; None if it is not known to have it."""
    if row is None:
        return None
    values = {name: value or None for name, value in row._asdict().items()}
    times = {name: _local(values[name]) for name in ("submitted", "starts", "ends", "asked")}
    return {**values, "phase": row.phase.value, **times}


def _local(seconds: float | None) -> str | None:
    try:
        return None if seconds is None else local_time(seconds)
    except (ValueError, OverflowError, OSError):
        return None


def event_documents(
    update: Update, store: Store, now: float, *, progress: bool = True
) -> Iterator[dict[str, Any]]:
    """Yield one document for each change that a person may care about.

    Args:
        update: What happened.
        store: The store after it.
        now: The local time in epoch seconds, for changes without a time of their own.
        progress: Whether to yield changes of progress alone.
    """
    for change in update.changes:
        if isinstance(change, JobChange):
            document = _job_event(change, now, progress=progress)
        else:
            document = _experiment_event(change, store, now)
        if document is not None:
            yield {**document, "recovered": update.recovered}
    if update.notice:
        yield {"event": "notice", "time": local_time(now), "message": update.notice}


def link_event(picture: Picture, now: float) -> dict[str, Any]:
    """Return the document that says that the link's state changed; with the counts, once it is live."""
    link = picture.link
    document: dict[str, Any] = {
        "event": "link",
        "schema": EVENT_SCHEMA,
        "time": local_time(now),
        "host": picture.host,
        "workspace": picture.workspace,
        "phase": link.phase.value,
        **_honesty(link),
    }
    if link.phase is Phase.LIVE:
        document["backend"] = backend_document(picture.served_by)
        document["experiments"] = len(picture.store.experiments)
        document["jobs"] = len(picture.store.jobs)
    return document


def trouble_events(
    before: Picture | None, picture: Picture, now: float
) -> Iterator[dict[str, Any]]:
    """Yield one document for each thing that cannot be read any more, or again, and for a wait that begins or ends."""
    old = {} if before is None else {each.path: each for each in before.unreadable.files}
    new = {each.path: each for each in picture.unreadable.files}
    for event, files, others in (("unreadable", new, old), ("readable", old, new)):
        for path, file in files.items():
            if path not in others:
                document = unreadable_document(file, picture.store)
                yield {"event": event, "time": local_time(now), **document}
    was_stalled = None if before is None else before.stall
    if picture.stall is not None and was_stalled is None:
        yield stall_event(picture.stall, now)
    elif picture.stall is None and was_stalled is not None:
        yield {"event": "answering", "time": local_time(now), **_stall_document(was_stalled)}


def stall_event(stall: Stall, now: float) -> dict[str, Any]:
    """Return the document for a wait that begins."""
    return {"event": "stalled", "time": local_time(now), **_stall_document(stall)}


def json_line(document: dict[str, Any] | list[dict[str, Any]]) -> str:
    """Write a document, or a list of them, as one line of JSON, what is not printable as escapes.

    A terminal may be what reads it.
    """
    try:
        return json_safe(msgspec.json.encode(document).decode())
    except UnicodeEncodeError:
        # Half a character, from a command line that is not UTF-8.
        return json_safe(json.dumps(document))


def _job_event(change: JobChange, now: float, *, progress: bool) -> dict[str, Any] | None:
    before, after = change.before, change.after
    if after is None:
        return {"event": "job", "time": local_time(now), "id": change.key, "state": None}
    moved = before is None or before.state is not after.state or before.reason != after.reason
    moved = moved or _waits_for(before) != _waits_for(after)
    advanced = before is not None and before.progress != after.progress and bool(after.progress)
    if not moved and not (advanced and progress):
        return None
    return {
        "event": "job" if moved else "progress",
        "time": _iso(change.at) or local_time(now),
        "id": after.key,
        "experiments": list(after.experiments),
        "previous": before.state.value if before is not None else None,
        "state": after.state.value,
        "certain": after.certain,
        "reason": after.reason,
        "progress": [step._asdict() for step in after.progress],
        "tags": dict(after.tags),
        "slurm": row_document(after.row),
    }


def _waits_for(job: Job | None) -> tuple[str, str]:
    """Return why a job waits in SLURM, and how its files contradict that."""
    return ("", "") if job is None or job.row is None else (job.row.reason, job.row.warning)


def _experiment_event(change: ExperimentChange, store: Store, now: float) -> dict[str, Any] | None:
    before, after = change.before, change.after
    if after is None:
        return {"event": "experiment", "time": local_time(now), "id": change.key, "status": None}
    if before is not None and (before.run_id, before.status) == (after.run_id, after.status):
        return None
    return {
        "event": "experiment",
        "time": _iso(after.ended or after.started) or local_time(now),
        "id": after.experiment_id,
        "run_id": after.run_id,
        "previous": before.status if before is not None else None,
        "status": after.status,
        "certain": after.certain,
        "counts": msgspec.to_builtins(store.counts(after.experiment_id)),
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
