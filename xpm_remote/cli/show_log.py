"""A log of this machine followed until its job ends."""

from __future__ import annotations

import select
from collections.abc import Iterator

from xpm_remote.workspace.layout import JobFiles, JobId
from xpm_remote.workspace.reading.reader import WorkspaceReader
from xpm_remote.workspace.watching.following import LIFE_INTERVAL, LOG_PACE, Life
from xpm_remote.workspace.watching.inotify import Inotify
from xpm_remote.workspace.watching.logs import Log, Piece
from xpm_remote.workspace.watching.watch import Watcher


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


def _pieces(log: Log, piece: Piece) -> Iterator[Piece]:
    """Give a piece, and those after it that can be read at once."""
    yield piece
    while piece.more:
        piece = log.after(piece.position)
        yield piece


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
