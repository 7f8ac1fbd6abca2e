"""Real experiments, run by the real experimaestro on the test server."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.errors import tail

SCRIPTS = Path(__file__).resolve().parent / "scripts"

EXPERIMENT_LIMIT = 120.0
"""Seconds for an experiment of short jobs; each job starts a python of its own, two at a time."""


@dataclass(frozen=True)
class Experiment:
    """An experiment that was started.

    Args:
        workspace: Its workspace's absolute path on the server.
        name: Its id.
        process: The local end of the process that schedules it.
        output: The local file that its output goes to.
    """

    workspace: str
    name: str
    process: subprocess.Popen[str]
    output: Path

    @property
    def running(self) -> bool:
        """Whether its scheduler still runs."""
        return self.process.poll() is None

    def wait(self, limit: float = EXPERIMENT_LIMIT) -> int:
        """Wait for its end and return the scheduler's status: 0, also when jobs failed.

        Raises:
            TimeoutError: It still runs after ``limit`` seconds; its last output is in the message.
        """
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            raise TimeoutError(
                f"experiment {self.name} still runs after {limit:g} s:\n{self.log()}"
            ) from None

    def log(self) -> str:
        """Return the last lines that its scheduler printed."""
        return tail(self.output.read_text(errors="replace"))


def experiment_options(counts: Mapping[str, float | bool]) -> list[str]:
    """Return the command-line options of ``make_workspace.py`` for keyword arguments."""
    options: list[str] = []
    for name, value in counts.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            options.append(option)
        elif value is not False:
            options += [option, str(value)]
    return options
