"""Wait for what cannot be awaited: a file on the server, a line in a log, a listening port."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_INTERVAL = 0.05
"""Seconds between two looks: short beside what is waited for, long beside the cost of a look."""


def wait_until(condition: Callable[[], T | None], limit: float, what: str) -> T:
    """Return the first true value of ``condition``; ``TimeoutError`` naming ``what`` after ``limit`` s."""
    deadline = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {limit:g} s in vain for {what}")
        time.sleep(POLL_INTERVAL)
