"""Which jobs need which: by the parameters of a job, and by the objects of the current runs.

A job that was not started has no parameters on disk, and what needs a job is told by runs only. Nothing else in a
workspace has dependencies (the writer of events leaves them out).
"""

from __future__ import annotations

import time
from typing import Any, Iterable, NamedTuple

from xpm_remote.workspace.inspecting.params import find_references, needed_in
from xpm_remote.workspace.layout import JobId, is_name
from xpm_remote.workspace.reading import disk
from xpm_remote.workspace.reading.jobs import JobFacts
from xpm_remote.workspace.reading.json_files import LARGE_LIMIT, Problems, read_lines, read_object
from xpm_remote.workspace.reading.reader import WorkspaceReader
from xpm_remote.workspace.reading.runs import RunFacts

RUNS_KEPT = 5.0
"""Seconds for which the current runs are not read again: a page of failures follows the other."""

DEPTH = 100
"""Jobs between one that was not started and the one that failed; experiments have some ten."""


class Graph(NamedTuple):
    """The jobs of a run, by the hashes of those that they need, and of those that need them."""

    needs: dict[str, tuple[str, ...]]
    needed_by: dict[str, list[str]]


NO_GRAPH = Graph({}, {})


class Dependencies:
    """Finds what jobs need, and what needs them.

    Args:
        reader: Reads the workspace; of one thread.

    Attributes:
        problems: What could not be read, the last time that it was tried.
    """

    def __init__(self, reader: WorkspaceReader) -> None:
        self._reader = reader
        self.problems = reader.problems
        self._runs: list[RunFacts] = []
        self._read_at = float("-inf")
        self._graphs: dict[str, tuple[object, Graph]] = {}

    def runs_of(self, job: JobId) -> list[RunFacts]:
        """Return the current runs that list a job, the latest last."""
        if time.monotonic() >= self._read_at + RUNS_KEPT:
            self._runs = sorted(self._reader.experiments(), key=lambda run: run.started or 0.0)
            self._read_at = time.monotonic()
        return [
            run
            for run in self._runs
            if job.hash in run.job_infos and run.job_infos[job.hash].task_id == job.task
        ]

    def facts(self, job: JobId) -> JobFacts | None:
        """Return the facts of a job as its latest run has them; None when no run and no directory has it."""
        runs = self.runs_of(job)
        if runs:
            return self._reader.job_in(runs[-1], job.hash)
        return self._reader.job(job)

    def needs(self, job: JobId) -> tuple[JobId, ...]:
        """Return the jobs that a job needs directly."""
        params = read_object(
            str(self._reader.layout.job_files(job).params), LARGE_LIMIT, self.problems
        )
        runs = self.runs_of(job)
        hashes: Iterable[str] = needed_in(params) if params else ()
        if not params:
            hashes = (each for run in runs for each in self._graph(run).needs.get(job.hash, ()))
        return self._named(hashes, runs, job)

    def needed_by(self, job: JobId) -> tuple[JobId, ...]:
        """Return the jobs of the same runs that need a job directly."""
        runs = self.runs_of(job)
        hashes = (each for run in runs for each in self._graph(run).needed_by.get(job.hash, ()))
        return self._named(hashes, runs, job)

    def _named(self, hashes: Iterable[str], runs: list[RunFacts], job: JobId) -> tuple[JobId, ...]:
        """Return the ids of jobs of runs by their hashes, each once."""
        found: dict[JobId, None] = {}
        for each in hashes:
            info = next((run.job_infos[each] for run in runs if each in run.job_infos), None)
            if info is not None and each != job.hash and is_name(info.task_id):
                found[JobId(info.task_id, each)] = None
        return tuple(found)

    def _graph(self, run: RunFacts) -> Graph:
        """Return the graph of a run, read anew when its file has changed."""
        directory = self._reader.layout.experiment(run.experiment_id) / run.run_id
        path = str(directory / "objects.jsonl")
        try:
            found = disk.stat(path)
        except OSError:
            return NO_GRAPH
        stamp = (found.st_ino, found.st_size, found.st_mtime_ns, len(run.job_infos))
        known, graph = self._graphs.get(path, (None, NO_GRAPH))
        if known != stamp:
            graph = _read_graph(path, run, self.problems)
            self._graphs[path] = (stamp, graph)
        return graph


def _read_graph(path: str, run: RunFacts, problems: Problems) -> Graph:
    """Read the objects of a run; one refers to others before it by numbers, which may be used again later."""
    jobs_behind: dict[Any, tuple[str, ...]] = {}
    graph = Graph({}, {})
    for each in read_lines(path, problems):
        behind: dict[str, None] = {}
        for number in find_references(each):
            behind.update(dict.fromkeys(jobs_behind.get(number, ())))
        identifier = each.get("identifier")
        if isinstance(identifier, str) and identifier in run.job_infos:
            behind.pop(identifier, None)
            graph.needs[identifier] = tuple(behind)
            for other in behind:
                graph.needed_by.setdefault(other, []).append(identifier)
            behind = {identifier: None}
        number = each.get("id")
        if isinstance(number, (int, str)):
            jobs_behind[number] = tuple(behind)
    return graph
