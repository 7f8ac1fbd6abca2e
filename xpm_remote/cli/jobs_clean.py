"""``jobs clean``: remove the directories of jobs that have ended."""

from __future__ import annotations

from typing import Any

import click

from xpm_remote.cli.context import Context
from xpm_remote.cli.jobs_acting import act, acting_options, read_choice
from xpm_remote.cli.jobs_place import Where
from xpm_remote.workspace.agent.outcomes import CLEAN


@click.command(
    name="clean",
    epilog="Examples: experimaestro jobs clean xpmir.learn.learner/0a1b --perform"
    " · … jobs clean --experiment neuralir --filter 'lr = 0.1'",
)
@acting_options
@click.pass_obj
def clean(
    context: Context,
    /,
    *,
    where: Where,
    **given: Any,  # noqa: ANN401 - as declared above, each with its type
) -> None:
    """Remove the directories of jobs that have ended.

    Without --perform, only what would be done is shown. ID is task/hash, the beginning of one, or a pattern
    with * and ?; without one, the jobs of the current runs are meant, or those of --experiment and
    --filter. Of a job that runs or waits nothing is removed, nor through a link, as that of a moved job.
    """
    act(context, where, CLEAN, read_choice(given))
