"""``jobs archive``: jobs that succeeded, copied or moved to the folders of the workspace; once, or as they succeed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from xpm_remote.cli.context import Context
from xpm_remote.cli.hanging import SAY_AFTER, watch_calls
from xpm_remote.cli.jobs_shared import (
    Selection,
    check_all_known,
    chosen_jobs,
    copy_jobs,
    error_of_left,
    open_location,
    read_texts,
    selection_options,
    some_of,
)
from xpm_remote.cli.options import JobsLocation, format_option, location_options
from xpm_remote.cli.output import examples, print_json, print_lines
from xpm_remote.errors import ExitCode, FolderError, UsageError
from xpm_remote.escaping import safe
from xpm_remote.jobs.interface import Jobs
from xpm_remote.ui.documents import json_line
from xpm_remote.ui.reports.jobs import (
    archive_outcome_document,
    archive_outcome_lines,
    archive_plan_document,
    archive_plan_lines,
)
from xpm_remote.ui.text import count_text
from xpm_remote.waiting import handled_signals
from xpm_remote.workspace import filesystem
from xpm_remote.workspace.failures import UnreadFile
from xpm_remote.workspace.folders.finding import archives
from xpm_remote.workspace.layout import JobFiles, JobId
from xpm_remote.workspace.outcomes import ArchiveOutcome, ArchiveStatus, ArchiveVerdict
from xpm_remote.workspace.reading.lookup import Lookup

_FAILED = {ArchiveStatus.UNAVAILABLE, ArchiveStatus.FAILED, ArchiveStatus.DIFFERS}


@click.command(
    name="archive",
    epilog=examples(
        "experimaestro jobs archive xpmir.learn.learner/0a1b",
        "experimaestro jobs archive --all",
        "experimaestro jobs archive --experiment neuralir --filter 'lr = 0.1'",
        "experimaestro jobs archive --watch",
    ),
)
@selection_options
@click.option("--all", "is_all", is_flag=True, help="Every job that succeeded.")
@click.option(
    "--watch",
    "is_watching",
    is_flag=True,
    help="Go on with each job that succeeds, until Ctrl-C; alone, or with --all.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@format_option
@location_options
@click.pass_obj
def archive(
    context: Context,
    /,
    *,
    selection: Selection,
    is_all: bool,
    is_watching: bool,
    dry_run: bool,
    is_json: bool,
    location: JobsLocation,
) -> int | None:
    """Copy or move jobs that succeeded to the backup and move folders of the workspace.

    ID is task/hash, the beginning of one, or a pattern with * and ?. Without one, --experiment and --filter
    choose among the jobs of the current runs, and --all means every job of the workspace; those that have not
    succeeded are left out then. Copies are checked before anything is removed; one that is there already is
    verified. With --format json, an object a job.
    """
    _check(selection, is_all=is_all, is_watching=is_watching, dry_run=dry_run)
    texts = ["*/*"] if is_all else list(read_texts(selection.ids, selection.from_file))
    with open_location(context, location, acts=not dry_run) as jobs:
        if not archives(jobs.folders):
            raise FolderError(
                f"the workspace at {jobs.layout.root} has no folder of the mode backup or move",
                f"add one under folders in {context.settings_path}",
            )
        if is_watching:
            return watch(context, jobs, with_all=is_all, is_json=is_json)
        found, unread = _find(jobs, selection, texts, is_all=is_all)
        context.warn_unread(unread)
        plans = jobs.plan_archive(found)
        # Of jobs that are not named, those that are not to be archived anyway are left out.
        wanted = (ArchiveVerdict.ARCHIVE, ArchiveVerdict.UNREADABLE)
        plans = [plan for plan in plans if selection.is_named or plan.verdict in wanted]
        if not is_json:
            print_lines(archive_plan_lines(plans))
        elif dry_run:
            print_json(map(json_line, map(archive_plan_document, plans)))
        if not dry_run:
            outcomes = copy_jobs(
                "archiving",
                sum(plan.size * len(plan.steps) for plan in plans),
                sum(plan.files * len(plan.steps) for plan in plans),
                [plan.job for plan in plans],
                lambda left, progress: jobs.archive(left, progress=progress),
                lambda outcome: print_outcome(outcome, is_json=is_json),
            )
            _judge(outcomes)
        check_all_known([each for each in unread if each.error])
    return None


def _check(selection: Selection, *, is_all: bool, is_watching: bool, dry_run: bool) -> None:
    """Check that the options name jobs, in one way.

    Raises:
        UsageError: They do not.
    """
    selection.check()
    is_some = selection.is_named or selection.is_filtered
    if not (is_some or is_all or is_watching):
        raise UsageError(
            "no job is named", "give ids, --from-file, --experiment, --filter, --all or --watch"
        )
    if (is_some and (is_all or is_watching)) or (is_watching and dry_run):
        raise UsageError("these options exclude each other", "see jobs archive --help")


def _find(
    jobs: Jobs, selection: Selection, texts: Sequence[str], *, is_all: bool
) -> tuple[list[JobId], list[UnreadFile]]:
    """Find the jobs that are meant, and what could not be read, so that there may be more.

    Raises:
        BadIdFailure: One cannot be an id.
        NoJobFailure: One means no job (but for all, of which there may be none), or could be several.
    """
    if selection.is_filtered:
        chosen, unread = chosen_jobs(jobs, selection.experiment, selection.accepts)
        return [job.facts.id for job in chosen], unread
    found = jobs.find(texts)
    meant = (job for each in found for job in (each.jobs if is_all else some_of(each)))
    unlisted = (problem for each in found for problem in each.unlisted)
    return list(dict.fromkeys(meant)), list(dict.fromkeys(unlisted))


def print_outcome(outcome: ArchiveOutcome, *, is_json: bool) -> None:
    """Print the outcome of a job."""
    if is_json:
        print_json([json_line(archive_outcome_document(outcome))])
    else:
        print_lines(archive_outcome_lines(outcome))


def _judge(outcomes: Sequence[ArchiveOutcome]) -> None:
    """Raise an error when not all jobs are archived; a job that is marked so need not be.

    Raises:
        FolderError: A folder failed.
        BusyError: Another process writes a job.
        SomeMissingError: Some of the jobs have not succeeded, or are not there.
        NoJobFoundError: None of them has.
    """
    left = [
        each
        for each in outcomes
        if not each.is_archived and each.verdict is not ArchiveVerdict.OPTED_OUT
    ]
    if left:
        statuses = {folder.status for each in left for folder in each.folders}
        raise error_of_left(
            len(left),
            len(outcomes),
            "archived",
            is_failed=bool(statuses & _FAILED)
            or any(each.verdict is ArchiveVerdict.UNREADABLE for each in left),
            is_busy=ArchiveStatus.BUSY in statuses,
        )


LOOK_INTERVAL = 5.0
"""Seconds between two looks for jobs that have succeeded: a shared file system does not announce them, and a look costs
a call for each that has not."""


def watch(context: Context, jobs: Jobs, *, with_all: bool, is_json: bool) -> int:
    """Archive each job that succeeds, until a signal comes; then what was found is still archived.

    Args:
        context: Prints warnings.
        jobs: Those of the workspace.
        with_all: Whether the jobs that have succeeded before count, too.
        is_json: Whether to print JSON.

    Returns:
        The exit status.

    Raises:
        FolderError: Not all of them could be archived.
        UsageError: The workspace is on another host.
    """
    from xpm_remote.workspace.folders.archiver import Archiver

    if not jobs.is_local:
        raise UsageError(
            "--watch is for workspaces of this machine",
            "run `jobs archive --all` from time to time; what is archived already is verified only",
        )
    known: set[JobId] = set()
    unlisted: set[str] = set()

    def fresh() -> list[JobId]:
        """Return the jobs that have succeeded since the last look."""
        lookup = Lookup([jobs.layout])
        ended = [
            job
            for job in lookup.all()
            if job not in known and _has_succeeded(jobs.layout.job_files(job))
        ]
        context.warn_unread(lookup.unlisted[path] for path in lookup.unlisted.keys() - unlisted)
        unlisted.clear()
        unlisted.update(lookup.unlisted)
        known.update(ended)
        return ended

    if not with_all:
        fresh()
    with _stop_requested() as requested:
        worker = Archiver(
            jobs.layout, jobs.folders, lambda outcome: print_outcome(outcome, is_json=is_json)
        )
        click.echo(f"watching {safe(str(jobs.layout.jobs))}; Ctrl-C ends it", err=True)
        try:
            while True:
                for job in fresh():
                    worker.submit(job)
                if requested.wait(LOOK_INTERVAL):
                    break
        finally:
            report = worker.close()
    if report.left:
        left = count_text(len(report.left), "job")
        raise FolderError(f"{left} could not be archived", "run `jobs archive --all`")
    return ExitCode.OK


def _has_succeeded(files: JobFiles) -> bool:
    """Return whether a job has its success marker; one that cannot be read now is looked at again."""
    try:
        return filesystem.stat_or_none(files.done) is not None
    except OSError:
        return False


@contextmanager
def _stop_requested() -> Iterator[threading.Event]:
    """Yield an event that a signal sets instead of ending the program; a second one ends it."""
    event = threading.Event()
    watch_calls(leave_after=SAY_AFTER)

    def stop(number: int) -> None:
        event.set()
        restore(number)
        click.echo("finishing what was found; once more to give it up", err=True)

    with handled_signals(stop) as restore:
        yield event
