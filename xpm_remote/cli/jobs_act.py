"""``jobs kill`` and ``jobs clean``: jobs chosen, a plan shown, and carried out when asked to."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any

import click

from xpm_remote.cli.context import Context
from xpm_remote.cli.jobs_shared import (
    Choice,
    acting_options,
    chosen_jobs,
    open_location,
    read_choice,
    read_texts,
    some_of,
)
from xpm_remote.cli.options import JobsLocation, confirm, yes_option
from xpm_remote.cli.output import examples, print_json, print_lines
from xpm_remote.errors import BusyError
from xpm_remote.jobs.interface import Jobs
from xpm_remote.ui.documents import json_line
from xpm_remote.ui.reports.jobs import (
    ACTION_DONE,
    action_outcome_document,
    action_outcome_line,
    action_plan_document,
    action_plan_lines,
)
from xpm_remote.ui.text import count_text
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.outcomes import CLEAN, KILL, ActionPlan


def act(context: Context, location: JobsLocation, action: str, choice: Choice) -> None:
    """Show a plan, and carry it out with ``--perform``.

    Raises:
        UsageError: A question has to be answered, and there is no terminal.
        Abort: The answer is no.
        BusyError: A job that was named cannot be, or what was begun failed.
        NoJobFoundError: One that was named is not there.
    """
    texts = list(read_texts(choice.selection.ids, choice.selection.from_file))
    with open_location(context, location, acts=choice.perform) as jobs:
        chosen = _chosen(context, jobs, texts, choice)
        plans = jobs.plan_action(action, chosen, force=choice.force) if chosen else []
        kept = [plan for plan in plans if plan.refusal]
        to_do = [plan for plan in plans if not plan.refusal]
        _print_plans(plans if choice.selection.is_named else to_do, action, choice)
        left = len(kept) if choice.selection.is_named else 0
        if action == CLEAN and choice.perform and to_do and not choice.selection.is_named:
            question = f"Remove the directories of {count_text(len(to_do), 'job')}?"
            confirm(question, is_sure=choice.is_sure)
        with closing(jobs.perform(to_do if choice.perform else ())) as work:
            for outcome in work:
                left += not outcome.success
                document = action_outcome_document
                if choice.is_json:
                    print_json([json_line(document(outcome))])
                else:
                    click.echo(action_outcome_line(outcome))
    if left:
        count = count_text(left, "job")
        what = f"{count} of {len(plans)} cannot be {ACTION_DONE[action]}"
        raise BusyError(what, "see the lines above")


def _chosen(context: Context, jobs: Jobs, texts: Sequence[str], choice: Choice) -> list[JobId]:
    """Return the jobs that are meant: those of names, else those of current runs that have a directory."""
    if choice.selection.is_named:
        named = jobs.find(texts) if texts else ()
        return list(dict.fromkeys(job for each in named for job in some_of(each)))
    chosen, problems = chosen_jobs(jobs, choice.selection.experiment, choice.selection.accepts)
    context.warn_unread(problems)
    return [job.facts.id for job in chosen if job.facts.has_directory or job.facts.is_link]


def _print_plans(plans: Sequence[ActionPlan], action: str, choice: Choice) -> None:
    if choice.is_json:
        print_json(map(json_line, map(action_plan_document, () if choice.perform else plans)))
        return
    print_lines(action_plan_lines(plans))
    count = sum(not plan.refusal for plan in plans)
    if count:
        hint = "" if choice.perform else " (--perform does it)"
        click.echo(f"{count_text(count, 'job')} to {action}{hint}.")
    else:
        click.echo(f"Nothing is to be {ACTION_DONE[action]}.")


@click.command(
    name="kill",
    epilog=examples(
        "experimaestro jobs kill xpmir.learn.learner/0a1b --perform",
        "experimaestro jobs kill --experiment neuralir --filter 'lr = 0.1'",
    ),
)
@acting_options
@click.pass_obj
def kill(context: Context, /, *, location: JobsLocation, **given: Any) -> None:  # noqa: ANN401
    """End the processes of jobs, with all that they started.

    Without --perform, only what would be done is shown. ID is task/hash, the beginning of one, or a pattern
    with * and ?; without one, the jobs of the current runs are meant, or those of --experiment and
    --filter. A process is ended by SIGTERM, and by SIGKILL ten seconds later; a job of SLURM by scancel.
    Only what is surely the process of the job is ended: one that runs the job's script and holds its lock,
    or a job of SLURM that runs in the job's directory.
    """
    act(context, location, KILL, read_choice(given))


@click.command(
    name="clean",
    epilog=examples(
        "experimaestro jobs clean xpmir.learn.learner/0a1b --perform",
        "experimaestro jobs clean --experiment neuralir --filter 'lr = 0.1'",
    ),
)
@acting_options
@yes_option
@click.option(
    "--force",
    is_flag=True,
    help="Also where it cannot be known whether a scheduler, as SLURM, still has the job.",
)
@click.pass_obj
def clean(context: Context, /, *, location: JobsLocation, **given: Any) -> None:  # noqa: ANN401
    """Remove the directories of jobs that have ended.

    Without --perform, only what would be done is shown. ID is task/hash, the beginning of one, or a pattern
    with * and ?; without one, the jobs of the current runs are meant, or those of --experiment and
    --filter. Of a job that runs or waits, here or in SLURM, nothing is removed, nor through a link, as that of
    a moved job.
    Unless the jobs are named, --perform asks first; without a terminal it needs --yes.
    """
    act(context, location, CLEAN, read_choice(given))
