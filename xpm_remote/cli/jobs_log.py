"""``jobs log``: what jobs printed, whole or its last lines, followed, of an earlier try, or the lines that match."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain
from typing import NamedTuple, NoReturn

import click

from xpm_remote.cli.context import Context
from xpm_remote.cli.jobs_shared import open_location, some_of
from xpm_remote.cli.options import JobsLocation, location_options
from xpm_remote.cli.output import examples
from xpm_remote.errors import NoJobFoundError, SomeMissingError, StoppedBySignal, UsageError
from xpm_remote.escaping import safe
from xpm_remote.jobs.interface import Jobs
from xpm_remote.ui.text import count_text
from xpm_remote.waiting import handled_signals
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.reading.jobs import DEPENDENCY, JobFacts
from xpm_remote.workspace.states import FINAL, IDLE, State
from xpm_remote.workspace.watching.logs import STDERR, STDOUT

FIRST_LINES = 10
"""Lines that are shown before what is followed, as ``tail -f`` has it."""


@click.command(
    name="log",
    epilog=examples(
        "experimaestro jobs log xpmir.learn.learner/0a1b",
        "experimaestro jobs log -f --std 0a1b",
        "experimaestro jobs log -n 20 0a1b",
        "experimaestro jobs --workspace my-cluster log -f 'xpmir.learn.learner/*'",
        "experimaestro jobs log --search 'loss nan' -i 'xpmir.learn.learner/*'",
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
@click.option(
    "--attempt",
    metavar="NAME",
    default="",
    help="That of an earlier try, which `jobs detail` names.",
)
@click.option("--search", "pattern", metavar="TEXT", help="Only the lines that contain TEXT.")
@click.option("--regex", is_flag=True, help="TEXT is a regular expression.")
@click.option("-i", "--ignore-case", is_flag=True, help="Search in upper and lower case.")
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
    attempt: str,
    pattern: str | None,
    regex: bool,
    ignore_case: bool,
    location: JobsLocation,
) -> None:
    """Show what jobs printed: their standard error, or with --std their standard output.

    On a terminal, a whole log is shown page by page, and control characters are shown as escapes. The lines
    of several jobs have the job before them. With --search, a line has its place in the log before it, in bytes.
    """
    stream = STDOUT if std else STDERR
    search = Search(pattern, regex, ignore_case)
    search.check(others=follow or lines is not None)
    if attempt and (follow or lines is not None):
        raise UsageError("--attempt goes with neither -f nor -n", "leave one of them out")
    with open_location(context, location) as jobs:
        found = [job for each in jobs.find(ids) for job in some_of(each)]
        chosen = list(dict.fromkeys(found))
        if follow:
            _follow(jobs, chosen, stream, FIRST_LINES if lines is None else lines)
            return
        if pattern is not None:
            missing = _search(jobs, chosen, stream, attempt, search)
        else:
            missing = [
                job for job in chosen if not _show(jobs, job, chosen, stream, lines, attempt)
            ]
        if missing:
            is_all = len(missing) == len(chosen)
            if attempt:
                raise _no_attempt(missing[0], attempt, is_all=is_all)
            raise _no_log(jobs, missing[0], stream, is_all=is_all)


class Search(NamedTuple):
    """What ``--search`` and the options beside it say.

    Attributes:
        pattern: The text; None without ``--search``.
        is_regex: Whether it is a regular expression.
        ignore_case: Whether case does not count.
    """

    pattern: str | None
    is_regex: bool
    ignore_case: bool

    def check(self, *, others: bool) -> None:
        """Raise an error for options that do not go together.

        Args:
            others: Whether there is one of those that a search has no use for.

        Raises:
            UsageError: They do not.
        """
        if self.pattern is None and (self.is_regex or self.ignore_case):
            raise UsageError("--regex and -i are for --search", "give --search TEXT, too")
        if self.pattern is not None and others:
            raise UsageError("--search goes with neither -f nor -n", "leave one of them out")


def _search(
    jobs: Jobs, chosen: Sequence[JobId], stream: str, attempt: str, search: Search
) -> list[JobId]:
    """Print the lines of some logs that match; return the jobs without such a log."""
    printer, missing, total = LogPrinter(chosen), [], 0
    for job in chosen:
        found = jobs.search_log(
            job,
            stream,
            search.pattern or "",
            is_regex=search.is_regex,
            ignore_case=search.ignore_case,
            attempt=attempt,
        )
        last, shown = None, 0
        with closing(found) as parts:
            for last in parts:
                shown += len(last.matches)
                printer.print(job, "".join(f"{at}: {text}\n" for _, at, text in last.matches))
        if last is None:
            missing.append(job)
        elif last.total > shown:
            click.echo(f"{count_text(last.total - shown, 'more line')} of {job}", err=True)
        total += 0 if last is None else last.total
    if not total and len(missing) < len(chosen):
        click.echo("No lines found.", err=True)
    return missing


def _no_attempt(job: JobId, attempt: str, *, is_all: bool) -> Exception:
    kind = NoJobFoundError if is_all else SomeMissingError
    return kind(f"the job {job} has no log of the try {attempt}", f"see `jobs detail {job}`")


def _attempt_texts(jobs: Jobs, job: JobId, stream: str, attempt: str) -> Iterator[str]:
    """Yield the log of an earlier try; nothing when there is none."""
    after = 0
    while (part := jobs.read_log(job, stream, after=after, attempt=attempt)) is not None:
        yield part.text
        after = part.end
        if after >= part.size:
            return


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


def _show(
    jobs: Jobs, job: JobId, chosen: Sequence[JobId], stream: str, lines: int | None, attempt: str
) -> bool:
    """Show one of some logs; return whether it exists."""
    if attempt:
        return _print_log(job, chosen, _attempt_texts(jobs, job, stream, attempt), is_whole=True)
    with closing(jobs.log_pieces(job, stream, lines)) as pieces:
        return _print_log(job, chosen, (each.text for each in pieces), is_whole=lines is None)


def _print_log(
    job: JobId, chosen: Sequence[JobId], texts: Iterator[str], *, is_whole: bool
) -> bool:
    """Print a log, or page it on a terminal if it is the only one, and whole; return whether there is any."""
    first = next(texts, None)
    if first is None:
        return False
    if is_whole and len(chosen) == 1 and sys.stdout.isatty():
        page(chain([first], texts))
        return True
    printer = LogPrinter(chosen)
    for text in chain([first], texts):
        printer.print(job, text)
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
