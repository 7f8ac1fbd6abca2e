"""Why jobs failed, and what is known of one, as lines and as JSON documents; described in docs/json.md. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from xpm_remote.escaping import safe
from xpm_remote.model.causes import Cause, FailedJob
from xpm_remote.model.tells_apart import Distinction
from xpm_remote.ui.reports.jobs import STATE_WORDS, job_document, moment
from xpm_remote.ui.text import count_text, size_text, table
from xpm_remote.ui.text import tags as tags_text
from xpm_remote.workspace.inspecting.answers import Failure, Frame, JobDetail, LinkedJob
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.rows import Account, Phase, Row

CAUSE_SCHEMA = "xpm-remote/cause/1"
DETAIL_SCHEMA = "xpm-remote/job-detail/1"

MESSAGE_SHOWN = 300
"""Characters of a message or a parameter that are shown in a line."""

DISTINCTIONS_SHOWN = 3
"""What tells the jobs of a cause apart, in text: the rest mostly says the same."""

_INDENT = 4


def cause_lines(
    cause: Cause,
    distinctions: Iterable[Distinction],
    tags: Mapping[JobId, Mapping[str, Any]],
    shown: int,
) -> Iterator[str]:
    """Yield a cause, what tells its jobs apart, and some of its jobs.

    Args:
        cause: The cause.
        distinctions: What tells its jobs apart, the best first.
        tags: The tags of jobs.
        shown: How many jobs are shown.
    """
    where = f"  {cause.where}" if cause.where else ""
    yield safe(f"{cause.total}  {cause.title}{where}")
    for each in [*distinctions][:DISTINCTIONS_SHOWN]:
        yield " " * _INDENT + safe(f"goes with {distinction_text(each)}")
    rows = [_row(each, tags) for each in cause.failed]
    rows += [_row(each, tags) for each in cause.stopped]
    yield from table(rows[:shown], indent=_INDENT)
    if len(rows) > shown:
        yield " " * _INDENT + f"and {count_text(len(rows) - shown, 'more job')}"


def _row(each: FailedJob, tags: Mapping[JobId, Mapping[str, Any]]) -> tuple[str, ...]:
    failure = each.failure
    message = f"needs {failure.needs}" if failure.needs else failure.message
    return (
        str(each.job),
        tags_text(tags.get(each.job, {})),
        _time(failure.ended),
        message.partition("\n")[0][:MESSAGE_SHOWN],
    )


def distinction_text(each: Distinction) -> str:
    """Return a distinction with both of its counts: ``lr=0.1: 13 of 13 failed have it, 12 of 290 others (x24)``."""
    lift = "" if each.lift == math.inf else f" (x{each.lift:.3g})"
    value = each.value if isinstance(each.value, str) else json.dumps(each.value)
    counts = (
        f"{each.failed_with} of {each.failed} failed have it, {each.others_with} of {each.others}"
    )
    return f"{each.name}={value}: {counts} that succeeded{lift}"


def cause_document(
    cause: Cause, distinctions: Iterable[Distinction], tags: Mapping[JobId, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return a cause as a document, with all of its jobs."""
    return {
        "schema": CAUSE_SCHEMA,
        "cause": cause.key,
        "title": cause.title,
        "where": cause.where or None,
        "total": cause.total,
        "first": moment(cause.first),
        "last": moment(cause.last),
        "goes_with": [
            {**each._asdict(), "lift": None if each.lift == math.inf else each.lift}
            for each in distinctions
        ],
        "failed": [
            {**failure_document(each.failure), "tags": dict(tags.get(each.job, {}))}
            for each in cause.failed
        ],
        "stopped": [
            {**failure_document(each.failure), "tags": dict(tags.get(each.job, {}))}
            for each in cause.stopped
        ],
    }


def failure_document(failure: Failure) -> dict[str, Any]:
    """Return a failure as a part of a document."""
    return {
        "id": str(failure.job),
        "cause": failure.cause,
        "exception": failure.exception or None,
        "message": failure.message or None,
        "frames": [frame._asdict() for frame in failure.frames],
        "offset": failure.offset,
        "log_size": failure.log_size,
        "reason": failure.reason,
        "exit_code": failure.exit_code,
        "ended": moment(failure.ended),
        "needs": str(failure.needs) if failure.needs else None,
        "root": str(failure.root) if failure.root else None,
        "unreadable": failure.unread._asdict() if failure.unread else None,
    }


