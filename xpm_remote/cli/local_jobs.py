"""Jobs of the current runs of a workspace of this machine."""

from __future__ import annotations

from collections.abc import Iterable

from xpm_remote.errors import NoJobFoundError
from xpm_remote.escaping import nearest, quoted
from xpm_remote.ui.job_list import ListedJob
from xpm_remote.workspace.layout import Layout
from xpm_remote.workspace.reading import current
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
