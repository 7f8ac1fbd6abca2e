"""The facts of a job, and how its files and events change them. Pure."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

from xpm_remote.workspace import states
from xpm_remote.workspace.failures import UnreadFile
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.reading.json_files import (
    JsonObject,
    bounded,
    number_of,
    parse_time,
    text_of,
    whole_of,
)
from xpm_remote.workspace.rows import Phase, Row
from xpm_remote.workspace.states import (
    DONE,
    ERROR,
    FINAL,
    GENERIC_REASON,
    RUNNING,
    UNSCHEDULED,
    Process,
    Progress,
)

DIED = "the process died without saying why"
"""The message of a job that was killed, or whose host went down."""

CLAIM = "Process died without writing markers"
"""The message of a failure that a monitor of experimaestro wrote, for a process that it could not find."""

DEPENDENCY = "DEPENDENCY"
"""The reason of a job that was not started, since one that it needs has failed."""

GONE = "its directory is gone"
UNMARKED = "its marker of success is gone"
MISSING_OUTPUTS = "MISSING_OUTPUTS"
"""The reason where a job has succeeded, and its outputs are not there any more."""

PROGRESS_LEVELS = 32
"""Levels of progress that are kept; programs use two or three."""

NO_STATUS: JsonObject = {}
_AN_HOUR = (
    3600.0  # an event is recent, so of an hour that comes twice it means the one nearer to it
)


ZONES_APART = 14 * 60.0
"""Seconds by which times differ if they are of different zones, which differ by quarters of an hour at least."""

_QUARTER = 15 * 60.0


class JobFacts(NamedTuple):
    """A job as its files show it; times are seconds since the epoch.

    Attributes:
        jobs_directory: ``jobs/`` of the workspace; ``path`` is the job's own directory in it.
        state: The state to show: the further of those in the job's files and of its scheduler (see ``states``).
        failure_reason: Why it failed, as experimaestro names it (``TIMEOUT``, ``CANCELLED``, ...); None unless it did.
        message: Further text on the failure.
        scheduler_state: The scheduler's state of it; ``scheduler_failure_reason``: why, if that is a failure.
        process: The process in the pid file, while there is one.
        carbon: The keys ``carbon_metrics`` and ``previous_carbon_metrics`` of status.json, where they are.
        has_directory: Its directory is there (through a link, if it is one).
        has_done_marker: The job succeeded; this file is the proof.
        is_link: The directory is a link to a folder of moved jobs.
        has_died: It counts as running in its files, and its process is gone.
        unread: What could not be read; then these are the facts as far as they are known.
        has_failure_marker: There is a marker of its failure, which counts unless the job runs again.
        certain: False where the files do not show whether it is so, as for a job that only another host can see.
        progressed: When its process told the progress; None where only status.json has that, which has no times.
        row: What its scheduler has of it, if that was asked.
    """

    task_id: str
    job_id: str
    jobs_directory: str
    state: str = UNSCHEDULED
    failure_reason: str | None = None
    message: str | None = None
    scheduler_state: str = UNSCHEDULED
    scheduler_failure_reason: str | None = None
    submitted: float | None = None
    started: float | None = None
    ended: float | None = None
    exit_code: int | None = None
    retry_count: int = 0
    resumable: bool = False
    progress: tuple[Progress, ...] = ()
    process: Process | None = None
    run_group_id: str | None = None
    carbon: JsonObject | None = None
    has_directory: bool = True
    has_done_marker: bool = False
    is_link: bool = False
    has_died: bool = False
    unread: UnreadFile | None = None
    has_failure_marker: bool = False
    certain: bool = True
    progressed: float | None = None
    row: Row | None = None

    @property
    def id(self) -> JobId:
        """The job's name in a workspace."""
        return JobId(self.task_id, self.job_id)

    @property
    def path(self) -> str:
        """The job's directory."""
        return f"{self.jobs_directory}/{self.task_id}/{self.job_id}"


