"""All that is known of one job."""

from __future__ import annotations

import functools
import stat
from typing import Callable, Iterable

from xpm_remote.workspace.inspecting.answers import JobDetail, JobFile, LinkedJob
from xpm_remote.workspace.inspecting.dependencies import Dependencies
from xpm_remote.workspace.inspecting.logs import attempts_of
from xpm_remote.workspace.inspecting.params import values_of
from xpm_remote.workspace.layout import JobFiles, JobId
from xpm_remote.workspace.reading import disk
from xpm_remote.workspace.reading.jobs import CurrentJob, JobFacts, merge_jobs
from xpm_remote.workspace.reading.json_files import (
    LARGE_LIMIT,
    NO_ENTRY,
    Problems,
    printable,
    read_object,
)
from xpm_remote.workspace.reading.reader import WorkspaceReader

LINKS_LIMIT = 200
"""Jobs that are listed as needed, or as needing; the others are counted."""

FILES_LIMIT = 500
"""Entries of the directory that are listed; the others are counted."""


class DetailReader:
    """Reads what is known of single jobs.

    Args:
        reader: Reads the workspace; of one thread.
        judge: Returns jobs as their scheduler shows them.
    """

    def __init__(
        self,
        reader: WorkspaceReader,
        judge: Callable[[Iterable[JobFacts]], Iterable[JobFacts]] = iter,
    ) -> None:
        self._reader = reader
        self._judge = judge
        self._dependencies = Dependencies(reader)

    def read(self, job: JobId) -> JobDetail | None:
        """Return what is known of a job; None when no current run lists it and it has no directory.

        Raises:
            WorkspaceFailure: Its directory cannot be listed.
        """
        # Its own reader, since the answer has the problems of this reading only.
        reader = self._reader.another()
        runs = self._dependencies.runs_of(job)
        found = [
            CurrentJob(
                reader.job_in(run, job.hash), run.job_infos[job.hash].tags, (run.experiment_id,)
            )
            for run in runs
        ]
        facts = None if found else reader.job(job)
        if facts is not None:
            found = [CurrentJob(facts, {}, ())]
        if not found:
            return None
        judged = self._judge([each.facts for each in found])
        found = [each._replace(facts=facts) for each, facts in zip(found, judged)]
        files = reader.layout.job_files(job)
        params = read_object(str(files.params), LARGE_LIMIT, reader.problems)
        needs, more_needs = self._linked(self._dependencies.needs(job))
        needed_by, more_needed_by = self._linked(self._dependencies.needed_by(job))
        entries, more_entries = _entries(files, reader.problems)
        left_out = {"needs": more_needs, "needed_by": more_needed_by, "files": more_entries}
        return JobDetail(
            functools.reduce(merge_jobs, found),
            values_of(params or {}),
            runs[-1].hostname if runs else None,
            needs,
            needed_by,
            tuple(attempts_of(files)),
            entries,
            left_out,
            (*reader.problems, *self._dependencies.problems),
        )

    def _linked(self, jobs: Iterable[JobId]) -> tuple[tuple[LinkedJob, ...], int]:
        every = list(jobs)
        return tuple(map(self._link, every[:LINKS_LIMIT])), max(0, len(every) - LINKS_LIMIT)

    def _link(self, job: JobId) -> LinkedJob:
        facts = self._dependencies.facts(job)
        return LinkedJob(job, None if facts is None else facts.state)


def _entries(files: JobFiles, problems: Problems) -> tuple[tuple[JobFile, ...], int]:
    """Return the entries of the directory of a job, by name, and how many more there are."""
    directory = str(files.directory)
    try:
        entries = sorted(disk.scan(directory), key=lambda entry: entry.name)
    except OSError as error:
        if error.errno not in NO_ENTRY:
            problems.fail(directory, error)
        return (), 0
    found = []
    for entry in entries[:FILES_LIMIT]:
        try:
            status = disk.lstat(entry.path)
        except OSError:  # gone meanwhile
            continue
        size = None if stat.S_ISDIR(status.st_mode) else status.st_size
        found.append(JobFile(printable(entry.name), size, status.st_mtime))
    return tuple(found), max(0, len(entries) - FILES_LIMIT)
