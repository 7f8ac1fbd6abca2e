"""``jobs failures`` and ``jobs detail``: why jobs failed, and what is known of one."""

from __future__ import annotations

import click

from xpm_remote.cli.context import Context
from xpm_remote.cli.jobs_shared import one_of, open_location
from xpm_remote.cli.options import JobsLocation, filter_option, format_option, location_options
from xpm_remote.cli.output import examples, print_json, print_lines
from xpm_remote.errors import NoJobFoundError, unreadable_error
from xpm_remote.model.causes import Cause, find_causes
from xpm_remote.model.filters import Filter
from xpm_remote.model.tells_apart import Distinction, tells_apart, traits_of
from xpm_remote.ui.documents import json_line
from xpm_remote.ui.reports.inspecting import (
    cause_document,
    cause_lines,
    detail_document,
    detail_lines,
)
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.reading.jobs import CurrentJob
from xpm_remote.workspace.states import State

JOBS_SHOWN = 3
"""Jobs of a cause that are shown unless another number is given."""


@click.command(
    name="failures",
    epilog=examples(
        "experimaestro jobs failures",
        "experimaestro jobs failures --experiment neuralir --filter 'lr > 0.01' -c 20",
        "experimaestro jobs --workspace my-cluster failures --format json",
    ),
)
@click.option("--experiment", metavar="ID", help="Only jobs of this experiment.")
@filter_option
@click.option(
    "-c",
    "--count",
    type=click.IntRange(min=0),
    metavar="N",
    default=JOBS_SHOWN,
    show_default=True,
    help="Show N jobs of each cause.",
)
@format_option
@location_options
@click.pass_obj
def failures(
    context: Context,
    /,
    *,
    experiment: str | None,
    accepts: Filter | None,
    count: int,
    is_json: bool,
    location: JobsLocation,
) -> None:
    """Show why jobs failed, cause by cause.

    Of the jobs of the current runs. Jobs have one cause if the class of the exception, its message without numbers,
    paths and quoted text, and the last functions of the user's code are the same. A job that was not started since
    another one failed is with that one. A tag that the failed jobs have at least twice as often as those that
    succeeded is told, from five failures on. With --format json, an object a line for each cause.
    """
    with open_location(context, location) as jobs:
        found, problems = jobs.current(experiment)
        failed = [
            job for job in found if job.state == State.ERROR and (accepts is None or accepts(job))
        ]
        failed.sort(key=lambda job: -(job.ended or 0.0))
        ids = [job.facts.id for job in failed]
        causes = find_causes(("", each) for page in jobs.failures(ids, {}) for each in page)
    tags = {job.facts.id: job.tags for job in found}
    by_id = {job.facts.id: job for job in found}
    succeeded = [job for job in found if job.state == State.DONE]
    told = [(cause, _tells_apart(cause, by_id, succeeded)) for cause in causes]
    if is_json:
        print_json(json_line(cause_document(cause, apart, tags)) for cause, apart in told)
    else:
        for cause, apart in told:
            print_lines(cause_lines(cause, apart, tags, count))
    context.warn_unread(problems)
    if not causes and not is_json:
        click.echo("No failed jobs found.", err=True)
    unread = [each.path for each in problems if each.error]
    if unread:
        raise unreadable_error(unread)


def _tells_apart(
    cause: Cause, jobs: dict[JobId, CurrentJob], succeeded: list[CurrentJob]
) -> list[Distinction]:
    of_cause = [jobs[each.job] for each in cause.failed if each.job in jobs]
    return tells_apart(map(_traits, of_cause), map(_traits, succeeded))


def _traits(job: CurrentJob) -> frozenset[tuple[str, str]]:
    return traits_of(job.task_id, job.tags, job.experiments)


@click.command(
    name="detail",
    epilog=examples(
        "experimaestro jobs detail xpmir.learn.learner/0a1b",
        "experimaestro jobs --workspace my-cluster detail 0a1b2c --format json",
    ),
)
@click.argument("job", metavar="ID")
@format_option
@location_options
@click.pass_obj
def detail(context: Context, /, *, job: str, is_json: bool, location: JobsLocation) -> None:
    """Show what is known of a job.

    Why it failed, its times, tags and parameters, the jobs that it needs and those that need it, its tries and
    files. ID is task/hash, which may be shortened at the end of each part; of a hash alone, four characters do.
    """
    with open_location(context, location) as jobs:
        (result,) = jobs.find([job])
        chosen = one_of(result)
        found = jobs.detail(chosen)
        account = None if found is None else jobs.account(chosen)
        failure = None
        if found is not None and found.job.state == State.ERROR:
            failure = next((each for page in jobs.failures([chosen], {}) for each in page), None)
    if found is None:
        raise NoJobFoundError(f"there is no job {chosen}", "list them with `jobs list`")
    if is_json:
        print_json([json_line(detail_document(found, failure, account))])
    else:
        print_lines(detail_lines(found, failure, account))
