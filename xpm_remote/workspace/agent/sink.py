"""Who is told what is found in a workspace."""

from __future__ import annotations

from typing import Protocol

from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.reading.jobs import JobFacts
from xpm_remote.workspace.reading.runs import RunFacts


class Sink(Protocol):
    """Takes what is found; each call is complete in itself."""

    def runs(self, runs: list[RunFacts], removed: list[str], names: list[str] | None) -> None:
        """Take runs that are new or other than before; ``names``: all experiments, when the list was read."""

    def listed(self, run: RunFacts, job_ids: list[str]) -> None:
        """Take jobs of a run that are new in it, or of which its scheduler says something else."""

    def jobs(self, jobs: list[JobFacts]) -> None:
        """Take jobs that are new or other than before."""

    def gone(self, job_ids: list[JobId]) -> None:
        """Take the ids of jobs that no run lists any more."""

    def loaded(self) -> None:
        """Take note that everything has been told once."""
