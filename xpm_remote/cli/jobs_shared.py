"""What the commands about jobs share: which jobs are meant, and how copied ones are shown and judged."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from xpm_remote.cli.context import Context
from xpm_remote.cli.hanging import watch_calls
from xpm_remote.cli.options import (
    JobsLocation,
    add_options,
    filter_option,
    format_option,
    from_file_option,
    location_options,
    ssh_overrides,
)
from xpm_remote.cli.output import copy_progress
from xpm_remote.cli.streams import keep_going
from xpm_remote.errors import (
    BusyError,
    FolderError,
    JobsError,
    NoJobFoundError,
    SomeMissingError,
    UnreadableError,
    UsageError,
)
from xpm_remote.escaping import safe
from xpm_remote.jobs.interface import Jobs
from xpm_remote.jobs.opening import open_jobs
from xpm_remote.model.filters import Filter
from xpm_remote.ui.text import count_text
from xpm_remote.workspace.failures import NoJobFailure, UnreadFile
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.outcomes import ArchiveOutcome, CopyProgress, RecoveryOutcome
from xpm_remote.workspace.reading.jobs import CurrentJob
from xpm_remote.workspace.reading.lookup import LookupResult


class Selection(NamedTuple):
    """Which jobs a command is about, besides all or all that are missing.

    Attributes:
        ids: Ids, the beginnings of ids, patterns.
        from_file: A file with more of them.
        experiment: The experiment whose current run is meant.
        accepts: The filter that jobs of current runs pass.
    """

    ids: tuple[str, ...]
    from_file: str | None
    experiment: str | None
    accepts: Filter | None

    @property
    def is_named(self) -> bool:
        """Whether jobs are named, rather than chosen among those of current runs."""
        return bool(self.ids) or self.from_file is not None

    @property
    def is_filtered(self) -> bool:
        """Whether jobs are chosen among those of current runs."""
        return self.experiment is not None or self.accepts is not None

    def check(self) -> None:
        """Raise an error when jobs are both named and chosen.

        Raises:
            UsageError: They are.
        """
        if self.is_named and self.is_filtered:
            raise UsageError(
                "jobs are named, and chosen by --experiment or --filter", "leave one of them out"
            )


class Choice(NamedTuple):
    """Which jobs ``kill`` and ``clean`` are about, and what they do.

    Attributes:
        selection: The jobs; all of current runs if none are named or chosen.
        perform: Whether to do it.
        is_json: Whether to print JSON.
        is_sure: Whether no question is asked.
        force: Whether to clean, too, where it cannot be known whether a scheduler still has the job.
    """

    selection: Selection
    perform: bool
    is_json: bool
    is_sure: bool = False
    force: bool = False


_named_options = add_options(
    click.argument("ids", nargs=-1, metavar="[ID]..."),
    click.option(
        "--experiment", metavar="ID", help="Only jobs of the current run of this experiment."
    ),
    filter_option,
    from_file_option,
)


def selection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a ``Selection``, passed as ``selection``."""

    @functools.wraps(command)
    def fold(*args: Any, **given: Any) -> Any:  # noqa: ANN401
        return command(*args, selection=_take_selection(given), **given)

    return _named_options(fold)


def _take_selection(given: dict[str, Any]) -> Selection:
    return Selection(**{name: given.pop(name) for name in Selection._fields})


acting_options = add_options(
    click.argument("ids", nargs=-1, metavar="[ID]..."),
    click.option("--experiment", metavar="ID", help="Only jobs of this experiment."),
    filter_option,
    from_file_option,
    click.option("--perform", is_flag=True, help="Do it; without it, the plan is shown only."),
    # Accepted as experimaestro does: they change what its list shows, and nothing of the plan.
    click.option("--tags", is_flag=True, hidden=True, expose_value=False),
    click.option("--fullpath", is_flag=True, hidden=True, expose_value=False),
    format_option,
    location_options,
)
"""The options of a ``Choice``, and those of a ``JobsLocation``."""


def read_choice(given: dict[str, Any]) -> Choice:
    """Read the options.

    Raises:
        UsageError: They exclude each other.
    """
    selection = _take_selection(given)
    selection.check()
    return Choice(selection, **given)


@contextmanager
def open_location(
    context: Context, location: JobsLocation, *, acts: bool = False
) -> Iterator[Jobs]:
    """Open the jobs at a location of the command line, or at that of the group.

    Args:
        context: The options of the groups.
        location: The location.
        acts: Whether work is done there, which is finished even where its output cannot be written.

    Raises:
        SettingsError: The settings cannot be used.
        XpmRemoteError: As ``open_jobs``.
    """

    def tell(line: str) -> None:
        click.echo(safe(line), err=True)

    async def call_person(host: str, asked: str) -> bool:
        from xpm_remote.ui import keyboard

        return await keyboard.call_person(host, asked)

    watch_calls()
    if acts:
        keep_going()
    workdir = location.workdir or context.workdir or None
    with open_jobs(
        context.load_settings(),
        location.workspace or context.workspace or None,
        workdir,
        ssh_overrides(location.ssh, workdir) if location.has_ssh else None,
        directory=context.directory,
        tell=tell,
        call_person=call_person,
    ) as jobs:
        yield jobs


