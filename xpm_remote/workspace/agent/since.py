"""What has changed since a time, told by the files' own times of change, without reading them.

The time of change (ctime) is set by the file system and by nobody else: a job that is renamed into its place, with all
its old times of modification, shows there.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from xpm_remote.workspace.layout import Layout
from xpm_remote.workspace.reading.directories import DIRECTORY, LINK
from xpm_remote.workspace.reading.runs import RunFacts

SLACK = 120.0
"""Seconds before the time in question that are looked at, too: a file server's clock may differ from the host's."""


def run_changed(layout: Layout, run: RunFacts, since: float) -> bool:
    """Tell whether a run's files may have changed since a time (epoch seconds)."""
    experiment = layout.experiment(run.experiment_id)
    directory = experiment / run.run_id
    paths = (experiment, directory / "status.json", directory / "jobs.jsonl")
    return any(_changed(path, since) for path in paths)


def place_unless_changed(job: Path, since: float) -> str | None:
    """Say what is at a job's path if nothing of it has changed since a time; None when it may have, or is not there."""
    try:
        found = os.lstat(job)
    except OSError:
        return None
    if found.st_ctime >= since - SLACK:
        return None
    own = job / ".experimaestro"
    if any(_changed(path, since) for path in (job, own, own / "status.json")):
        return None
    return LINK if stat.S_ISLNK(found.st_mode) else DIRECTORY


def _changed(path: Path, since: float) -> bool:
    try:
        return path.stat().st_ctime >= since - SLACK
    except OSError:
        return True
