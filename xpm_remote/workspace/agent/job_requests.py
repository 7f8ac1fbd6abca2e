"""Requests about jobs and the folders that hold copies of them: finding, planning, carrying out.

Plans, outcomes and reports are sent in their ``to_wire`` form. Since a request may take hours, each outcome is sent
when it is there, in a notification under the name that the client chose; the progress of copying several times a
second. When the client is lost, the jobs in hand are finished and no other is begun. No state is kept for it: when
asked again, the agent reports as done what is done already.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from itertools import chain
from pathlib import Path
from typing import Callable, Iterable, Iterator, Protocol, Sequence

from xpm_remote.workspace.agent.wire import Method, Notify, ParameterError, Params, read_list, text
from xpm_remote.workspace.folders.archiving import archive, plan_archive
from xpm_remote.workspace.folders.recovery import plan_recovery, recover
from xpm_remote.workspace.folders.removing import may_be_there
from xpm_remote.workspace.layout import Folder, JobId, Layout, parse_job_id
from xpm_remote.workspace.orphans.cleaning import Cleaner
from xpm_remote.workspace.orphans.listing import find_orphans
from xpm_remote.workspace.orphans.references import read_references
from xpm_remote.workspace.outcomes import (
    ArchiveOutcome,
    CleanAction,
    CleanOutcome,
    CleanStatus,
    CleanStep,
    CopyProgress,
    OrphanReport,
    RecoveryOutcome,
    from_wire,
    to_wire,
)
from xpm_remote.workspace.processes import Host
from xpm_remote.workspace.reading.json_files import JsonObject
from xpm_remote.workspace.reading.lookup import Lookup

PROGRESS_INTERVAL = 0.2
"""Seconds between two notifications of progress: what an eye can follow."""


class Copying(Protocol):
    """Copies jobs between a workspace and its folders, in one of the two directions."""

    def __call__(
        self,
        workspace: Layout,
        folders: Sequence[Folder],
        jobs: Iterable[JobId],
        *,
        progress: CopyProgress,
        stop: Callable[[], bool],
    ) -> Iterator[ArchiveOutcome | RecoveryOutcome]:
        """Yield one outcome for each job."""


class JobRequests:
    """Answers requests about jobs and folders.

    Args:
        layout: The workspace.
        host: The host on which this code runs.
        send: Sends a notification.
        stop: Returns whether to begin no more jobs.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        layout: Layout,
        host: Host,
        send: Notify,
        stop: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._layout = layout
        self._host = host
        self._send = send
        self._stop = stop
        self._clock = clock

    def reading(self) -> dict[str, Method]:
        """Return the methods that change nothing."""
        return {
            "find_jobs": self.find_jobs,
            "get_references": self.get_references,
            "plan_recovery": self.plan_recovery,
            "plan_archive": self.plan_archive,
            "find_orphans": self.find_orphans,
            "plan_orphans": self.plan_orphans,
        }

    def acting(self) -> dict[str, Method]:
        """Return the methods that change the workspace or its folders."""
        return {
            "recover": self.recover,
            "archive": self.archive,
            "clean_orphans": self.clean_orphans,
        }

    def find_jobs(self, params: Params) -> list[JsonObject]:
        """Return the jobs that ``texts`` match, in the workspace and its folders."""
        lookup = Lookup([self._layout, *(folder.layout for folder in folders_of(params))])
        found = [lookup.find(each) for each in texts_of(params, "texts")]
        return [
            {
                "text": each.text,
                "jobs": [str(job) for job in each.jobs],
                "problems": [problem._asdict() for problem in each.unlisted],
            }
            for each in found
        ]

    def get_references(self, _: Params) -> JsonObject:
        """Return all jobs that runs refer to, and the files that could not be read."""
        references = read_references(self._layout)
        problems = [each._asdict() for each in references.problems]
        return {"jobs": [str(job) for job in references], "problems": problems}

    def plan_recovery(self, params: Params) -> list[JsonObject]:
        """Return the plans of ``recover``."""
        plans = plan_recovery(
            self._layout,
            folders_of(params),
            jobs_of(params),
            incomplete=params.get("incomplete") is True,
        )
        return [to_wire(plan) for plan in plans]

    def recover(self, params: Params) -> JsonObject:
        """Restore jobs; send each outcome when it is there."""
        incomplete = params.get("incomplete") is True
        return self._copy(params, functools.partial(recover, incomplete=incomplete))

    def plan_archive(self, params: Params) -> list[JsonObject]:
        """Return the plans of ``archive``."""
        plans = plan_archive(self._layout, folders_of(params), jobs_of(params))
        return [to_wire(plan) for plan in plans]

    def archive(self, params: Params) -> JsonObject:
        """Copy or move jobs to the folders; send each outcome when it is there."""
        return self._copy(params, archive)

    def find_orphans(self, params: Params) -> JsonObject:
        """Return a report of the jobs that no run refers to."""
        report: JsonObject = to_wire(self._report(params))
        return report

    def plan_orphans(self, params: Params) -> list[JsonObject]:
        """Return the steps of ``clean_orphans``."""
        steps = self._cleaner(params).plan(self._report(params))
        return [to_wire(step) for step in steps]

    def clean_orphans(self, params: Params) -> JsonObject:
        """Carry out ``steps``; send each outcome when it is there."""
        name = text(params, "name")
        steps = read_list(
            params.get("steps"), "steps", "a step", functools.partial(from_wire, CleanStep)
        )
        done: list[CleanOutcome] = []
        if params.get("again") is True:
            done = [each for each in map(self._done_before, steps) if each is not None]
        gone = {outcome.job for outcome in done}
        left = [step for step in steps if step.orphan.job not in gone]
        outcomes = chain(done, self._cleaner(params).apply(left) if left else ())
        return self._tell(name, (to_wire(each) for each in outcomes))

    def _copy(self, params: Params, work: Copying) -> JsonObject:
        name = text(params, "name")
        outcomes = work(
            self._layout,
            folders_of(params),
            jobs_of(params),
            progress=self._progress(name),
            stop=self._stop,
        )
        return self._tell(name, (to_wire(each) for each in outcomes))

    def _done_before(self, step: CleanStep) -> CleanOutcome | None:
        """Return an outcome if an orphan is gone: an agent that lost its client has removed it."""
        is_certain = step.action in (CleanAction.REMOVE, CleanAction.UNLINK)
        if not is_certain or may_be_there(self._layout, step.orphan.job):
            return None
        is_link = step.action is CleanAction.UNLINK
        status = CleanStatus.UNLINKED if is_link else CleanStatus.REMOVED
        return CleanOutcome(step.orphan.job, status, "while the link was lost")

    def _report(self, params: Params) -> OrphanReport:
        return find_orphans(
            self._layout,
            folders_of(params),
            with_folders=params.get("with_folders") is not False,
            with_sizes=params.get("with_sizes") is True,
        )

    def _cleaner(self, params: Params) -> Cleaner:
        return Cleaner(
            self._layout,
            folders_of(params),
            with_folders=params.get("with_folders") is not False,
            is_forced=params.get("force") is True,
            host=self._host,
        )

    def _tell(self, name: str, outcomes: Iterable[JsonObject]) -> JsonObject:
        """Send outcomes one by one; return how many there were, and whether it ended early."""
        count = 0
        for outcome in outcomes:
            self._send("notification.outcome", {"name": name, "outcome": outcome})
            count += 1
        return {"outcomes": count, "stopped": self._stop()}

    def _progress(self, name: str) -> CopyProgress:
        """Return a function that collects progress and sends it now and then: bytes and files since the last time."""
        lock, told, bytes_, files = threading.Lock(), self._clock(), 0, 0

        def progress(job: JobId, more_bytes: int, more_files: int) -> None:
            nonlocal told, bytes_, files
            with lock:
                bytes_, files = bytes_ + more_bytes, files + more_files
                if self._clock() - told < PROGRESS_INTERVAL:
                    return
                params = {"name": name, "job": str(job), "bytes": bytes_, "files": files}
                told, bytes_, files = self._clock(), 0, 0
            self._send("notification.progress", params)

        return progress


def folders_of(params: Params) -> tuple[Folder, ...]:
    """Return the folders of a request; ``~`` is the home on this host.

    Raises:
        ParameterError: They cannot be read.
    """
    folders = read_list(
        params.get("folders", []), "folders", "a folder", functools.partial(from_wire, Folder)
    )
    return tuple(
        folder._replace(path=Path(os.path.expanduser(folder.path)))  # noqa: PTH111  (leaves an unknown user)
        for folder in folders
    )


def jobs_of(params: Params) -> list[JobId]:
    """Return the jobs of a request.

    Raises:
        ParameterError: They cannot be read.
        BadIdFailure: One is not an id.
    """
    return [parse_job_id(each) for each in texts_of(params, "jobs")]


def texts_of(params: Params, name: str) -> list[str]:
    """Return a parameter that must be a list of texts.

    Raises:
        ParameterError: It is something else.
    """
    value = params.get(name)
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        message = f"{name} is a list of texts"
        raise ParameterError(message)
    return value
