"""``jobs list``: the jobs of the current runs."""

from __future__ import annotations

from collections.abc import Iterator

import click

from xpm_remote.cli.asking import filter_option
from xpm_remote.cli.context import Context
from xpm_remote.cli.jobs_place import Where, open_place, place_options
from xpm_remote.cli.options import format_option
from xpm_remote.model.filters import Filter
from xpm_remote.ui.document import encode
from xpm_remote.ui.job_list import job_document, job_lines
from xpm_remote.ui.plain import Format


@click.command(
    name="list",
    epilog="Examples: experimaestro jobs list --tags"
    " · … jobs list --experiment neuralir --filter 'lr in [0.1, 0.01]'"
    " · … jobs list -c 10 --format json",
)
@click.option("--experiment", metavar="ID", help="Only jobs of this experiment.")
@click.option("--tags", is_flag=True, help="Show the tags.")
@filter_option
@click.option("--fullpath", is_flag=True, help="Show directories instead of ids.")
@click.option(
    "-c",
    "--count",
    type=click.IntRange(min=0),
    metavar="N",
    help="Only the N that were submitted last.",
)
@format_option
@place_options
@click.pass_obj
def list_jobs(
    context: Context,
    /,
    *,
    experiment: str | None,
    tags: bool,
    accepts: Filter | None,
    fullpath: bool,
    count: int | None,
    form: str,
    where: Where,
) -> None:
    """List jobs.

    Those of the current run of each experiment, each once, the one that was submitted last first. With
    --format json, an object a line.
    """
    with open_place(context, where) as place:
        found, problems = place.current(experiment)
    jobs = [job for job in found if accepts is None or accepts(job)][:count]
    lines: Iterator[str]
    if form == Format.JSON.value:
        lines = map(encode, map(job_document, jobs))
    else:
        lines = job_lines(jobs, with_tags=tags, with_paths=fullpath)
    for line in lines:
        click.echo(line)
    context.warn_unread(problems)
    if not jobs and form != Format.JSON.value:
        click.echo("No jobs found.", err=True)
