"""Tasks that do what they are told while they run: by the words of a FIFO, one for each attempt.

Needs the real experimaestro. No ``from __future__ import annotations`` here: experimaestro reads
the annotations of a task as values.
"""

import os
from pathlib import Path

from experimaestro import GracefulTimeout, Param, ResumableTask, Task

CONTROL = "XPM_CONTROL"
"""The variable that names the directory of the FIFOs."""


def hear(name: str) -> str:
    """Announce an attempt by a file with the pid, and return what it is told; wait for that."""
    control = Path(os.environ[CONTROL])
    attempt = sum(1 for _ in control.glob(f"{name}.*.pid")) + 1
    fifo = control / f"{name}.{attempt}.fifo"
    os.mkfifo(fifo)
    announced = control / f"{name}.{attempt}.new"
    announced.write_text(str(os.getpid()))
    announced.rename(announced.with_suffix(".pid"))
    return fifo.read_text().strip()


def obey(name: str) -> None:
    """Do what this attempt is told: return, raise, or run out of time."""
    word = hear(name)
    print(name, "is told", word)
    if word == "fail":
        raise ValueError(f"{name} is told to fail")
    if word == "expire":
        raise GracefulTimeout(f"{name} is told to run out of time")


class Told(Task):
    """A job that obeys."""

    name: Param[str]

    def execute(self) -> None:
        """Obey."""
        obey(self.name)


class Held(Told):
    """A job that the gate of ``sitecustomize.py`` holds before it starts."""


class After(Told):
    """A job that obeys, after another."""

    source: Param[Told]


class Again(ResumableTask):
    """A job that obeys, and is tried again when it runs out of time."""

    name: Param[str]

    def execute(self) -> None:
        """Obey."""
        obey(self.name)
