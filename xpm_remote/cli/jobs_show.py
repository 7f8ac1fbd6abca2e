"""``jobs list``, ``jobs log`` and ``jobs path``: the jobs of the current runs, what they printed, where they are."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain
from typing import NoReturn

import click

from xpm_remote.cli.context import Context
from xpm_remote.cli.jobs_shared import one_of, open_location, some_of
from xpm_remote.cli.options import JobsLocation, filter_option, format_option, location_options
from xpm_remote.cli.output import examples, print_json, print_lines
from xpm_remote.errors import NoJobFoundError, SomeMissingError, StoppedBySignal, unreadable_error
from xpm_remote.escaping import safe
from xpm_remote.jobs.interface import Jobs
from xpm_remote.model.filters import Filter
from xpm_remote.ui.documents import json_line
from xpm_remote.ui.reports.jobs import job_document, job_lines
from xpm_remote.waiting import handled_signals
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.reading.jobs import DEPENDENCY, JobFacts
from xpm_remote.workspace.states import FINAL, IDLE, State
from xpm_remote.workspace.watching.logs import STDERR, STDOUT


@click.command(
    name="list",
    epilog=examples(
        "experimaestro jobs list --tags",
        "experimaestro jobs list --experiment neuralir --filter 'lr in [0.1, 0.01]'",
        "experimaestro jobs list -c 10 --format json",
    ),
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
@location_options
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
    else:
        print_lines(job_lines(chosen, with_tags=tags, with_paths=fullpath))
    context.warn_unread(problems)
    if not chosen and not is_json:
        click.echo("No jobs found.", err=True)
    unread = [each.path for each in problems if each.error]
    if unread:
        raise unreadable_error(unread)


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


FIRST_LINES = 10
"""Lines that are shown before what is followed, as ``tail -f`` has it."""


@click.command(
    name="log",
    epilog=examples(
        "experimaestro jobs log xpmir.learn.learner/0a1b",
        "experimaestro jobs log -f --std 0a1b",
        "experimaestro jobs log -n 20 0a1b",
        "experimaestro jobs --workspace my-cluster log -f 'xpmir.learn.learner/*'",
    ),
)
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is added, until the job ends.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    metavar="N",
    help="Only the last N lines; all without it, and 10 with -f.",
)
@click.option("--std", is_flag=True, help="Show standard output instead of standard error.")
@location_options
@click.pass_obj
def log(
    context: Context,
    /,
    *,
    ids: tuple[str, ...],
    follow: bool,
    lines: int | None,
    std: bool,
    location: JobsLocation,
) -> None:
    """Show what jobs printed: their standard error, or with --std their standard output.

    On a terminal, a whole log is shown page by page, and control characters are shown as escapes. The lines
    of several jobs have the job before them.
    """
    stream = STDOUT if std else STDERR
    with open_location(context, location) as jobs:
        found = [job for each in jobs.find(ids) for job in some_of(each)]
        chosen = list(dict.fromkeys(found))
        if follow:
            _follow(jobs, chosen, stream, FIRST_LINES if lines is None else lines)
            return
        missing = [job for job in chosen if not _show(jobs, job, chosen, stream, lines)]
        if missing:
            raise _no_log(jobs, missing[0], stream, is_all=len(missing) == len(chosen))


def _follow(jobs: Jobs, chosen: Sequence[JobId], stream: str, lines: int) -> None:
    def stop(number: int) -> NoReturn:
        raise StoppedBySignal(number)

    def warn(line: str) -> None:
        click.echo(safe(line), err=True)

    printer = LogPrinter(chosen)
    try:
        # While a remote log is waited for, its loop handles signals; they raise the same error.
        with (
            handled_signals(stop),
            closing(jobs.follow_logs(chosen, stream, lines, warn=warn)) as texts,
        ):
            for job, text in texts:
                printer.print(job, text)
    finally:
        for job in chosen:
            printer.end(job)


def _show(jobs: Jobs, job: JobId, chosen: Sequence[JobId], stream: str, lines: int | None) -> bool:
    """Show one of some logs; return whether it exists."""
    with closing(jobs.log_pieces(job, stream, lines)) as pieces:
        first = next(pieces, None)
        if first is None:
            return False
        if lines is None and len(chosen) == 1 and sys.stdout.isatty():
            page(each.text for each in chain([first], pieces))
            return True
        printer = LogPrinter(chosen)
        printer.print(job, first.text)
        for piece in pieces:
            printer.print(job, piece.text)
        printer.end(job)
        return True


def _no_log(jobs: Jobs, job: JobId, stream: str, *, is_all: bool) -> Exception:
    files = jobs.layout.job_files(job)
    path = files.stderr if stream == STDERR else files.stdout
    facts = next((each.facts for each in jobs.current(None)[0] if each.facts.id == job), None)
    why, hint = _absence(facts)
    if stream == STDERR and (facts is None or facts.started is not None or facts.has_done_marker):
        hint = ", or ".join(filter(None, (hint, "look at standard output with --std")))
    kind = NoJobFoundError if is_all else SomeMissingError
    return kind(f"the job {job} has no log {path}: {why}", hint)


def _absence(facts: JobFacts | None) -> tuple[str, str]:
    """Return why a job may have no log, and what to do, if anything."""
    if facts is None:
        return "no current run lists it", ""
    if facts.state == State.UNKNOWN:
        return "its state cannot be read", "see `jobs list`"
    if facts.state == State.ERROR and facts.failure_reason == DEPENDENCY:
        return "it was not started, since a job that it needs failed", "see `jobs list`"
    if facts.state in FINAL:
        return "it has ended without one", ""
    if facts.state in IDLE:
        return "nothing is going to run it", "run its experiment again"
    if facts.state == State.RUNNING:
        return "it has not opened it yet", "wait a moment"
    return f"it is {facts.state}", "wait until it has started"


_HASH_SHOWN = 8
"""Characters of a hash before the lines of one log of several, where that is enough to tell them apart."""


def page(texts: Iterable[str]) -> None:
    """Show a log on a terminal page by page, escaped."""
    click.echo_via_pager(f"{line}\n" for line in _escaped_lines(texts))


class LogPrinter:
    """Prints logs as they come: to a terminal by whole lines, escaped; elsewhere as they are.

    Args:
        jobs: Whose logs; the lines of several have their job before them, and are whole in any case.
    """

    def __init__(self, jobs: Sequence[JobId]) -> None:
        self._is_terminal = sys.stdout.isatty()
        self._prefixes = dict(zip(jobs, _prefixes(jobs), strict=True))
        self._rests = dict.fromkeys(jobs, "")

    def print(self, job: JobId, text: str) -> None:
        """Print what comes next of a log."""
        prefix = self._prefixes[job]
        if not (self._is_terminal or prefix):
            _write(text)
            return
        *lines, self._rests[job] = (self._rests[job] + text).split("\n")
        for line in lines:
            self._print_line(prefix, line)

    def end(self, job: JobId) -> None:
        """Print a last line that has no end."""
        rest, self._rests[job] = self._rests[job], ""
        if rest:
            self._print_line(self._prefixes[job], rest)

    def _print_line(self, prefix: str, line: str) -> None:
        if self._is_terminal:
            click.echo(safe(prefix) + _escaped(line))
        else:
            _write(f"{prefix}{line}\n")


def _prefixes(jobs: Sequence[JobId]) -> list[str]:
    """Return what stands before the lines of each log: nothing for one alone, else as little as tells them apart."""
    if len(jobs) == 1:
        return [""]
    short = [f"{job.script_name}/{job.hash[:_HASH_SHOWN]}" for job in jobs]
    names = short if len(set(short)) == len(jobs) else [str(job) for job in jobs]
    return [f"{name}: " for name in names]


def _write(text: str) -> None:
    # The bytes of the log, whatever their encoding, with the colours that a program may have put into it.
    click.echo(text.encode("utf-8", "surrogateescape"), nl=False)


def _escaped_lines(texts: Iterable[str]) -> Iterator[str]:
    rest = ""
    for text in texts:
        *lines, rest = (rest + text).split("\n")
        yield from map(_escaped, lines)
    if rest:
        yield _escaped(rest)


def _escaped(line: str) -> str:
    line = line.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    # A progress bar writes over itself: what it wrote last is what a terminal would show.
    return safe(line.expandtabs().rstrip("\r").rpartition("\r")[2])
