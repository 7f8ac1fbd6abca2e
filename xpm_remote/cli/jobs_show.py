"""``jobs list`` and ``jobs path``: the jobs of the current runs, and where they are."""

from __future__ import annotations

import time

import click

from xpm_remote.cli.context import Context
from xpm_remote.cli.jobs_shared import one_of, open_location
from xpm_remote.cli.options import JobsLocation, filter_option, format_option, location_options
from xpm_remote.cli.output import examples, print_json, print_lines
from xpm_remote.errors import NoJobFoundError, unreadable_error
from xpm_remote.model.filters import Filter
from xpm_remote.ui.documents import json_line
from xpm_remote.ui.reports.jobs import COLUMNS, column_lines, job_document, job_lines, warning_lines
from xpm_remote.ui.waits import waiting_text
from xpm_remote.workspace.reading.jobs import CurrentJob


def _columns(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...]:
    """Return the names of columns."""
    names = tuple(each.strip() for each in (value or "").split(",") if each.strip())
    for name in names:
        if name not in COLUMNS:
            raise click.BadParameter(f"{name!r} is none of {', '.join(COLUMNS)}")
    return names


@click.command(
    name="list",
    epilog=examples(
        "experimaestro jobs list --tags",
        "experimaestro jobs list --experiment neuralir --filter 'lr in [0.1, 0.01]'",
        "experimaestro jobs list --columns state,id,slurm,reason,starts",
        "experimaestro jobs list -c 10 --format json",
    ),
)
@click.option("--experiment", metavar="ID", help="Only jobs of this experiment.")
@click.option("--tags", is_flag=True, help="Show the tags.")
@filter_option
@click.option(
    "--columns",
    metavar="NAMES",
    callback=_columns,
    help="Show these instead, as in state,id,slurm,reason,nodes; all: " + ", ".join(COLUMNS) + ".",
)
@click.option("--fullpath", is_flag=True, help="Show directories instead of ids.")
@click.option(
    "-c",
    "--count",
    type=click.IntRange(min=0),
    metavar="N",
    help="Only the N that were submitted last.",
)
@format_option
@location_options
@click.pass_obj
def list_jobs(
    context: Context,
    /,
    *,
    experiment: str | None,
    tags: bool,
    columns: tuple[str, ...],
    accepts: Filter | None,
    fullpath: bool,
    count: int | None,
    is_json: bool,
    location: JobsLocation,
) -> None:
    """List jobs.

    Those of the current run of each experiment, each once, the one that was submitted last first. With
    --format json, an object a line.
    """
    with open_location(context, location) as jobs:
        found, problems = jobs.current(experiment)
    chosen = [job for job in found if accepts is None or accepts(job)][:count]
    if is_json:
        print_json(map(json_line, map(job_document, chosen)))
    elif columns:
        print_lines(column_lines(chosen, columns))
    else:
        print_lines(job_lines(chosen, with_tags=tags, with_paths=fullpath))
    if not is_json:
        _tell_scheduler(chosen)
    context.warn_unread(problems)
    if not chosen and not is_json:
        click.echo("No jobs found.", err=True)
    unread = [each.path for each in problems if each.error]
    if unread:
        raise unreadable_error(unread)


def _tell_scheduler(jobs: list[CurrentJob]) -> None:
    """Print what jobs wait for in SLURM, and where their files contradict it."""
    waits = waiting_text((job.row for job in jobs if job.row is not None), time.time())
    if waits:
        click.echo(f"Waiting in SLURM: {waits}", err=True)
    for line in warning_lines(jobs):
        click.echo(f"Warning: {line}", err=True)


@click.command(name="path", epilog=examples("experimaestro jobs path xpmir.learn.learner/0a1b"))
@click.argument("job", metavar="ID")
@location_options
@click.pass_obj
def path(context: Context, /, *, job: str, location: JobsLocation) -> None:
    """Print the directory of a job.

    ID is task/hash, which may be shortened at the end of each part; of a hash alone, four characters do.
    """
    with open_location(context, location) as jobs:
        found = one_of(jobs.find([job])[0])
        directory, is_there = jobs.directory(found)
    if not is_there:
        raise NoJobFoundError(f"{directory} leads to no directory", f"try `jobs recover {found}`")
    # Not escaped: scripts need the path itself. Its parts are checked ids.
    click.echo(directory)
