"""Exchange messages with the fake monitor server through its pipes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from tests.support.conversation import Conversation, Json
from tests.support.fakes import FAKE_SERVER

LIMIT = 20.0
"""Seconds for the longest conversation, a burst of one second included."""


class Fake(Conversation):
    """A running fake monitor server; it is killed after :data:`LIMIT`, so no read waits longer."""

    def __init__(self, scenario: Path) -> None:
        words = [sys.executable, str(FAKE_SERVER), "--scenario", str(scenario)]
        words += ["--quiet", "experiments", "--workdir", "/data/my ws", "monitor-server"]
        super().__init__(words, LIMIT)

    def end_lines(self) -> tuple[list[bytes], str, int]:
        """Close its stdin; return the remaining lines, its stderr and its status."""
        out, err, status = self.end()
        return out.splitlines(), err, status


Start = Callable[..., Fake]
"""Starts a fake server; the keywords are its scenario."""


def states(jobs: list[Json], key: str = "state") -> list[str]:
    """Return the states of jobs, in their order."""
    return [job[key] for job in jobs]
