"""The progress bar itself, drawn on stderr."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

REDRAW_INTERVAL = 0.1
"""Seconds between two drawings of the bar."""


@contextmanager
def bar(what: str, size: int, files: int) -> Iterator[Callable[[int, int], None]]:
    """Draw a bar until the context ends; give what moves it on, by bytes and files, from any thread."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[done]}/{task.fields[files]} files"),
    )
    lock = threading.Lock()
    done, due = 0, 0.0
    # Drawn only when it moves: while the link is lost somebody may be asked something below it.
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as progress:
        task = progress.add_task(what, total=size, done=0, files=files)

        def advance(more_bytes: int, more_files: int) -> None:
            nonlocal done, due
            with lock:
                done += more_files
                now = time.monotonic()
                is_due = now >= due
                due = now + REDRAW_INTERVAL if is_due else due
                progress.update(task, advance=more_bytes, done=done, refresh=is_due)

        yield advance