def detail_lines(
    detail: JobDetail, failure: Failure | None, account: Account | None = None
) -> Iterator[str]:
    """Yield what is known of a job, a subject a row."""
    facts = detail.job.facts
    word = STATE_WORDS.get(detail.job.state, detail.job.state)
    yield safe(f"{word}{'' if facts.certain else '?'}  {facts.id}")
    rows = [*_failure_rows(failure), ("tags", tags_text(detail.job.tags))]
    rows.append(("experiments", ", ".join(detail.job.experiments)))
    times = (("submitted", facts.submitted), ("started", facts.started), ("ended", facts.ended))
    rows += [(name, _time(seconds)) for name, seconds in times]
    process = facts.process
    if process is not None:
        where = f" on {process.host}" if process.host else ""
        rows.append(("process", f"{process.kind} {process.pid}{where}"))
    rows += _named("slurm", _slurm_texts(facts.row), 0)
    rows += _named("accounting", _account_texts(account), 0)
    rows += [("host of run", detail.host or ""), ("path", facts.path)]
    rows += _named("needs", map(_link_text, detail.needs), detail.left_out.get("needs", 0))
    rows += _named(
        "needed by", map(_link_text, detail.needed_by), detail.left_out.get("needed_by", 0)
    )
    values = (f"{name} = {_value_text(value)}" for name, value in detail.params.items())
    rows += _named("params", values, 0)
    attempts = (
        f"{each.name or 'last'}: out {_size(each.out)}, err {_size(each.err)}"
        for each in detail.attempts
    )
    rows += _named("tries", attempts, 0)
    files = (
        f"{each.name}{'/' if each.size is None else '  ' + size_text(each.size)}"
        for each in detail.files
    )
    rows += _named("files", files, detail.left_out.get("files", 0))
    rows += _named("unreadable", (f"{each.path}: {each.why}" for each in detail.problems), 0)
    yield from table(((name, text) for name, text in rows if text), indent=_INDENT)


def _account_texts(account: Account | None) -> list[str]:
    if account is None:
        return []
    texts = [f"{name}: {value}" for name, value in account.values]
    return [*texts, f"not known: {account.why}"] if account.why else texts


def _slurm_texts(row: Row | None) -> list[str]:
    """Return what SLURM has of a job."""
    if row is None:
        return []
    values = {
        "waits for": row.reason,
        "queue": row.queue,
        "starts" if row.phase is Phase.QUEUED else "started": _time(row.starts),
        "ended" if row.phase is Phase.ENDED else "ends": _time(row.ends),
        "nodes": row.nodes,
        "cpus": row.cpus,
        "memory": row.memory,
        "gpus": row.gpus,
        "as it said": _time(row.asked),
        "warning": row.warning,
    }
    return [
        f"job {row.id}: {row.state}",
        *(f"{n}: {value}" for n, value in values.items() if value),
    ]


def _failure_rows(failure: Failure | None) -> list[tuple[str, str]]:
    if failure is None:
        return []
    rows = [("reason", failure.reason or ""), ("cause", failure.title)]
    if failure.message and failure.message not in failure.title:
        lines = failure.message[:MESSAGE_SHOWN].splitlines()
        rows += _named("message", lines, 0)
    rows += _named("at", map(_frame_text, failure.frames), 0)
    code = failure.exit_code
    rows.append(("exit code", "" if code is None else str(code)))
    rows.append(("needed", str(failure.needs) if failure.needs else ""))
    if failure.root != failure.needs:
        rows.append(("which needed", str(failure.root or "")))
    return rows


def _frame_text(frame: Frame) -> str:
    return f"{frame.file}:{frame.line} {frame.function}".rstrip()


def _named(name: str, values: Iterable[str], more: int) -> list[tuple[str, str]]:
    """Return a row for each value, the first with the name, and one for those that are left out."""
    texts = [*values, *([f"and {more} more"] if more else [])]
    return [(name if number == 0 else "", text) for number, text in enumerate(texts)]


def _link_text(link: LinkedJob) -> str:
    return f"{STATE_WORDS.get(link.state or '', link.state or '?')}  {link.job}"


def _value_text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)[:MESSAGE_SHOWN]


def _size(size: int | None) -> str:
    return "none" if size is None else size_text(size)


def _time(seconds: float | None) -> str:
    """Return a time to the second; empty where it is not known."""
    return (moment(None if seconds is None else math.floor(seconds)) or "").replace("T", " ", 1)


def detail_document(
    detail: JobDetail, failure: Failure | None, account: Account | None = None
) -> dict[str, Any]:
    """Return what is known of a job as a document."""
    process = detail.job.facts.process
    return {
        **job_document(detail.job),
        "schema": DETAIL_SCHEMA,
        "host": detail.host,
        "process": process._asdict() if process else None,
        "params": detail.params,
        "needs": _link_documents(detail.needs),
        "needed_by": _link_documents(detail.needed_by),
        "attempts": [
            {"attempt": each.name or None, "out": each.out, "err": each.err}
            for each in detail.attempts
        ],
        "files": [
            {"name": each.name, "size": each.size, "modified": moment(each.modified)}
            for each in detail.files
        ],
        "left_out": detail.left_out,
        "failure": failure_document(failure) if failure else None,
        "accounting": account_document(account),
        "unreadable": [each._asdict() for each in detail.problems],
    }


def account_document(account: Account | None) -> dict[str, Any] | None:
    """Return what SLURM's accounting has of a job; None for one that is not of SLURM."""
    if account is None:
        return None
    values = {name.replace(" ", "_"): value for name, value in account.values}
    return {"values": values, "why_not": account.why or None}


def _link_documents(links: Sequence[LinkedJob]) -> list[dict[str, str | None]]:
    return [{"id": str(each.job), "state": each.state} for each in links]
