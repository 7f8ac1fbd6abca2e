"""Jobs worked at in batches, two at a time: while one batch is made durable, the other is copied."""

from __future__ import annotations

import collections
import contextlib
import functools
import itertools
import resource
import threading
from concurrent.futures import Future, wait
from typing import Callable, ContextManager, Iterable, Iterator, Sequence, TypeVar

from xpm_remote.workspace.layout import JobId

AT_ONCE = 2
"""Batches at work. More do not help: what is not waiting for the disk holds the interpreter's lock."""

BATCH_MAX = 100
"""Jobs of a batch: enough that making them durable together pays."""

FLUSH_BYTES = 256 << 20
"""Bytes after which what is copied is made durable and named: what a crash costs at most, beside one job."""

GIVE_UP_LIMIT = 10.0
"""Seconds that work which was given up may take to put down what it copies: one step on a slow disk."""

_OPEN_FILES_A_JOB = 2
"""Lock files that stay open for each job of a batch."""

_SHARE_OF_OPEN_FILES = 4
"""The part of the files that a process may open that we use at most: the rest is the caller's."""

Outcome = TypeVar("Outcome")


class Turns:
    """Lets the batches of one run copy in turns, where copying keeps the processor busy rather than waits.

    Two threads that copy small files on a disk of this host only pass the interpreter's lock to and fro at each call,
    and both are slower for it. Where each file waits for a server, or for the disk, they go on side by side.
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
            begin: Copies one beside its place; gives the bytes.
            flush: Makes durable what was copied since the last time, and gives it its place.
            waits: Whether copying waits for each file, so that nobody needs a turn.
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
    """Work at jobs; what comes of them is given in their order.

    Args:
        jobs: Taken as the work goes on; one that comes again while the work goes on is worked at again.
        work: Called in a thread with a batch, and with what says whether to give up at once.
        prepare: Called with a batch before, one at a time.
        stop: Asked before each batch is taken.
        abandon: Says that work is to be given up, and no more to be taken; so does closing the iterator.
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
    """Work in a thread that does not keep the process from ending, as those of an executor do."""
    future: Future[Sequence[Outcome]] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again where the result is taken
            future.set_exception(error)

    threading.Thread(target=run, name="folders", daemon=True).start()
    return future


def batch_size() -> int:
    """Give how many jobs make a batch, as far as the limit of open files allows."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return BATCH_MAX
    return max(1, min(BATCH_MAX, limit // (_SHARE_OF_OPEN_FILES * AT_ONCE * _OPEN_FILES_A_JOB)))
