"""``jobs log``: what jobs printed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from itertools import chain

import click

from xpm_remote.cli.context import Context
from xpm_remote.cli.jobs_place import JobsPlace, Where, open_place, place_options
from xpm_remote.cli.local_jobs import some_of
from xpm_remote.cli.show_log import LogPrinter, page
from xpm_remote.errors import NoJobFoundError, SomeMissingError
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.watching.logs import STDERR, STDOUT

FIRST_LINES = 10
"""Lines that are shown before what is followed, as ``tail -f`` has it."""


@click.command(
    name="log",
    epilog="Examples: experimaestro jobs log xpmir.learn.learner/0a1b · … jobs log -f --std 0a1b"
    " · … jobs log -n 20 0a1b · … jobs --workspace my-cluster log -f 'xpmir.learn.learner/*'",
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
@place_options
@click.pass_obj
def log(
    context: Context,
    /,
    *,
    ids: tuple[str, ...],
    follow: bool,
    lines: int | None,
    std: bool,
    where: Where,
) -> None:
    """Show what jobs printed: their standard error, or with --std their standard output.

    On a terminal, a whole log is shown page by page, and control characters are shown as escapes. The lines
    of several jobs have the job before them.
    """
    stream = STDOUT if std else STDERR
    with open_place(context, where) as place:
        found = [job for each in place.find(ids) for job in some_of(each)]
        jobs = list(dict.fromkeys(found))
        if follow:
            _follow(place, jobs, stream, FIRST_LINES if lines is None else lines)
            return
        missing = [job for job in jobs if not _show(place, job, jobs, stream, lines)]
        if missing:
            raise _no_log(place, missing[0], stream, is_all=len(missing) == len(jobs))


def _follow(place: JobsPlace, jobs: Sequence[JobId], stream: str, lines: int) -> None:
    printer = LogPrinter(jobs)
    try:
        with closing(place.follow_logs(jobs, stream, lines)) as texts:
            for job, text in texts:
                printer.print(job, text)
    finally:
        for job in jobs:
            printer.end(job)


def _show(
    place: JobsPlace, job: JobId, jobs: Sequence[JobId], stream: str, lines: int | None
) -> bool:
    """Show one of some logs; tell whether there is one."""
    with closing(place.log_pieces(job, stream, lines)) as pieces:
        first = next(pieces, None)
        if first is None:
            return False
        if lines is None and len(jobs) == 1 and sys.stdout.isatty():
            page(each.text for each in chain([first], pieces))
            return True
        printer = LogPrinter(jobs)
        printer.print(job, first.text)
        for piece in pieces:
            printer.print(job, piece.text)
        printer.end(job)
        return True


def _no_log(place: JobsPlace, job: JobId, stream: str, *, is_all: bool) -> Exception:
    files = place.layout.job_files(job)
    path = files.stderr if stream == STDERR else files.stdout
    other = ", or look at standard output with --std" if stream == STDERR else ""
    kind = NoJobFoundError if is_all else SomeMissingError
    return kind(f"the job {job} has no log {path}", f"wait until it has started{other}")
