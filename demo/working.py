"""Make-believe work for the tasks of the demo: time passes, progress is reported, and the CPU is not needed."""

import time

from experimaestro import progress

STEP = 0.4
"""Seconds between two reports of progress: often enough to look alive."""


def work(seconds: float, level: int = 0) -> None:
    """Pretend to work, reporting progress."""
    steps = max(1, round(seconds / STEP))
    for step in range(steps):
        progress(step / steps, level=level)
        time.sleep(min(STEP, seconds))
