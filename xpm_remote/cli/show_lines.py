"""The picture as a JSON document, and changes as lines: for scripts."""

from __future__ import annotations

import functools
import time

import click

from xpm_remote.cli.calling import call_person
from xpm_remote.session.monitor import Monitor
from xpm_remote.session.state import Update
from xpm_remote.ui.document import encode, picture_document
from xpm_remote.ui.plain import EventLines, Format


async def show_document(monitor: Monitor) -> None:
    """Learn everything, print it as one JSON document, end."""
    await monitor.snapshot()
    click.echo(encode(picture_document(monitor.picture, time.time())))


async def show_events(monitor: Monitor, form: Format, *, progress: bool) -> None:
    """Print every change as it comes, one a line, until the link ends or we are told to stop."""
    events = EventLines(form, progress=progress)

    def write(update: Update) -> None:
        for line in events.lines(update, monitor.picture, time.time()):
            click.echo(line)  # which flushes

    monitor.subscribe(write)
    await monitor.run(functools.partial(call_person, monitor.target.name))
