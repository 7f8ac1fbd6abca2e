"""Tasks of every kind that a workspace can hold: they finish, fail, depend, run long, time out, die.

Needs the real experimaestro. No ``from __future__ import annotations`` here: experimaestro reads
the annotations of a task as values.
"""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from experimaestro import (
    Action,
    Config,
    GracefulTimeout,
    Interaction,
    Meta,
    Param,
    PathGenerator,
    ResumableTask,
    Task,
    field,
    param_group,
    partial,
    progress,
)
from experimaestro.scheduler.services import Service, ServiceState

ITER = param_group("iter")
SIGNAL_GRACE = 30.0
"""Seconds for the signal that a job sends to itself to end it."""


class Ok(Task):
    """Finishes at once."""

    x: Param[int]
    kind: Param[str]
    out: Meta[Path] = field(default_factory=PathGenerator("result.txt"))

    def execute(self) -> None:
        """Print on both streams and write a result."""
        print("ok", self.x)
        print("to stderr", file=sys.stderr)
        self.out.write_text(str(self.x))


class Bad(Task):
    """Fails at once."""

    x: Param[int]

    def execute(self) -> None:
        """Raise."""
        raise ValueError(f"bad {self.x}")


class Dep(Task):
    """Finishes after another that finishes."""

    source: Param[Ok]
    y: Param[int]

    def execute(self) -> None:
        """Print the dependency."""
        print("dep", self.source.x, self.y)


class DepBad(Task):
    """Never starts: what it depends on fails."""

    source: Param[Bad]
    y: Param[int]

    def execute(self) -> None:
        """Print what must never appear in a log."""
        print("never")


class Long(Task):
    """Runs for a given time and reports its progress on two levels."""

    seconds: Param[float]
    steps: Param[int]
    x: Param[int]

    def execute(self) -> None:
        """Take the steps one by one."""
        for step in range(self.steps):
            progress(step / self.steps, desc=f"step {step}")
            progress(0.5, level=1, desc="inner")
            time.sleep(self.seconds / self.steps)
        progress(1.0, desc="end")


class Greedy(Task):
    """Is killed as one that takes more memory than it has asked for."""

    x: Param[int]

    def execute(self) -> None:
        """Write SLURM's words, as it needs control groups to do this itself, and be killed."""
        words = "Detected 1 oom-kill event(s) in StepId=1.0. Some of your processes may have been killed"
        print(f"slurmstepd: error: {words}.", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)


class DepLong(Task):
    """Waits for a long one."""

    source: Param[Long]
    y: Param[int]

    def execute(self) -> None:
        """Print the dependency."""
        print("after", self.source.x, self.y)


class Resume(ResumableTask):
    """Runs out of time in its first attempts and finishes in the next."""

    x: Param[int]
    attempts: Param[int]
    state: Meta[Path] = field(default_factory=PathGenerator("state.txt"))

    def execute(self) -> None:
        """Count the attempt and give up if it is one of the first."""
        attempt = int(self.state.read_text()) if self.state.exists() else 0
        print("attempt", attempt)
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


class WithPartial(Task):
    """Keeps a checkpoint in a folder that it shares with longer runs of itself."""

    checkpoints = partial(exclude_groups=[ITER])
    iters: Param[int] = field(groups=[ITER])
    lr: Param[int]
    path: Param[Path] = field(default_factory=PathGenerator("ckpt", partial=checkpoints))

    def execute(self) -> None:
        """Write the checkpoint."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("x")


class Checkpoint(Config):
    """An output that is announced while the task runs."""

    step: Param[int]


class OutSource(Config):
    """Announces checkpoints."""

    z: Param[int]

    def checkpoint(self, dep: Any, *, step: int) -> Any:  # experimaestro's own
        """Return the checkpoint of a step as an output of the task."""
        return dep(Checkpoint.C(step=step))

    def compute(self, step: int) -> None:
        """Announce the checkpoint of a step."""
        self.register_task_output(self.checkpoint, step=step)


class WithOutput(ResumableTask):
    """Announces two checkpoints."""

    x: Param[int]
    source: Param[OutSource]

    def execute(self) -> None:
        """Announce them."""
        for step in range(2):
            self.source.compute(step)


class DemoAction(Action):
    """An action that prints a message."""

    message: Param[str]

    def describe(self) -> str:
        """Return the description."""
        return "Demo action"

    def execute(self, interaction: Interaction) -> None:
        """Print the message."""
        print(self.message)


class DemoService(Service):
    """A service that serves nothing."""

    id = "demo-service"

    def __init__(self, path: Path, note: str = "") -> None:
        super().__init__()
        self.path = Path(path)
        self.note = note

    def description(self) -> str:
        """Return the description."""
        return "Demo service"

    def state_dict(self) -> dict[str, Any]:
        """Return what another process needs to make the same service."""
        return {"path": self.path, "note": self.note}

    def get_url(self) -> str:
        """Start and return the address."""
        self.state = ServiceState.RUNNING
        self.url = "http://localhost:1"
        return self.url

    def stop(self) -> None:
        """Stop."""
        self.state = ServiceState.STOPPED
