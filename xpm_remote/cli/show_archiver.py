"""``jobs archive --watch``: each job that succeeds is archived, until somebody says that it is enough."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import click

from xpm_remote.cli.jobs_archive import print_outcome
from xpm_remote.cli.jobs_place import JobsPlace
from xpm_remote.errors import ExitCode, FolderError
from xpm_remote.escaping import safe
from xpm_remote.ui.tables import count_text
from xpm_remote.workspace.folders.archiver import Archiver
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.reading.lookup import Lookup

LOOK_INTERVAL = 5.0
"""Seconds between two looks for jobs that have succeeded: a shared file system tells nobody of them, and a look at all
that have not costs a call each."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def watch(place: JobsPlace, *, with_all: bool, is_json: bool) -> int:
    """Archive each job that succeeds, until a signal comes; then what was found is still archived.

    Args:
        place: The workspace, of this machine.
        with_all: Whether the jobs that have succeeded before count, too.
        is_json: Whether to print JSON.

    Returns:
        The exit status.

    Raises:
        FolderError: Not all of them could be archived.
    """
    succeeded = _Succeeded(place)
    if not with_all:
        succeeded.fresh()
    with _told_to_stop() as is_told:
        worker = Archiver(
            place.layout, place.folders, lambda outcome: print_outcome(outcome, is_json=is_json)
        )
        click.echo(f"watching {safe(str(place.layout.jobs))}; Ctrl-C ends it", err=True)
        try:
            while True:
                for job in succeeded.fresh():
                    worker.submit(job)
                if is_told.wait(LOOK_INTERVAL):
                    break
        finally:
            report = worker.close()
    if report.left:
        left = count_text(len(report.left), "job")
        raise FolderError(f"{left} could not be archived", "run `jobs archive --all`")
    return ExitCode.OK


class _Succeeded:
    """The jobs that have succeeded since one looked last."""

    def __init__(self, place: JobsPlace) -> None:
        self._layout = place.layout
        self._known: set[JobId] = set()

    def fresh(self) -> list[JobId]:
        """Look."""
        found = [
            job
            for job in Lookup([self._layout]).all()
            if job not in self._known and self._layout.job_files(job).done.exists()
        ]
        self._known.update(found)
        return found


@contextmanager
def _told_to_stop() -> Iterator[threading.Event]:
    """Take the signals that end a program as a wish to stop; a second one ends it."""
    event = threading.Event()
    before: dict[signal.Signals, Any] = {}

    def stop(number: int, _: FrameType | None) -> None:
        event.set()
        signal.signal(number, before[signal.Signals(number)])
        click.echo("finishing what was found; once more to give it up", err=True)

    for number in _SIGNALS:
        before[number] = signal.signal(number, stop)
    try:
        yield event
    finally:
        for number in _SIGNALS:
            signal.signal(number, before[number])
