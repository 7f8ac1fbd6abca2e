"""Jobs in batches: their size, when they are made durable, and parallel copies."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest

from xpm_remote.workspace.folders import batches
from xpm_remote.workspace.folders.batches import FLUSH_BYTES, Turns, run_batches
from xpm_remote.workspace.layout import JobId

JOBS = [JobId("t", f"{number:02x}") for number in range(4)]
LIMIT = 30.0
"""Seconds for threads to meet."""
SHORT = 0.2
"""Seconds in which an unblocked thread would arrive; a blocked one never does."""


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (FLUSH_BYTES, "a. b. c. d. ."),
        (FLUSH_BYTES // 2, "a b. c d. ."),
        (FLUSH_BYTES - 1, "a b. c d. ."),
        (1, "a b c d."),
        (0, "a b c d."),
    ],
)
def test_portions(size: int, expected: str) -> None:
    """Copies are made durable at a certain amount, and at the end."""
    done: list[str] = []
    names = iter("abcd")

    def begin(_: JobId) -> int:
        done.append(f" {next(names)}")
        return size

    Turns().copy(JOBS, begin, lambda: done.append(". "), waits=False)
    assert "".join(done).split() == expected.split()


@pytest.mark.parametrize("waits", [True, False])
def test_turns(waits: bool) -> None:
    """Two batches copy at the same time only where each file has to be waited for."""
    turns, entered = Turns(), threading.Event()
    met: list[bool] = []

    def second(_: JobId) -> int:
        entered.set()
        return 0

    def first(_: JobId) -> int:
        other.start()
        met.append(entered.wait(LIMIT if waits else SHORT))
        return 0

    def copy(begin: Callable[[JobId], int]) -> None:
        turns.copy(JOBS[:1], begin, lambda: None, waits=waits)

    other = threading.Thread(target=copy, args=[second])
    copy(first)
    other.join(LIMIT)
    assert met == [waits]
    assert entered.is_set()


@pytest.mark.parametrize("word", ["stop", "abandon"])
def test_no_more_is_taken(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a stop or an abort, no more jobs are started; those in progress have their outcome."""
    monkeypatch.setattr(batches, "batch_size", lambda: 1)
    taken: list[JobId] = []

    def work(batch: Sequence[JobId], _: Callable[[], bool]) -> Sequence[JobId]:
        return batch

    def is_enough() -> bool:
        return len(taken) == 2

    found = run_batches(
        JOBS,
        work,
        prepare=taken.extend,
        stop=is_enough if word == "stop" else lambda: False,
        abandon=is_enough if word == "abandon" else lambda: False,
    )
    assert list(found) == taken == JOBS[:2]
