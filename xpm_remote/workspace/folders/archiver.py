"""A background thread that archives jobs as they complete."""

from __future__ import annotations

import atexit
import threading
import time
from typing import Callable, NamedTuple, Sequence

from xpm_remote.workspace.failures import WorkspaceFailure, explain_any
from xpm_remote.workspace.folders import batches
from xpm_remote.workspace.folders.archiving import archive, no_progress, opt_out
from xpm_remote.workspace.folders.finding import archives
from xpm_remote.workspace.layout import Folder, JobId, Layout
from xpm_remote.workspace.outcomes import (
    ArchiveOutcome,
    ArchiveStatus,
    ArchiveVerdict,
    CopyProgress,
    FolderOutcome,
)

DRAIN_LIMIT = 60.0
"""Seconds that ``close`` waits for jobs that were submitted: as long as experimaestro does when it ends."""

GIVE_UP_LIMIT = 2 * batches.GIVE_UP_LIMIT
"""Seconds that ``close`` then waits for the worker to give up what it copies."""

FIRST_DELAY = 5.0
"""Seconds before a job that failed in a way that may pass is tried again; doubled each time, up to ``LAST_DELAY``."""

LAST_DELAY = 600.0
"""The longest delay, in seconds: a folder that comes back is noticed within ten minutes."""

TRIES = 8
"""Number of tries before a job is left to the next run: half an hour in all."""


class DrainReport(NamedTuple):
    """What an archiver has done when it is closed.

    Attributes:
        archived: Number of jobs that were archived in all folders.
        left: The other jobs, for lack of time or because of failures; the next run archives them.
    """

    archived: int
    left: tuple[JobId, ...]


class Archiver:
    """Archives jobs in the background; a context manager, closed at its end.

    Args:
        workspace: Where the jobs are.
        folders: All folders of the workspace.
        told: Called, in the worker's thread, with the outcome of each try. What it raises is raised by the next call of
            ``submit``, or by ``close``; the work goes on.
        progress: Called at each step, in the worker's threads.
        first_delay: Seconds before a job that failed is tried again.
    """

    def __init__(
        self,
        workspace: Layout,
        folders: Sequence[Folder],
        told: Callable[[ArchiveOutcome], None],
        progress: CopyProgress = no_progress,
        *,
        first_delay: float = FIRST_DELAY,
    ) -> None:
        self._workspace = workspace
        self._folders = folders
        self._told = told
        self._progress = progress
        self._first_delay = first_delay
        self._changed = threading.Condition()
        self._waiting: dict[JobId, None] = {}  # in the order of submission
        self._working: dict[JobId, None] = {}
        self._due: dict[JobId, float] = {}
        self._tries: dict[JobId, int] = {}
        self._failed: dict[JobId, None] = {}
        self._archived = 0
        self._closing = False
        self._abandoned = False
        self._receivers_error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="archiver", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def __enter__(self) -> Archiver:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(self, job: JobId, backup: bool = True) -> None:
        """Queue a job to be archived; one that is queued already is not queued twice.

        Args:
            job: The job.
            backup: Whether to archive it. If not, a file beside the job says so to this and all later runs.

        Raises:
            NoJobFailure: ``backup`` is false, and the job has no directory for that file.
            OSError: ``backup`` is false, and the file cannot be written.
            WorkspaceFailure: The archiver is closed.
            Exception: What ``told`` raised; the job is not queued.
        """
        self._raise_receivers_error()
        if not backup:
            opt_out(self._workspace, job)
        with self._changed:
            if self._closing:
                raise WorkspaceFailure("the archiver is closed")
            if not backup:
                self._waiting.pop(job, None)
                self._due.pop(job, None)
                self._failed.pop(job, None)
            elif job not in self._working and job not in self._due:
                self._waiting[job] = None
                self._changed.notify_all()

    def close(self, limit: float = DRAIN_LIMIT) -> DrainReport:
        """Wait until all submitted jobs are archived or the limit is reached; then give up the rest. Idempotent.

        Args:
            limit: Seconds.

        Raises:
            Exception: What ``told`` raised; all work is done or given up by then.
        """
        atexit.unregister(self.close)
        with self._changed:
            self._closing = True
            self._waiting.update(dict.fromkeys(self._due))  # a last try, at once
            self._due.clear()
            self._changed.notify_all()
        self._thread.join(limit)
        if self._thread.is_alive():
            self._abandoned = True
            self._thread.join(GIVE_UP_LIMIT)
        self._raise_receivers_error()
        with self._changed:
            left = {**self._waiting, **self._working, **self._failed}
            return DrainReport(self._archived, tuple(left))

    def _raise_receivers_error(self) -> None:
        error, self._receivers_error = self._receivers_error, None
        if error is not None:
            raise error

    def _run(self) -> None:
        while True:
            batch = self._next()
            if not batch:
                return
            try:
                self._archive(batch)
            except Exception as error:  # noqa: BLE001  (a thread that ends would go on accepting jobs)
                self._put_off(error)

    def _archive(self, batch: Sequence[JobId]) -> None:
        for outcome in archive(
            self._workspace,
            self._folders,
            batch,
            progress=self._progress,
            abandon=lambda: self._abandoned,
        ):
            self._note(outcome)
            self._tell(outcome)

    def _put_off(self, error: Exception) -> None:
        """Count a failed try of each job of the batch that has no outcome yet."""
        folders = [
            FolderOutcome(folder, ArchiveStatus.FAILED, explain_any(error))
            for folder in archives(self._folders)
        ]
        for job in list(self._working):
            outcome = ArchiveOutcome(job, ArchiveVerdict.ARCHIVE, "", tuple(folders))
            self._note(outcome)
            self._tell(outcome)

    def _tell(self, outcome: ArchiveOutcome) -> None:
        """Pass an outcome on; an error of the receiver is raised where the next job is submitted, or at the end."""
        try:
            self._told(outcome)
        except Exception as error:  # noqa: BLE001  (it is the caller's, who is in another thread)
            self._receivers_error = self._receivers_error or error

    def _next(self) -> list[JobId]:
        """Wait for jobs and return them; return none when the archiver is closed and no work is left."""
        with self._changed:
            while not self._abandoned:
                now = time.monotonic()
                for job in [job for job, due in self._due.items() if due <= now]:
                    del self._due[job]
                    self._waiting[job] = None
                if self._waiting:
                    self._working, self._waiting = self._waiting, {}
                    return list(self._working)
                if self._closing:
                    return []
                self._changed.wait(min(self._due.values()) - now if self._due else None)
            return []

    def _note(self, outcome: ArchiveOutcome) -> None:
        job = outcome.job
        with self._changed:
            self._working.pop(job, None)
            may_end_soon = outcome.verdict is ArchiveVerdict.UNFINISHED
            if not (outcome.is_worth_another_try or may_end_soon):
                self._archived += outcome.is_archived
                self._tries.pop(job, None)
                return
            tries = self._tries[job] = self._tries.get(job, 0) + 1
            if self._closing or tries >= TRIES:
                self._failed[job] = None
                self._tries.pop(job)
            else:
                delay = min(self._first_delay * 2 ** (tries - 1), LAST_DELAY)
                self._due[job] = time.monotonic() + delay
