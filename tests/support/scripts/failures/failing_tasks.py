"""Tasks that fail in every way that a person tells apart, and those that wait for one.

Needs the real experimaestro. No ``from __future__ import annotations`` here: experimaestro reads
the annotations of a task as values.
"""

import builtins
import os
import signal
import sys
import traceback
from typing import Any

from experimaestro import GracefulTimeout, Param, ResumableTask, Task


class OutOfMemoryError(RuntimeError):
    """What a library of tensors raises."""


def allocate(size: str) -> None:
    """Fail as an allocation on a device does."""
    raise OutOfMemoryError(
        f"CUDA out of memory. Tried to allocate {size} GiB. GPU 0 has 1.{size} GiB free"
    )


def forward(number: int) -> None:
    """Fail one frame below the task."""
    allocate(f"{number}.00")


def fail_plainly(number: int) -> None:
    """Raise."""
    raise ValueError(f"bad value {number} in '/data/{number}/x.txt'")


def fail_with_cause(number: int) -> None:
    """Raise from another exception."""
    try:
        print({}["missing"])
    except KeyError as error:
        raise RuntimeError(f"cannot load {number}") from error


def fail_in_handler(number: int) -> None:
    """Raise while another exception is handled."""
    try:
        forward(number)
    except OutOfMemoryError:
        int("x")


def fail_as_group(number: int) -> None:
    """Raise a group of exceptions, where there is such a thing."""
    group: Any = getattr(builtins, "ExceptionGroup", None)
    if group is None:
        raise ValueError(f"worker {number}")
    raise group("workers", [ValueError(f"worker {number}"), TypeError("other")])


def fail_by_syntax(_: int) -> None:
    """Compile what is no code."""
    compile("x = (1,\ny = )\n", "config.py", "exec")


def fail_with_lines(number: int) -> None:
    """Raise with a message of several lines."""
    raise ValueError(f"first line {number}\nsecond line\n\n  indented\nlast line")


def fail_by_key(number: int) -> None:
    """Raise what shows its text in quotes."""
    raise KeyError(f"a\nb{number}")


def fail_with_bytes(_: int) -> None:
    """Raise after bytes that are no text, with escapes."""
    sys.stderr.buffer.write(b"\xff\xfe broken \x1b[31m\n")
    raise ValueError("with \x1b[2J escapes")


def recurse(number: int) -> None:
    """Call itself for ever."""
    recurse(number)


def kill(number: int) -> None:
    """End by a signal that nothing can catch."""
    print("epoch", number, file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


def run_out_of_memory(number: int) -> None:
    """End as a job of SLURM does that uses too much."""
    line = f"slurmstepd: error: Detected {number} oom-kill event(s) in StepId=12{number}.batch."
    print(line, file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


def fail_after_handled(number: int) -> None:
    """Print the traceback of an exception that is handled, go on, and end by a signal."""
    try:
        fail_plainly(number)
    except ValueError:
        traceback.print_exc()
    for step in range(20):
        print("step", step, file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


WAYS = {
    "value": fail_plainly,
    "memory": forward,
    "cause": fail_with_cause,
    "handler": fail_in_handler,
    "group": fail_as_group,
    "syntax": fail_by_syntax,
    "lines": fail_with_lines,
    "key": fail_by_key,
    "bytes": fail_with_bytes,
    "recursion": recurse,
    "exit": lambda _: sys.exit(3),
    "exit-text": lambda number: sys.exit(f"configuration {number} is wrong"),
    "killed": kill,
    "oom": run_out_of_memory,
    "handled": fail_after_handled,
}


class Fail(Task):
    """Fails in a way of its own."""

    how: Param[str]
    number: Param[int]

    def execute(self) -> None:
        """Fail."""
        WAYS[self.how](self.number)


class Late(ResumableTask):
    """Is always out of time."""

    number: Param[int]

    def execute(self) -> None:
        """Fail."""
        raise GracefulTimeout(f"no time left at step {self.number}")


class After(Task):
    """Needs one that fails."""

    source: Param[Fail]
    number: Param[int]

    def execute(self) -> None:
        """Do nothing."""


class Last(Task):
    """Needs one that needs one that fails."""

    source: Param[After]
    number: Param[int]

    def execute(self) -> None:
        """Do nothing."""