def from_status(task_id: str, job_id: str, jobs_directory: str, status: JsonObject) -> JobFacts:
    """Return a job from its status.json; what does not fit its field is left out."""
    get = status.get
    state, reason = states.parse_state(get("state"))
    scheduler_state, scheduler_reason = states.parse_state(get("scheduler_state"))
    started = parse_time(get("started_time"))
    group = get("run_group_id")
    return JobFacts(
        task_id,
        job_id,
        jobs_directory,
        state or UNSCHEDULED,
        reason or states.parse_reason(get("failure_reason")),
        None,
        scheduler_state or UNSCHEDULED,
        scheduler_reason or states.parse_reason(get("scheduler_failure_reason")),
        parse_time(get("submitted_time")),
        started,
        parse_time(get("ended_time"), started),
        whole_of(get("exit_code")),
        whole_of(get("retry_count")) or 0,
        get("resumable") is True,
        progress_of(get("progress")),
        process_of(get("process"), None),
        sys.intern(group) if isinstance(group, str) else None,
        _carbon(status),
    )


def with_event(facts: JobFacts, event: JsonObject) -> JobFacts:
    """Return a job after an event of its own; events of other kinds change nothing."""
    kind = event.get("event_type")
    if kind == "JobStateChangedEvent":
        return facts if _is_overtaken(facts, event) else _with_state_event(facts, event)
    if kind == "JobProgressEvent" and facts.state not in FINAL:
        level = min(max(whole_of(event.get("level")) or 0, 0), PROGRESS_LEVELS)
        outer = tuple(step for step in facts.progress if step.level < level)
        step = Progress(level, number_of(event.get("progress")), text_of(event.get("desc")))
        progress, said = (*outer, step), number_of(event.get("timestamp"))
        if progress == facts.progress:  # told again
            said = facts.progressed or said
        return facts._replace(state=RUNNING, progress=progress, progressed=said)
    return facts


def means_running(event: JsonObject) -> bool:
    """Return whether an event of a job is one that only a running job sends."""
    if event.get("event_type") == "JobStateChangedEvent":
        return states.parse_state(event.get("state"))[0] == RUNNING
    return event.get("event_type") == "JobProgressEvent"


def with_word(
    facts: JobFacts, word: str | None, submitted: float | None, *, is_live: bool
) -> JobFacts:
    """Return a job with its state in the scheduler of a run: the further state counts.

    While the scheduler lives, the run has its latest state. At its end a run lists less than the job's own
    file has: ``unscheduled`` for a job whose dependency failed, ``running`` for one that was killed.
    """
    state, reason = states.parse_state(word)
    if state is None or not (is_live or states.is_further(state, facts.scheduler_state)):
        state, reason = facts.scheduler_state, facts.scheduler_failure_reason or reason
    shown = states.further(facts.state, state)
    why = states.telling_reason(facts.failure_reason, reason)
    never_ran = shown == ERROR and why == DEPENDENCY
    return facts._replace(
        state=shown,
        failure_reason=(why or GENERIC_REASON) if shown == ERROR else None,
        scheduler_state=state,
        scheduler_failure_reason=reason,
        submitted=facts.submitted if submitted is None else submitted,
        started=None if never_ran else facts.started,
    )


def with_outputs(facts: JobFacts) -> JobFacts:
    """Return a job as failed if it is said to have succeeded, and neither its directory nor its marker is there.

    Where a link leads nowhere, the outputs may be on a disk that is not mounted.
    """
    if facts.state != DONE or facts.has_done_marker:
        return facts
    if facts.is_link and not facts.has_directory:
        return facts._replace(certain=False)
    message = UNMARKED if facts.has_directory else GONE
    return facts._replace(state=ERROR, failure_reason=MISSING_OUTPUTS, message=message)


