"""Logs of jobs on the terminal or in a pipe; and a log of this machine followed until its job ends."""

from __future__ import annotations

import select
import sys
from collections.abc import Iterable, Iterator, Sequence

import click

from xpm_remote.escaping import safe
from xpm_remote.workspace.layout import JobFiles, JobId
from xpm_remote.workspace.reading.reader import WorkspaceReader
from xpm_remote.workspace.watching.following import LIFE_INTERVAL, LOG_PACE, Life
from xpm_remote.workspace.watching.inotify import Inotify
from xpm_remote.workspace.watching.logs import Log, Piece
from xpm_remote.workspace.watching.watch import Watcher

_HASH_SHOWN = 8
"""Characters of a hash before the lines of one log of several, where that is enough to tell them apart."""


def follow(log: Log, reader: WorkspaceReader, job: JobId, lines: int) -> Iterator[str]:
    """Give the last lines, then what is added, until the job has ended and everything is given.

    Raises:
        WorkspaceFailure: The log cannot be read.
    """
    life = Life(reader, JobFiles(reader.layout.job(job), job.script_name), job)
    piece = log.last(lines)
    yield piece.text
    watcher = _watcher(log)
    try:
        has_ended = False
        while not has_ended:
            # Looked at before the log is: what a job writes last comes before its marker.
            has_ended = life.has_ended()
            for piece in _pieces(log, log.after(piece.position)):  # noqa: B020 - the last one counts
                yield piece.text
            if not has_ended:
                _wait(watcher)
    finally:
        watcher.close()


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
    """Give what stands before the lines of each log: nothing for one alone, else as little as tells them apart."""
    if len(jobs) == 1:
        return [""]
    short = [f"{job.script_name}/{job.hash[:_HASH_SHOWN]}" for job in jobs]
    names = short if len(set(short)) == len(jobs) else [str(job) for job in jobs]
    return [f"{name}: " for name in names]


def _write(text: str) -> None:
    # With the colours that a program may have put into it, where it is not for a terminal.
    click.echo(text, nl=False, color=True)


def _pieces(log: Log, piece: Piece) -> Iterator[Piece]:
    """Give a piece, and those after it that can be read at once."""
    yield piece
    while piece.more:
        piece = log.after(piece.position)
        yield piece


def _escaped_lines(texts: Iterable[str]) -> Iterator[str]:
    rest = ""
    for text in texts:
        *lines, rest = (rest + text).split("\n")
        yield from map(_escaped, lines)
    if rest:
        yield _escaped(rest)


def _escaped(line: str) -> str:
    # A progress bar writes over itself: what it wrote last is what a terminal would show.
    return safe(line.expandtabs().rstrip("\r").rpartition("\r")[2])


def _watcher(log: Log) -> Watcher:
    try:
        watcher = Watcher(Inotify())
    except OSError:  # polling does it too
        watcher = Watcher(None)
    watcher.tell(log.directory, lambda _: log.directory, contents=True)
    watcher.add(log.path, log.directory, LOG_PACE)
    watcher.add(log.directory, log.directory, LOG_PACE)
    return watcher


def _wait(watcher: Watcher) -> None:
    """Wait until something changes, at most until it is time to look by ourselves."""
    descriptor = watcher.fileno()
    tells = [] if descriptor is None else [descriptor]
    select.select(tells, [], [], min(watcher.due(), LIFE_INTERVAL))
    watcher.collect()
