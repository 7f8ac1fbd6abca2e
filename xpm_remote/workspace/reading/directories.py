"""What is at the paths of jobs, listed once for each task: for reading very many jobs in a row."""

from __future__ import annotations

import os

DIRECTORY = "directory"
LINK = "link"
ABSENT = "absent"
UNKNOWN = "unknown"


class Directories:
    """What was at the paths of jobs when their tasks were first asked for.

    Args:
        jobs: ``jobs/`` of the workspace.
    """

    def __init__(self, jobs: str) -> None:
        self._jobs = jobs
        self._by_task: dict[str, dict[str, str] | None] = {}

    def at(self, task_id: str, job_id: str) -> str:
        """Say what is at a job's path: a directory (or anything else but a link), a link, nothing, or nobody knows."""
        try:
            found = self._by_task[task_id]
        except KeyError:
            found = self._by_task[task_id] = list_jobs(f"{self._jobs}/{task_id}")
        return UNKNOWN if found is None else found.get(job_id, ABSENT)


def list_jobs(task: str) -> dict[str, str] | None:
    """Say what is at the path of each job of a task, by the job's hash; None when the task cannot be listed."""
    try:
        with os.scandir(task) as entries:
            return {entry.name: LINK if entry.is_symlink() else DIRECTORY for entry in entries}
    except FileNotFoundError:
        return {}
    except OSError:
        return None
