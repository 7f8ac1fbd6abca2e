"""Operations on the jobs of a workspace by our agent: asked again after a lost link until everything is told once."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from xpm_remote.errors import ProtocolError, RequestError, XpmRemoteError
from xpm_remote.link.prompts import Prompter, RefusingPrompter
from xpm_remote.rpc.client import Listener
from xpm_remote.rpc.protocol import Notification
from xpm_remote.session.agent_client import FINISH_TIME, AgentClient
from xpm_remote.session.monitor import RECONNECTING
from xpm_remote.session.retry import Schedule, is_transient
from xpm_remote.workspace.agent.actions import ActionOutcome, ActionPlan
from xpm_remote.workspace.failures import BadIdFailure
from xpm_remote.workspace.folders.folder import Folder
from xpm_remote.workspace.folders.outcomes import (
    ArchiveOutcome,
    ArchivePlan,
    Progress,
    RecoveryOutcome,
    RecoveryPlan,
)
from xpm_remote.workspace.layout import JobId, Layout, parse_job_id
from xpm_remote.workspace.orphans.cleaning import CleanOutcome, CleanStep
from xpm_remote.workspace.orphans.listing import OrphanReport
from xpm_remote.workspace.reading.current import CurrentJob
from xpm_remote.workspace.reading.json_files import Problem
from xpm_remote.workspace.reading.lookup import Found

AWAY_LIMIT = 3600.0
"""Seconds without a link after which we give up: a person has noticed by then, and a script is to fail some time."""

BUSY_LIMIT = 300.0
"""Seconds after a lost link in which a job that is busy is asked for again: mostly the agent whose link was lost is
still finishing it."""

BUSY_INTERVAL = 1.0
"""Seconds between two questions for jobs that are busy."""

T = TypeVar("T")
Json = dict[str, Any]


class Opener(Protocol):
    """Starts an agent."""

    async def __call__(self, *, prompter: Prompter | None, listener: Listener) -> AgentClient:
        """Start one.

        Args:
            prompter: Who answers what the host asks; None: the person at the terminal.
            listener: Is given each notification.
        """


class RemoteJobs:
    """The jobs of a workspace that an agent serves. Open it before anything else, and close it.

    Every method raises XpmRemoteError: the link's, the remote side's, or, where the agent refused, that of the local
    command. A link that is lost is restored without asking anybody, for ``AWAY_LIMIT`` seconds at most.

    Args:
        opener: Starts an agent.
        folders: The folders of the workspace, as the settings spell them.
        tell: Is given a line when the link is lost, and when it is back.
        schedule: When to try again; None: with a growing delay and a limit of attempts.
    """

    def __init__(
        self,
        opener: Opener,
        folders: Iterable[Folder],
        tell: Callable[[str], None],
        schedule: Schedule | None = None,
    ) -> None:
        self._opener = opener
        self._folders = [folder.to_wire() for folder in folders]
        self._tell = tell
        self._schedule = schedule or Schedule(random.random)
        self._client: AgentClient | None = None
        self._hearers: dict[str, Callable[[Notification], None]] = {}
        self._names = 0
        self.is_acting = False
        """Whether the agent does something that is to be brought to its end."""

    async def open(self) -> Layout:
        """Start the agent; give the paths of the workspace there."""
        self._client = await self._opener(prompter=None, listener=self._hear)
        return Layout(Path(self._client.workspace))

    async def aclose(self, *, finish: bool = False) -> None:
        """End the agent and the connection.

        Args:
            finish: Whether to wait until it has finished the job in hand.
        """
        client, self._client = self._client, None
        if client is not None:
            await client.aclose(finish=FINISH_TIME if finish and self.is_acting else 0.0)

    async def find(self, texts: Sequence[str], *, everywhere: bool) -> list[Found]:
        """Say which jobs texts mean, in the workspace, or in its folders too."""
        folders = self._folders if everywhere else []
        answer = await self._ask("find_jobs", {"texts": list(texts), "folders": folders})
        return _read(answer, lambda wire: Found(wire["text"], _jobs(wire["jobs"])))

    async def references(self) -> tuple[tuple[JobId, ...], tuple[Problem, ...]]:
        """Give all jobs that runs refer to, and what could not be read of them."""
        answer = await self._ask("get_references", {})
        return _read([answer], _references)[0]

    async def current(
        self, experiment: str | None
    ) -> tuple[list[CurrentJob] | None, list[str], list[Problem]]:
        """Give the jobs of the current runs (None when there is no such experiment), all experiments, problems."""
        answer = await self._ask("list_jobs", {"experiment": experiment})
        return _read([answer], _current)[0]

    async def directory(self, job: JobId) -> tuple[str, bool]:
        """Give the directory of a job, and whether it is there."""
        answer = await self._ask("get_directory", _names(job))
        return _read([answer], lambda wire: (str(wire["path"]), bool(wire["exists"])))[0]

    async def plan_recovery(self, jobs: Iterable[JobId], *, incomplete: bool) -> list[RecoveryPlan]:
        """Say what ``recover`` would do."""
        params = {**self._about(jobs), "incomplete": incomplete}
        return _read(await self._ask("plan_recovery", params), RecoveryPlan.from_wire)

    async def recover(
        self, jobs: Iterable[JobId], *, incomplete: bool, progress: Progress
    ) -> AsyncGenerator[RecoveryOutcome, None]:
        """Restore jobs; give each outcome once, when it is there."""
        items = {str(job): job for job in jobs}

        def params(left: Iterable[JobId], _: bool) -> Json:
            return {**self._about(left), "incomplete": incomplete}

        async for wire in self._carry_out("recover", items, params, progress):
            yield _read([wire], RecoveryOutcome.from_wire)[0]

    async def plan_archive(self, jobs: Iterable[JobId]) -> list[ArchivePlan]:
        """Say what ``archive`` would do."""
        return _read(await self._ask("plan_archive", self._about(jobs)), ArchivePlan.from_wire)

    async def archive(
        self, jobs: Iterable[JobId], *, progress: Progress
    ) -> AsyncGenerator[ArchiveOutcome, None]:
        """Copy or move jobs to the folders; give each outcome once, when it is there."""
        items = {str(job): job for job in jobs}

        def params(left: Iterable[JobId], _: bool) -> Json:
            return self._about(left)

        async for wire in self._carry_out("archive", items, params, progress):
            yield _read([wire], ArchiveOutcome.from_wire)[0]

    async def find_orphans(self, *, with_folders: bool, with_sizes: bool) -> OrphanReport:
        """Report the jobs that no run refers to."""
        params = {"with_folders": with_folders, "with_sizes": with_sizes, "folders": self._folders}
        return _read([await self._ask("find_orphans", params)], OrphanReport.from_wire)[0]

    async def plan_orphans(self, *, with_folders: bool, force: bool) -> list[CleanStep]:
        """Say what ``clean_orphans`` would do."""
        params = {"with_folders": with_folders, "force": force, "folders": self._folders}
        return _read(await self._ask("plan_orphans", params), CleanStep.from_wire)

    async def clean_orphans(
        self, steps: Iterable[CleanStep], *, with_folders: bool, force: bool
    ) -> AsyncGenerator[CleanOutcome, None]:
        """Do what steps say; give each outcome once, when it is there."""
        items = {str(step.orphan.job): step for step in steps}

        def params(left: Iterable[CleanStep], again: bool) -> Json:
            wires = [step.to_wire() for step in left]
            about = {"with_folders": with_folders, "force": force, "folders": self._folders}
            return {**about, "steps": wires, "again": again}

        async for wire in self._carry_out("clean_orphans", items, params):
            yield _read([wire], CleanOutcome.from_wire)[0]

    async def plan_action(self, action: str, jobs: Iterable[JobId]) -> list[ActionPlan]:
        """Say what killing or cleaning jobs would do."""
        params = {"action": action, "jobs": [_names(job) for job in jobs]}
        return _read(await self._ask("plan_action", params), ActionPlan.from_wire)

    async def perform(self, plans: Iterable[ActionPlan]) -> AsyncGenerator[ActionOutcome, None]:
        """Do what plans say; give each outcome once, when it is there."""
        items = {str(plan.job): plan for plan in plans}

        def params(left: Iterable[ActionPlan], again: bool) -> Json:
            return {"plans": [plan.to_wire() for plan in left], "again": again}

        async for wire in self._carry_out("carry_out", items, params):
            yield _read([wire], ActionOutcome.from_wire)[0]

    async def read_log(
        self, job: JobId, stream: str, *, lines: int | None = None, position: object = None
    ) -> Json:
        """Give the last lines of a log (None: its beginning), or what follows a position, as the agent does."""
        params = {**_names(job), "stream": stream, "lines": lines, "position": position}
        return _read([await self._ask("read_log", params)], _piece)[0]

    async def follow_logs(
        self, stream: str, positions: Mapping[JobId, Any]
    ) -> AsyncGenerator[tuple[JobId, Json], None]:
        """Give what is added to logs, each after its position, until their jobs have ended.

        Each comes as the agent tells it (docs/agent.md); the last word on a log is that it ended, or an error.
        """
        left = dict(positions)
        while left:
            heard: asyncio.Queue[tuple[JobId, Json] | None] = asyncio.Queue()
            watching = asyncio.create_task(self._watch_logs(stream, left, heard), name="logs")
            watching.add_done_callback(lambda _, heard=heard: heard.put_nowait(None))  # type: ignore[misc]
            try:
                while left and (item := await heard.get()) is not None:
                    job, told = item
                    if job not in left:
                        continue
                    left[job] = told.get("position") or left[job]
                    if told.get("ended") or "error" in told:
                        del left[job]
                    yield job, told
                if left:
                    await watching
            except XpmRemoteError as error:
                await self._reconnect(error)
            finally:
                watching.cancel()
                await asyncio.wait({watching})

    async def _watch_logs(
        self,
        stream: str,
        positions: Mapping[JobId, Any],
        heard: asyncio.Queue[tuple[JobId, Json] | None],
    ) -> None:
        """Have the agent follow logs; end, by an error, when it is lost."""
        client = self._client_now()
        for job, position in list(positions.items()):
            name = self._new_name(lambda told, job=job: heard.put_nowait((job, _params(told))))  # type: ignore[misc]
            about = {**_names(job), "stream": stream, "position": position, "name": name}
            await client.call("follow_log", about)
        raise await client.wait_ended()

    async def _carry_out(
        self,
        method: str,
        items: dict[str, T],
        params: Callable[[Iterable[T], bool], Json],
        progress: Progress | None = None,
    ) -> AsyncGenerator[Json, None]:
        """Have something done to each item, by the id of its job; after a lost link the rest is asked for again."""
        left, again, busy_until = dict(items), False, 0.0
        loop = asyncio.get_running_loop()
        while left:
            try:
                attempt = self._attempt(method, params(left.values(), again), progress)
                async with contextlib.aclosing(attempt):
                    async for wire in attempt:
                        if _is_busy(wire) and loop.time() < busy_until:
                            continue
                        if left.pop(str(wire.get("job")), None) is not None:
                            yield wire
            except XpmRemoteError as error:
                await self._reconnect(error)
                again, busy_until = True, loop.time() + BUSY_LIMIT
                continue
            if left and loop.time() >= busy_until:
                message = f"the agent has ended {method} without a word on {len(left)} jobs"
                raise ProtocolError(message, "run the command again")
            if left:
                await asyncio.sleep(BUSY_INTERVAL)

    async def _attempt(
        self, method: str, params: Json, progress: Progress | None
    ) -> AsyncGenerator[Json, None]:
        """Have something done by the agent that there is now; give what it tells of each job."""
        heard: asyncio.Queue[Json | None] = asyncio.Queue()

        def hear(notification: Notification) -> None:
            told = _params(notification)
            if notification.method == "notification.outcome":
                heard.put_nowait(told["outcome"])
            elif progress is not None:
                progress(parse_job_id(told["job"]), told["bytes"], told["files"])

        name = self._new_name(hear)
        call = asyncio.create_task(
            self._client_now().call(method, {**params, "name": name}), name=method
        )
        call.add_done_callback(lambda _: heard.put_nowait(None))
        self.is_acting = True
        try:
            while (wire := await heard.get()) is not None:
                yield wire
            await call
            self.is_acting = False
        finally:
            self._hearers.pop(name, None)
            call.cancel()
            await asyncio.wait({call})

    async def _ask(self, method: str, params: Json) -> Any:  # noqa: ANN401 - read by ``_read``
        """Ask what changes nothing: again, when the link is lost meanwhile."""
        while True:
            try:
                raw = await self._client_now().call(method, params)
                return msgspec.json.decode(raw)
            except XpmRemoteError as error:
                await self._reconnect(error)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise ProtocolError(f"the answer to {method} cannot be read: {error}") from error

    async def _reconnect(self, error: XpmRemoteError) -> None:
        """Have an agent again, unless it is no lost link that an error tells of, or it does not come back.

        Raises:
            XpmRemoteError: The same error, or that of the last attempt.
        """
        if isinstance(error, RequestError) or not is_transient(error):
            raise error
        loop = asyncio.get_running_loop()
        end = loop.time() + AWAY_LIMIT
        await self.aclose()
        self._tell(f"{error}; connecting again")
        while True:
            await asyncio.sleep(self._schedule.next_delay(loop.time()))
            try:
                self._client = await self._opener(
                    prompter=RefusingPrompter(RECONNECTING), listener=self._hear
                )
            except XpmRemoteError as failure:
                if not is_transient(failure) or loop.time() > end:
                    raise
            else:
                self._schedule.reset()
                self._tell("connected again")
                return

    def _client_now(self) -> AgentClient:
        if self._client is None:
            message = "it is not open"
            raise RuntimeError(message)
        return self._client

    def _about(self, jobs: Iterable[JobId]) -> Json:
        return {"jobs": [str(job) for job in jobs], "folders": self._folders}

    def _new_name(self, hear: Callable[[Notification], None]) -> str:
        self._names += 1
        name = str(self._names)
        self._hearers[name] = hear
        return name

    def _hear(self, notification: Notification) -> None:
        """Pass a notification to who asked for it; one that cannot be read is nobody's."""
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
            hear = self._hearers.get(_params(notification)["name"])
            if hear is not None:
                hear(notification)


def _params(notification: Notification) -> Json:
    params: Json = msgspec.json.decode(notification.params)
    return params


def _is_busy(wire: Json) -> bool:
    return "busy" in (wire.get("status"), *(each["status"] for each in wire.get("folders", ())))


def _names(job: JobId) -> Json:
    return {"task_id": job.task, "job_id": job.hash}


def _jobs(texts: Iterable[str]) -> tuple[JobId, ...]:
    return tuple(parse_job_id(each) for each in texts)


def _references(wire: Json) -> tuple[tuple[JobId, ...], tuple[Problem, ...]]:
    return _jobs(wire["jobs"]), tuple(Problem(**each) for each in wire["problems"])


def _current(wire: Json) -> tuple[list[CurrentJob] | None, list[str], list[Problem]]:
    jobs = wire["jobs"]
    found = None if jobs is None else [CurrentJob.from_wire(each) for each in jobs]
    return found, list(wire["experiments"]), [Problem(**each) for each in wire["problems"]]


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
