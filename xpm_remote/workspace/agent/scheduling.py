"""What a scheduler has of the jobs: imported at the first job that may be of one, since most workspaces have none."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Callable, Collection, Iterable

from xpm_remote.workspace.layout import JobId, Layout
from xpm_remote.workspace.processes import Host
from xpm_remote.workspace.reading import disk
from xpm_remote.workspace.reading.jobs import CLAIM, JobFacts
from xpm_remote.workspace.rows import ASK_INTERVAL
from xpm_remote.workspace.schedulers.scripts import has_batch_script
from xpm_remote.workspace.states import LIVE

if TYPE_CHECKING:
    from xpm_remote.workspace.schedulers.queue import Queue


class Scheduling:
    """A ``Queue``, made when it is needed.

    Args:
        layout: The paths of the workspace.
        host: The host on which this code runs.

    Attributes:
        interval: Seconds between two questions, before the first one; None to ask none.
    """

    def __init__(self, layout: Layout, host: Host) -> None:
        self._layout = layout
        self._host = host
        self.interval: float | None = ASK_INTERVAL
        self._queue: Queue | None = None
        self._heard: Callable[[], None] | None = None
        self._making = threading.Lock()

    def start(self, heard: Callable[[], None]) -> None:
        """Ask when it is due, from the first job of a scheduler on; call a function when that tells anything new."""
        with self._making:
            self._heard = heard
            self._ask()

    def judged(self, facts: JobFacts) -> JobFacts:
        """Return a job as its files and its scheduler show it."""
        if self._queue is None and not self._may_be_scheduled(facts):
            return facts
        return self._ready().judged(facts)

    def all_judged(self, jobs: Iterable[JobFacts]) -> list[JobFacts]:
        """Return jobs as ``judged`` does, after a question where one is due."""
        found = list(jobs)
        if self._queue is None and not any(map(self._may_be_scheduled, found)):
            return found
        return self._ready().all_judged(found)

    def concerned(self) -> Collection[JobId]:
        """Return the jobs that the last answer may change; the first one is waited for, for a short time."""
        return self._queue.concerned() if self._queue and self._heard else ()

    @property
    def trouble(self) -> str:
        """Why the last question was not answered; empty if it was, or if none was asked."""
        return self._queue.trouble if self._queue else ""

    def _may_be_scheduled(self, facts: JobFacts) -> bool:
        if facts.has_done_marker:
            return False
        if facts.process is not None and facts.process.kind == "slurm":
            return True
        is_doubtful = (
            not facts.certain or facts.message == CLAIM or facts.failure_reason == "CANCELLED"
        )
        if is_doubtful or facts.process is not None or facts.state not in LIVE:
            return is_doubtful
        files = self._layout.job_files(facts.id)
        try:
            return disk.call(str(files.directory), has_batch_script, files)
        except OSError:
            return True  # the scheduler tells

    def _ready(self) -> Queue:
        with self._making:
            if self._queue is None:
                from xpm_remote.workspace.schedulers.queue import Queue

                self._queue = Queue(self._layout, self._host, self.interval)
                self._ask()
            return self._queue

    def _ask(self) -> None:
        queue, heard = self._queue, self._heard
        if queue is not None and heard is not None:
            threading.Thread(target=queue.run, args=(heard,), name="slurm", daemon=True).start()
