"""Finding the runs of experiments, and reading one of them."""

# ruff: noqa: PTH112, PTH119  (paths are plain text here, as in the modules that read very many jobs)

from __future__ import annotations

import os
import re

from xpm_remote.workspace.processes import Host
from xpm_remote.workspace.reading.directories import is_directory, list_named
from xpm_remote.workspace.reading.json_files import (
    LARGE_LIMIT,
    JsonObject,
    Problems,
    read_lines,
    read_object,
    whole_of,
)
from xpm_remote.workspace.reading.live_events import LiveEvents
from xpm_remote.workspace.reading.runs import RUN_RUNNING, RUN_UNKNOWN, RunDraft, RunFacts

FIRST_RUN_ID = "v1"
"""The id of the only run of an experiment of version 1 of the layout."""

_RUN_NAME = re.compile(r"(\d{8}_\d{6})(?:\.(\d{1,9}))?")
_RUN_FILES = ("status.json", "jobs.jsonl", "environment.json")


class RunFiles:
    """Reads the runs of one workspace.

    Args:
        root: The workspace, absolute.
        events: Its live events.
        host: The host on which this code runs.
        problems: Where broken files are noted.
    """

    def __init__(self, root: str, events: LiveEvents, host: Host, problems: Problems) -> None:
        self._root = root
        self._experiments = f"{root}/experiments"
        self._first = f"{root}/xp"
        self._events = events
        self._host = host
        self._problems = problems

    def experiment_ids(self) -> list[str]:
        """Return the ids of all experiments, sorted."""
        found = {entry.name for entry in self._directories(self._experiments)}
        found.update(entry.name for entry in self._directories(self._first))
        return sorted(found)

    def run_ids(self, experiment_id: str) -> list[str]:
        """Return the ids of an experiment's runs, oldest first."""
        directory = f"{self._experiments}/{experiment_id}"
        found = [entry.name for entry in self._directories(directory) if _is_run(entry)]
        first = [FIRST_RUN_ID] if self._has_first(experiment_id) else []
        return first + sorted(found, key=_run_order)

    def current(self, experiment_id: str, run_ids: list[str]) -> str | None:
        """Return the id of the current run: where the experiment's link leads, or the latest."""
        for link in (
            f"{self._experiments}/{experiment_id}/current",
            self._events.older_current(experiment_id),
            f"{self._root}/.experimaestro/experiments/{experiment_id}",
        ):
            try:
                run_id = os.path.basename(os.readlink(link))
            except (OSError, ValueError):
                continue
            if run_id in run_ids:
                return run_id
        return run_ids[-1] if run_ids else None

    def read(self, experiment_id: str, run_id: str, runs_count: int) -> RunFacts:
        """Return the current run; one that has no files is empty."""
        draft = RunDraft(experiment_id, run_id)
        if run_id == FIRST_RUN_ID and self._has_first(experiment_id):
            # A run of version 1 is a tree of links and nothing else.
            for task in self._directories(f"{self._first}/{experiment_id}/jobs"):
                for job in list_named(task.path, self._problems):
                    draft.take_info({"task_id": task.name, "job_id": job.name})
            return draft.facts(None, runs_count)
        # Checked before the files are read: a scheduler that ends now counts as alive, and next time as ended.
        held = self._host.is_locked(f"{self._experiments}/{experiment_id}/lock")
        directory = f"{self._experiments}/{experiment_id}/{run_id}"
        status = self._object(f"{directory}/status.json")
        draft.take_status(status)
        path = f"{directory}/jobs.jsonl"
        named = [draft.take_info(line) for line in read_lines(path, self._problems)]
        if not all(named):
            self._problems.note(path, "has a line that names no job")
        if draft.status in (RUN_RUNNING, RUN_UNKNOWN):
            draft.take_environment(self._object(f"{directory}/environment.json"))
        first = max(whole_of(status.get("events_count")) or 0, 0)
        for event in self._events.of_experiment(experiment_id, first):
            draft.take_event(event)
        return draft.facts(self._alive(draft, held=held), runs_count)

    def _alive(self, draft: RunDraft, *, held: bool) -> bool | None:
        """Return whether the scheduler of the current run lives; None when this host cannot know."""
        if held:
            return True
        if draft.status not in (RUN_RUNNING, RUN_UNKNOWN) or self._host.is_me(draft.hostname):
            return False
        return None

    def _has_first(self, experiment_id: str) -> bool:
        return os.path.isdir(f"{self._first}/{experiment_id}/jobs")

    def _object(self, path: str) -> JsonObject:
        return read_object(path, LARGE_LIMIT, self._problems) or {}

    def _directories(self, path: str) -> list[os.DirEntry[str]]:
        entries = list_named(path, self._problems)
        return [entry for entry in entries if is_directory(entry, self._problems)]


def _is_run(entry: os.DirEntry[str]) -> bool:
    if _RUN_NAME.fullmatch(entry.name):
        return True
    return any(os.path.lexists(f"{entry.path}/{name}") for name in _RUN_FILES)


def _run_order(run_id: str) -> tuple[str, int, str]:
    """Return a key that sorts runs by their time, and the runs of one second by their number."""
    named = _RUN_NAME.fullmatch(run_id)
    return (named[1], int(named[2] or 0), run_id) if named else (run_id, 0, run_id)
