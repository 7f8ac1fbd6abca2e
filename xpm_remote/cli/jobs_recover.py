"""``jobs recover``: jobs brought back from the folders of the workspace."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import click

from xpm_remote.cli.context import Context
from xpm_remote.cli.jobs_shared import (
    Selection,
    check_all_known,
    chosen_jobs,
    copy_jobs,
    error_of_left,
    open_location,
    read_texts,
    selection_options,
)
from xpm_remote.cli.options import JobsLocation, format_option, location_options
from xpm_remote.cli.output import examples, print_json, print_lines
from xpm_remote.errors import UsageError
from xpm_remote.escaping import safe
from xpm_remote.jobs.interface import Jobs
from xpm_remote.ui.documents import json_line
from xpm_remote.ui.reports.jobs import (
    recovery_outcome_document,
    recovery_outcome_line,
    recovery_plan_document,
    recovery_plan_lines,
    recovery_total,
    unknown_document,
)
from xpm_remote.workspace.failures import BadIdFailure, UnreadFile
from xpm_remote.workspace.layout import JobId, parse_job_id
from xpm_remote.workspace.outcomes import RecoveryOutcome, RecoveryPlan, RecoveryStatus


@click.command(
    name="recover",
    epilog=examples(
        "experimaestro jobs recover xpmir.learn.learner/0a1b",
        "experimaestro jobs recover 'xpmir.learn.*/*' --dry-run",
        "experimaestro jobs recover --missing",
        "experimaestro jobs recover --missing --experiment neuralir",
    ),
)
@selection_options
@click.option(
    "--missing", is_flag=True, help="Also every job that a run refers to and that is missing."
)
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--incomplete", is_flag=True, help="Take copies that have no success marker, too.")
@format_option
@location_options
@click.pass_obj
def recover(
    context: Context,
    /,
    *,
    selection: Selection,
    missing: bool,
    dry_run: bool,
    incomplete: bool,
    is_json: bool,
    location: JobsLocation,
) -> None:
    """Bring jobs back from the folders of the workspace.

    ID is task/hash, the beginning of one, or a pattern with * and ?. Without one, --experiment and --filter
    choose among the jobs of the current runs; with --missing, only those of them that are missing. Each job
    comes from the first folder that has it whole, appears at once, and is never put over anything that could
    be lost. What was done already is kept when the command is interrupted. With --format json, an object a
    job.
    """
    selection.check()
    if not (selection.is_named or selection.is_filtered or missing):
        raise UsageError(
            "no job is named", "give ids, --from-file, --experiment, --filter or --missing"
        )
    texts = list(read_texts(selection.ids, selection.from_file))
    with open_location(context, location, acts=not dry_run) as jobs:
        chosen, unknown, unread = _find(jobs, selection, texts)
        hiding = [each for each in unread if each.error]
        plans = jobs.plan_recovery(chosen, incomplete=incomplete)
        if selection.is_filtered and missing:
            plans = [plan for plan in plans if plan.status is not RecoveryStatus.THERE]
        elif missing:
            more, problems = _missing(jobs, chosen, incomplete=incomplete)
            plans, unread, hiding = plans + more, unread + problems, hiding + problems
        context.warn_unread(unread)
        if is_json:
            for text in unknown:
                print_json([json_line(unknown_document(text, is_plan=dry_run))])
            print_json(map(json_line, map(recovery_plan_document, plans if dry_run else ())))
        else:
            for text in unknown:
                click.echo(f"{RecoveryStatus.NOT_FOUND.value}  {safe(text)}")
            print_lines((*recovery_plan_lines(plans), recovery_total(plans)))
        if dry_run:
            _judge(plans, unknown, hiding)
            return
        outcomes = _recover(jobs, plans, incomplete=incomplete, is_json=is_json)
    _judge(outcomes, unknown, hiding)


def _find(
    jobs: Jobs, selection: Selection, texts: Sequence[str]
) -> tuple[list[JobId], list[str], list[UnreadFile]]:
    """Return the jobs that are meant, the texts that mean none, and what could not be read.

    Raises:
        BadIdFailure: One cannot be an id.
        NoJobFailure: One could be several jobs.
    """
    if selection.is_filtered:
        current, problems = chosen_jobs(jobs, selection.experiment, selection.accepts)
        return [job.facts.id for job in current], [], problems
    chosen: dict[JobId, None] = {}
    unknown = []
    unread: dict[UnreadFile, None] = {}
    for text, found, unlisted in jobs.find(texts, everywhere=True) if texts else ():
        meant = found or _in_full(text)
        chosen.update(dict.fromkeys(meant))
        unread.update(dict.fromkeys(unlisted))
        if not meant:
            unknown.append(text)
    return list(chosen), unknown, list(unread)


def _in_full(text: str) -> tuple[JobId, ...]:
    """Read an id that is nowhere: recovery reports it, and the folders that could not be looked into."""
    try:
        return () if any(each in text for each in "*?[") else (parse_job_id(text),)
    except BadIdFailure:
        return ()


def _missing(
    jobs: Jobs, planned: Iterable[JobId], *, incomplete: bool
) -> tuple[list[RecoveryPlan], list[UnreadFile]]:
    """Plan for all jobs that runs refer to and that are not there; also return what could not be read of the runs."""
    references, problems = jobs.references()
    known = set(planned)
    chosen = [job for job in references if job not in known]
    plans = jobs.plan_recovery(chosen, incomplete=incomplete)
    return [plan for plan in plans if plan.status is not RecoveryStatus.THERE], list(problems)


def _recover(
    jobs: Jobs, plans: Sequence[RecoveryPlan], *, incomplete: bool, is_json: bool
) -> list[RecoveryOutcome]:
    """Carry out a plan; return the outcome of each job."""

    def show(outcome: RecoveryOutcome) -> None:
        if is_json:
            print_json([json_line(recovery_outcome_document(outcome))])
        else:
            click.echo(recovery_outcome_line(outcome))

    settled = [
        RecoveryOutcome(
            plan.job,
            plan.status,
            jobs.layout.job(plan.job),
            message=plan.reason,
            unavailable=plan.unavailable,
        )
        for plan in plans
        if not plan.status.is_to_do
    ]
    for outcome in settled if is_json else ():
        show(outcome)
    to_do = [plan for plan in plans if plan.status.is_to_do]
    return settled + copy_jobs(
        "recovering",
        sum(plan.size for plan in to_do),
        sum(plan.files for plan in to_do),
        [plan.job for plan in to_do],
        lambda left, progress: jobs.recover(left, incomplete=incomplete, progress=progress),
        show,
    )


def _judge(
    found: Sequence[RecoveryPlan] | Sequence[RecoveryOutcome],
    unknown: Sequence[str],
    hiding: Sequence[UnreadFile],
) -> None:
    """Raise an error when not all jobs are there, or will be, or not all are known.

    Raises:
        FolderError: A folder failed, or could not be looked into where a missing job may be.
        UnreadableError: There may be more jobs in what cannot be read.
        BusyError: Another process works on one.
        SomeMissingError: Some are missing.
        NoJobFoundError: All are missing.
    """
    missing = [each for each in found if not each.status.is_there]
    statuses = {each.status for each in missing}
    is_failed = RecoveryStatus.FAILED in statuses or any(each.unavailable for each in missing)
    if not is_failed:
        check_all_known(hiding)
    left = len(missing) + len(unknown)
    if left:
        raise error_of_left(
            left,
            len(found) + len(unknown),
            "recovered",
            is_failed=is_failed,
            is_busy=RecoveryStatus.BUSY in statuses,
        )
