"""``orphans``: jobs that no run refers to, and their removal."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing

import click

from xpm_remote.cli.context import Context
from xpm_remote.cli.jobs_shared import open_location
from xpm_remote.cli.options import (
    JobsLocation,
    confirm,
    format_option,
    location_options,
    yes_option,
)
from xpm_remote.cli.output import examples, print_json, print_lines
from xpm_remote.errors import FolderError, UsageError, WorkspaceError
from xpm_remote.jobs.interface import Jobs
from xpm_remote.ui.documents import json_line
from xpm_remote.ui.reports.orphans import (
    clean_lines,
    cleaned_document,
    cleaned_line,
    is_bad,
    orphan_documents,
    orphan_lines,
    question,
)
from xpm_remote.ui.text import count_text
from xpm_remote.workspace.outcomes import CleanOutcome, CleanStep, OrphanReport


@click.command(
    name="orphans",
    epilog=examples(
        "experimaestro orphans --workspace neuralir --size",
        "experimaestro orphans /data/experiments --no-folders",
        "experimaestro orphans --clean",
    ),
)
@click.argument("path", required=False)
@click.option(
    "--include-folders/--no-folders",
    "with_folders",
    default=True,
    help="Whether a job that a backup or move folder has is recoverable, and no orphan.",
)
@click.option("--size", "with_sizes", is_flag=True, help="Show what each takes on the disk.")
@click.option("--clean", "is_cleaning", is_flag=True, help="Delete the orphans, after a question.")
@yes_option
@click.option(
    "--force",
    is_flag=True,
    help="Clean while an experiment runs, or what is a folder of another workspace."
    " A job that runs is kept in any case.",
)
@format_option
@location_options
@click.pass_obj
def orphans(
    context: Context,
    /,
    *,
    path: str | None,
    with_folders: bool,
    with_sizes: bool,
    is_cleaning: bool,
    is_sure: bool,
    force: bool,
    is_json: bool,
    location: JobsLocation,
) -> None:
    """List the jobs that no run of any experiment refers to.

    PATH is the directory of the workspace; without it and --workspace, it is the first local one of the
    settings. Nothing is changed without --clean. With --format json, an object a line.
    """
    if not is_cleaning and (is_sure or force):
        raise UsageError("--yes and --force are about cleaning", "add --clean, or leave them out")
    if path and location.workdir:
        raise UsageError("PATH and --workdir say the same", "leave one out")
    location = location._replace(workdir=path or location.workdir)
    with open_location(context, location, acts=is_cleaning) as jobs:
        report = jobs.find_orphans(with_folders=with_folders, with_sizes=with_sizes)
        context.warn_unread((*report.unread, *report.unlisted))
        for folder in report.unavailable:
            context.warn(folder)
        if not is_json:
            print_lines(orphan_lines(report))
        elif not is_cleaning:
            print_json(map(json_line, orphan_documents(report)))
        if is_cleaning:
            steps = _plan(jobs, report, with_folders=with_folders, force=force)
            print_lines(() if is_json else clean_lines(steps))
            if _has_work(steps, is_sure=is_sure):
                work = jobs.clean_orphans(steps, with_folders=with_folders, force=force)
                _clean(work, is_json=is_json)


def _plan(
    jobs: Jobs, report: OrphanReport, *, with_folders: bool, force: bool
) -> Sequence[CleanStep]:
    """Plan the removal of the orphans.

    Raises:
        WorkspaceError: The workspace is a folder of another one.
    """
    if jobs.keepers and not force:
        names = ", ".join(jobs.keepers)
        raise WorkspaceError(
            f"{jobs.layout.root} is a folder of the workspace {names}, whose runs may refer to any job in it",
            "give --force if none does",
        )
    return jobs.plan_orphans(report, with_folders=with_folders, force=force)


def _has_work(steps: Sequence[CleanStep], *, is_sure: bool) -> bool:
    """Ask before something is deleted; return whether there is anything to do, or to report as not done."""
    asked = question(steps)
    if asked:
        confirm(asked, is_sure=is_sure)
    return bool(asked) or any(step.is_unknown for step in steps)


def _clean(work: Generator[CleanOutcome, None, None], *, is_json: bool) -> None:
    """Delete the orphans.

    Raises:
        FolderError: Some could not be deleted, or not everything that must be known could be read.
        BusyError: An experiment runs.
    """
    failed = 0
    with closing(work):
        for outcome in work:
            if is_json:
                print_json([json_line(cleaned_document(outcome))])
            else:
                click.echo(cleaned_line(outcome))
            failed += is_bad(outcome)
    if failed:
        raise FolderError(
            f"{count_text(failed, 'job')} could not be deleted", "see the lines above"
        )