def is_of_earlier_run(facts: JobFacts, word: str | None, submitted: float | None) -> bool:
    """Return whether a job waits for another try, and what its files say is about one before it was submitted."""
    state = states.parse_state(word)[0]
    if state not in states.PENDING or word == states.SUBMITTED or submitted is None:
        return False
    known = [each for each in (facts.started, facts.ended) if each is not None]
    return bool(known) and max(known) < submitted


def renewed(facts: JobFacts, state: str) -> JobFacts:
    """Return a job that is tried again, without what is known of the earlier try."""
    return facts._replace(
        state=state,
        failure_reason=None,
        message=None,
        scheduler_state=UNSCHEDULED,
        scheduler_failure_reason=None,
        started=None,
        ended=None,
        exit_code=None,
        progress=(),
        has_died=False,
        has_failure_marker=False,
        certain=True,
    )


def progress_of(value: object) -> tuple[Progress, ...]:
    """Return the levels of a list of progress; what does not fit is left out."""
    if not isinstance(value, list) or not value:
        return ()
    return tuple(
        Progress(
            whole_of(each.get("level")) or 0,
            number_of(each.get("progress")),
            text_of(each.get("desc")),
        )
        for each in value[:PROGRESS_LEVELS]
        if isinstance(each, dict)
    )


def process_of(value: object, run_host: str | None) -> Process | None:
    """Return the process in a pid file; None when it names none."""
    if not isinstance(value, dict):
        return None
    pid, kind = value.get("pid"), text_of(value.get("type")) or "local"
    if kind == "local" and isinstance(pid, str) and pid.isascii() and pid.isdecimal():
        pid = whole_of(int(pid[:18]))
    if not isinstance(pid, str):
        pid = whole_of(pid)
    if pid is None:
        return None
    host = text_of(value.get("host")) or (run_host if kind == "local" else None)
    return Process(pid, sys.intern(kind), host)


def _is_overtaken(facts: JobFacts, event: JsonObject) -> bool:
    """Return whether an event is older than the known end: a killed job leaves its file of events behind."""
    said = number_of(event.get("timestamp"))
    if facts.state not in FINAL or facts.ended is None or said is None:
        return False
    return said <= facts.ended


def _with_state_event(facts: JobFacts, event: JsonObject) -> JobFacts:
    state, reason = states.parse_state(event.get("state"))
    if state is None:
        return facts
    said = number_of(event.get("timestamp"))
    started = time_in(event, "started_time") or facts.started
    ended = time_in(event, "ended_time") or said
    exit_code = whole_of(event.get("exit_code"))
    return facts._replace(
        state=state,
        failure_reason=reason or states.parse_reason(event.get("failure_reason")),
        started=started,
        ended=ended if state in FINAL else None,
        exit_code=facts.exit_code if exit_code is None else exit_code,
        retry_count=max(facts.retry_count, whole_of(event.get("retry_count")) or 0),
        progress=progress_of(event.get("progress")),
        progressed=said,
    )


def time_in(event: JsonObject, key: str) -> float | None:
    """Return a time of an event, corrected if its writer is in another zone than this process.

    A launcher starts jobs without the TZ of the person's shell. An event is written at the time that it has.
    """
    said = number_of(event.get("timestamp"))
    time = parse_time(event.get(key), None if said is None else said - _AN_HOUR)
    if time is None or said is None or abs(time - said) < ZONES_APART:
        return time
    return time + round((said - time) / _QUARTER) * _QUARTER


def succeeded(facts: JobFacts, at: float) -> JobFacts:
    """Return a job that left a marker of success at a time."""
    return facts._replace(
        state=DONE, failure_reason=None, ended=at, process=None, has_done_marker=True
    )


