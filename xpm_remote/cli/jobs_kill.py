"""``jobs kill``: end the processes of jobs, with all that they started."""

from __future__ import annotations

from typing import Any

import click

from xpm_remote.cli.context import Context
from xpm_remote.cli.jobs_acting import act, acting_options, read_choice
from xpm_remote.cli.jobs_place import Where
from xpm_remote.workspace.agent.outcomes import KILL


@click.command(
    name="kill",
    epilog="Examples: experimaestro jobs kill xpmir.learn.learner/0a1b --perform"
    " · … jobs kill --experiment neuralir --filter 'lr = 0.1'",
)
@acting_options
@click.pass_obj
def kill(
    context: Context,
    /,
    *,
    where: Where,
    **given: Any,  # noqa: ANN401 - as declared above, each with its type
) -> None:
    """End the processes of jobs, with all that they started.

    Without --perform, only what would be done is shown. ID is task/hash, the beginning of one, or a pattern
    with * and ?; without one, the jobs of the current runs are meant, or those of --experiment and
    --filter. A process is ended by SIGTERM, and by SIGKILL ten seconds later; a job of SLURM by scancel.
    Only what is surely the process of the job is ended.
    """
    act(context, where, KILL, read_choice(given))
