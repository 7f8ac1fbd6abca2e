"""Operations on the jobs of a workspace by our agent, as typed calls."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from xpm_remote.errors import ProtocolError
from xpm_remote.jobs.reliable_agent import Json, Opener, ReliableAgent
from xpm_remote.session.reconnect import Backoff, CallPerson, no_person
from xpm_remote.workspace.failures import BadIdFailure, UnreadFile
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

T = TypeVar("T")


class RemoteJobs:
    """The jobs of a workspace that an agent serves. Open it before anything else, and close it.

    Every method raises XpmRemoteError, as a ``ReliableAgent`` does.

    Args:
        opener: Starts an agent.
        folders: The folders of the workspace, as the settings spell them.
        tell: Is given a line when the link is lost, and when it is back.
        call_person: As of a ``ReliableAgent``.
        backoff: When to try again; None: with a growing delay and a limit of attempts.
    """

    def __init__(
        self,
        opener: Opener,
        folders: Iterable[Folder],
        tell: Callable[[str], None],
        call_person: CallPerson = no_person,
        backoff: Backoff | None = None,
    ) -> None:
        self._agent = ReliableAgent(opener, tell, call_person, backoff)
        self._folders = [to_wire(folder) for folder in folders]

    @property
    def is_acting(self) -> bool:
        """Whether the agent does something that is to be brought to its end."""
        return self._agent.is_acting

    async def open(self) -> Layout:
        """Start the agent; return the paths of the workspace there."""
        return Layout(Path(await self._agent.open()))

    async def aclose(self, *, finish: bool = False) -> None:
        """End the agent and the connection.

        Args:
            finish: Whether to wait until it has finished the job in hand.
        """
        await self._agent.aclose(finish=finish)

    async def find(self, texts: Sequence[str], *, everywhere: bool) -> list[LookupResult]:
        """Find the jobs that texts mean, in the workspace, or in its folders too."""
        folders = self._folders if everywhere else []
        answer = await self._agent.ask("find_jobs", {"texts": list(texts), "folders": folders})
        return _read(answer, lambda wire: LookupResult(wire["text"], _jobs(wire["jobs"])))

    async def references(self) -> tuple[tuple[JobId, ...], tuple[UnreadFile, ...]]:
        """Return all jobs that runs refer to, and what could not be read of them."""
        answer = await self._agent.ask("get_references", {})
        return _read([answer], _references)[0]

    async def current(
        self, experiment: str | None
    ) -> tuple[list[CurrentJob] | None, list[str], list[UnreadFile]]:
        """Return the jobs of the current runs (None when there is no such experiment), all experiments, problems."""
        answer = await self._agent.ask("list_jobs", {"experiment": experiment})
        return _read([answer], _current)[0]

    async def directory(self, job: JobId) -> tuple[str, bool]:
        """Return the directory of a job, and whether it is there."""
        answer = await self._agent.ask("get_directory", _names(job))
        return _read([answer], lambda wire: (str(wire["path"]), bool(wire["exists"])))[0]

    async def plan_recovery(self, jobs: Iterable[JobId], *, incomplete: bool) -> list[RecoveryPlan]:
        """Plan what ``recover`` would do."""
        params = {**self._about(jobs), "incomplete": incomplete}
        return _read(
            await self._agent.ask("plan_recovery", params), partial(from_wire, RecoveryPlan)
        )

    async def recover(
        self, jobs: Iterable[JobId], *, incomplete: bool, progress: CopyProgress
    ) -> AsyncGenerator[RecoveryOutcome, None]:
        """Restore jobs; yield each outcome once, when it is there."""
        items = {str(job): job for job in jobs}

        def params(left: Iterable[JobId], _: bool) -> Json:
            return {**self._about(left), "incomplete": incomplete}

        async for wire in self._agent.carry_out("recover", items, params, progress):
            yield _read([wire], partial(from_wire, RecoveryOutcome))[0]

    async def plan_archive(self, jobs: Iterable[JobId]) -> list[ArchivePlan]:
        """Plan what ``archive`` would do."""
        return _read(
            await self._agent.ask("plan_archive", self._about(jobs)),
            partial(from_wire, ArchivePlan),
        )

    async def archive(
        self, jobs: Iterable[JobId], *, progress: CopyProgress
    ) -> AsyncGenerator[ArchiveOutcome, None]:
        """Copy or move jobs to the folders; yield each outcome once, when it is there."""
        items = {str(job): job for job in jobs}

        def params(left: Iterable[JobId], _: bool) -> Json:
            return self._about(left)

        async for wire in self._agent.carry_out("archive", items, params, progress):
            yield _read([wire], partial(from_wire, ArchiveOutcome))[0]

    async def find_orphans(self, *, with_folders: bool, with_sizes: bool) -> OrphanReport:
        """Report the jobs that no run refers to."""
        params = {"with_folders": with_folders, "with_sizes": with_sizes, "folders": self._folders}
        return _read(
            [await self._agent.ask("find_orphans", params)], partial(from_wire, OrphanReport)
        )[0]

    async def plan_orphans(self, *, with_folders: bool, force: bool) -> list[CleanStep]:
        """Plan what ``clean_orphans`` would do."""
        params = {"with_folders": with_folders, "force": force, "folders": self._folders}
        return _read(await self._agent.ask("plan_orphans", params), partial(from_wire, CleanStep))

    async def clean_orphans(
        self, steps: Iterable[CleanStep], *, with_folders: bool, force: bool
    ) -> AsyncGenerator[CleanOutcome, None]:
        """Carry out steps; yield each outcome once, when it is there."""
        items = {str(step.orphan.job): step for step in steps}

        def params(left: Iterable[CleanStep], again: bool) -> Json:
            wires = [to_wire(step) for step in left]
            about = {"with_folders": with_folders, "force": force, "folders": self._folders}
            return {**about, "steps": wires, "again": again}

        async for wire in self._agent.carry_out("clean_orphans", items, params):
            yield _read([wire], partial(from_wire, CleanOutcome))[0]

    async def plan_action(self, action: str, jobs: Iterable[JobId]) -> list[ActionPlan]:
        """Plan what killing or cleaning jobs would do."""
        params = {"action": action, "jobs": [_names(job) for job in jobs]}
        return _read(await self._agent.ask("plan_action", params), partial(from_wire, ActionPlan))

    async def perform(self, plans: Iterable[ActionPlan]) -> AsyncGenerator[ActionOutcome, None]:
        """Carry out plans; yield each outcome once, when it is there."""
        items = {str(plan.job): plan for plan in plans}

        def params(left: Iterable[ActionPlan], again: bool) -> Json:
            return {"plans": [to_wire(plan) for plan in left], "again": again}

        async for wire in self._agent.carry_out("carry_out", items, params):
            yield _read([wire], partial(from_wire, ActionOutcome))[0]

    async def read_log(
        self, job: JobId, stream: str, *, lines: int | None = None, position: object = None
    ) -> Json:
        """Return the last lines of a log (None: its beginning), or what follows a position, as the agent does."""
        params = {**_names(job), "stream": stream, "lines": lines, "position": position}
        return _read([await self._agent.ask("read_log", params)], _piece)[0]

    def follow_logs(
        self, stream: str, positions: Mapping[JobId, Any]
    ) -> AsyncGenerator[tuple[JobId, Json], None]:
        """Yield what is added to logs, each after its position, until their jobs have ended.

        Each comes as the agent tells it (docs/agent.md); the last word on a log is that it ended, or an error.
        """
        requests = {
            job: {**_names(job), "stream": stream, "position": position}
            for job, position in positions.items()
        }
        return self._agent.follow("follow_log", requests)

    def _about(self, jobs: Iterable[JobId]) -> Json:
        return {"jobs": [str(job) for job in jobs], "folders": self._folders}


def _names(job: JobId) -> Json:
    return {"task_id": job.task, "job_id": job.hash}


def _jobs(texts: Iterable[str]) -> tuple[JobId, ...]:
    return tuple(parse_job_id(each) for each in texts)


def _references(wire: Json) -> tuple[tuple[JobId, ...], tuple[UnreadFile, ...]]:
    return _jobs(wire["jobs"]), tuple(UnreadFile(**each) for each in wire["problems"])


def _current(wire: Json) -> tuple[list[CurrentJob] | None, list[str], list[UnreadFile]]:
    jobs = wire["jobs"]
    found = None if jobs is None else [CurrentJob.from_wire(each) for each in jobs]
    return found, list(wire["experiments"]), [UnreadFile(**each) for each in wire["problems"]]


def _piece(wire: Json) -> Json:
    return {"text": str(wire["text"]), "position": wire["position"], "more": bool(wire["more"])}


def _read(wires: Iterable[Any], read: Callable[[Any], T]) -> list[T]:
    """Read what the agent said.

    Raises:
        ProtocolError: It cannot be read.
    """
    try:
        return [read(wire) for wire in wires]
    except (KeyError, TypeError, ValueError, AttributeError, BadIdFailure) as error:
        what = f"what the agent answered cannot be read: {type(error).__name__}: {error}"
        raise ProtocolError(what, "report it, with the log that --debug writes") from error
