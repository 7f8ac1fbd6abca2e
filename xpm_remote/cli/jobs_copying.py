"""What ``jobs archive`` and ``jobs recover`` have in common: jobs are copied, and what came of them is judged."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import TypeVar

from xpm_remote.cli.show_progress import copy_progress
from xpm_remote.errors import BusyError, FolderError, JobsError, NoJobFoundError, SomeMissingError
from xpm_remote.ui.tables import count_text
from xpm_remote.workspace.folders.outcomes import Progress

Outcome = TypeVar("Outcome")


def copy_jobs(
    what: str,
    size: int,
    files: int,
    work: Callable[[Progress], Generator[Outcome, None, None]],
    show: Callable[[Outcome], None],
) -> list[Outcome]:
    """Copy jobs, and show what came of each when it is there.

    Args:
        what: What is done, such as ``recovering``.
        size: Bytes in all.
        files: Files in all.
        work: Begins, given what is to be told of each step.
        show: Prints an outcome.
    """
    outcomes = []
    with (
        copy_progress(what, size, files) as progress,
        # Ended in the middle, it puts down what it copies.
        closing(work(progress)) as done,
    ):
        for outcome in done:
            outcomes.append(outcome)
            show(outcome)
    return outcomes


def error_of_left(left: int, count: int, done: str, *, is_failed: bool, is_busy: bool) -> JobsError:
    """Give the error that says that not all jobs could be copied; its class decides the exit code.

    Args:
        left: How many could not.
        count: How many there were.
        done: What could not be done, such as ``recovered``.
        is_failed: Whether a folder failed.
        is_busy: Whether somebody else works on one.
    """
    if is_failed:
        kind: type[JobsError] = FolderError
    elif is_busy:
        kind = BusyError
    else:
        kind = SomeMissingError if left < count else NoJobFoundError
    what = f"{count_text(left, 'job')} of {count} cannot be {done}"
    return kind(what, "the lines above say why")
