"""Judgements of single runs and jobs, for a client that another server serves."""

from __future__ import annotations

from typing import Any

from xpm_remote.workspace.agent.announcing import head, row
from xpm_remote.workspace.agent.scheduling import Scheduling
from xpm_remote.workspace.agent.wire import ParameterError, Params
from xpm_remote.workspace.reading.directories import list_jobs
from xpm_remote.workspace.reading.reader import REMOVED_WHEN_DONE, WorkspaceReader
from xpm_remote.workspace.reading.runs import RunFacts


def judge(reader: WorkspaceReader, queue: Scheduling, params: Params) -> dict[str, Any]:
    """Return the current runs of ``experiments``, and what all files say of some of their jobs.

    Params: ``experiments``, lists of the hashes of jobs by the id of an experiment. What cannot be read is left out.
    """
    asked = params.get("experiments")
    if not isinstance(asked, dict) or not all(isinstance(each, list) for each in asked.values()):
        message = "experiments has a list of hashes for each experiment"
        raise ParameterError(message)
    runs = _current(reader, list(asked))
    jobs = [
        facts
        for run in runs
        for facts in queue.all_judged(reader.jobs(_with_jobs(run, asked[run.experiment_id])))
        if not facts.unread
    ]
    return {
        "experiments": [head(run) for run in runs],
        "jobs": [str(facts.id) for facts in jobs],
        "rows": [row(number, facts) for number, facts in enumerate(jobs)],
    }


def find_missing(reader: WorkspaceReader, params: Params) -> dict[str, Any]:
    """Return the jobs of the current runs of ``experiments`` that have no directory, but those to be removed when done.

    Params: ``experiments``, ids. Each task's directory is listed once; what cannot be listed is not missing.
    """
    names = params.get("experiments")
    if not isinstance(names, list):
        message = "experiments is a list of ids"
        raise ParameterError(message)
    listed: dict[str, dict[str, str] | None] = {}
    missing = []
    for run in _current(reader, names):
        for job_id, info in run.job_infos.items():
            if info.task_id not in listed:
                listed[info.task_id] = _list(reader, info.task_id)
            entries = listed[info.task_id]
            is_missing = entries is not None and job_id not in entries
            if is_missing and info.transient != REMOVED_WHEN_DONE:
                missing.append(f"{info.task_id}/{job_id}")
    return {"jobs": missing}


def _current(reader: WorkspaceReader, names: list[str]) -> list[RunFacts]:
    return [run for run in map(reader.experiment, names) if run is not None and not run.unread]


def _with_jobs(run: RunFacts, hashes: list[str]) -> RunFacts:
    infos = run.job_infos
    return run._replace(job_infos={each: infos[each] for each in hashes if each in infos})


def _list(reader: WorkspaceReader, task_id: str) -> dict[str, str] | None:
    try:
        return list_jobs(str(reader.layout.jobs / task_id))
    except OSError:
        return None
