"""Jobs: those of the current runs of a workspace of this machine, and those that arguments mean."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from xpm_remote.errors import NoJobFoundError, UsageError
from xpm_remote.escaping import nearest, quoted
from xpm_remote.ui.job_list import ListedJob
from xpm_remote.workspace.failures import NoJobFailure
from xpm_remote.workspace.layout import JobId, Layout
from xpm_remote.workspace.reading import current
from xpm_remote.workspace.reading.lookup import Found
from xpm_remote.workspace.reading.reader import WorkspaceReader


def current_jobs(reader: WorkspaceReader, experiment: str | None = None) -> list[ListedJob]:
    """Give the jobs of the current runs, each once, the one that was submitted last first.

    Args:
        reader: Reads the workspace.
        experiment: The experiment, if only one is wanted.

    Raises:
        NoJobFoundError: There is no such experiment.
    """
    found = current.current_jobs(reader, experiment)
    if found is None:
        raise no_experiment(experiment or "", reader.experiment_ids(), reader.layout)
    return [ListedJob(**job._asdict()) for job in found]


def no_experiment(experiment: str, known: Iterable[str], layout: Layout) -> NoJobFoundError:
    """Say that there is no experiment of that name."""
    hint = nearest(experiment, list(known)) or f"see {layout.experiments}"
    return NoJobFoundError(f"there is no experiment {quoted(experiment)}", hint)


def one_of(found: Found) -> JobId:
    """Give the one job that a text means.

    Raises:
        NoJobFailure: It means no job, or several.
    """
    jobs = some_of(found)
    if len(jobs) > 1:
        raise NoJobFailure(f"{found.text!r} means {len(jobs)} jobs", "give the id of one")
    return jobs[0]


def some_of(found: Found) -> tuple[JobId, ...]:
    """Give the jobs that a text means.

    Raises:
        NoJobFailure: It means no job.
    """
    if not found.jobs:
        raise NoJobFailure(f"there is no job {found.text!r}", "list them with `jobs list`")
    return found.jobs


def read_texts(arguments: Iterable[str], file: str | None) -> Iterator[str]:
    """Give the ids of the command line, then those of a file: one a line, ``-`` is standard input.

    Empty lines, and what follows a ``#``, do not count.

    Raises:
        UsageError: The file cannot be read.
    """
    yield from arguments
    if file is None:
        return
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(f"the file {file} cannot be read: {_why(error)}") from error
    for line in text.splitlines():
        job = line.partition("#")[0].strip()
        if job:
            yield job


def _why(error: OSError | ValueError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "it is not UTF-8 text"
