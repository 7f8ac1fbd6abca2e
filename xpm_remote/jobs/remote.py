"""Operations on the jobs of a workspace by our agent, as typed calls."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, TypeVar

from xpm_remote.errors import ProtocolError
from xpm_remote.jobs.interface import FAILURES_PAGE, LOG_PART, MATCHES, no_experiment
from xpm_remote.jobs.reliable_agent import Json, ReliableAgent
from xpm_remote.workspace.failures import BadIdFailure, UnreadFile
from xpm_remote.workspace.inspecting.answers import Failure, JobDetail, LogPart, LogSearch
from xpm_remote.workspace.layout import Folder, JobId, Layout, parse_job_id
from xpm_remote.workspace.outcomes import (
    ActionOutcome,
    ActionPlan,
    ArchiveOutcome,
    ArchivePlan,
    CleanOutcome,
    CleanStep,
    CopyProgress,
    OrphanReport,
    RecoveryOutcome,
    RecoveryPlan,
    from_wire,
    to_wire,
)
from xpm_remote.workspace.reading.jobs import CurrentJob
from xpm_remote.workspace.reading.lookup import LookupResult
from xpm_remote.workspace.rows import Account
from xpm_remote.workspace.watching.logs import LogPosition, Piece, wire_text

T = TypeVar("T")


class RemoteJobs:
    """The jobs of a workspace that an agent serves, with the operations of ``Jobs`` as coroutines.

    Every method raises XpmRemoteError, as a ``ReliableAgent`` does. What is yielded is yielded once, when it is done.

    Args:
        agent: The agent, opened.
        layout: The paths of the workspace there.
        folders: The folders of the workspace, as the settings spell them.
    """

    def __init__(self, agent: ReliableAgent, layout: Layout, folders: Iterable[Folder]) -> None:
        self._agent = agent
        self._layout = layout
        self._folders = [to_wire(folder) for folder in folders]

    async def find(self, texts: Sequence[str], *, everywhere: bool = False) -> list[LookupResult]:
        """Find the jobs that texts mean, in the workspace, or in its folders too."""

        def read(wires: list[Json]) -> list[LookupResult]:
            return [
                LookupResult(wire["text"], _jobs(wire["jobs"]), tuple(_problems(wire)))
                for wire in wires
            ]

        params = {"texts": list(texts), "folders": self._folders if everywhere else []}
        return await self._ask("find_jobs", params, read)

    async def references(self) -> tuple[tuple[JobId, ...], tuple[UnreadFile, ...]]:
        """Return all jobs that runs refer to, and what could not be read of them."""

        def read(wire: Json) -> tuple[tuple[JobId, ...], tuple[UnreadFile, ...]]:
            return _jobs(wire["jobs"]), tuple(_problems(wire))

        return await self._ask("get_references", {}, read)

    async def current(self, experiment: str | None) -> tuple[list[CurrentJob], list[UnreadFile]]:
        """Return the jobs of the current runs, the last submitted first, and what could not be read.

        Raises:
            NoJobFoundError: There is no such experiment.
        """

        def read(wire: Json) -> tuple[list[CurrentJob], list[UnreadFile]]:
            if wire["jobs"] is None:
                raise no_experiment(experiment or "", list(wire["experiments"]), self._layout)
            return [CurrentJob.from_wire(each) for each in wire["jobs"]], _problems(wire)

        return await self._ask("list_jobs", {"experiment": experiment}, read)

    async def directory(self, job: JobId) -> tuple[str, bool]:
        """Return the directory of a job, and whether it is there."""

        def read(wire: Json) -> tuple[str, bool]:
            return str(wire["path"]), bool(wire["exists"])

        return await self._ask("get_directory", _names(job), read)

    async def plan_recovery(self, jobs: Iterable[JobId], *, incomplete: bool) -> list[RecoveryPlan]:
        """Plan what ``recover`` would do."""
        params = {**self._about(jobs), "incomplete": incomplete}
        return await self._ask("plan_recovery", params, _each(RecoveryPlan))

    async def recover(
        self, jobs: Iterable[JobId], *, incomplete: bool, progress: CopyProgress
    ) -> AsyncGenerator[RecoveryOutcome, None]:
        """Restore jobs; yield each outcome."""

        def params(left: Iterable[JobId], _: bool) -> Json:
            return {**self._about(left), "incomplete": incomplete}

        items = {str(job): job for job in jobs}
        async for wire in self._agent.carry_out("recover", items, params, progress):
            yield _read(wire, partial(from_wire, RecoveryOutcome))

    async def plan_archive(self, jobs: Iterable[JobId]) -> list[ArchivePlan]:
        """Plan what ``archive`` would do."""
        return await self._ask("plan_archive", self._about(jobs), _each(ArchivePlan))

    async def archive(
        self, jobs: Iterable[JobId], *, progress: CopyProgress
    ) -> AsyncGenerator[ArchiveOutcome, None]:
        """Copy or move jobs to the folders; yield each outcome."""

        def params(left: Iterable[JobId], _: bool) -> Json:
            return self._about(left)

        items = {str(job): job for job in jobs}
        async for wire in self._agent.carry_out("archive", items, params, progress):
            yield _read(wire, partial(from_wire, ArchiveOutcome))

    async def find_orphans(self, *, with_folders: bool, with_sizes: bool) -> OrphanReport:
        """Report the jobs that no run refers to."""
        params = {"with_folders": with_folders, "with_sizes": with_sizes, "folders": self._folders}
        return await self._ask("find_orphans", params, partial(from_wire, OrphanReport))

    async def plan_orphans(
        self, report: OrphanReport, *, with_folders: bool, force: bool
    ) -> Sequence[CleanStep]:
        """Plan what ``clean_orphans`` would do, with the sizes of the report."""
        params = {"with_folders": with_folders, "force": force, "folders": self._folders}
        steps = await self._ask("plan_orphans", params, _each(CleanStep))
        known = {orphan.job: orphan for orphan in report.orphans}
        return [step._replace(orphan=known.get(step.orphan.job, step.orphan)) for step in steps]

    async def clean_orphans(
        self, steps: Sequence[CleanStep], *, with_folders: bool, force: bool
    ) -> AsyncGenerator[CleanOutcome, None]:
        """Carry out steps; yield each outcome."""

        def params(left: Iterable[CleanStep], again: bool) -> Json:
            wires = [to_wire(step) for step in left]
            about = {"with_folders": with_folders, "force": force, "folders": self._folders}
            return {**about, "steps": wires, "again": again}

        items = {str(step.orphan.job): step for step in steps}
        async for wire in self._agent.carry_out("clean_orphans", items, params):
            yield _read(wire, partial(from_wire, CleanOutcome))

    async def plan_action(
        self, action: str, jobs: Iterable[JobId], *, force: bool
    ) -> list[ActionPlan]:
        """Plan what killing or cleaning jobs would do."""
        params = {"action": action, "jobs": [_names(job) for job in jobs], "force": force}
        return await self._ask("plan_action", params, _each(ActionPlan))

    async def perform(self, plans: Iterable[ActionPlan]) -> AsyncGenerator[ActionOutcome, None]:
        """Carry out plans; yield each outcome."""

        def params(left: Iterable[ActionPlan], _: bool) -> Json:
            return {"plans": [to_wire(plan) for plan in left]}

        items = {str(plan.job): plan for plan in plans}
        async for wire in self._agent.carry_out("carry_out", items, params):
            yield _read(wire, partial(from_wire, ActionOutcome))

    async def log_pieces(
        self, job: JobId, stream: str, lines: int | None
    ) -> AsyncGenerator[Piece, None]:
        """Yield the last lines of a log, or all of it; nothing when there is none."""
        wire = await self._read_log(job, stream, lines=lines, is_over=True)
        while wire["position"] is not None:
            yield Piece(wire["text"], LogPosition.from_wire(wire["position"]))
            if not wire["more"]:
                return
            wire = await self._read_log(job, stream, position=wire["position"], is_over=True)

    async def follow_logs(
        self, jobs: Sequence[JobId], stream: str, lines: int, *, warn: Callable[[str], None]
    ) -> AsyncGenerator[tuple[JobId, str], None]:
        """Yield the last lines of logs, then what is added, until all jobs have ended.

        Args:
            jobs: The jobs.
            stream: Which of their logs.
            lines: Lines to begin with.
            warn: Is called when one of several logs cannot be read any more.
        """
        requests = {}
        for job in jobs:
            wire = await self._read_log(job, stream, lines=lines)
            requests[job] = {**_names(job), "stream": stream, "position": wire["position"]}
            yield job, wire["text"]
        async with aclosing(self._agent.follow("follow_log", requests)) as pieces:
            async for job, told in pieces:
                if "error" in told:
                    warn(f"{job}: {told['error']}")
                yield job, _read(told, wire_text)

    async def failures(
        self, jobs: Sequence[JobId], known: Mapping[JobId, str]
    ) -> AsyncGenerator[tuple[Failure, ...], None]:
        """Yield why jobs failed, in pages, each with the newest first; without those that are known."""
        for start in range(0, len(jobs), FAILURES_PAGE):
            page = jobs[start : start + FAILURES_PAGE]
            stamps = {str(job): known[job] for job in page if known.get(job)}
            params = {"jobs": [str(job) for job in page], "known": stamps}
            yield await self._ask(
                "get_failures", params, lambda wires: tuple(map(Failure.from_wire, wires))
            )

    async def detail(self, job: JobId) -> JobDetail | None:
        """Return what is known of a job; None when there is no such job."""
        return await self._ask("get_job_detail", _names(job), _optional(JobDetail.from_wire))

    async def account(self, job: JobId) -> Account | None:
        """Return what SLURM's accounting has of a job; None for one that is not its."""
        return await self._ask("get_account", _names(job), _optional(Account.from_wire))

    async def read_log(
        self,
        job: JobId,
        stream: str,
        *,
        before: int | None = None,
        after: int | None = None,
        size: int = LOG_PART,
        attempt: str = "",
    ) -> LogPart | None:
        """Return a part of a log; None when there is no such log."""
        params = {**_names(job), "stream": stream, "attempt": attempt}
        params.update(before=before, after=after, size=size)
        return await self._ask("read_log_part", params, _optional(LogPart.from_wire))

    async def search_log(
        self,
        job: JobId,
        stream: str,
        pattern: str,
        *,
        is_regex: bool = False,
        ignore_case: bool = False,
        limit: int = MATCHES,
        attempt: str = "",
    ) -> AsyncGenerator[LogSearch, None]:
        """Search a log; yield what is found in each part of it."""
        params = {**_names(job), "stream": stream, "attempt": attempt, "pattern": pattern}
        params.update(is_regex=is_regex, ignore_case=ignore_case, start=0, wanted=limit)
        total, is_over = 0, False
        while not is_over:
            part = await self._ask("search_log", params, _optional(LogSearch.from_wire))
            if part is None:
                return
            total, is_over = total + part.total, part.is_over
            yield part._replace(total=total)
            params["start"] = part.reached
            params["wanted"] -= len(part.matches)

    async def _read_log(
        self,
        job: JobId,
        stream: str,
        *,
        lines: int | None = None,
        position: object = None,
        is_over: bool = False,
    ) -> Json:
        """Return the last lines of a log (None: its beginning), or what follows a position."""

        def read(wire: Json) -> Json:
            more = bool(wire["more"])
            return {"text": wire_text(wire), "position": wire["position"], "more": more}

        params = {**_names(job), "stream": stream, "lines": lines, "position": position}
        params["over"] = is_over
        return await self._ask("read_log", params, read)

    async def _ask(self, method: str, params: Json, read: Callable[[Any], T]) -> T:
        return _read(await self._agent.ask(method, params), read)

    def _about(self, jobs: Iterable[JobId]) -> Json:
        return {"jobs": [str(job) for job in jobs], "folders": self._folders}


def _names(job: JobId) -> Json:
    return {"task_id": job.task, "job_id": job.hash}


def _jobs(texts: Iterable[str]) -> tuple[JobId, ...]:
    return tuple(parse_job_id(each) for each in texts)


def _problems(wire: Json) -> list[UnreadFile]:
    return [UnreadFile(**each) for each in wire["problems"]]


def _each(kind: type[T]) -> Callable[[Iterable[Any]], list[T]]:
    return lambda wires: [from_wire(kind, wire) for wire in wires]


def _optional(read: Callable[[Any], T]) -> Callable[[Any], T | None]:
    return lambda wire: None if wire is None else read(wire)


def _read(wire: Any, read: Callable[[Any], T]) -> T:  # noqa: ANN401 - decoded JSON
    """Read what the agent said.

    Raises:
        ProtocolError: It cannot be read.
    """
    try:
        return read(wire)
    except (KeyError, TypeError, ValueError, AttributeError, BadIdFailure) as error:
        what = f"what the agent answered cannot be read: {type(error).__name__}: {error}"
        raise ProtocolError(what, "report it, with the log that --debug writes") from error