def failed(facts: JobFacts, at: float, content: object) -> JobFacts:
    """Return a job that left a marker of failure, which holds an object, or a number in the first releases."""
    values: JsonObject = content if isinstance(content, dict) else {"code": content}
    code = whole_of(values.get("code"))
    if not isinstance(content, dict) and code == 0:
        return succeeded(facts, at)
    reason = states.telling_reason(
        states.parse_reason(values.get("reason")),
        states.parse_reason(values.get("failure_status")),
        facts.failure_reason,
    )
    return facts._replace(
        state=ERROR,
        failure_reason=reason or GENERIC_REASON,
        message=text_of(values.get("message")),
        ended=at,
        exit_code=facts.exit_code if code is None else code,
        process=None,
        has_failure_marker=True,
    )


def died(facts: JobFacts, at: float | None) -> JobFacts:
    """Return a job whose process ended without leaving a marker, after its last sign of life at a time."""
    return facts._replace(
        state=ERROR,
        failure_reason=GENERIC_REASON,
        message=DIED,
        ended=at,
        process=None,
        has_died=True,
    )


def _carbon(status: JsonObject) -> JsonObject | None:
    found = {
        key: bounded(status[key])
        for key in ("carbon_metrics", "previous_carbon_metrics")
        if status.get(key)
    }
    return found or None


class CurrentJob(NamedTuple):
    """A job of current runs.

    Attributes:
        facts: Its facts, from its files.
        tags: Its tags.
        experiments: The experiments whose current run has it.
    """

    facts: JobFacts
    tags: JsonObject
    experiments: tuple[str, ...]

    @property
    def state(self) -> str:
        """The state to show."""
        return self.facts.state

    @property
    def task_id(self) -> str:
        """The task."""
        return self.facts.task_id

    @property
    def reason(self) -> str | None:
        """Why it failed; None unless it did."""
        return self.facts.failure_reason

    @property
    def row(self) -> Row | None:
        """What its scheduler has of it."""
        return self.facts.row

    @property
    def submitted(self) -> float | None:
        """When it was submitted."""
        return self.facts.submitted

    @property
    def started(self) -> float | None:
        """When it started."""
        return self.facts.started

    @property
    def ended(self) -> float | None:
        """When it ended."""
        return self.facts.ended

    def to_wire(self) -> JsonObject:
        """Return it as plain JSON types; times are epoch seconds."""
        facts = self.facts._asdict()
        facts["progress"] = [list(each) for each in self.facts.progress]
        facts["process"] = list(self.facts.process) if self.facts.process else None
        facts["unread"] = list(self.facts.unread) if self.facts.unread else None
        facts["row"] = list(self.facts.row) if self.facts.row else None
        return {"facts": facts, "tags": self.tags, "experiments": list(self.experiments)}

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> CurrentJob:
        """Return the job from its ``to_wire`` form.

        Raises:
            KeyError, TypeError: It is not such a form.
        """
        facts = dict(wire["facts"])
        facts["progress"] = tuple(Progress(*each) for each in facts["progress"])
        facts["process"] = Process(*facts["process"]) if facts["process"] else None
        facts["unread"] = UnreadFile(*facts["unread"]) if facts["unread"] else None
        if facts.get("row"):
            number, phase, *others = facts["row"]
            facts["row"] = Row(number, Phase(phase), *others)
        return cls(JobFacts(**facts), wire["tags"], tuple(wire["experiments"]))


def merge_jobs(earlier: CurrentJob, later: CurrentJob) -> CurrentJob:
    """Return one job of two experiments: it belongs to the later run, which judges its files."""
    times = [each.submitted for each in (earlier, later) if each.submitted is not None]
    return CurrentJob(
        later.facts._replace(submitted=max(times, default=None)),
        {**earlier.tags, **later.tags},
        tuple(sorted((*earlier.experiments, *later.experiments))),
    )


def newest_first(job: CurrentJob) -> tuple[float, JobId]:
    """Return a key that sorts jobs by their submission, the latest first."""
    submitted = job.facts.submitted
    return (float("inf") if submitted is None else -submitted, job.facts.id)
