"""Reading very many jobs in a row, several at a time where one reader would mostly wait.

A file server answers each of several readers as fast as one; a disk that has not read the files yet is faster with a
few. Where the system has the files in memory, readers would only wait for each other, so one reads alone there.
"""

from __future__ import annotations

import threading
import time
from itertools import islice
from typing import Callable, Iterator

from xpm_remote.workspace.optional import resource
from xpm_remote.workspace.reading.jobs import JobFacts
from xpm_remote.workspace.reading.reader import WorkspaceReader
from xpm_remote.workspace.reading.runs import RunFacts

READERS = 8
"""Threads that read at a time: a load that a file server takes from one client."""

WAITING = 0.4
"""The share of its time that one reader waits, from which on several are tried, if it waits for files."""

WAITS_A_JOB = 0.5
"""How often it waits for each job, at least, where it waits for files; one that waits for the processor seldom does."""

PAGES_TOGETHER = 16
"""Pages read by several before one reader tries again how long it takes alone."""


def voluntary_waits() -> int:
    """Return how often this thread has waited for something; 0 where the system does not count it."""
    who = getattr(resource, "RUSAGE_THREAD", None)
    return 0 if who is None else int(resource.getrusage(who).ru_nvcsw)


class ParallelReader:
    """Reads jobs of a workspace, page after page.

    Args:
        reader: Reads the workspace.
        clock: Seconds that never go back.
        busy: Seconds for which this thread has had the processor.
        waits: How often this thread has waited for something else.
    """

    def __init__(
        self,
        reader: WorkspaceReader,
        clock: Callable[[], float] = time.perf_counter,
        busy: Callable[[], float] = time.thread_time,
        waits: Callable[[], int] = voluntary_waits,
    ) -> None:
        self._reader = reader
        self._jobs = reader.many_jobs()
        self._clock = clock
        self._busy = busy
        self._waits = waits
        self._together = 0
        self._alone = 0.0

    def read(self, run: RunFacts) -> list[JobFacts]:
        """Return the jobs of a run, or of a part of it, in its order."""
        began = self._clock()
        if self._together and len(run.job_infos) > READERS:
            self._together -= 1
            facts = self._read_together(run)
            if self._clock() - began > self._alone * len(facts):
                self._together = 0
            return facts
        busy, waits = self._busy(), self._waits()
        facts = self._read_alone(run)
        took = self._clock() - began
        waited = took - (self._busy() - busy)
        self._alone = took / max(len(facts), 1)
        is_kept = self._waits() - waits > WAITS_A_JOB * len(facts)
        self._together = PAGES_TOGETHER if is_kept and waited > WAITING * took else 0
        return facts

    def _read_alone(self, run: RunFacts) -> list[JobFacts]:
        return list(self._reader.jobs(run, self._jobs))

    def _read_together(self, run: RunFacts) -> list[JobFacts]:
        parts = [_Part(self._read_alone, each) for each in _split(run)]
        for part in parts:
            part.start()
        for part in parts:
            part.join()
        return [facts for part in parts for facts in part.result()]


class _Part(threading.Thread):
    """A part of a page, read by a thread of its own."""

    def __init__(self, read: Callable[[RunFacts], list[JobFacts]], run: RunFacts) -> None:
        super().__init__(name="reading", daemon=True)
        self._read = read
        self._run_facts = run
        self._facts: list[JobFacts] = []
        self._failure: BaseException | None = None

    def run(self) -> None:
        """Read the part."""
        try:
            self._facts = self._read(self._run_facts)
        except BaseException as failure:  # noqa: BLE001 - raised again where the result is taken
            self._failure = failure

    def result(self) -> list[JobFacts]:
        """Return what was read.

        Raises:
            BaseException: The exception that ended the reading.
        """
        if self._failure is not None:
            raise self._failure
        return self._facts


def _split(run: RunFacts) -> Iterator[RunFacts]:
    """Yield as many parts of a run as there are readers."""
    infos = iter(run.job_infos.items())
    size = -(-len(run.job_infos) // READERS)
    part = dict(islice(infos, size))
    while part:
        yield run._replace(job_infos=part)
        part = dict(islice(infos, size))
