"""The live events of jobs and experiments, in numbered files that are unlinked at the end."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Iterator

from xpm_remote.workspace.reading.directories import is_directory
from xpm_remote.workspace.reading.growing import GrowingFiles
from xpm_remote.workspace.reading.json_files import JsonObject, Problems, read_lines
from xpm_remote.workspace.reading.looks import Look

EVENTS_LIMIT = 16 << 20
"""Bytes read of one file of events: 1280 of them are 0.6 MB, then the next file begins."""

FILES_LIMIT = 1000
"""Files of events read for one job or experiment; each has 1280 events, and all but the last few are folded in."""


class LiveEvents:
    """The directory ``.events`` of a workspace.

    Args:
        root: The workspace.
        problems: Where broken files are noted.
        names: The stems of the files of jobs, where they are known; see ``listed``.
        files: The files of jobs that were read before.
    """

    def __init__(
        self,
        root: str,
        problems: Problems,
        names: frozenset[str] | None = None,
        files: GrowingFiles | None = None,
    ) -> None:
        self._root = root
        self._jobs = f"{root}/.events/jobs"
        self._experiments = f"{root}/.events/experiments"
        self._problems = problems
        self._names = names
        self._files = files or GrowingFiles()

    def listed(self) -> LiveEvents:
        """Return the same, with the names of the jobs' files listed once: for reading many jobs in a row."""
        look = Look(self._root, self._problems)
        names = frozenset(self._list(look))
        # Where they cannot be listed, each job's own are looked for.
        if look.settle():
            return self
        return LiveEvents(self._root, self._problems, names, self._files)

    def of_job(self, task_id: str, job_id: str, first: int, look: Look) -> Iterator[JsonObject]:
        """Yield the events of a job from the file numbered ``first`` on."""
        for stem in (f"{_hash8(task_id)}-{job_id}", f"{task_id}/event-{job_id}"):
            if self._names is None or stem in self._names:
                yield from self._numbered(f"{self._jobs}/{stem}", first, look, self._files)

    def last_written(self, task_id: str, job_id: str, look: Look) -> float | None:
        """Return when the last file of a job's live events was written; None when it has none."""
        stem, last = f"{self._jobs}/{_hash8(task_id)}-{job_id}", None
        for number in range(FILES_LIMIT):
            found = look.stat(f"{stem}-{number}.jsonl")
            if found is not None:
                last = found.st_mtime
            elif number:
                break
        return last

    def of_experiment(self, experiment_id: str, first: int, look: Look) -> Iterator[JsonObject]:
        """Yield the events of an experiment from the file numbered ``first`` on."""
        for stem in (experiment_id, f"{experiment_id}/events"):
            yield from self._numbered(f"{self._experiments}/{stem}", first, look)

    def older_current(self, experiment_id: str) -> str:
        """Return the link that led to the current run before 2.1.1."""
        return f"{self._experiments}/{experiment_id}/current"

    def _numbered(
        self, stem: str, first: int, look: Look, files: GrowingFiles | None = None
    ) -> Iterator[JsonObject]:
        for number in range(first, first + FILES_LIMIT):
            path = f"{stem}-{number}.jsonl"
            if look.lstat(path) is not None:
                known = None if files is None else files.read(path, look)
                yield from read_lines(path, look, EVENTS_LIMIT) if known is None else known
            elif number > first:
                return  # the first may have been folded in since its number was read

    def _list(self, look: Look) -> Iterator[str]:
        """Yield the stems of all files of events of jobs, in both layouts."""
        for entry in look.entries(self._jobs):
            if entry.name.endswith(".jsonl"):
                yield entry.name.rpartition("-")[0]
            elif is_directory(entry, look):
                for file in look.entries(entry.path):
                    yield f"{entry.name}/{file.name.rpartition('-')[0]}"


@lru_cache(maxsize=1024)
def _hash8(task_id: str) -> str:
    return hashlib.sha256(task_id.encode("utf-8", "surrogateescape")).hexdigest()[:8]
