"""``jobs archive``: jobs that succeeded, copied or moved to the folders of the workspace; once, or as they succeed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import click

from xpm_remote.cli.context import Context
from xpm_remote.cli.jobs_shared import copy_jobs, error_of_left, open_location, read_texts, some_of
from xpm_remote.cli.options import JobsLocation, format_option, from_file_option, location_options
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
from xpm_remote.ui.text import Format, count_text
from xpm_remote.workspace.folders.finding import archives
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.outcomes import ArchiveOutcome, ArchivePlan, ArchiveStatus, ArchiveVerdict
from xpm_remote.workspace.reading.lookup import Lookup

_FAILED = {ArchiveStatus.UNAVAILABLE, ArchiveStatus.FAILED, ArchiveStatus.DIFFERS}


@click.command(
    name="archive",
    epilog="Examples: experimaestro jobs archive xpmir.learn.learner/0a1b · … jobs archive --all"
    " · … jobs archive --watch",
)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "is_all", is_flag=True, help="Every job that succeeded.")
@from_file_option
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
    ids: tuple[str, ...],
    is_all: bool,
    from_file: str | None,
    is_watching: bool,
    dry_run: bool,
    form: str,
    location: JobsLocation,
) -> int | None:
    """Copy or move jobs that succeeded to the backup and move folders of the workspace.

    ID is task/hash, the beginning of one, or a pattern with * and ?. Copies are checked before anything is
    removed; one that is there already is verified. With --format json, an object a job.
    """
    has_ids = bool(ids) or from_file is not None
    if not (has_ids or is_all or is_watching):
        raise UsageError("no job is named", "give ids, --from-file, --all or --watch")
    if (has_ids and (is_all or is_watching)) or (is_watching and dry_run):
        raise UsageError("these options exclude each other", "see jobs archive --help")
    is_json = form == Format.JSON.value
    texts = ["*/*"] if is_all else list(read_texts(ids, from_file))
    with open_location(context, location) as jobs:
        if not archives(jobs.folders):
            raise FolderError(
                f"the workspace at {jobs.layout.root} has no folder of the mode backup or move",
                f"add one under folders in {context.settings_path}",
            )
        if is_watching:
            return watch(jobs, with_all=is_all, is_json=is_json)
        plans = jobs.plan_archive(_find(jobs, texts, is_all=is_all))
        _archive(jobs, _wanted(plans, is_all=is_all), is_dry=dry_run, is_json=is_json)
    return None


def _find(jobs: Jobs, texts: Sequence[str], *, is_all: bool) -> list[JobId]:
    """Find the jobs that texts mean.

    Raises:
        BadIdFailure: One cannot be an id.
        NoJobFailure: One means no job (but for all, of which there may be none), or could be several.
    """
    found = jobs.find(texts)
    return list(
        dict.fromkeys(job for each in found for job in (each.jobs if is_all else some_of(each)))
    )


def _wanted(plans: Iterable[ArchivePlan], *, is_all: bool) -> Iterator[ArchivePlan]:
    """Leave out, of all jobs, those that are not to be archived anyway."""
    return (each for each in plans if not is_all or each.verdict is ArchiveVerdict.ARCHIVE)


def _archive(jobs: Jobs, plans: Iterable[ArchivePlan], *, is_dry: bool, is_json: bool) -> None:
    found = list(plans)
    lines = (
        map(json_line, map(archive_plan_document, found)) if is_json else archive_plan_lines(found)
    )
    for line in lines if is_dry or not is_json else ():
        click.echo(line)
    if not is_dry:
        _judge(_carry_out(jobs, found, is_json=is_json))


def _carry_out(jobs: Jobs, plans: Sequence[ArchivePlan], *, is_json: bool) -> list[ArchiveOutcome]:
    copies = [(plan, len(plan.steps)) for plan in plans]
    size = sum(plan.size * count for plan, count in copies)
    files = sum(plan.files * count for plan, count in copies)
    chosen = [plan.job for plan in plans]
    return copy_jobs(
        "archiving",
        size,
        files,
        lambda progress: jobs.archive(chosen, progress=progress),
        lambda outcome: print_outcome(outcome, is_json=is_json),
    )


def print_outcome(outcome: ArchiveOutcome, *, is_json: bool) -> None:
    """Print what came of a job."""
    lines = (
        [json_line(archive_outcome_document(outcome))]
        if is_json
        else archive_outcome_lines(outcome)
    )
    for line in lines:
        click.echo(line)


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
            is_failed=bool(statuses & _FAILED),
            is_busy=ArchiveStatus.BUSY in statuses,
        )


LOOK_INTERVAL = 5.0
"""Seconds between two looks for jobs that have succeeded: a shared file system does not announce them, and a look costs
a call for each that has not."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def watch(jobs: Jobs, *, with_all: bool, is_json: bool) -> int:
    """Archive each job that succeeds, until a signal comes; then what was found is still archived.

    Args:
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
    succeeded = _Succeeded(jobs)
    if not with_all:
        succeeded.fresh()
    with _told_to_stop() as is_told:
        worker = Archiver(
            jobs.layout, jobs.folders, lambda outcome: print_outcome(outcome, is_json=is_json)
        )
        click.echo(f"watching {safe(str(jobs.layout.jobs))}; Ctrl-C ends it", err=True)
        try:
            while True:
                for job in succeeded.fresh():
                    worker.submit(job)
                if is_told.wait(LOOK_INTERVAL):
                    break
        finally:
            report = worker.close()
    if report.left:
        left = count_text(len(report.left), "job")
        raise FolderError(f"{left} could not be archived", "run `jobs archive --all`")
    return ExitCode.OK


class _Succeeded:
    """The jobs that have succeeded since one looked last."""

    def __init__(self, jobs: Jobs) -> None:
        self._layout = jobs.layout
        self._known: set[JobId] = set()

    def fresh(self) -> list[JobId]:
        """Look."""
        found = [
            job
            for job in Lookup([self._layout]).all()
            if job not in self._known and self._layout.job_files(job).done.exists()
        ]
        self._known.update(found)
        return found


@contextmanager
def _told_to_stop() -> Iterator[threading.Event]:
    """Take the signals that end a program as a wish to stop; a second one ends it."""
    event = threading.Event()
    before: dict[signal.Signals, Any] = {}

    def stop(number: int, _: FrameType | None) -> None:
        event.set()
        signal.signal(number, before[signal.Signals(number)])
        click.echo("finishing what was found; once more to give it up", err=True)

    for number in _SIGNALS:
        before[number] = signal.signal(number, stop)
    try:
        yield event
    finally:
        for number in _SIGNALS:
            signal.signal(number, before[number])
