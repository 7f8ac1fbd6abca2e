"""The progress bar itself, drawn on stderr."""

from __future__ import annotations

import threading
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
    done = 0
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=size, done=0, files=files)

        def advance(more_bytes: int, more_files: int) -> None:
            nonlocal done
            with lock:
                done += more_files
                progress.update(task, advance=more_bytes, done=done)

        yield advance
