"""What ``jobs kill`` and ``jobs clean`` have in common: jobs chosen, a plan shown, and carried out when asked to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from typing import Any, NamedTuple, TypeVar

import click

from xpm_remote.cli.asking import filter_option
from xpm_remote.cli.context import Context
from xpm_remote.cli.jobs_place import JobsPlace, Where, open_place, place_options
from xpm_remote.cli.local_jobs import read_texts, some_of
from xpm_remote.cli.options import format_option, from_file_option
from xpm_remote.errors import BusyError, UsageError
from xpm_remote.model.filters import Filter
from xpm_remote.ui.action_report import outcome_document, outcome_line, plan_document, plan_lines
from xpm_remote.ui.document import encode
from xpm_remote.ui.job_list import ListedJob
from xpm_remote.ui.plain import Format
from xpm_remote.ui.tables import count_text
from xpm_remote.workspace.agent.outcomes import ActionOutcome, ActionPlan
from xpm_remote.workspace.layout import JobId

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Choice(NamedTuple):
    """Which jobs are meant, and what is to come of them.

    Attributes:
        ids: Ids, the beginnings of ids, patterns.
        from_file: A file with more of them.
        experiment: The experiment whose current run is meant.
        accepts: The filter that jobs of current runs pass.
        perform: Whether to do it.
        is_json: Whether to print JSON.
    """

    ids: tuple[str, ...]
    from_file: str | None
    experiment: str | None
    accepts: Filter | None
    perform: bool
    is_json: bool

    @property
    def is_named(self) -> bool:
        """Whether jobs are named, rather than chosen among those of current runs."""
        return bool(self.ids) or self.from_file is not None


def acting_options(command: _Command) -> _Command:
    """Give a command the options of a ``Choice``, and where the jobs are."""
    options = (
        click.argument("ids", nargs=-1, metavar="[ID]..."),
        click.option("--experiment", metavar="ID", help="Only jobs of this experiment."),
        filter_option,
        from_file_option,
        click.option("--perform", is_flag=True, help="Do it; without it, the plan is shown only."),
        # Accepted as experimaestro does: they change what its list shows, and nothing of the plan.
        click.option("--tags", is_flag=True, hidden=True, expose_value=False),
        click.option("--fullpath", is_flag=True, hidden=True, expose_value=False),
        format_option,
        place_options,
    )
    for option in reversed(options):
        command = option(command)
    return command


def read_choice(given: dict[str, Any]) -> Choice:
    """Read the options.

    Raises:
        UsageError: They exclude each other.
    """
    choice = Choice(
        given["ids"],
        given["from_file"],
        given["experiment"],
        given["accepts"],
        given["perform"],
        given["form"] == Format.JSON.value,
    )
    if choice.is_named and (choice.experiment is not None or choice.accepts is not None):
        raise UsageError(
            "jobs are named, and chosen by --experiment or --filter", "leave one of them out"
        )
    return choice


def act(context: Context, where: Where, action: str, choice: Choice) -> None:
    """Show what is to be done, and do it when asked to.

    Raises:
        BusyError: A job that was named cannot be, or what was begun failed.
        NoJobFoundError: One that was named is not there.
    """
    texts = list(read_texts(choice.ids, choice.from_file))
    with open_place(context, where) as place:
        jobs = _chosen(context, place, texts, choice)
        plans = place.plan_action(action, jobs) if jobs else []
        kept = [plan for plan in plans if plan.refusal]
        to_do = [plan for plan in plans if not plan.refusal]
        _print_plans(plans if choice.is_named else to_do, action, choice)
        outcomes = _perform(place, to_do, is_json=choice.is_json) if choice.perform else []
    failed = [outcome for outcome in outcomes if not outcome.success]
    refused = kept if choice.is_named else []
    if failed or refused:
        count = count_text(len(failed) + len(refused), "job")
        raise BusyError(f"{count} of {len(plans)} cannot be {_DONE[action]}", "see the lines above")


_DONE = {"kill": "killed", "clean": "cleaned"}


def _chosen(
    context: Context, place: JobsPlace, texts: Sequence[str], choice: Choice
) -> list[JobId]:
    """Give the jobs that are meant: those of names, else those of current runs that have a directory."""
    if choice.is_named:
        named = place.find(texts) if texts else ()
        return list(dict.fromkeys(job for each in named for job in some_of(each)))
    jobs, problems = place.current(choice.experiment)
    context.warn_unread(problems)
    accepts = choice.accepts or (lambda _: True)
    return [job.facts.id for job in jobs if accepts(job) and _has_place(job)]


def _has_place(job: ListedJob) -> bool:
    return job.facts.has_directory or job.facts.is_link


def _print_plans(plans: Sequence[ActionPlan], action: str, choice: Choice) -> None:
    if choice.is_json:
        lines: Iterable[str] = map(encode, map(plan_document, () if choice.perform else plans))
    else:
        lines = plan_lines(plans)
    for line in lines:
        click.echo(line)
    count = sum(not plan.refusal for plan in plans)
    if not choice.is_json:
        word = count_text(count, "job") if count else "Nothing"
        verb = "to" if count else "is to be"
        what = action if count else _DONE[action]
        hint = " (--perform does it)" if count and not choice.perform else ""
        click.echo(f"{word} {verb} {what}{hint}.")


def _perform(
    place: JobsPlace, plans: Sequence[ActionPlan], *, is_json: bool
) -> list[ActionOutcome]:
    outcomes = []
    with closing(place.perform(plans)) as work:
        for outcome in work:
            outcomes.append(outcome)
            click.echo(encode(outcome_document(outcome)) if is_json else outcome_line(outcome))
    return outcomes