def one_of(found: LookupResult) -> JobId:
    """Return the one job that a text means.

    Raises:
        NoJobFailure: It means no job, or several.
    """
    jobs = some_of(found)
    if len(jobs) > 1:
        raise NoJobFailure(f"{found.text!r} means {len(jobs)} jobs", "give the id of one")
    return jobs[0]


def some_of(found: LookupResult) -> tuple[JobId, ...]:
    """Return the jobs that a text means.

    Raises:
        NoJobFailure: It means no job.
        UnreadableError: It may mean one in a directory that cannot be listed.
    """
    if not found.jobs and found.unlisted:
        path, why, *_ = found.unlisted[0]
        raise UnreadableError(
            f"it is not known whether there is a job {found.text!r}: {path}: {why}",
            "look at that file system, and run the command again",
        )
    if not found.jobs:
        raise NoJobFailure(f"there is no job {found.text!r}", "list them with `jobs list`")
    return found.jobs


def chosen_jobs(
    jobs: Jobs, experiment: str | None, accepts: Filter | None
) -> tuple[list[CurrentJob], list[UnreadFile]]:
    """Return the jobs of current runs that ``--experiment`` and ``--filter`` choose, and what could not be read.

    Raises:
        NoJobFoundError: There is no such experiment.
    """
    found, problems = jobs.current(experiment)
    return [job for job in found if accepts is None or accepts(job)], problems


def read_texts(arguments: Iterable[str], file: str | None) -> Iterator[str]:
    """Yield the ids of the command line, then those of a file: one a line, ``-`` is standard input.

    Empty lines, and what follows a ``#``, do not count.

    Raises:
        UsageError: The file cannot be read.
    """
    yield from arguments
    if file is None:
        return
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"the file {file} cannot be read: {why or error}") from error
    for line in text.splitlines():
        job = line.partition("#")[0].strip()
        if job:
            yield job


Outcome = TypeVar("Outcome", ArchiveOutcome, RecoveryOutcome)


BUSY_WAIT = 5.0
"""Seconds to wait for jobs on which another process works, once all others are done: mostly it is the same command,
run twice, and works on its last ones."""

_BUSY_INTERVAL = 0.5


def copy_jobs(
    what: str,
    size: int,
    files: int,
    jobs: Sequence[JobId],
    work: Callable[[Sequence[JobId], CopyProgress], Generator[Outcome, None, None]],
    show: Callable[[Outcome], None],
) -> list[Outcome]:
    """Copy jobs, show each outcome when it is there, and return all.

    Those on which another process works are tried again after the others.

    Args:
        what: What is done, such as ``recovering``.
        size: Bytes in all.
        files: Files in all.
        jobs: The jobs.
        work: Begins the work on jobs, which reports its progress to the second argument.
        show: Prints an outcome.
    """
    outcomes = []
    left, until = jobs, 0.0
    with copy_progress(what, size, files) as progress:
        while left:
            busy = []
            # Ended in the middle, it puts down what it copies.
            with closing(work(left, progress)) as done:
                for outcome in done:
                    if outcome.is_busy and (not until or time.monotonic() < until):
                        busy.append(outcome.job)
                        continue
                    outcomes.append(outcome)
                    show(outcome)
            if busy:
                until = until or time.monotonic() + BUSY_WAIT
                time.sleep(_BUSY_INTERVAL)
            left = busy
    return outcomes


def check_all_known(hiding: Sequence[UnreadFile]) -> None:
    """Raise an error when there may be more jobs than those that are known, which are done.

    Args:
        hiding: What cannot be read, and may refer to jobs or hold some.

    Raises:
        UnreadableError: There is something.
    """
    if hiding:
        more = f" and {len(hiding) - 1} more" if len(hiding) > 1 else ""
        raise UnreadableError(
            f"{hiding[0].path}{more} cannot be read, so there may be more jobs",
            "look at that file system, and run the command again",
        )


def error_of_left(left: int, count: int, done: str, *, is_failed: bool, is_busy: bool) -> JobsError:
    """Return the error for jobs that could not all be copied; its class decides the exit code.

    Args:
        left: How many could not.
        count: How many there were.
        done: What could not be done, such as ``recovered``.
        is_failed: Whether a folder failed.
        is_busy: Whether another process works on one.
    """
    if is_failed:
        kind: type[JobsError] = FolderError
    elif is_busy:
        kind = BusyError
    else:
        kind = SomeMissingError if left < count else NoJobFoundError
    what = f"{count_text(left, 'job')} of {count} cannot be {done}"
    return kind(what, "see the lines above")
