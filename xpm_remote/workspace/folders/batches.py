"""Working on jobs in batches, two at a time: while one batch is made durable, the other is copied."""

from __future__ import annotations

import collections
import contextlib
import functools
import itertools
import os
import threading
from concurrent.futures import Future, wait
from typing import Callable, ContextManager, Iterable, Iterator, Sequence, TypeVar

from xpm_remote.workspace.layout import JobId

AT_ONCE = 2
"""Number of batches at work. More do not help: what does not wait for the disk holds the interpreter's lock."""

BATCH_MAX = 100
"""Most jobs of a batch: enough that making them durable together pays."""

FLUSH_BYTES = 256 << 20
"""Bytes after which what is copied is made durable and named: the most that a crash costs, beside one job."""

GIVE_UP_LIMIT = 10.0
"""Seconds that abandoned work may take to end: one step on a slow disk."""

_OPEN_FILES_A_JOB = 4
"""Number of lock files, and of their directories, that stay open for each job of a batch."""

_SHARE_OF_OPEN_FILES = 2
"""Divisor of the limit of open files: the other half is the caller's."""

Outcome = TypeVar("Outcome")


class Turns:
    """Makes the batches of one run copy in turns, where copying keeps the processor busy.

    Two threads that copy small files on a disk of this host pass the interpreter's lock to and fro at each call, which
    makes both slower. Where each file waits for a server, or for the disk, they copy side by side.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def copy(
        self,
        jobs: Iterable[JobId],
        begin: Callable[[JobId], int],
        flush: Callable[[], None],
        *,
        waits: bool,
    ) -> None:
        """Copy the jobs of a batch, in portions that are made durable and named together.

        Args:
            jobs: The jobs.
            begin: Copies a job beside its place, and returns the bytes.
            flush: Makes durable and names what was copied since the last call.
            waits: Whether copying waits for each file, so that no turns are needed.
        """
        turn: ContextManager[object] = contextlib.nullcontext() if waits else self._lock
        size = 0
        for job in jobs:
            with turn:
                size += begin(job)
            if size >= FLUSH_BYTES:
                flush()
                size = 0
        flush()


def run_batches(
    jobs: Iterable[JobId],
    work: Callable[[Sequence[JobId], Callable[[], bool]], Sequence[Outcome]],
    *,
    prepare: Callable[[Sequence[JobId]], None],
    stop: Callable[[], bool],
    abandon: Callable[[], bool],
) -> Iterator[Outcome]:
    """Work on jobs, and yield their outcomes in the jobs' order.

    Args:
        jobs: Taken as the work goes on; a job that comes again in a later batch is worked on again.
        work: Called in a thread with a batch, and with a function that returns whether to give up at once.
        prepare: Called with a batch before that, for one batch at a time.
        stop: Called before each batch is taken; if true, no more are.
        abandon: If true, work is given up, and no more is taken. Closing the iterator does the same.
    """
    running: collections.deque[Future[Sequence[Outcome]]] = collections.deque()
    rest = iter(jobs)
    closed = threading.Event()

    def is_abandoned() -> bool:
        return closed.is_set() or abandon()

    try:
        while True:
            is_over = stop() or abandon()
            batch = [] if is_over else list(dict.fromkeys(itertools.islice(rest, batch_size())))
            if batch:
                prepare(batch)
                running.append(_start(functools.partial(work, batch, is_abandoned)))
            if not running:
                return
            if len(running) >= AT_ONCE or not batch:
                yield from running.popleft().result()
    finally:
        closed.set()
        wait(running, GIVE_UP_LIMIT)


def _start(work: Callable[[], Sequence[Outcome]]) -> Future[Sequence[Outcome]]:
    """Run in a thread that lets the process end, as an executor's threads do not."""
    future: Future[Sequence[Outcome]] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again where the result is taken
            future.set_exception(error)

    threading.Thread(target=run, name="folders", daemon=True).start()
    return future


def batch_size() -> int:
    """Return the number of jobs in a batch, which the limit of open files may lower."""
    limit = os.sysconf("SC_OPEN_MAX")
    if limit < 0:  # there is none
        return BATCH_MAX
    return max(1, min(BATCH_MAX, limit // (_SHARE_OF_OPEN_FILES * AT_ONCE * _OPEN_FILES_A_JOB)))
