"""The jobs of the current runs, each once, with what the runs say of it."""

from __future__ import annotations

from typing import Any, NamedTuple

from xpm_remote.workspace import states
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.reading.jobs import JobFacts
from xpm_remote.workspace.reading.json_files import JsonObject
from xpm_remote.workspace.reading.reader import WorkspaceReader
from xpm_remote.workspace.states import Process, Progress


class CurrentJob(NamedTuple):
    """A job of current runs.

    Attributes:
        facts: What its files say.
        tags: Its tags.
        experiments: The experiments whose current run has it.
    """

    facts: JobFacts
    tags: JsonObject
    experiments: tuple[str, ...]

    @property
    def state(self) -> str:
        """The state to show."""
        return self.facts.state

    @property
    def task_id(self) -> str:
        """The task."""
        return self.facts.task_id

    def to_wire(self) -> JsonObject:
        """Give it as plain JSON types; times are epoch seconds."""
        facts = self.facts._asdict()
        facts["progress"] = [list(each) for each in self.facts.progress]
        facts["process"] = list(self.facts.process) if self.facts.process else None
        return {"facts": facts, "tags": self.tags, "experiments": list(self.experiments)}

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> CurrentJob:
        """Read what ``to_wire`` gave.

        Raises:
            KeyError, TypeError: It is something else.
        """
        facts = dict(wire["facts"])
        facts["progress"] = tuple(Progress(*each) for each in facts["progress"])
        facts["process"] = Process(*facts["process"]) if facts["process"] else None
        return cls(JobFacts(**facts), wire["tags"], tuple(wire["experiments"]))


def current_jobs(reader: WorkspaceReader, experiment: str | None = None) -> list[CurrentJob] | None:
    """Give the jobs of the current runs, the one that was submitted last first; None for an unknown experiment.

    Args:
        reader: Reads the workspace.
        experiment: The experiment, if only one is wanted.
    """
    runs = reader.experiments() if experiment is None else [reader.experiment(experiment)]
    found: dict[JobId, CurrentJob] = {}
    for run in runs:
        if run is None:
            return None
        for facts in reader.jobs(run):
            tags = run.job_infos[facts.job_id].tags
            job = CurrentJob(facts, tags, (run.experiment_id,))
            before = found.get(facts.id)
            found[facts.id] = job if before is None else _merged(before, job)
    return sorted(found.values(), key=_age)


def _merged(first: CurrentJob, second: CurrentJob) -> CurrentJob:
    """One job of two experiments: the further state counts, and the later submission."""
    shown = states.further(first.facts.state, second.facts.state)
    facts = first.facts if shown == first.facts.state else second.facts
    times = [each.facts.submitted for each in (first, second) if each.facts.submitted is not None]
    return CurrentJob(
        facts._replace(submitted=max(times, default=None)),
        {**first.tags, **second.tags},
        (*first.experiments, *second.experiments),
    )


def _age(job: CurrentJob) -> tuple[float, JobId]:
    submitted = job.facts.submitted
    return (float("inf") if submitted is None else -submitted, job.facts.id)
