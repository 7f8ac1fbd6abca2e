"""Tasks that every experimaestro from 2.0 on can run: they finish, fail, depend, run long, time out, die.

Needs the real experimaestro. No ``from __future__ import annotations`` here: experimaestro reads
the annotations of a task as values.
"""

import os
import time
from pathlib import Path
from typing import Any

from experimaestro import (
    GracefulTimeout,
    Meta,
    Param,
    PathGenerator,
    ResumableTask,
    Task,
    field,
    progress,
)
from experimaestro.scheduler.services import Service

SIGNAL_GRACE = 30.0
"""Seconds for the signal that a job sends to itself to end it."""


class Ok(Task):
    """Finishes at once."""

    x: Param[int]

    def execute(self) -> None:
        """Do nothing."""


class Bad(Task):
    """Fails at once."""

    x: Param[int]

    def execute(self) -> None:
        """Raise."""
        raise ValueError(f"bad {self.x}")


class Dep(Task):
    """Finishes after another that finishes."""

    source: Param[Ok]

    def execute(self) -> None:
        """Do nothing."""


class DepBad(Task):
    """Never starts: what it depends on fails."""

    source: Param[Bad]

    def execute(self) -> None:
        """Do nothing."""


class Long(Task):
    """Reports its progress on two levels, and runs until it is killed."""

    x: Param[int]
    seconds: Param[float]

    def execute(self) -> None:
        """Report and wait."""
        progress(0.25, desc="epoch 1")
        progress(0.5, level=1, desc="batch 7")
        time.sleep(self.seconds)


class DepLong(Task):
    """Waits for a long one."""

    source: Param[Long]

    def execute(self) -> None:
        """Do nothing."""


class Resume(ResumableTask):
    """Runs out of time in its first attempts and finishes in the next."""

    x: Param[int]
    attempts: Param[int]
    state: Meta[Path] = field(default_factory=PathGenerator("state.txt"))

    def execute(self) -> None:
        """Count the attempt and give up if it is one of the first."""
        attempt = int(self.state.read_text()) if self.state.exists() else 0
        self.state.write_text(str(attempt + 1))
        if attempt < self.attempts:
            raise GracefulTimeout(f"no time left at attempt {attempt}")


class SelfSignal(Task):
    """Ends by a signal."""

    x: Param[int]
    signum: Param[int]

    def execute(self) -> None:
        """Send itself the signal."""
        os.kill(os.getpid(), self.signum)
        time.sleep(SIGNAL_GRACE)


class DemoService(Service):
    """A service that serves nothing."""

    id = "demo-service"

    def description(self) -> str:
        """Return the description."""
        return "Demo service"

    def state_dict(self) -> dict[str, Any]:
        """Return what another process needs to make the same service."""
        return {}
